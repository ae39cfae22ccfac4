// The Source of the file: backend.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "backends/file/chunks.h"
#include "backends/file/filters.h"
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
  Fill fill(uint32_t need) noexcept;
  bool grow(uint32_t need) noexcept;
  void begin_skip() noexcept;
  Fill advance() noexcept;
  Fill switch_link_type() noexcept;
  FilterTarget target(uint32_t link_type) const;
  Fill end_of_input() noexcept;
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
  uint64_t bytes_read_ = 0;  // the file offset of walk_.end
  uint64_t skip_ = 0;        // bytes yet to come that belong to nobody

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
