// How traces that are being written are opened, one after the other.
#include <cerrno>
#include <utility>

#include "backends/file/many_source.h"

namespace ringtap::file {
namespace {

// How often to look whether anybody still waits.
constexpr int kSliceMs = 50;
// Those that held packets are in, the one that is read, and the next.
constexpr uint32_t kSlots = ManySource::kLeases + 2;

Result<Ok> check(const OpenRequest& request, const Followed& followed) {
#ifdef _WIN32
  return Error{.code = Code::kUnsupported, .message = "traces are not followed on Windows"};
#endif
  if (is_list(request.target)) {
    return Error{.code = Code::kBadOption,
                 .message = request.target + ": option follow takes one trace, one pattern or one folder, and no list",
                 .hint = "Write a pattern that names the files of one rotation: file:x_*.pcap?follow=true."};
  }
  const std::string& folder = followed.folder();
  if (is_folder(folder) || folder.find_first_of("*?[%") != std::string::npos) return Ok{};
  return system_error(Code::kFileOpen, folder + ": there is no such folder to wait for traces in", "stat", ENOENT);
}

}  // namespace

Result<std::shared_ptr<Member>> MemberOpener::open_next(uint32_t index,
                                                        const std::shared_ptr<Followed>& followed) const {
  for (;;) {
    if (request.is_cancelled()) return Error{.code = Code::kClosed, .message = "opening was given up"};
    followed->watch().reset();
    const auto found = followed->next();
    if (!found) {
      followed->watch().wait(kSliceMs);
      continue;
    }
    auto opened = open(index, found->path, std::make_shared<FollowedTail>(followed));
    if (opened) return opened;
    const Error& error = opened.error();
    if (error.err == ENOENT) continue;  // it has got another name since
    const bool is_empty = found->bytes == 0 && error.code == Code::kFileFormat;
    if (!is_empty && !(followed->is_search() && error.code == Code::kFileFormat)) return opened;
    followed->is_done(*found);
  }
}

Result<Surveyed> survey_followed(const OpenRequest& request, FileSource::Limits limits) {
  const auto followed = std::make_shared<Followed>(request.target);
  if (auto checked = check(request, *followed); !checked) return std::move(checked).error();
  auto slots = slots_for(kSlots, request);
  if (!slots) return std::move(slots).error();
  Surveyed surveyed;
  surveyed.opener = {.request = request, .limits = limits, .slots = *std::move(slots)};
  surveyed.order = Order::kGiven;
  surveyed.followed = followed;
  auto member = surveyed.opener.open_next(0, followed);
  if (!member) return std::move(member).error();
  FileSource& source = (*member)->source();
  const auto asked = AskedRange::of(request.options);
  if (!asked) return asked.error();
  if (asked->is_any()) {
    auto range = asked->resolved(request.target, source.first_time());
    if (!range) return std::move(range).error();
    surveyed.opener.range = *range;
    source.keep_between(*range);
  }
  surveyed.info = source.info();
  surveyed.info.origins = true;
  surveyed.epoch = source.info().epoch_ns / 1'000'000'000;
  surveyed.announced = source.announced();
  surveyed.info.max_leases = ManySource::kLeases;
  surveyed.info.notes.emplace_back("followed: what is written to it later comes, too");
  const auto& region = surveyed.opener.slots->region();
  surveyed.info.segments = {Segment{.region = region, .base = region->base(), .bytes = region->bytes()}};
  surveyed.waiting.push_back({.index = 0, .path = source.path(), .open = *std::move(member)});
  return surveyed;
}

}  // namespace ringtap::file
