// Decompresses arbitrary bytes that arrive in pieces, by each of the libraries.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "io/compression/codec.h"

using namespace ringtap;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

constexpr Compression kAll[] = {Compression::kGzip, Compression::kZstd, Compression::kLz4, Compression::kXz,
                                Compression::kBzip2};
// What a bomb may put out before this gives up.
constexpr uint64_t kEnough = 4u << 20;
constexpr uint64_t kMostWindow = 1u << 20;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size < 3) return 0;
  const size_t piece = 1 + input[1] * 16u;
  const size_t room = 1 + input[2] * 64u;
  auto made = make_decompressor(kAll[input[0] % std::size(kAll)], kMostWindow);
  require(static_cast<bool>(made));
  Decompressor& decompressor = **made;

  const uint8_t* at = input + 3;
  const uint8_t* const end = input + size;
  std::vector<std::byte> read;  // of exactly what is there: reading beyond it is seen
  std::span<const std::byte> in;
  uint64_t total = 0;
  bool is_full = false;
  while (total < kEnough) {
    if (in.empty() && !is_full && at < end) {
      const auto n = std::min(piece, static_cast<size_t>(end - at));
      read.assign(n, std::byte{});
      std::transform(at, at + n, read.begin(), [](uint8_t b) { return std::byte{b}; });
      read.shrink_to_fit();
      in = read;
      at += n;
    }
    const bool is_last = at == end && in.empty();
    const auto buffer = std::make_unique<std::byte[]>(room);
    std::span<std::byte> out(buffer.get(), room);
    const size_t before = in.size();
    const bool sound = decompressor.run(in, out, is_last);
    require(in.size() <= before && out.size() <= room);
    total += room - out.size();
    is_full = out.empty();
    if (!sound) {
      require(!decompressor.failure().message.empty());
      return 0;
    }
    // All that it was given is done with, or there was no room for more.
    require(in.empty() || is_full);
    if (is_last && out.size() == room) break;
  }
  (void)decompressor.complete();
  return 0;
}
