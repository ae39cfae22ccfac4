// Typed arrays that JS gives.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>

namespace ringtap::addon {

/// The elements of what is to be a typed array; none where it is not, or has other elements. Valid until JS runs again.
template <class T>
std::span<const T> elements(const Napi::Value& value) {
  constexpr napi_typedarray_type kWanted = std::is_same_v<T, double>     ? napi_float64_array
                                           : std::is_same_v<T, uint32_t> ? napi_uint32_array
                                           : std::is_same_v<T, uint16_t> ? napi_uint16_array
                                                                         : napi_uint8_array;
  napi_typedarray_type type{};
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != kWanted) {
    return {};
  }
  return {static_cast<const T*>(data), length};
}

/// Columns of `capacity` rows over an ArrayBuffer; nothing where it is none, or too small for them.
template <class Columns>
std::optional<Columns> columns_over(const Napi::Value& memory, uint32_t capacity) {
  void* data = nullptr;
  size_t bytes = 0;
  if (napi_get_arraybuffer_info(memory.Env(), memory, &data, &bytes) != napi_ok || data == nullptr ||
      bytes < Columns::bytes_for(capacity)) {
    return std::nullopt;
  }
  return Columns::over(static_cast<std::byte*>(data), capacity);
}

}  // namespace ringtap::addon
