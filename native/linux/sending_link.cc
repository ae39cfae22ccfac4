#include "linux/sending_link.h"

#include <linux/ethtool.h>
#include <linux/if_arp.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

namespace ringtap {

namespace {

using namespace std::chrono_literals;

constexpr auto kMtuAge = 100ms;
constexpr auto kCarrierAge = 1ms;
constexpr uint32_t kGivenUpPerMs = 256;

TxLimits limits_of(const Interface& interface) {
  const bool ethernet = interface.hardware == ARPHRD_ETHER || interface.hardware == ARPHRD_LOOPBACK;
  return {.header = ethernet ? 14u : 0u, .mtu = interface.mtu};
}

ifreq request_about(int fd, int index) noexcept {
  ifreq request{};
  char name[IF_NAMESIZE] = {};
  if (interface_name(fd, index, name)) std::memcpy(request.ifr_name, name, sizeof name);
  return request;
}

}  // namespace

SendingLink::SendingLink(const Interface& interface) : interface_(interface.index), limits_(limits_of(interface)) {}

int SendingLink::query() const noexcept {
  if (!query_) query_ = query_socket();
  return query_.get();
}

void SendingLink::look() noexcept {
  const auto now = Clock::now();
  if (now - looked_ < kMtuAge) return;
  looked_ = now;
  ifreq request = request_about(query(), interface_);
  if (ioctl(query(), SIOCGIFMTU, &request) == 0) limits_.mtu = static_cast<uint32_t>(request.ifr_mtu);
}

/// WHY not IFF_RUNNING: the kernel updates it up to a second later.
bool SendingLink::has_carrier() const noexcept {
  ifreq request = request_about(query(), interface_);
  ethtool_value value{.cmd = ETHTOOL_GLINK, .data = 0};
  // SAFETY: ETHTOOL_GLINK reads and writes an ethtool_value.
  request.ifr_data = reinterpret_cast<char*>(&value);
  if (ioctl(query(), SIOCETHTOOL, &request) == 0) return value.data != 0;
  ifreq flags = request_about(query(), interface_);
  return ioctl(query(), SIOCGIFFLAGS, &flags) != 0 || (flags.ifr_flags & IFF_RUNNING) != 0;
}

bool SendingLink::lost() noexcept {
  const auto now = Clock::now();
  if (down_ && now - asked_ < kCarrierAge) return true;
  asked_ = now;
  down_ = !has_carrier();
  return down_;
}

bool SendingLink::is_down() noexcept { return down_ && lost(); }

uint32_t SendingLink::give_up(uint32_t frames) noexcept {
  const auto now = Clock::now();
  if (now - given_up_ >= 1ms) {
    given_up_ = now;
    budget_ = kGivenUpPerMs;
  }
  const uint32_t count = std::min(frames, budget_);
  budget_ -= count;
  return count;
}

Error SendingLink::failure(const char* syscall, int err) const {
  if (is_gone(query(), interface_))
    return system_error(Code::kInterfaceGone, "the interface was removed", syscall, err);
  const bool down = err == ENETDOWN || err == ENXIO || link_state(query(), interface_) == LinkState::kDown;
  if (down) return system_error(Code::kInterfaceDown, "the interface cannot send", syscall, err);
  return system_error(Code::kSystem, "sending failed", syscall, err);
}

}  // namespace ringtap
