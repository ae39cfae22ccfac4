// The Source over a TPACKET_V3 ring.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "backends/afpacket/fanout.h"
#include "backends/afpacket/restore.h"
#include "backends/afpacket/ring.h"
#include "backends/afpacket/target.h"
#include "backends/afpacket/transmit.h"
#include "core/gather.h"
#include "core/source.h"
#include "core/unique_fd.h"
#include "filter/placement.h"
#include "filter/prepend.h"
#include "linux/promiscuous.h"

namespace ringtap::afpacket {

class AfPacket final : public Source {
 public:
  /// `fd` is the socket that `ring` belongs to, not bound yet. `group`: one of our own to join, or null.
  AfPacket(UniqueFd fd, Target target, std::unique_ptr<Ring> ring, SourceInfo info, const OpenRequest& request,
           std::shared_ptr<FanoutGroup> group = nullptr);
  ~AfPacket() override { close(); }

  const SourceInfo& info() const noexcept override { return info_; }
  Result<FilterPlacement> set_filter(std::shared_ptr<Filter> filter) override;
  Result<Ok> start() override;
  RxBatch receive(DescBlock& block, uint32_t max) noexcept override;
  bool release(Lease lease) noexcept override;
  Readiness readiness() const noexcept override {
    return {.kind = Readiness::Kind::kFd,
            .fd = fd_.get(),
            .owned = true,
            .gather_ms = gather_.ms(),
            .again_ms = is_down() ? kDownAgainMs : 0};
  }
  Stats stats() const noexcept override;
  const Error& error() const noexcept override { return error_; }
  Tx* tx() noexcept override { return tx_.get(); }
  void close() noexcept override;

 private:
  static constexpr uint32_t kDownAgainMs = 5;

  Program kernel_program(const Program* filter) const;
  Result<Ok> join_group(const Program& program);
  void fall_silent() noexcept;

  uint32_t walk(DescBlock& block, uint32_t max) noexcept;
  bool finish(const Frame& frame, std::byte* at, PacketDesc& desc) noexcept;
  Rx check_interface() noexcept;
  bool is_down() const noexcept { return down_until_us_ != 0 && !failed_; }
  Rx fail(Error error) noexcept;
  void collect() const noexcept;

  const std::string uri_;
  const std::string name_;  // as the user wrote it
  const Target target_;
  const Restorer restorer_;
  const Direction direction_;
  const bool wants_promiscuous_;
  const bool inline_vlan_;
  const uint32_t fanout_;
  const std::string fanout_mode_;
  const std::shared_ptr<FanoutGroup> group_;
  UniqueFd fd_;
  std::unique_ptr<PacketTx> tx_;
  Promiscuous promiscuous_;
  std::unique_ptr<Ring> ring_;
  SourceInfo info_;
  LeaseTable leases_;
  Gather gather_;
  const int64_t epoch_seconds_ = info_.epoch_ns / 1'000'000'000;
  UserFilter filter_{FilterVm::Metadata::kIsRead};
  std::optional<Program> kernel_filter_;
  const uint64_t retire_us_;
  uint64_t down_until_us_ = 0;  // the interface is down: until when its last packets may still come
  uint32_t blocks_walked_ = 0;
  bool failed_ = false;
  Error error_;
  uint64_t delivered_ = 0;
  uint64_t delivered_bytes_ = 0;
  uint64_t damaged_ = 0;
  mutable uint64_t kernel_packets_ = 0;
  mutable uint64_t kernel_drops_ = 0;
};

}  // namespace ringtap::afpacket
