#include "backends/file/file.h"

#include <algorithm>
#include <string>
#include <utility>

#include "backends/file/bytes.h"
#include "backends/file/file_source.h"
#include "backends/file/followed.h"
#include "backends/file/indexed.h"
#include "backends/file/many_source.h"
#include "backends/file/paths.h"

namespace ringtap {
namespace {

constexpr uint32_t kChunks = 4;
constexpr int64_t kPage = 4096;
constexpr int64_t kDefaultBytes = 4 << 20;
constexpr int64_t kMostBytes = 1 << 30;

Result<std::unique_ptr<Source>> open_one(const OpenRequest& request, const std::string& path,
                                         const file::FileSource::Limits& limits) {
  const auto asked = file::AskedRange::of(request.options);
  if (!asked) return asked.error();
  std::optional<file::TimeRange> range;
  file::Indexed indexed;
  Parts parts;
  if (asked->is_any()) {
    indexed = file::Indexed::of(path);
    if (!asked->needs_first() || indexed.first_time()) {
      auto resolved = asked->resolved(path, indexed.first_time());
      if (!resolved) return std::move(resolved).error();
      range = *resolved;
      parts = indexed.parts(*range);
    }
  }
  auto input = file::open_bytes(path, request, nullptr, std::move(parts));
  if (!input) return std::move(input).error();
  const int64_t wanted = std::min(request.options.integer("bufferBytes", kDefaultBytes), kMostBytes);
  const int64_t chunk = std::max(wanted / kChunks / kPage, int64_t{1}) * kPage;
  auto region = Region::allocate(static_cast<size_t>(chunk) * kChunks);
  if (!region) return std::move(region).error();
  const auto bytes = static_cast<uint32_t>(chunk);
  auto source = std::make_unique<file::FileSource>(
      path, *std::move(input),
      file::Chunks::Layout{.region = *region, .count = kChunks, .bytes = bytes, .first = 0, .stride = bytes}, limits);
  if (auto prepared = source->prepare(request); !prepared) return std::move(prepared).error();
  if (asked->is_any() && !range) {
    auto resolved = asked->resolved(path, source->first_time());
    if (!resolved) return std::move(resolved).error();
    range = *resolved;
  }
  if (range) source->keep_between(*range);
  if (!indexed.note.empty()) source->note(indexed.note);
  return std::unique_ptr<Source>(std::move(source));
}

}  // namespace

Result<std::unique_ptr<Source>> open_file(const OpenRequest& request) {
  const int64_t snaplen = std::clamp<int64_t>(request.options.integer("snaplen", UINT32_MAX), 1, UINT32_MAX);
  const file::FileSource::Limits limits{.grows = !request.options.has("bufferBytes"),
                                        .snaplen = static_cast<uint32_t>(snaplen)};
  if (request.connection != nullptr) return open_one(request, request.target, limits);
  if (request.options.flag("follow") && file::can_be_followed(request.target)) {
    auto followed = file::survey_followed(request, limits);
    if (!followed) return std::move(followed).error();
    return std::unique_ptr<Source>(std::make_unique<file::ManySource>(*std::move(followed)));
  }
  if (file::is_one_path(request.target)) return open_one(request, request.target, limits);
  auto traces = file::named_traces(request.target);
  if (!traces) return std::move(traces).error();
  if (traces->size() == 1 && traces->front().folder.empty()) return open_one(request, traces->front().path, limits);
  auto surveyed = file::survey(*traces, request, limits);
  if (!surveyed) return std::move(surveyed).error();
  return std::unique_ptr<Source>(std::make_unique<file::ManySource>(*std::move(surveyed)));
}

Probe probe_file() {
  return {.available = true, .error = std::nullopt, .detail = "pcap, pcapng and ERF, also compressed"};
}

std::vector<Device> devices_file() { return {}; }

}  // namespace ringtap
