#include "format/rpcap_ask.h"

#include <algorithm>

#include "core/byte_order.h"
#include "format/rpcap_wire.h"

namespace ringtap::rpcap {
namespace {

uint32_t head(uint8_t type, size_t count) noexcept {
  return uint32_t{kVersion} << 24 | uint32_t{type} << 16 | static_cast<uint32_t>(count);
}

bool is_from(std::span<const std::byte> bytes, const Token& token) noexcept {
  return std::equal(token.begin(), token.end(), bytes.begin());
}

}  // namespace

SentMessage put_sent(const Sent& sent, const Token& token) noexcept {
  SentMessage message;
  std::byte* at = store_big(message.data(), head(kSentType, 0));
  at = store_big(store_big(at, sent.next), sent.oldest);
  std::copy(token.begin(), token.end(), at);
  return message;
}

std::optional<Sent> read_sent(std::span<const std::byte> bytes, const Token& token) noexcept {
  if (bytes.size() != kSentBytes || load_big<uint32_t>(bytes.data()) != head(kSentType, 0)) return std::nullopt;
  if (!is_from(bytes.subspan(12), token)) return std::nullopt;
  return Sent{.next = load_big<uint32_t>(&bytes[4]), .oldest = load_big<uint32_t>(&bytes[8])};
}

std::span<const std::byte> put_ask(const Ask& ask, const Token& token,
                                   std::span<std::byte, kMostAskBytes> into) noexcept {
  const size_t count = std::min(ask.count, kMostRanges);
  std::byte* at = store_big(into.data(), head(kAskType, count));
  at = std::copy(token.begin(), token.end(), store_big(at, ask.next));
  for (size_t i = 0; i < count; i++) at = store_big(store_big(at, ask.ranges[i].first), ask.ranges[i].count);
  return into.first(kAskBytes + count * 8);
}

std::optional<Ask> read_ask(std::span<const std::byte> bytes, const Token& token) noexcept {
  if (bytes.size() < kAskBytes || bytes.size() > kMostAskBytes) return std::nullopt;
  const size_t count = (bytes.size() - kAskBytes) / 8;
  if (bytes.size() != kAskBytes + count * 8) return std::nullopt;
  if (load_big<uint32_t>(bytes.data()) != head(kAskType, count) || !is_from(bytes.subspan(8), token))
    return std::nullopt;
  Ask ask{.next = load_big<uint32_t>(&bytes[4]), .ranges = {}, .count = count};
  for (size_t i = 0; i < count; i++) {
    const std::byte* at = &bytes[0] + kAskBytes + i * 8;
    ask.ranges[i] = {.first = load_big<uint32_t>(at), .count = load_big<uint32_t>(at + 4)};
  }
  return ask;
}

}  // namespace ringtap::rpcap
