// What has to be known of several traces before they are read as one.
#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <utility>

#ifndef _WIN32
#include <sys/mman.h>
#endif

#include "backends/file/bytes.h"
#include "backends/file/indexed.h"
#include "backends/file/many_source.h"

namespace ringtap::file {
namespace {

// So many traces stay open from the beginning; of more, only those that the merge has come to.
constexpr size_t kFew = 16;
constexpr uint32_t kFewChunkBytes = 256u << 10;
constexpr uint32_t kManyChunkBytes = 128u << 10;  // what the largest packet of a network takes, with room to spare
constexpr uint32_t kPage = 4096;
constexpr size_t kMostDescriptions = 8;

Result<std::shared_ptr<Region>> memory_for(uint32_t slots, uint32_t chunk_bytes) {
  const size_t bytes = size_t{slots} * Slots::kChunks * chunk_bytes;
#ifdef _WIN32
  return Region::allocate(bytes);
#else
  // WHY not allocate(): of most chunks nothing is ever used, and huge pages would fill what lies between.
  return Region::map(bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
#endif
}

/// A second as a key, relative to another one.
int64_t key_of(int64_t second, int64_t epoch) noexcept {
  constexpr int64_t kMost = INT64_MAX / 1'000'000'000 - 1;
  const int64_t seconds = second - epoch;  // SAFETY of the arithmetic: readers give seconds within +-kMost
  if (seconds < -kMost) return INT64_MIN;
  return seconds > kMost ? INT64_MAX : seconds * 1'000'000'000;
}

/// Whether each folder that was named has a trace in it.
Result<Ok> check_folders(const std::vector<NamedTrace>& traces, const std::set<std::string>& passed_over) {
  std::map<std::string, std::pair<size_t, size_t>> folders;  // files, of which are no traces
  for (const NamedTrace& trace : traces) {
    if (trace.folder.empty()) continue;
    auto& [files, others] = folders[trace.folder];
    files++;
    others += passed_over.count(trace.path);
  }
  for (const auto& [folder, counts] : folders) {
    if (counts.first > counts.second) continue;
    return Error{.code = Code::kFileOpen,
                 .message = folder + ": no trace is in this folder: none of its " + std::to_string(counts.first) +
                            " files is one",
                 .hint = "Name a folder that has pcap, pcapng or ERF files; those below it are not looked for."};
  }
  return Ok{};
}

void note(SourceInfo& info, const std::string& text) {
  if (info.notes.size() < kMostDescriptions &&
      std::find(info.notes.begin(), info.notes.end(), text) == info.notes.end())
    info.notes.push_back(text);
}

}  // namespace

Result<std::shared_ptr<Slots>> slots_for(size_t traces, const OpenRequest& request) {
  const bool given = request.options.has("bufferBytes");
  const auto asked = static_cast<uint64_t>(request.options.integer("bufferBytes", 0));
  const uint64_t chunk = given ? std::max<uint64_t>(asked / Slots::kChunks / kPage, 1) * kPage
                               : (traces <= kFew ? kFewChunkBytes : kManyChunkBytes);
  const uint64_t most = kMaxSegmentBytes / (Slots::kChunks * chunk);
  const auto count = static_cast<uint32_t>(std::min<uint64_t>(traces, most));
  if (given && count < std::min(traces, kFew)) {
    return Error{.code = Code::kBadOption,
                 .message = "option bufferBytes is for each trace, and that is too much for " + std::to_string(traces) +
                            " of them",
                 .hint = "Leave it out, or let it times the traces be below 2 GiB."};
  }
  auto region = memory_for(count, static_cast<uint32_t>(chunk));
  if (!region) return std::move(region).error();
  return std::make_shared<Slots>(*std::move(region), count, static_cast<uint32_t>(chunk));
}

Result<std::shared_ptr<Member>> MemberOpener::open(uint32_t index, const std::string& path,
                                                   const std::shared_ptr<Tail>& tail) const {
  auto input = open_bytes(path, request, tail, range && tail == nullptr ? Indexed::of(path).parts(*range) : Parts{});
  if (!input) {
    Error error = std::move(input).error();
    if (error.err == EMFILE || error.err == ENFILE) {
      error.hint =
          "So many traces overlap in time: raise the limit of open files (ulimit -n), or read them by order=given.";
    }
    return error;
  }
  const auto slot = slots->take();
  if (!slot) {
    return Error{.code = Code::kFileOpen,
                 .message = path + ": more than " + std::to_string(slots->count()) + " traces overlap in time",
                 .hint = "Merge some of them first, or read them by order=given."};
  }
  auto source = std::make_unique<FileSource>(path, *std::move(input), slots->layout(*slot), limits);
  auto member = std::make_shared<Member>(index, slots, *slot, std::move(source));
  if (auto prepared = member->source().prepare(request); !prepared) return std::move(prepared).error();
  if (range) member->source().keep_between(*range);
  return member;
}

Result<Surveyed> survey(const std::vector<NamedTrace>& traces, const OpenRequest& request, FileSource::Limits limits) {
  auto slots = slots_for(traces.size(), request);
  if (!slots) return std::move(slots).error();
  Surveyed surveyed;
  surveyed.opener = {.request = request, .limits = limits, .slots = *std::move(slots)};
  surveyed.order = request.options.text("order", "time") == "given" ? Order::kGiven : Order::kTime;
  SourceInfo& info = surveyed.info;
  info.mode = "read";
  info.snaplen = 0;
  std::set<FilterTarget> announced;
  std::set<std::string> passed_over;
  std::optional<int64_t> epoch;
  std::vector<uint32_t> link_types;
  const auto asked = AskedRange::of(request.options);
  if (!asked) return asked.error();
  if (asked->is_any() && !asked->needs_first()) {
    auto range = asked->resolved(request.target, std::nullopt);
    if (!range) return std::move(range).error();
    surveyed.opener.range = *range;
  }
  std::optional<int64_t> first;  // of all packets
  std::vector<const NamedTrace*> outside;
  const auto look_into = [&](const NamedTrace& trace, const Indexed& indexed) -> Result<Ok> {
    const auto index = static_cast<uint32_t>(surveyed.waiting.size());
    auto member = surveyed.opener.open(index, trace.path);
    if (!member) {
      if (trace.folder.empty() || member.error().code != Code::kFileFormat) return std::move(member).error();
      passed_over.insert(trace.path);
      return Ok{};
    }
    FileSource& source = (*member)->source();
    const bool is_stream = source.info().mode == "stream";
    const auto second = source.first_second();
    if (second) epoch = std::min(epoch.value_or(*second), *second);
    for (const FilterTarget& target : source.announced()) announced.insert(target);
    link_types.push_back(source.info().link_type);
    info.snaplen = std::max(info.snaplen, source.info().snaplen);
    if (is_stream) info.mode = "stream";
    info.origins |= source.info().origins;
    for (const std::string& text : source.info().notes) note(info, text);
    if (asked->needs_first()) {
      const auto time = indexed.first_time() ? indexed.first_time() : source.first_time();
      if (time) first = std::min(first.value_or(*time), *time);
    }
    // What an index says is for those that are opened once the range is known.
    const bool is_range_known = !asked->needs_first() || !indexed.index;
    const bool stays = is_stream || (traces.size() <= kFew && is_range_known);
    surveyed.waiting.push_back(
        {.index = index, .path = trace.path, .open = stays ? *std::move(member) : nullptr, .first_second = second});
    return Ok{};
  };
  for (const NamedTrace& trace : traces) {
    const Indexed indexed = asked->is_any() ? Indexed::of(trace.path) : Indexed{};
    if (!indexed.note.empty()) note(info, indexed.note);
    if (surveyed.opener.range && !indexed.may_have(*surveyed.opener.range)) {
      outside.push_back(&trace);
    } else if (auto looked = look_into(trace, indexed); !looked) {
      return std::move(looked).error();
    }
  }
  if (surveyed.waiting.empty() && !outside.empty()) {
    // Nothing comes of it but what the traces are.
    if (auto looked = look_into(*outside.back(), {}); !looked) return std::move(looked).error();
    outside.pop_back();
  }
  if (auto checked = check_folders(traces, passed_over); !checked) return std::move(checked).error();
  if (asked->needs_first()) {
    auto range = asked->resolved(request.target, first);
    if (!range) return std::move(range).error();
    surveyed.opener.range = *range;
    for (Waiting& waiting : surveyed.waiting) {
      if (waiting.open != nullptr) waiting.open->source().keep_between(*range);
    }
  }
  if (!outside.empty())
    note(info, std::to_string(outside.size()) + " more have nothing of this time, and are not read");
  surveyed.announced.assign(announced.begin(), announced.end());
  surveyed.epoch = epoch.value_or(0);
  for (Waiting& waiting : surveyed.waiting) {
    if (waiting.first_second) waiting.from = key_of(*waiting.first_second, surveyed.epoch);
    if (waiting.open != nullptr) waiting.open->source().count_from(surveyed.epoch);
  }
  const bool by_time = surveyed.order == Order::kTime;
  if (by_time) {
    std::stable_sort(surveyed.waiting.begin(), surveyed.waiting.end(),
                     [](const Waiting& a, const Waiting& b) { return a.from < b.from; });
  }
  info.link_type = link_types[surveyed.waiting.front().index];
  info.epoch_ns = surveyed.epoch * 1'000'000'000;
  info.max_leases = ManySource::kLeases;
  info.timestamp_source = "file";
  const std::string others =
      passed_over.empty() ? "" : ", beside " + std::to_string(passed_over.size()) + " files that are none";
  info.notes.insert(info.notes.begin(), std::to_string(surveyed.waiting.size()) + " traces, " +
                                            (by_time ? "in order of time" : "one after the other") + others);
  const auto& region = surveyed.opener.slots->region();
  info.segments = {Segment{.region = region, .base = region->base(), .bytes = region->bytes()}};
  return surveyed;
}

}  // namespace ringtap::file
