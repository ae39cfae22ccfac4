// The Source of the file: backend.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "backends/file/chunks.h"
#include "backends/file/filters.h"
#include "backends/file/time_range.h"
#include "core/source.h"
#include "format/reader.h"
#include "io/input.h"

namespace ringtap::file {

class FileSource final : public Source {
 public:
  struct Limits {
    bool grows;  // a record that does not fit a chunk gets one of its own
    uint32_t snaplen;
  };
  FileSource(std::string path, std::unique_ptr<Input> input, const Chunks::Layout& memory, const Limits& limits);

  /// Reads up to the first packet, so that link type and epoch are known. Waits for a pipe's header until it comes or
  /// the request is cancelled.
  Result<Ok> prepare(const OpenRequest& request);

  const std::string& path() const noexcept { return path_; }
  /// After prepare(): the second of the first packet, where there is one already.
  std::optional<int64_t> first_second() const noexcept { return first_second_; }
  /// What its link types are, as far as it has announced them: the first one is that of the first packet.
  std::vector<FilterTarget> announced() const;

  /// After prepare(): the exact Unix time of the first packet, in ns, where there is one already.
  std::optional<int64_t> first_time();
  /// Before the first receive(): packets of other times are rejected, as by a filter.
  void keep_between(const TimeRange& range) noexcept { range_ = range; }

  /// Where in the trace, decompressed, what lies there in memory is: of the batch that was lent last.
  uint64_t place_of(uint32_t offset) const noexcept { return walk_.file_base + offset; }
  /// False in the middle of what is passed over.
  bool record_begins() const noexcept { return skip_ == 0 && reader_->record_begins(); }
  /// Where the next record begins, if one does.
  uint64_t next_place() const noexcept { return walk_.file_base + walk_.pos; }
  bool is_compressed() const noexcept { return !input_->compression().empty(); }
  /// Waits until there may be more to receive, for up to so long.
  void wait(int most_ms) const noexcept { hurrying_ ? void() : void(input_->wait(most_ms)); }
  /// For the user, after prepare().
  void note(std::string text) { info_.notes.push_back(std::move(text)); }
  RecordReader& reader() noexcept { return *reader_; }

  /// For one of several traces, before its first receive(). Times count from this second, and a filter that does not
  /// speak of its link types rejects its packets.
  void count_from(int64_t second) noexcept;
  Result<Ok> set_common_filter(std::shared_ptr<Filter> filter);

  const SourceInfo& info() const noexcept override { return info_; }
  Result<FilterPlacement> set_filter(std::shared_ptr<Filter> filter) override;
  Result<Ok> start() override { return Ok{}; }
  RxBatch receive(DescBlock& block, uint32_t max) noexcept override;
  bool release(Lease lease) noexcept override { return chunks_.release(lease); }
  Readiness readiness() const noexcept override;
  bool pending() const noexcept override;
  Stats stats() const noexcept override;
  std::vector<TraceBlock> blocks(size_t first) const override;
  const Error& error() const noexcept override { return *error_; }
  void close() noexcept override;

 private:
  enum class Fill : uint8_t { kMore, kNothingYet, kEnd, kFailed };

  Result<Ok> detect(const OpenRequest& request);
  std::optional<Error> given_up(const OpenRequest& request) const;
  void describe();
  std::string place(uint64_t at) const;
  std::string name() const;
  Result<Ok> use_filter(std::shared_ptr<Filter> filter, bool alone);
  RxBatch lend() noexcept;
  void count() noexcept;
  void keep_in_range(DescBlock& block) noexcept;
  uint64_t place() const noexcept { return bytes_read_ + left_out_; }
  Fill fill(uint32_t need) noexcept;
  bool grow(uint32_t need) noexcept;
  void begin_skip() noexcept;
  Fill advance() noexcept;
  Fill switch_link_type() noexcept;
  FilterTarget target(uint32_t link_type) const;
  Fill end_of_input() noexcept;
  Fill another() noexcept;
  Fill begin_another() noexcept;
  Fill fail(Error error) noexcept;

  const std::string path_;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  const std::unique_ptr<Input> input_;
  const Limits limits_;
  Chunks chunks_;
  Chunks::Room room_;  // what is being read into
  SourceInfo info_;
  std::unique_ptr<RecordReader> reader_;
  std::optional<int64_t> first_second_;
  Walk walk_;
  uint64_t bytes_read_ = 0;
  uint64_t left_out_ = 0;  // between these: the file offset of walk_.end is the sum
  uint64_t skip_ = 0;      // bytes yet to come that belong to nobody

  Told told_ = Told::kNothing;  // as detect() was told
  bool erf_records_ = false;
  bool is_between_ = false;  // what comes next is the header of another trace
  std::optional<TimeRange> range_;
  Filters filters_;
  bool switching_ = false;  // the packet at walk_.pos has another link type, whose filter is not there yet
  bool hurrying_ = false;   // the last receive() came back with work left

  std::optional<Error> error_;
  bool ended_ = false;
  std::atomic<uint64_t> delivered_{0};
  std::atomic<uint64_t> delivered_bytes_{0};
  std::atomic<uint64_t> filtered_{0};
};

}  // namespace ringtap::file
