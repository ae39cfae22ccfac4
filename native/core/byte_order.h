// Loads and stores of integers at unaligned addresses, in either byte order.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace ringtap {

constexpr uint16_t swap_bytes(uint16_t v) noexcept { return static_cast<uint16_t>((v << 8) | (v >> 8)); }
constexpr uint32_t swap_bytes(uint32_t v) noexcept {
  return (v << 24) | ((v & 0xff00) << 8) | ((v >> 8) & 0xff00) | (v >> 24);
}
constexpr uint64_t swap_bytes(uint64_t v) noexcept {
  return (uint64_t{swap_bytes(static_cast<uint32_t>(v))} << 32) | swap_bytes(static_cast<uint32_t>(v >> 32));
}

/// An integer in the host's byte order, or in the other one.
template <class T, bool kSwap = false>
T load(const std::byte* at) noexcept {
  T value;
  std::memcpy(&value, at, sizeof value);
  if constexpr (kSwap) value = swap_bytes(value);
  return value;
}

template <class T>
T load(const std::byte* at, bool swap) noexcept {
  return swap ? load<T, true>(at) : load<T, false>(at);
}

inline constexpr bool kHostIsBig = std::endian::native == std::endian::big;

template <class T>
T load_big(const std::byte* at) noexcept {
  return load<T, !kHostIsBig>(at);
}

template <class T>
T load_little(const std::byte* at) noexcept {
  return load<T, kHostIsBig>(at);
}

/// Writes an integer in the host's byte order and returns the byte after it.
template <class T>
std::byte* store(std::byte* at, T value) noexcept {
  std::memcpy(at, &value, sizeof value);
  return at + sizeof value;
}

template <class T>
std::byte* store_big(std::byte* at, T value) noexcept {
  if constexpr (!kHostIsBig && sizeof(T) > 1) value = swap_bytes(value);
  return store(at, value);
}

template <class T>
std::byte* store_little(std::byte* at, T value) noexcept {
  if constexpr (kHostIsBig && sizeof(T) > 1) value = swap_bytes(value);
  return store(at, value);
}

inline void prefetch(const std::byte* at) noexcept {
#if defined(__GNUC__)
  __builtin_prefetch(at);
#else
  (void)at;
#endif
}

}  // namespace ringtap
