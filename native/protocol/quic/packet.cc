#include "protocol/quic/packet.h"

#include <algorithm>
#include <string_view>

#include "protocol/quic/hkdf.h"

namespace ringtap::protocol::quic {

namespace {

constexpr size_t kLongestId = 20;
constexpr size_t kSample = 16;
constexpr size_t kMostNumberBytes = 4;

constexpr uint8_t kSalt1[] = {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                              0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a};
constexpr uint8_t kSalt2[] = {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
                              0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9};

/// What differs by version, on purpose.
struct Words {
  Span salt;
  std::string_view key, nonce, header;
};

Words words_of(uint32_t version) noexcept {
  if (version == kVersion2) return {std::as_bytes(std::span(kSalt2)), "quicv2 key", "quicv2 iv", "quicv2 hp"};
  return {std::as_bytes(std::span(kSalt1)), "quic key", "quic iv", "quic hp"};
}

Kind kind_of(std::byte first, uint32_t version) noexcept {
  if (version == 0) return Kind::kNegotiation;
  if (!is_known(version) || !is_fixed(first)) return Kind::kUnknown;
  constexpr Kind kKinds[] = {Kind::kInitial, Kind::kZeroRtt, Kind::kHandshake, Kind::kRetry};
  const auto bits = std::to_integer<unsigned>(first) >> 4 & 3;
  return kKinds[(version == kVersion2 ? bits + 3 : bits) & 3];
}

template <class T>
T beginning_of(const Secret& secret) noexcept {
  T out;
  std::copy_n(secret.begin(), out.size(), out.begin());
  return out;
}

/// The number that these low bits belong to, nearest to what comes next (RFC 9000, appendix A.3).
uint64_t full_number(uint64_t expected, uint64_t low, size_t bytes) noexcept {
  const uint64_t window = uint64_t{1} << (8 * bytes);
  const uint64_t candidate = (expected & ~(window - 1)) | low;
  if (candidate + window / 2 <= expected && candidate < (uint64_t{1} << 62) - window) return candidate + window;
  if (candidate > expected + window / 2 && candidate >= window) return candidate - window;
  return candidate;
}

}  // namespace

uint64_t read_varint(Reader& in) noexcept {
  const uint8_t first = in.u8();
  uint64_t value = first & 0x3f;
  for (size_t more = (size_t{1} << (first >> 6)) - 1; more > 0; more--) value = value << 8 | in.u8();
  return value;
}

bool LongPacket::read(Span bytes) noexcept {
  *this = {};
  Reader in(bytes);
  const auto first = static_cast<std::byte>(in.u8());
  version = in.u32();
  const size_t longest = is_known(version) ? kLongestId : 255;
  const size_t to = in.u8();
  destination = in.take(to);
  const size_t from = in.u8();
  source = in.take(from);
  if (!in.ok() || !is_long(first) || to > longest || from > longest) return false;
  kind = kind_of(first, version);
  size = bytes.size();
  if (kind == Kind::kNegotiation) rest = in.rest();
  if (kind == Kind::kNegotiation || kind == Kind::kUnknown || kind == Kind::kRetry) return true;
  if (kind == Kind::kInitial) {
    const uint64_t token = read_varint(in);
    is_cut = token > in.left();
    in.skip(std::min<uint64_t>(token, in.left()));
  }
  const uint64_t length = read_varint(in);
  is_cut = is_cut || !in.ok() || length > in.left();
  number_at = in.at();
  if (!is_cut) size = number_at + length;
  return true;
}

InitialKeys::Parts InitialKeys::parts_of(uint32_t version, Span destination, bool of_server) {
  const Words words = words_of(version);
  const Secret initial = hmac_sha256(words.salt, destination);
  const Secret secret = expand_label(initial, of_server ? "server in" : "client in", 32);
  return {.key = beginning_of<Block>(expand_label(secret, words.key, 16)),
          .header = beginning_of<Block>(expand_label(secret, words.header, 16)),
          .nonce = beginning_of<Nonce>(expand_label(secret, words.nonce, 12))};
}

InitialKeys::InitialKeys(uint32_t version, Span destination, bool of_server)
    : InitialKeys(parts_of(version, destination, of_server)) {}

InitialKeys::InitialKeys(const Parts& parts) noexcept : text_(parts.key), header_(parts.header), nonce_(parts.nonce) {}

std::optional<std::vector<std::byte>> InitialKeys::open(const LongPacket& header, Span packet,
                                                        uint64_t& expected) const {
  const size_t at = header.number_at;
  if (header.size < at + kMostNumberBytes + kSample || header.size > packet.size()) return std::nullopt;
  Block sample;
  std::copy_n(packet.begin() + static_cast<ptrdiff_t>(at + kMostNumberBytes), kSample, sample.begin());
  const Block mask = header_.of(sample);
  std::vector<std::byte> bytes(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(header.size));
  bytes[0] ^= mask[0] & std::byte{0x0f};
  const size_t number_bytes = std::to_integer<size_t>(bytes[0] & std::byte{3}) + 1;
  uint64_t low = 0;
  for (size_t i = 0; i < number_bytes; i++) {
    bytes[at + i] ^= mask[1 + i];
    low = low << 8 | std::to_integer<uint64_t>(bytes[at + i]);
  }
  const uint64_t number = full_number(expected, low, number_bytes);
  Nonce nonce = nonce_;
  std::byte* const last = nonce.data() + nonce.size() - sizeof number;
  store_big(last, load_big<uint64_t>(last) ^ number);
  const size_t begin = at + number_bytes;
  const std::span<std::byte> text = std::span(bytes).subspan(begin, bytes.size() - begin - Gcm::kTag);
  if (!text_.open(nonce, Span(bytes).first(begin), text, Span(bytes).last(Gcm::kTag))) return std::nullopt;
  expected = std::max(expected, number + 1);
  bytes.resize(bytes.size() - Gcm::kTag);
  bytes.erase(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(begin));
  return bytes;
}

}  // namespace ringtap::protocol::quic
