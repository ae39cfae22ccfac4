// sendmmsg(2), 64 frames a call.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

#include "sender.h"

namespace pktgen {

int open_packet_socket(const std::string& iface) {
  const unsigned index = if_nametoindex(iface.c_str());
  if (index == 0) fail("--iface " + iface);
  // Protocol 0: never receive anything.
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket(AF_PACKET) (needs CAP_NET_RAW)");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = static_cast<int>(index);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("bind " + iface);
  const int on = 1;
  if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) != 0) fail("PACKET_QDISC_BYPASS");
  return fd;
}

namespace {

constexpr uint32_t kBatch = 64;

class MmsgSender final : public Sender {
 public:
  MmsgSender(const std::string& iface, const Frames& frames)
      : frames_(frames), fd_(open_packet_socket(iface)), buffer_(size_t{kBatch} * frames.max_size()) {
    for (uint32_t i = 0; i < kBatch; i++) {
      vectors_[i].iov_base = buffer_.data() + size_t{i} * frames.max_size();
      messages_[i].msg_hdr.msg_iov = &vectors_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }
  ~MmsgSender() override { close(fd_); }
  MmsgSender(const MmsgSender&) = delete;
  MmsgSender& operator=(const MmsgSender&) = delete;

  uint64_t send(uint64_t first, uint64_t count, Sent& total) override {
    const uint32_t n = static_cast<uint32_t>(std::min<uint64_t>(count, kBatch));
    for (uint32_t i = 0; i < n; i++)
      vectors_[i].iov_len = frames_.write(static_cast<std::byte*>(vectors_[i].iov_base), first + i);
    const int taken = sendmmsg(fd_, messages_.data(), n, 0);
    if (taken < 0) {
      if (!is_congestion(errno)) fail("sendmmsg");
      total.errors++;
      sched_yield();  // let the receiver's side drain
      return 0;
    }
    total.frames += static_cast<uint64_t>(taken);
    for (int i = 0; i < taken; i++) total.bytes += vectors_[i].iov_len;
    return static_cast<uint64_t>(taken);
  }

 private:
  const Frames& frames_;
  int fd_;
  std::vector<std::byte> buffer_;
  std::array<iovec, kBatch> vectors_{};
  std::array<mmsghdr, kBatch> messages_{};
};

}  // namespace

std::unique_ptr<Sender> make_mmsg_sender(const std::string& iface, const Frames& frames) {
  return std::make_unique<MmsgSender>(iface, frames);
}

}  // namespace pktgen
