// PACKET_TX_RING: frames are written to memory shared with the kernel, one system call sends what is there.
#include <linux/if_packet.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "sender.h"

namespace pktgen {
namespace {

constexpr uint32_t kBlockBytes = 1 << 16;
constexpr uint32_t kBlocks = 32;
constexpr size_t kDataOffset = TPACKET2_HDRLEN - sizeof(sockaddr_ll);
constexpr uint32_t kBatch = 256;

class TxRingSender final : public Sender {
 public:
  TxRingSender(const std::string& iface, const Frames& frames) : frames_(frames), fd_(open_packet_socket(iface)) {
    while (slot_bytes_ < frames.max_size() + kDataOffset) slot_bytes_ *= 2;
    slots_ = kBlockBytes / slot_bytes_ * kBlocks;
    const int version = TPACKET_V2;
    if (setsockopt(fd_, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0) fail("PACKET_VERSION");
    tpacket_req request{};
    request.tp_block_size = kBlockBytes;
    request.tp_block_nr = kBlocks;
    request.tp_frame_size = slot_bytes_;
    request.tp_frame_nr = slots_;
    if (setsockopt(fd_, SOL_PACKET, PACKET_TX_RING, &request, sizeof request) != 0) fail("PACKET_TX_RING");
    void* const map = mmap(nullptr, size_t{kBlockBytes} * kBlocks, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (map == MAP_FAILED) fail("mmap of the TX ring");
    ring_ = static_cast<std::byte*>(map);
  }
  ~TxRingSender() override {
    munmap(ring_, size_t{kBlockBytes} * kBlocks);
    close(fd_);
  }
  TxRingSender(const TxRingSender&) = delete;
  TxRingSender& operator=(const TxRingSender&) = delete;

  uint64_t send(uint64_t first, uint64_t count, Sent& total) override {
    const uint32_t begin = next_;
    const uint32_t want = static_cast<uint32_t>(std::min<uint64_t>({count, kBatch, slots_}));
    uint32_t filled = 0;
    for (; filled < want && status(next_).load(std::memory_order_acquire) == TP_STATUS_AVAILABLE; filled++) {
      const uint32_t length = frames_.write(slot(next_) + kDataOffset, first + filled);
      header(next_)->tp_len = length;
      status(next_).store(TP_STATUS_SEND_REQUEST, std::memory_order_release);
      next_ = (next_ + 1) % slots_;
    }
    // The driver may refuse a frame, which then keeps its request: ask until it has taken every one.
    for (uint32_t i = 0; i < filled;) {
      const uint32_t state = status((begin + i) % slots_).load(std::memory_order_acquire);
      if ((state & TP_STATUS_WRONG_FORMAT) != 0) fail("TX ring: the kernel refuses this frame", EINVAL);
      if ((state & TP_STATUS_SEND_REQUEST) == 0) {
        total.frames++;
        total.bytes += frames_.size(first + i++);
        continue;
      }
      if (::send(fd_, nullptr, 0, MSG_DONTWAIT) < 0) {
        if (!is_congestion(errno)) fail("send (TX ring)");
        total.errors++;
        sched_yield();
      }
    }
    if (filled == 0) sched_yield();  // all slots still on their way
    return filled;
  }

 private:
  std::byte* slot(uint32_t i) { return ring_ + size_t{i} * slot_bytes_; }
  // SAFETY: every slot starts with a tpacket2_hdr that the kernel shares; the ring is page aligned.
  tpacket2_hdr* header(uint32_t i) { return reinterpret_cast<tpacket2_hdr*>(slot(i)); }
  std::atomic_ref<uint32_t> status(uint32_t i) { return std::atomic_ref<uint32_t>(header(i)->tp_status); }

  const Frames& frames_;
  int fd_;
  uint32_t slot_bytes_ = 256;
  uint32_t slots_ = 0;
  uint32_t next_ = 0;
  std::byte* ring_ = nullptr;
};

}  // namespace

std::unique_ptr<Sender> make_txring_sender(const std::string& iface, const Frames& frames) {
  return std::make_unique<TxRingSender>(iface, frames);
}

}  // namespace pktgen
