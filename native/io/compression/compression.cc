#include "io/compression/compression.h"

#include <algorithm>

namespace ringtap {
namespace {

using namespace std::string_view_literals;

struct Known {
  Compression compression;
  const char* name;
};

constexpr Known kKnown[] = {
    {Compression::kGzip, "gzip"}, {Compression::kZstd, "zstd"},   {Compression::kLz4, "lz4"},
    {Compression::kXz, "xz"},     {Compression::kBzip2, "bzip2"},
};

struct Magic {
  std::string_view bytes;
  Compression compression;
  size_t at = 0;
};

constexpr Magic kMagics[] = {
    {"\x1f\x8b\x08"sv, Compression::kGzip},
    {"\x28\xb5\x2f\xfd"sv, Compression::kZstd},
    {"\x04\x22\x4d\x18"sv, Compression::kLz4},
    {"\xfd\x37\x7a\x58\x5a\x00"sv, Compression::kXz},
    {"BZh"sv, Compression::kBzip2},
    // What its first block begins with: so that one with a damaged head is called that, and no unknown format.
    {"1AY&SY"sv, Compression::kBzip2, 4},
};

}  // namespace

const char* name_of(Compression compression) noexcept {
  for (const Known& known : kKnown) {
    if (known.compression == compression) return known.name;
  }
  return "";
}

std::optional<Compression> compression_named(std::string_view name) noexcept {
  for (const Known& known : kKnown) {
    if (name == known.name) return known.compression;
  }
  return std::nullopt;
}

std::optional<Compression> compression_of(std::span<const std::byte> head) noexcept {
  bool may_be = false;
  for (const Magic& magic : kMagics) {
    const auto there = head.subspan(std::min(head.size(), magic.at));
    const size_t have = std::min(there.size(), magic.bytes.size());
    if (!std::equal(there.begin(), there.begin() + static_cast<ptrdiff_t>(have), magic.bytes.begin(),
                    [](std::byte a, char b) { return a == static_cast<std::byte>(b); }))
      continue;
    if (have == magic.bytes.size()) return magic.compression;
    may_be = true;
  }
  if (may_be) return std::nullopt;
  return Compression::kNone;
}

}  // namespace ringtap
