// The AF_PACKET socket behind a libpcap handle on Linux: what libpcap offers no call for.
#pragma once

#include <optional>
#include <string>

#include "core/program.h"
#include "linux/silent_protocol.h"

namespace ringtap::pcap {

/// Borrowed from the handle; valid as long as that is open.
class PacketSocket {
 public:
  /// Nothing if `fd` is something else, as everywhere but on Linux.
  static std::optional<PacketSocket> of(int fd) noexcept;

  /// Installs a kernel program in place of the one before.
  ///
  /// WHY not pcap_setfilter(): it goes on in user space without saying so when the kernel refuses, and rejects packets
  /// there that the kernel has already counted as received.
  Result<Ok> attach(const Program& program) const;

  /// Ends the silence that kSilentProtocol kept, so that the first packet to arrive meets the filter.
  Result<Ok> listen() const;

  /// Was the interface taken down since the last call?
  bool went_down() const noexcept;

  /// After went_down(): was it removed?
  bool is_gone() const noexcept;

 private:
  explicit PacketSocket(int fd) : fd_(fd) {}
  int fd_;
};

/// The index of the loopback interface, 0 if there is none or it does not matter on this platform.
uint32_t loopback_index() noexcept;

/// The index of an interface; 0 if it has none or it does not matter on this platform.
uint32_t index_of(const std::string& name) noexcept;

/// Why this process may open no packet socket; nothing if it may, or if it does not matter on this platform.
std::optional<Error> capture_refused();

}  // namespace ringtap::pcap
