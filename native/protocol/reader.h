// Bytes of a message, read in order: what is not there is 0, and ok() says so once and for all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/byte_order.h"

namespace ringtap::protocol {

/// Bytes that nobody else writes to: the dissector has copied them out of memory that JavaScript can see.
using Span = std::span<const std::byte>;

inline std::string_view text_of(Span bytes) noexcept {
  // SAFETY: bytes are bytes.
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline Span span_of(std::string_view text) noexcept { return std::as_bytes(std::span(text.data(), text.size())); }

class Reader {
 public:
  explicit Reader(Span bytes) noexcept : bytes_(bytes) {}

  bool ok() const noexcept { return ok_; }
  size_t at() const noexcept { return at_; }
  size_t left() const noexcept { return bytes_.size() - at_; }
  Span rest() const noexcept { return bytes_.subspan(at_); }

  uint8_t u8() noexcept {
    if (!has(1)) return 0;
    return static_cast<uint8_t>(bytes_[at_++]);
  }
  uint16_t u16() noexcept { return number<uint16_t>(); }
  uint32_t u24() noexcept {
    const uint32_t high = u8();
    return high << 16 | u16();
  }
  uint32_t u32() noexcept { return number<uint32_t>(); }
  uint64_t u64() noexcept { return number<uint64_t>(); }
  // The lowest byte first.
  uint16_t little16() noexcept { return swap_bytes(u16()); }
  uint32_t little32() noexcept { return swap_bytes(u32()); }

  Span take(size_t count) noexcept {
    if (!has(count)) return {};
    const Span taken = bytes_.subspan(at_, count);
    at_ += count;
    return taken;
  }
  void skip(size_t count) noexcept { take(count); }

 private:
  bool has(size_t count) noexcept {
    if (ok_ && count <= left()) return true;
    ok_ = false;
    return false;
  }
  template <class T>
  T number() noexcept {
    if (!has(sizeof(T))) return 0;
    const T value = load_big<T>(bytes_.data() + at_);
    at_ += sizeof(T);
    return value;
  }

  Span bytes_;
  size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace ringtap::protocol
