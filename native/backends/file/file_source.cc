#include "backends/file/file_source.h"

#include <algorithm>
#include <bit>
#include <exception>
#include <new>
#include <span>
#include <utility>

namespace ringtap::file {
namespace {

// One read() is at most this long: longer ones are no faster, and their start would leave the level 2 cache.
constexpr uint32_t kReadBytes = 1024u << 10;
// A receive() that finds nothing but rejected packets comes back after so many bytes: the event loop waits.
constexpr uint64_t kMostBytesPerReceive = 4u << 20;

}  // namespace

FileSource::FileSource(std::string path, std::unique_ptr<Input> input, const Chunks::Layout& memory,
                       const Limits& limits)
    : path_(std::move(path)), input_(std::move(input)), limits_(limits), chunks_(memory) {
  const auto& region = memory.region;
  info_.segments = {Segment{.region = region, .base = region->base(), .bytes = region->bytes()}};
  walk_.base = region->base();
  walk_.pos = walk_.end = memory.first;
  walk_.snaplen = limits.snaplen;
}

std::vector<FilterTarget> FileSource::announced() const {
  std::vector<FilterTarget> announced{target(walk_.link_type)};
  for (const uint32_t link_type : reader_->other_link_types()) announced.push_back(target(link_type));
  return announced;
}

void FileSource::count_from(int64_t second) noexcept {
  reader_->set_epoch(second);
  info_.epoch_ns = second * 1'000'000'000;
}

Result<FilterPlacement> FileSource::set_filter(std::shared_ptr<Filter> filter) {
  if (auto set = use_filter(std::move(filter), true); !set) return std::move(set).error();
  return FilterPlacement{.where = FilterPlace::kUser, .reason = "a trace file has no kernel to filter in"};
}

Result<Ok> FileSource::set_common_filter(std::shared_ptr<Filter> filter) {
  return use_filter(std::move(filter), false);
}

Result<Ok> FileSource::use_filter(std::shared_ptr<Filter> filter, bool alone) {
  // All that is announced now need not be compiled in the middle.
  const std::vector<FilterTarget> targets = announced();
  if (auto set = filters_.set(std::move(filter), targets, alone); !set) return std::move(set).error();
  walk_.filter = filters_.of(targets[0]);
  return Ok{};
}

FilterTarget FileSource::target(uint32_t link_type) const {
  return {static_cast<int>(link_type), FilterTarget::Place::kFile, reader_->big_endian()};
}

/// Makes walk_.next_link_type the one in force, and the filter for it. Nothing yet while that is being compiled.
FileSource::Fill FileSource::switch_link_type() noexcept {
  switching_ = true;
  if (filters_.are_set()) {
    try {
      const auto filter = filters_.soon(target(walk_.next_link_type));
      if (!filter) return fail(filter.error());
      if (*filter == nullptr) {
        hurrying_ = true;
        return Fill::kNothingYet;
      }
      walk_.filter = *filter;
    } catch (const std::exception&) {
      return fail({.code = Code::kNoMemory, .message = "no memory for the filter of a second link type"});
    }
  }
  walk_.link_type = walk_.next_link_type;
  switching_ = false;
  return Fill::kMore;
}

RxBatch FileSource::receive(DescBlock& block, uint32_t max) noexcept {
  if (error_) return {.rx = Rx::kError};
  if (ended_) return {.rx = Rx::kEof};
  if (chunks_.all_leased()) return {.rx = Rx::kNoBuffer};
  const uint32_t most = std::min(max, block.capacity());
  if (most == 0) return {.rx = Rx::kAgain};
  const uint64_t enough = bytes_read_ + kMostBytesPerReceive;
  hurrying_ = false;
  filters_.renew(walk_.filter);
  while (bytes_read_ < enough) {
    if (skip_ == 0 && !switching_ && !is_between_) {
      reader_->walk(walk_, block, most);
      if (range_) keep_in_range(block);
      count();
      if (walk_.stop == Stop::kSkip) begin_skip();
      if (walk_.count > 0) return lend();
    }
    switch (advance()) {
      case Fill::kMore:
        break;
      case Fill::kNothingYet:
        return {.rx = Rx::kAgain};
      case Fill::kEnd:
        return {.rx = Rx::kEof};
      case Fill::kFailed:
        return {.rx = Rx::kError};
    }
  }
  hurrying_ = true;
  return {.rx = Rx::kAgain};
}

/// What is outside counts as filtered.
void FileSource::keep_in_range(DescBlock& block) noexcept {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < walk_.count; i++) {
    const int64_t time = key_of(block.time[i], block.rest[i], block.flags[i]);
    int64_t at = 0;
    if (__builtin_add_overflow(time, info_.epoch_ns, &at)) at = time < 0 ? INT64_MIN : INT64_MAX;
    if (at < range_->from || at > range_->to) {
      walk_.wire_bytes -= block.wirelen[i];
      continue;
    }
    if (kept != i) {
      block.time[kept] = block.time[i];
      block.rest[kept] = block.rest[i];
      block.offset[kept] = block.offset[i];
      block.caplen[kept] = block.caplen[i];
      block.wirelen[kept] = block.wirelen[i];
      block.flags[kept] = block.flags[i];
      block.queue[kept] = block.queue[i];
      if (block.origin != nullptr) block.origin[kept] = block.origin[i];
    }
    kept++;
  }
  walk_.filtered += walk_.count - kept;
  walk_.count = kept;
}

RxBatch FileSource::lend() noexcept {
  return {.rx = Rx::kOk,
          .count = walk_.count,
          .segment = chunks_.segment(),
          .link_type = walk_.link_type,
          .lease = chunks_.lend()};
}

void FileSource::count() noexcept {
  // Only this thread writes them, so that a plain load and store is an addition.
  const auto add = [](std::atomic<uint64_t>& counter, uint64_t n) {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  };
  add(delivered_, walk_.count);
  add(delivered_bytes_, walk_.wire_bytes);
  add(filtered_, walk_.filtered);
}

/// The rest of an uninteresting block: what is in memory goes now, what is not goes as it comes.
void FileSource::begin_skip() noexcept {
  const uint32_t here = std::min(walk_.need, walk_.end - walk_.pos);
  walk_.pos += here;
  skip_ = walk_.need - here;
}

/// Does what the last walk, which described nothing, asks for.
FileSource::Fill FileSource::advance() noexcept {
  if (is_between_) return begin_another();
  if (skip_ > 0) return fill(1);
  switch (walk_.stop) {
    case Stop::kFull:
    case Stop::kSkip:
      return Fill::kMore;
    case Stop::kLinkType:
      return switch_link_type();
    case Stop::kPause:
      hurrying_ = true;
      return Fill::kNothingYet;
    case Stop::kCorrupt:
      return fail({.code = Code::kFileCorrupt,
                   .message = "damaged at byte " + place(walk_.record) + ": " + walk_.damage,
                   .position = static_cast<int64_t>(walk_.record)});
    case Stop::kStarved:
      return fill(std::max(walk_.need, walk_.end - walk_.pos + 1));
  }
  return Fill::kMore;
}

/// Reads more, so that the record at walk_.pos can have `need` bytes.
FileSource::Fill FileSource::fill(uint32_t need) noexcept {
  if (!input_->reading() && !chunks_.fits(need) && !grow(need)) return Fill::kFailed;
  const uint32_t missing = need - std::min(need, walk_.end - walk_.pos);
  // A read that goes on knows where to: the chunk it is in stays as it is.
  if (!input_->reading()) room_ = chunks_.make_room(walk_.pos, walk_.end, missing, bytes_read_);
  walk_.base = chunks_.base();
  walk_.file_base = place() - walk_.end;
  const int64_t n = input_->read(room_.at, std::min(room_.bytes, std::max(missing, kReadBytes)), chunks_.region());
  if (n == Input::kNothingYet) return Fill::kNothingYet;
  if (n == Input::kFailed) return fail(input_->failure(place()));
  if (n == Input::kAnother) return another();
  if (n == 0) return end_of_input();
  const auto got = static_cast<uint32_t>(n);
  walk_.end += got;
  bytes_read_ += got;
  left_out_ = input_->left_out();
  walk_.file_base = place() - walk_.end;
  const auto skipped = static_cast<uint32_t>(std::min<uint64_t>(skip_, got));
  walk_.pos += skipped;
  skip_ -= skipped;
  return Fill::kMore;
}

/// A chunk that holds a record of `need` bytes. What a length claims costs no memory: pages are there once they are
/// written to, which is as the bytes arrive.
bool FileSource::grow(uint32_t need) noexcept {
  const std::string record = "the record at byte " + place(walk_.record) + " takes " + std::to_string(need);
  if (!limits_.grows) {
    fail({.code = Code::kBadOption,
          .message = record + " bytes, but a chunk has " + std::to_string(chunks_.chunk_bytes()),
          .hint = "If the file is sound, leave out bufferBytes, or raise it to " +
                  std::to_string(uint64_t{need} * chunks_.count()) + " or more: a chunk is a quarter of it.",
          .position = static_cast<int64_t>(walk_.record)});
    return false;
  }
  // Of few sizes, so that records of many sizes share them. A header goes beside a packet that is a power of two.
  constexpr uint32_t kBeside = 64u << 10;
  auto region = Region::allocate(size_t{std::bit_ceil(need - kBeside)} + kBeside);
  if (!region) {
    Error error = std::move(region).error();
    error.message = record + " bytes: " + error.message;
    error.position = static_cast<int64_t>(walk_.record);
    fail(std::move(error));
    return false;
  }
  info_.segments.push_back({.region = *region, .base = (*region)->base(), .bytes = (*region)->bytes()});
  chunks_.add(*std::move(region), static_cast<uint32_t>(info_.segments.size() - 1));
  return true;
}

FileSource::Fill FileSource::end_of_input() noexcept {
  if (reader_ == nullptr) return Fill::kEnd;
  ended_ = true;
  if (is_between_ || walk_.record == place()) return Fill::kEnd;
  return fail({.code = Code::kFileTruncated,
               .message = "the file ends " + std::to_string(place() - walk_.record) +
                          " bytes into the record at byte " + place(walk_.record) + ", which takes at least " +
                          std::to_string(walk_.record_bytes),
               .position = static_cast<int64_t>(walk_.record)});
}

/// Whoever sent this trace was cut off, and begins another one: a record that is not whole is not to be had any more.
FileSource::Fill FileSource::another() noexcept {
  walk_.pos = walk_.end;
  skip_ = 0;
  switching_ = false;
  is_between_ = reader_ != nullptr;
  return Fill::kMore;
}

/// Reads the header. Times go on to count from where they did.
FileSource::Fill FileSource::begin_another() noexcept try {
  // SAFETY: [pos, end) was read, and is in one chunk.
  const std::span<const std::byte> head(walk_.base + walk_.pos, walk_.end - walk_.pos);
  auto reader = detect_format(head, head.size() == chunks_.chunk_bytes(), told_, erf_records_);
  if (!reader) return fail(std::move(reader).error());
  if (*reader == nullptr) return fill(static_cast<uint32_t>(head.size()) + 1);
  reader_ = *std::move(reader);
  reader_->set_epoch(info_.epoch_ns / 1'000'000'000);
  walk_.pos += reader_->header_bytes();
  is_between_ = false;
  return Fill::kMore;
} catch (const std::bad_alloc&) {
  return fail({.code = Code::kNoMemory, .message = "no memory to read another trace"});
}

FileSource::Fill FileSource::fail(Error error) noexcept {
  if (reader_ != nullptr) error.message = name() + ": " + error.message;
  error_ = std::move(error);
  return Fill::kFailed;
}

Readiness FileSource::readiness() const noexcept {
  Readiness readiness = input_->readiness();
  readiness.again_ms = hurrying_ ? 1 : 0;
  return readiness;
}

bool FileSource::pending() const noexcept { return input_->pending(); }

Stats FileSource::stats() const noexcept {
  Stats stats;
  stats.delivered = delivered_.load(std::memory_order_relaxed);
  stats.filtered = filtered_.load(std::memory_order_relaxed);
  stats.received = stats.delivered + stats.filtered;
  stats.delivered_bytes = delivered_bytes_.load(std::memory_order_relaxed);
  return stats;
}

void FileSource::close() noexcept {
  ended_ = true;
  input_->close();
  for (Segment& segment : info_.segments) segment.region.reset();
  chunks_.forget();
}

/// A position, as messages show it.
std::string FileSource::place(uint64_t at) const {
  return std::to_string(at) + (input_->compression().empty() ? "" : " of what was decompressed");
}

std::string FileSource::name() const { return path_ == "-" ? "standard input" : path_; }

std::vector<TraceBlock> FileSource::blocks(size_t first) const {
  if (reader_ == nullptr || reader_->blocks().size() <= first) return {};
  return {reader_->blocks().begin() + static_cast<std::ptrdiff_t>(first), reader_->blocks().end()};
}

}  // namespace ringtap::file
