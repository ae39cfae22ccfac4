#include "backends/file/file.h"

#include <algorithm>

#include "backends/file/file_source.h"
#include "io/decompressing_input.h"
#include "io/file_input.h"

namespace ringtap {
namespace {

constexpr uint32_t kChunks = 4;
constexpr int64_t kPage = 4096;
constexpr int64_t kDefaultBytes = 4 << 20;
constexpr int64_t kMostBytes = 1 << 30;

}  // namespace

Result<std::unique_ptr<Source>> open_file(const OpenRequest& request) {
  auto opened = open_input(request.target);
  if (!opened) return std::move(opened).error();
  auto input =
      decompressed(*std::move(opened),
                   static_cast<uint64_t>(std::max<int64_t>(request.options.integer("windowBytes", kMostWindow), 0)));
  const int64_t wanted = std::min(request.options.integer("bufferBytes", kDefaultBytes), kMostBytes);
  const int64_t chunk = std::max(wanted / kChunks / kPage, int64_t{1}) * kPage;
  auto region = Region::allocate(static_cast<size_t>(chunk) * kChunks);
  if (!region) return std::move(region).error();
  const int64_t snaplen = std::clamp<int64_t>(request.options.integer("snaplen", UINT32_MAX), 1, UINT32_MAX);
  const file::FileSource::Limits limits{
      .chunks = kChunks, .grows = !request.options.has("bufferBytes"), .snaplen = static_cast<uint32_t>(snaplen)};
  auto source = std::make_unique<file::FileSource>(request.target, std::move(input), *region, limits);
  if (auto prepared = source->prepare(request); !prepared) return std::move(prepared).error();
  return std::unique_ptr<Source>(std::move(source));
}

Probe probe_file() {
  return {.available = true, .error = std::nullopt, .detail = "pcap, pcapng and ERF, also compressed"};
}

std::vector<Device> devices_file() { return {}; }

}  // namespace ringtap
