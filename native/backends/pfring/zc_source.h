// PF_RING ZC: the NIC writes into memory of the library's, and batches show it there.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "backends/pfring/library.h"
#include "backends/pfring/socket.h"
#include "core/source.h"
#include "filter/placement.h"

namespace ringtap::pfring {

class ZcSource final : public Source {
 public:
  static Result<std::unique_ptr<Source>> open(const Library& library, Settings settings);
  ~ZcSource() override { close(); }

  const SourceInfo& info() const noexcept override { return info_; }
  Result<FilterPlacement> set_filter(std::shared_ptr<Filter> filter) override;
  Result<Ok> start() override;
  RxBatch receive(DescBlock& block, uint32_t max) noexcept override;
  bool release(Lease lease) noexcept override;
  Readiness readiness() const noexcept override;
  bool pending() const noexcept override;
  Stats stats() const noexcept override;
  const Error& error() const noexcept override { return error_; }
  void close() noexcept override;

 private:
  using Clock = std::chrono::steady_clock;

  ZcSource(const Library& library, Settings settings);

  Result<Ok> open_device();
  Result<Ok> find_memory();
  Error refused(const char* call, int err) const;
  bool describe(ZcPacket* packet, DescBlock& block, uint32_t index) noexcept;
  bool trial_is_over() const noexcept;
  void fail(Error error) noexcept;

  const Library& library_;
  const Settings settings_;
  SourceInfo info_;
  std::shared_ptr<ZcCluster> cluster_;
  ZcQueue* queue_ = nullptr;
  std::byte* base_ = nullptr;
  size_t bytes_ = 0;
  LeaseTable leases_{0};
  std::vector<std::vector<ZcPacket*>> lent_;  // by number of the lease
  std::vector<uint32_t> unlent_;
  std::vector<ZcPacket*> free_;
  std::vector<ZcPacket*> burst_;
  uint32_t batch_size_ = 1;
  UserFilter filter_;
  bool licensed_ = true;
  Clock::time_point opened_ = Clock::now();
  bool started_ = false;
  bool failed_ = false;
  Error error_;
  uint64_t delivered_ = 0;
  uint64_t delivered_bytes_ = 0;
  mutable uint64_t dropped_ = 0;
};

}  // namespace ringtap::pfring
