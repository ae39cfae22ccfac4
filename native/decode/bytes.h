// The captured bytes of one packet. Positions are 64 bits wide: no sum of a position and a length field overflows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/byte_order.h"

// WHY: across a call the headers found so far go through memory, which is a tenth of the whole.
#ifdef __GNUC__
#define RINGTAP_INLINE [[gnu::always_inline]] inline
#else
#define RINGTAP_INLINE inline
#endif

namespace ringtap::decode {

/// SAFETY: JS may write to packets while they are read. A length is pinned before it is checked, so that the compiler
/// cannot read it once more for its use.
template <class T>
T pinned(T value) noexcept {
#ifdef __GNUC__
  __asm__ volatile("" : "+r"(value));
  return value;
#else
  const volatile T kept = value;
  return kept;
#endif
}

struct Bytes {
  const std::byte* data = nullptr;
  uint64_t size = 0;

  bool has(uint64_t at, uint64_t count) const noexcept { return at + count <= size; }

  // Only where has() said so.
  uint8_t u8(uint64_t at) const noexcept { return static_cast<uint8_t>(data[at]); }
  uint16_t u16(uint64_t at) const noexcept { return load_big<uint16_t>(data + at); }
  uint32_t u32(uint64_t at) const noexcept { return load_big<uint32_t>(data + at); }
};

}  // namespace ringtap::decode
