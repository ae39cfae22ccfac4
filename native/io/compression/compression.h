// The compressions that traces come in, told from what they begin with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace ringtap {

enum class Compression : uint8_t { kNone, kGzip, kZstd, kLz4, kXz, kBzip2 };

/// As users write it.
const char* name_of(Compression compression) noexcept;
std::optional<Compression> compression_named(std::string_view name) noexcept;

/// What begins with these bytes. Nothing: more of them are needed to tell, unless there are none.
std::optional<Compression> compression_of(std::span<const std::byte> head) noexcept;

}  // namespace ringtap
