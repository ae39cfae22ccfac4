#include "linux/promiscuous.h"

#include <linux/if_packet.h>

#include <cerrno>
#include <utility>

#include "linux/packet_socket.h"

namespace ringtap {

namespace {

int set_membership(int fd, int option, int interface) noexcept {
  packet_mreq request{};
  request.mr_ifindex = interface;
  request.mr_type = PACKET_MR_PROMISC;
  return set_packet_option(fd, option, request);
}

}  // namespace

Promiscuous::Promiscuous(Promiscuous&& other) noexcept
    : own_(std::move(other.own_)), fd_(std::exchange(other.fd_, -1)), interface_(other.interface_) {}

Promiscuous& Promiscuous::operator=(Promiscuous&& other) noexcept {
  if (this == &other) return *this;
  leave();
  own_ = std::move(other.own_);
  fd_ = std::exchange(other.fd_, -1);
  interface_ = other.interface_;
  return *this;
}

int Promiscuous::enter(std::span<const int> interfaces) noexcept {
  leave();
  own_ = open_packet_socket(SOCK_RAW);
  if (!own_) return errno;
  for (const int interface : interfaces) {
    if (const int err = set_membership(own_.get(), PACKET_ADD_MEMBERSHIP, interface); err != 0) {
      leave();
      return err;
    }
  }
  return 0;
}

int Promiscuous::enter(int fd, int interface) noexcept {
  leave();
  const int err = set_membership(fd, PACKET_ADD_MEMBERSHIP, interface);
  if (err == 0) {
    fd_ = fd;
    interface_ = interface;
  }
  return err;
}

void Promiscuous::leave() noexcept {
  own_.reset();
  if (fd_ >= 0) set_membership(std::exchange(fd_, -1), PACKET_DROP_MEMBERSHIP, interface_);
}

}  // namespace ringtap
