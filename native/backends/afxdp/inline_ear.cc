#include "backends/afxdp/inline_ear.h"

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "core/clock.h"
#include "filter/opcodes.h"
#include "linux/packet_socket.h"

namespace ringtap::afxdp {

namespace {

constexpr int kIgnoreOutgoing = 23;  // PACKET_IGNORE_OUTGOING

/// ARP, neighbour solicitations and advertisements; untagged. WHY not tagged: the kernel takes the tag away, and what
/// is for our addresses comes with it by XDP.
Program neighbours() {
  using namespace bpf;
  constexpr uint32_t kNextHeader = 14 + 6, kType = 14 + 40;
  return {{.code = kLd | kW | kAbs, .k = kVlanTagPresent},
          {.code = kJmp | kJeq | kK, .jt = 0, .jf = 8, .k = 0},
          {.code = kLd | kH | kAbs, .k = 12},
          {.code = kJmp | kJeq | kK, .jt = 7, .jf = 0, .k = 0x0806},
          {.code = kJmp | kJeq | kK, .jt = 0, .jf = 5, .k = 0x86dd},
          {.code = kLd | kB | kAbs, .k = kNextHeader},
          {.code = kJmp | kJeq | kK, .jt = 0, .jf = 3, .k = 58},
          {.code = kLd | kB | kAbs, .k = kType},
          {.code = kJmp | kJeq | kK, .jt = 2, .jf = 0, .k = 135},
          {.code = kJmp | kJeq | kK, .jt = 1, .jf = 0, .k = 136},
          {.code = kRet | kK, .k = 0},
          {.code = kRet | kK, .k = 0xffff}};
}

}  // namespace

Result<InlineEar> InlineEar::open(int interface, const std::string& name) {
  InlineEar ear;
  ear.interface_ = interface;
  ear.socket_ = open_packet_socket(SOCK_RAW);
  if (!ear.socket_) {
    if (errno == EPERM || errno == EACCES) return packet_right_refused(name + ": a packet socket", "socket", errno);
    return system_error(Code::kSystem, name + ": a packet socket", "socket", errno);
  }
  const int fd = ear.socket_.get();
  if (const int err = attach_filter(fd, neighbours()); err != 0) {
    return system_error(Code::kSystem, name + ": a filter", "setsockopt(SO_ATTACH_FILTER)", err);
  }
  static_cast<void>(set_packet_option(fd, kIgnoreOutgoing, 1));  // what we say ourselves does no harm
  if (const int err = bind_packet_socket(fd, interface, ETH_P_ALL); err != 0) {
    return system_error(Code::kSystem, name + ": its packets", "bind(AF_PACKET)", err);
  }
  ear.slots_ = std::make_unique<std::array<Slot, kFrames>>();
  return ear;
}

std::span<forward::Frame> InlineEar::listen() noexcept {
  uint32_t heard = 0;
  while (heard < kFrames) {
    std::byte* at = (*slots_)[heard].data() + forward::kHeadroom;
    const ssize_t bytes = recv(fd(), at, kMostFrame, MSG_DONTWAIT);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) break;
    frames_[heard++] = {.data = at, .length = static_cast<uint32_t>(bytes), .time_ns = unix_now_ns()};
  }
  return {frames_.data(), heard};
}

Result<Ok> InlineEar::hear_groups(const std::string& name) {
  if (std::exchange(hears_groups_, true)) return Ok{};
  packet_mreq membership{};
  membership.mr_ifindex = interface_;
  membership.mr_type = PACKET_MR_ALLMULTI;
  if (const int err = set_packet_option(fd(), PACKET_ADD_MEMBERSHIP, membership); err != 0) {
    return system_error(Code::kSystem, name + ": frames to groups", "setsockopt(PACKET_ADD_MEMBERSHIP)", err);
  }
  return Ok{};
}

}  // namespace ringtap::afxdp
