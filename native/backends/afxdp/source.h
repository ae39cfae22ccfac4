// The Source of afxdp: several sockets, one UMEM, one capture.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/afxdp/clock.h"
#include "backends/afxdp/device.h"
#include "backends/afxdp/frames.h"
#include "backends/afxdp/program.h"
#include "backends/afxdp/transmit.h"
#include "backends/afxdp/xsk.h"
#include "core/gather.h"
#include "core/source.h"
#include "filter/placement.h"
#include "linux/link_news.h"
#include "linux/promiscuous.h"
#include "linux/wait_set.h"

namespace ringtap::afxdp {

/// Options of one open, checked.
struct Settings {
  std::vector<uint32_t> queues;
  std::string mode;       // auto | native | generic
  std::string zerocopy;   // auto | require | off
  std::string timestamp;  // auto | kernel | hardware | user
  uint32_t frames = 16384;
  uint32_t frame_bytes = 2048;
  uint32_t rx_entries = 0;
  uint32_t batch_size = 256;
  uint32_t busy_poll_us = 0;
  uint32_t gather_ms = 1;
  bool need_wakeup = true;
  bool huge_pages = false;
  bool promiscuous = true;
  Purpose purpose = Purpose::kCapture;
  std::optional<Interface> way_out;  // where frames are sent, if not on the interface that is captured
  std::shared_ptr<const std::atomic<bool>> cancelled;  // as in OpenRequest
};

class AfXdp final : public Source {
 public:
  static Result<std::unique_ptr<Source>> open(const OpenRequest& request);
  ~AfXdp() override { close(); }

  const SourceInfo& info() const noexcept override { return info_; }
  Result<FilterPlacement> set_filter(std::shared_ptr<Filter> filter) override;
  Result<Ok> start() override;
  Result<Ok> start_tx() override;
  RxBatch receive(DescBlock& block, uint32_t max) noexcept override;
  bool release(Lease lease) noexcept override;
  Readiness readiness() const noexcept override {
    return {.kind = Readiness::Kind::kFd, .fd = waiting_.fd(), .owned = true, .gather_ms = gather_.ms()};
  }
  Stats stats() const noexcept override;
  const Error& error() const noexcept override { return error_; }
  Tx* tx() noexcept override { return tx_ ? &*tx_ : nullptr; }
  bool can_pass_on(Lease lease, const Passing& packet) const noexcept override;
  Result<uint32_t> pass_on(Lease lease, std::span<const Passing> packets, FrameEdit* edit) noexcept override;
  void close() noexcept override;

  /// Whose the frames are now. One is in one place only, and all of them are in one.
  struct FrameCount {
    uint32_t kernel = 0;     // in the fill and RX rings, and between
    uint32_t lent = 0;       // shown by batches, and not under way
    uint32_t under_way = 0;  // passed on, and not sent yet
    uint32_t to_send = 0;    // the sender's own that are free
    uint32_t sending = 0;    // the sender's own that are under way, or reserved
    uint32_t all() const noexcept { return kernel + lent + under_way + to_send + sending; }
  };
  FrameCount frame_count() const noexcept;
  uint32_t frames() const noexcept { return umem_.frames; }

 private:
  struct Queue {
    Xsk xsk;
    uint32_t under_way = 0;  // frames of it that were passed on and are not back
    bool has_refilled = false;
    uint32_t filled = 0;    // our side of the fill ring
    uint32_t consumed = 0;  // our side of the RX ring
    Quota frames{};         // that batches may show; as many again are the kernel's, whatever is held
  };

  AfXdp(const OpenRequest& request, Device device, Settings settings);

  Result<Ok> open_sockets();
  Result<Ok> load_program();
  StampClock stamp_clock();
  Result<Ok> attach();
  Result<Ok> bind_sockets(bool native);
  /// errno, ECANCELED when nobody waits for the source any more.
  int bind_patiently(const Xsk& xsk, uint16_t flags) const;
  bool is_given_up() const noexcept;
  Error given_up() const;
  Result<Ok> open_sender();
  void send_by(const Xsk& xsk, const Ring<uint64_t>& completion);
  const Interface& way_out() const noexcept { return settings_.way_out ? *settings_.way_out : device_; }
  Result<Ok> watch();
  void wake_for_check() noexcept;

  uint32_t walk(Queue& queue, DescBlock& block, uint32_t max, Lent& lent) noexcept;
  bool join(Queue& queue, uint32_t& position, uint32_t produced, Lent& lent, PacketDesc& packet) noexcept;
  void stamp(PacketDesc& packet, const std::optional<Stamp>& stamp, int64_t to_epoch) const noexcept;
  void refill(Queue& queue, uint64_t address) noexcept;
  static void publish(const Queue& queue) noexcept;
  void give_back(Lent& lent) noexcept;
  uint32_t share() const noexcept { return settings_.frames / static_cast<uint32_t>(queues_.size()); }
  std::optional<uint64_t> place_of(Lease lease, const Passing& packet) const noexcept;
  std::optional<TxFrame> edited(const Passing& packet, uint64_t place, FrameEdit* edit) noexcept;
  void take_back_sent() noexcept;
  uint32_t frame_of(uint64_t address) const noexcept {
    return static_cast<uint32_t>((address & ~kPassedOn) / settings_.frame_bytes);
  }
  void hear_of_link() noexcept;
  void look_after_program() noexcept;
  std::optional<std::string> queues_changed() const;
  Error interface_gone() const;
  void fail(Error error) noexcept;
  void observe_clock() noexcept;

  const std::string uri_;
  const Device device_;
  Settings settings_;
  Umem umem_;
  uint32_t tx_entries_ = 0;
  bool multi_buffer_ = false;
  size_t joined_at_ = 0;  // where the slots for joined packets begin
  uint32_t joined_bytes_ = 0;
  SourceInfo info_;
  std::shared_ptr<Filter> filter_;
  UserFilter user_filter_;  // what XDP has left of it
  std::optional<LoadedProgram> program_;
  UniqueFd map_;
  UniqueFd link_;
  std::vector<std::unique_ptr<Queue>> queues_;
  std::optional<Xsk> sender_;
  std::optional<XskTx> tx_;
  Promiscuous promiscuous_;
  WaitSet waiting_;
  std::optional<LinkEvents> events_;
  uint32_t turn_ = 0;  // the queue that is served next
  LeaseTable leases_{0};
  std::vector<Lent> lent_;  // by the number of the lease
  std::optional<SentFrames> sent_frames_;
  PassedOn passed_on_;
  uint32_t under_way_ = 0;
  Pool joined_slots_{0};
  Quota joined_quota_;
  ClockOffset clock_;
  int64_t stamp_base_ns_ = 0;  // what takes a stamp to the capture's epoch, beside clock_
  bool user_time_ = false;
  std::chrono::steady_clock::time_point next_check_{};
  Error error_;
  bool failed_ = false;   // nothing comes any more: error_ says why, once everything is read
  bool noticed_ = false;  // error_ is to be told, but not the end
  bool idle_ = true;      // nothing was found since the last look that found nothing
  Gather gather_{0, 0, 0};
  Stats counted_;  // what is counted here; once closed, everything
};

}  // namespace ringtap::afxdp
