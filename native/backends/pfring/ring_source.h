// Capture from the kernel module's own ring: batches lie where the kernel wrote them.
#pragma once

#include <memory>
#include <optional>

#include "backends/pfring/ring.h"
#include "backends/pfring/socket.h"
#include "backends/pfring/transmit.h"
#include "backends/pfring/watch.h"
#include "core/source.h"
#include "filter/placement.h"
#include "linux/promiscuous.h"

namespace ringtap::pfring {

class RingSource final : public Source {
 public:
  static Result<std::unique_ptr<Source>> open(Settings settings);
  ~RingSource() override { close(); }

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
  void close() noexcept override;

 private:
  RingSource(Settings settings, RingSocket socket);

  void use(RingSocket socket);
  template <bool kJudged>
  uint32_t fill(DescBlock& block, uint32_t max, Walk& walk) noexcept;
  Rx fail(Error error) noexcept;
  void collect() const noexcept;

  const Settings settings_;
  SourceInfo info_;
  std::optional<RingSocket> socket_;
  std::optional<Ring> ring_;
  OrderedLeases leases_;  // on stretches of the slots
  UserFilter filter_;
  Promiscuous promiscuous_;
  std::optional<Watch> watch_;
  std::optional<RingTx> tx_;
  bool broken_ = false;  // the slot at the cursor makes no sense
  bool failed_ = false;
  Error error_;
  uint64_t delivered_ = 0;
  uint64_t delivered_bytes_ = 0;
  uint64_t ignored_ = 0;  // sent, where only received ones were asked for
  mutable uint64_t inserted_ = 0;
  mutable uint64_t lost_ = 0;
};

}  // namespace ringtap::pfring
