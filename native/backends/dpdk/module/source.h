// A capture from one port.
#pragma once

#include <memory>
#include <optional>

#include "backends/dpdk/module/poller.h"
#include "backends/dpdk/module/port.h"
#include "backends/dpdk/module/transmit.h"
#include "core/source.h"

namespace ringtap::dpdk {

class PortSource final : public Source {
 public:
  static Result<std::unique_ptr<Source>> open(const OpenRequest& request);
  ~PortSource() override { close(); }

  const SourceInfo& info() const noexcept override { return info_; }
  Result<FilterPlacement> set_filter(std::shared_ptr<Filter> filter) override;
  Result<Ok> start() override;
  Result<Ok> start_tx() override;
  RxBatch receive(DescBlock& block, uint32_t max) noexcept override;
  bool release(Lease lease) noexcept override;
  Readiness readiness() const noexcept override;
  Stats stats() const noexcept override;
  const Error& error() const noexcept override { return error_; }
  Tx* tx() noexcept override { return tx_ ? &*tx_ : nullptr; }
  bool can_pass_on(Lease lease, const Passing& packet) const noexcept override;
  Result<uint32_t> pass_on(Lease lease, std::span<const Passing> packets, FrameEdit* edit) noexcept override;
  void close() noexcept override;

 private:
  PortSource(Port port, PollSettings poll, uint32_t snaplen, uint32_t batch_size, uint32_t gather_ms, bool xstats);

  Result<Ok> start_port(bool receive);
  void fill(DescBlock& block, uint32_t count) noexcept;
  void collect() const noexcept;
  std::optional<uint64_t> position_of(Lease lease, const Passing& packet) const noexcept;
  std::optional<TxFrame> edited(TxFrame frame, FrameEdit* edit) noexcept;

  SourceInfo info_;
  std::optional<Port> port_;
  const PollSettings poll_settings_;
  const uint32_t gather_ms_;
  const bool xstats_;
  const uint32_t most_;  // packets in a batch
  std::shared_ptr<const MbufFilter> filter_;
  std::unique_ptr<Poller> poller_;
  std::optional<PortTx> tx_;

  OrderedLeases leases_;
  bool asleep_ = false;
  uint32_t looks_ = 0;  // at an empty ring, before the next sleep

  Error error_;
  mutable Stats last_;  // what is counted here; the rest as it was when it was last asked for
};

}  // namespace ringtap::dpdk
