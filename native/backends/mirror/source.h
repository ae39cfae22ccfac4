// The Source of the mirror: backend.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "backends/mirror/endpoint.h"
#include "backends/mirror/health.h"
#include "backends/mirror/socket.h"
#include "core/gather.h"
#include "core/source.h"
#include "core/unique_fd.h"
#include "decode/tunnel.h"
#include "stages/tunnel_filter.h"

namespace ringtap::mirror {

/// Datagrams are received into chunks of slots, each as large as a datagram can be, and lent where they lie: what the
/// kernel copies to us is the only copy. A chunk is free when nothing of it is lent.
class MirrorSource final : public Source {
 public:
  struct Setup {
    TunnelKind kind = TunnelKind::kVxlan;
    std::string name;
    Endpoint endpoint;
    bool is_raw = false;
    bool shares = false;
    uint16_t health_port = 0;
    uint32_t snaplen = kMaxSnaplen;
    uint32_t timeout_ms = 10;
    int64_t buffer_bytes = 0;
  };

  explicit MirrorSource(Setup setup);
  ~MirrorSource() override { close(); }

  /// Makes what start() must not fail for.
  Result<Ok> prepare();

  const SourceInfo& info() const noexcept override { return info_; }
  Result<FilterPlacement> set_filter(std::shared_ptr<Filter> filter) override;
  Result<Ok> start() override;
  RxBatch receive(DescBlock& block, uint32_t max) noexcept override;
  bool release(Lease lease) noexcept override;
  Readiness readiness() const noexcept override;
  Stats stats() const noexcept override;
  const Error& error() const noexcept override { return error_; }
  void close() noexcept override;

 private:
  static constexpr uint32_t kSlots = 64;

  struct Control {
    alignas(cmsghdr) std::byte bytes[CMSG_SPACE(sizeof(timespec)) + CMSG_SPACE(sizeof(int))];
  };

  /// What was received together, and where reading it has got to.
  struct Burst {
    uint32_t chunk = 0;
    uint32_t count = 0;  // datagrams, or what GRO made of several
    uint32_t at = 0;     // the one at hand
    uint64_t from = 0;   // where its next datagram begins
    uint64_t size = 0;   // of the one at hand
    uint64_t piece = 0;  // bytes of each datagram in it
    int64_t time_ns = 0;
    TunnelRow row;         // its source
    uint64_t pending = 0;  // datagrams that were not dealt with
    bool is_there = false;
  };

  RxBatch receive_checked(DescBlock& block, uint32_t max);
  bool fill() noexcept;
  void begin(uint32_t message) noexcept;
  uint64_t skip_outer(uint32_t message) const noexcept;
  uint32_t take(DescBlock& block, uint32_t max);
  /// False: it waits for its filter, or begins another batch.
  bool take_one(DescBlock& block, uint32_t& n);
  void next_piece() noexcept;
  void let_go(uint32_t chunk) noexcept;
  void count_drops() const noexcept;
  Result<Ok> watch(int fd) noexcept;

  const Setup setup_;
  SourceInfo info_;
  std::shared_ptr<Region> region_;
  UniqueFd epoll_;
  Socket socket_;
  Health health_;
  TunnelFilter filter_;
  Gather gather_;

  std::array<mmsghdr, kSlots> messages_{};
  std::array<iovec, kSlots> parts_{};
  std::array<sockaddr_storage, kSlots> senders_{};
  std::array<Control, kSlots> controls_{};
  Burst burst_;
  uint32_t part_type_ = 0;
  const FilterVm* vm_ = nullptr;

  Pool chunks_;
  std::vector<uint32_t> holds_;  // of each chunk: who has it
  LeaseTable leases_;

  uint64_t delivered_ = 0;
  uint64_t delivered_bytes_ = 0;
  uint64_t filtered_ = 0;
  uint64_t not_tunnels_ = 0;
  mutable uint32_t last_drops_ = 0;
  mutable uint64_t dropped_ = 0;
  bool hurrying_ = false;
  bool closed_ = false;
  bool failed_ = false;
  Error error_;
};

}  // namespace ringtap::mirror
