#include "backends/file/file_source.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <exception>
#include <utility>

#include "filter/opcodes.h"
#include "filter/vm.h"

namespace ringtap {
namespace {

using Clock = std::chrono::steady_clock;

// One read() is at most this long: longer ones are no faster, and their start would leave the level 2 cache.
constexpr uint32_t kReadBytes = 1024u << 10;
// A receive() that finds nothing but rejected packets comes back after so many bytes: the event loop waits.
constexpr uint64_t kMostBytesPerReceive = 4u << 20;
// How long to wait for the first packet of a pipe, once there is a header.
constexpr auto kPacketPatience = std::chrono::milliseconds(250);
// For how many link types a filter is compiled before the first packet.
constexpr size_t kMostAhead = 16;
// How often to look whether anybody still waits for the header.
constexpr int kSliceMs = 50;

class VmFilter final : public PacketFilter {
 public:
  VmFilter(const Program& program, FilterBudget& budget) : vm_(program), is_quick_(vm_.is_quick()), budget_(budget) {}
  uint32_t keep(const std::byte* data, uint32_t wirelen, uint32_t caplen) noexcept override {
    // Of the others no receive() reads more than it can run.
    if (is_quick_) return vm_.run(data, wirelen, caplen);
    const uint32_t kept = vm_.run(data, wirelen, caplen, budget_);
    if (budget_.used_up()) exhausted = true;
    return kept;
  }

 private:
  FilterVm vm_;
  const bool is_quick_;
  FilterBudget& budget_;
};

Told told_format(const std::string& name) {
  if (name == "pcap") return Told::kPcap;
  if (name == "pcapng") return Told::kPcapng;
  return name == "erf" ? Told::kErf : Told::kNothing;
}

Error given_up() { return Error{.code = Code::kClosed, .message = "opening was given up"}; }

/// Is the expression sound, but not about packets of this link type? Then they do not match. A name that cannot be
/// looked up now says nothing about them.
bool does_not_speak_of(const Error& error) {
  return error.code == Code::kBadFilter && error.message.find("unknown") == std::string::npos;
}

int milliseconds_until(Clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::max<int64_t>(left, 0));
}

int64_t unix_seconds_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

FileSource::FileSource(std::string path, Input input, const std::shared_ptr<Region>& region, const Limits& limits)
    : path_(std::move(path)), input_(std::move(input)), limits_(limits), chunks_(region, limits.chunks) {
  info_.segments = {Segment{.region = region, .base = region->base(), .bytes = region->bytes()}};
  walk_.base = region->base();
  walk_.snaplen = limits.snaplen;
}

Result<Ok> FileSource::prepare(const OpenRequest& request) {
  if (auto detected = detect(request); !detected) {
    Error error = std::move(detected).error();
    error.message = name() + ": " + error.message;
    return error;
  }
  // The first packet decides the epoch. On a quiet pipe it may be long in coming: then it is now.
  DescBlock none(1);
  const auto deadline = Clock::now() + kPacketPatience;
  for (;;) {
    if (skip_ == 0) {
      reader_->walk(walk_, none, 0);
      if (walk_.stop == Stop::kFull) break;
      if (walk_.stop == Stop::kSkip) begin_skip();
    }
    const Fill filled = advance();
    if (filled == Fill::kEnd || filled == Fill::kFailed) break;
    if (filled != Fill::kNothingYet) continue;
    if (request.is_cancelled()) return given_up();
    // Without a link type there is nothing that a filter could be made for.
    const int left_ms = milliseconds_until(deadline);
    if (left_ms == 0 && input_.stream() && reader_->link_type()) break;
    input_.wait(left_ms == 0 ? kSliceMs : std::min(kSliceMs, left_ms));
  }
  if (!reader_->epoch()) reader_->set_epoch(error_ || ended_ ? 0 : unix_seconds_now());
  describe();
  return Ok{};
}

Result<Ok> FileSource::detect(const OpenRequest& request) {
  bool whole = false;
  const Told told = told_format(request.options.text("format", "auto"));
  for (;;) {
    // SAFETY: [pos, end) was read, and is in one chunk.
    const std::span<const std::byte> head(walk_.base + walk_.pos, walk_.end - walk_.pos);
    auto reader = detect_format(head, whole || head.size() == chunks_.chunk_bytes(), path_, told);
    if (!reader) return std::move(reader).error();
    if (*reader != nullptr) {
      reader_ = *std::move(reader);
      walk_.pos += reader_->header_bytes();
      return Ok{};
    }
    switch (fill(static_cast<uint32_t>(head.size()) + 1)) {
      case Fill::kMore:
        break;
      case Fill::kEnd:
        whole = true;
        break;
      case Fill::kNothingYet:
        if (request.is_cancelled()) return given_up();
        input_.wait(kSliceMs);
        break;
      case Fill::kFailed:
        return *std::exchange(error_, std::nullopt);
    }
  }
}

void FileSource::describe() {
  walk_.link_type = reader_->link_type().value_or(info_.link_type);
  info_.link_type = walk_.link_type;
  info_.epoch_ns = *reader_->epoch() * 1'000'000'000;
  info_.snaplen = std::min(reader_->snaplen(), walk_.snaplen);
  info_.max_leases = chunks_.max_leases();
  info_.mode = input_.stream() ? "stream" : "read";
  info_.timestamp_source = "file";
  info_.notes = {reader_->description()};
}

Result<FilterPlacement> FileSource::set_filter(std::shared_ptr<Filter> filter) {
  filter_ = std::move(filter);
  filters_.clear();
  // All that is announced now need not be compiled in the middle. An error is one that no link type is free of.
  std::vector<uint32_t> link_types = reader_->other_link_types();
  link_types.insert(link_types.begin(), walk_.link_type);
  std::optional<Error> refused;
  bool speaks_of_any = false;
  for (const uint32_t link_type : link_types) {
    if (filters_.count(target(link_type)) != 0) continue;
    if (filters_.size() == kMostAhead) break;
    auto program = filter_->program(target(link_type));
    if (!program && !does_not_speak_of(program.error())) return std::move(program).error();
    if (!program && !refused) refused = program.error();
    speaks_of_any |= bool{program};
    auto made = filter_of(std::move(program));
    if (!made) return std::move(made).error();
    filters_[target(link_type)] = *std::move(made);
  }
  if (!speaks_of_any) return *std::move(refused);
  walk_.filter = filters_[target(walk_.link_type)].get();
  return FilterPlacement{.where = FilterPlace::kUser, .reason = "a trace file has no kernel to filter in"};
}

FilterTarget FileSource::target(uint32_t link_type) const {
  return {static_cast<int>(link_type), FilterTarget::Place::kFile, reader_->big_endian()};
}

Result<std::unique_ptr<PacketFilter>> FileSource::filter_of(Result<const Program*> program) {
  if (program) return std::unique_ptr<PacketFilter>(std::make_unique<VmFilter>(**program, budget_));
  if (!does_not_speak_of(program.error())) return std::move(program).error();
  const Program nothing{{.code = bpf::kRet | bpf::kK}};
  return std::unique_ptr<PacketFilter>(std::make_unique<VmFilter>(nothing, budget_));
}

/// Makes walk_.next_link_type the one in force, and the filter for it. Nothing yet while that is being compiled.
FileSource::Fill FileSource::switch_link_type() noexcept {
  switching_ = true;
  try {
    if (const Fill ready = switch_filter(); ready != Fill::kMore) return ready;
  } catch (const std::exception&) {
    return fail({.code = Code::kNoMemory, .message = "no memory for the filter of a second link type"});
  }
  walk_.link_type = walk_.next_link_type;
  switching_ = false;
  return Fill::kMore;
}

FileSource::Fill FileSource::switch_filter() {
  if (filter_ != nullptr) {
    auto& slot = filters_[target(walk_.next_link_type)];
    if (slot == nullptr) {
      auto program = filter_->program_soon(target(walk_.next_link_type));
      // One a receive(): a file may have thousands of link types.
      hurrying_ = true;
      if (program && *program == nullptr) return Fill::kNothingYet;
      auto made = filter_of(std::move(program));
      if (!made) return fail(std::move(made).error());
      slot = *std::move(made);
      return Fill::kNothingYet;
    }
    walk_.filter = slot.get();
  }
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
  budget_.renew();
  if (walk_.filter != nullptr) walk_.filter->exhausted = false;
  while (bytes_read_ < enough) {
    if (skip_ == 0 && !switching_) {
      reader_->walk(walk_, block, most);
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
                   .message = "damaged at byte " + std::to_string(walk_.record) + ": " + walk_.damage,
                   .position = static_cast<int64_t>(walk_.record)});
    case Stop::kStarved:
      return fill(std::max(walk_.need, walk_.end - walk_.pos + 1));
  }
  return Fill::kMore;
}

/// Reads more, so that the record at walk_.pos can have `need` bytes.
FileSource::Fill FileSource::fill(uint32_t need) noexcept {
  if (!input_.reading() && !chunks_.fits(need) && !grow(need)) return Fill::kFailed;
  const uint32_t missing = need - std::min(need, walk_.end - walk_.pos);
  // A read that goes on knows where to: the chunk it is in stays as it is.
  if (!input_.reading()) room_ = chunks_.make_room(walk_.pos, walk_.end, missing, bytes_read_);
  walk_.base = chunks_.base();
  walk_.file_base = bytes_read_ - walk_.end;
  const int64_t n = input_.read(room_.at, std::min(room_.bytes, std::max(missing, kReadBytes)), chunks_.region());
  if (n == Input::kNothingYet) return Fill::kNothingYet;
  if (n == Input::kFailed) return fail(input_.failure(bytes_read_));
  if (n == 0) return end_of_input();
  const auto got = static_cast<uint32_t>(n);
  walk_.end += got;
  bytes_read_ += got;
  const auto skipped = static_cast<uint32_t>(std::min<uint64_t>(skip_, got));
  walk_.pos += skipped;
  skip_ -= skipped;
  return Fill::kMore;
}

/// A chunk that holds a record of `need` bytes. What a length claims costs no memory: pages are there once they are
/// written to, which is as the bytes arrive.
bool FileSource::grow(uint32_t need) noexcept {
  const std::string record = "the record at byte " + std::to_string(walk_.record) + " takes " + std::to_string(need);
  if (!limits_.grows) {
    fail({.code = Code::kBadOption,
          .message = record + " bytes, but a chunk has " + std::to_string(chunks_.chunk_bytes()),
          .hint = "If the file is sound, leave out bufferBytes, or raise it to " +
                  std::to_string(uint64_t{need} * limits_.chunks) + " or more: a chunk is a quarter of it.",
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
  if (walk_.record == bytes_read_) return Fill::kEnd;
  return fail({.code = Code::kFileTruncated,
               .message = "the file ends " + std::to_string(bytes_read_ - walk_.record) +
                          " bytes into the record at byte " + std::to_string(walk_.record) + ", which takes at least " +
                          std::to_string(walk_.record_bytes),
               .position = static_cast<int64_t>(walk_.record)});
}

FileSource::Fill FileSource::fail(Error error) noexcept {
  if (reader_ != nullptr) error.message = name() + ": " + error.message;
  error_ = std::move(error);
  return Fill::kFailed;
}

Readiness FileSource::readiness() const noexcept {
  Readiness readiness = input_.readiness();
  readiness.again_ms = hurrying_ ? 1 : 0;
  return readiness;
}

bool FileSource::pending() const noexcept { return input_.pending(); }

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
  input_.close();
  for (Segment& segment : info_.segments) segment.region.reset();
  chunks_.forget();
}

std::string FileSource::name() const { return path_ == "-" ? "standard input" : path_; }

}  // namespace ringtap
