#include "format/pcapng_kept.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "core/byte_order.h"
#include "format/pcapng_options.h"

namespace ringtap::pcapng {
namespace {

/// What the bytes of an option are.
enum class Value : uint8_t {
  kNotKept,
  kBytes,   // or text
  kU32,     // one number, and nothing else
  kU64,     // likewise
  kCustom,  // the number of an enterprise, and bytes
  kOurs,    // bytes that hold numbers which nobody but this host's kind of host can read
};

Value section_option(uint16_t code) noexcept {
  switch (code) {
    case kComment:
    case kSectionHardware:
    case kSectionOs:
      return Value::kBytes;
    case kSectionApplication:  // we are the one that writes it
      return Value::kNotKept;
    default:
      return Value::kOurs;
  }
}

Value interface_option(uint16_t code) noexcept {
  constexpr uint16_t kTimeZone = 10;
  constexpr uint16_t kSendSpeed = 16;
  constexpr uint16_t kReceiveSpeed = 17;
  constexpr uint16_t kLastKnown = 18;
  switch (code) {
    case kInterfaceResolution:
    case kInterfaceOffset:  // times are Unix times already
      return Value::kNotKept;
    case kInterfaceSpeed:
    case kSendSpeed:
    case kReceiveSpeed:
      return Value::kU64;
    case kTimeZone:
      return Value::kU32;
    default:
      return code <= kLastKnown ? Value::kBytes : Value::kOurs;
  }
}

Value packet_option(uint16_t code) noexcept {
  constexpr uint16_t kHash = 3;
  switch (code) {
    case kComment:
    case kHash:
      return Value::kBytes;
    case kPacketFlags:
    case kPacketQueue:
      return Value::kU32;
    case kPacketDrops:
    case kPacketId:
      return Value::kU64;
    default:
      return Value::kOurs;
  }
}

Value value_of(Owner owner, uint16_t code) noexcept {
  if (code == kCustomText || code == kCustomBytes) return Value::kCustom;
  if (code == kCustomTextNotCopied || code == kCustomBytesNotCopied) return Value::kNotKept;
  switch (owner) {
    case Owner::kSection:
      return section_option(code);
    case Owner::kInterface:
      return interface_option(code);
    case Owner::kPacket:
      return packet_option(code);
  }
  return Value::kNotKept;
}

template <class T>
void put(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);  // SAFETY: a number is bytes
}

/// Whether there is a value of this kind in so many bytes.
bool is_sound(Value value, uint16_t length, bool swap) noexcept {
  switch (value) {
    case Value::kNotKept:
      return false;
    case Value::kBytes:
      return true;
    case Value::kU32:
      return length == 4;
    case Value::kU64:
      return length == 8;
    case Value::kCustom:
      return length >= 4;
    case Value::kOurs:
      return !swap;
  }
  return false;
}

template <bool kSwap>
KeptOptions keep(Owner owner, std::span<const std::byte> options, size_t most, std::string& to) {
  KeptOptions kept;
  const size_t begin = to.size();
  const std::byte* const end = options.data() + options.size();
  (void)for_each_option<kSwap>(options.data(), end, [&](uint16_t code, const std::byte* at, uint16_t length) {
    const Value value = value_of(owner, code);
    if (!is_sound(value, length, kSwap)) return;
    if (to.size() - begin + 4 + padded(length) > most) {
      kept.is_whole = false;
      return;
    }
    put(to, code);
    put(to, length);
    uint16_t done = 0;
    if (value == Value::kU64) {
      put(to, load<uint64_t, kSwap>(at));
      done = 8;
    } else if (value == Value::kU32 || value == Value::kCustom) {
      put(to, load<uint32_t, kSwap>(at));
      done = 4;
    }
    const auto* const characters = reinterpret_cast<const char*>(at);  // SAFETY: any bytes are characters
    to.append(characters + done, characters + length);
    to.append(padded(length) - length, '\0');
    if (code < 32) kept.codes |= 1u << code;
  });
  return kept;
}

/// The comments among options of this host's byte order.
std::vector<std::string_view> comments_of(const std::string& options) {
  std::vector<std::string_view> comments;
  const auto* const at = reinterpret_cast<const std::byte*>(options.data());  // SAFETY: characters are bytes
  (void)for_each_option<false>(at, at + options.size(),
                               [&comments](uint16_t code, const std::byte* value, uint16_t length) {
                                 if (code == kComment)
                                   comments.emplace_back(reinterpret_cast<const char*>(value), length);
                               });
  return comments;
}

}  // namespace

KeptOptions keep_options(Owner owner, std::span<const std::byte> options, bool swap, size_t most, std::string& to) {
  return swap ? keep<true>(owner, options, most, to) : keep<false>(owner, options, most, to);
}

std::string kept_interface(const std::byte* block, uint32_t total, bool swap, uint8_t resolution) {
  std::string body;
  put(body, load<uint16_t>(block + 8, swap));
  put(body, resolution);
  put(body, uint8_t{0});
  put(body, load<uint32_t>(block + 12, swap));
  keep_options(Owner::kInterface, {block + 16, total - kInterfaceBytes}, swap, kMostInterfaceOptions, body);
  return body;
}

bool add_comments(std::string& to, const std::string& from) {
  for (const std::string_view comment : comments_of(from)) {
    const auto there = comments_of(to);
    if (std::find(there.begin(), there.end(), comment) != there.end()) continue;
    if (to.size() + 4 + padded(comment.size()) > kMostInterfaceOptions) return false;
    put(to, static_cast<uint16_t>(kComment));
    put(to, static_cast<uint16_t>(comment.size()));
    to.append(comment);
    to.append(padded(comment.size()) - comment.size(), '\0');
  }
  return true;
}

}  // namespace ringtap::pcapng
