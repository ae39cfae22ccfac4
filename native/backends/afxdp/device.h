// What the kernel says about an interface before XDP is attached to it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/error.h"
#include "core/unique_fd.h"

namespace ringtap::afxdp {

struct Device {
  int index = 0;
  std::string name;  // the kernel's own, where an alternative one was given
  uint32_t mtu = 1500;
  uint32_t queues = 1;  // RX queues in use
  bool up = false;
};

/// Errors: NO_INTERFACE, SYSTEM.
Result<Device> query_device(const std::string& name, const std::string& uri);

enum class LinkState : uint8_t { kUp, kDown, kGone };
/// `fd` is any socket but an AF_XDP one.
LinkState link_state(int fd, int index);

/// What became of an interface since it was last asked.
struct LinkNews {
  uint32_t downs = 0;  // how often it went down
  bool up = false;     // it came up, and is up
  bool gone = false;
};

/// Hears of every change of an interface, however short, as the kernel tells it.
class LinkEvents {
 public:
  /// Of an interface that was up a moment ago.
  static Result<LinkEvents> open(int index, const std::string& uri);
  /// Readable when there may be news.
  int fd() const noexcept { return fd_.get(); }
  LinkNews read() noexcept;

 private:
  void see(LinkState state, LinkNews& news) noexcept;

  UniqueFd fd_;
  int index_ = 0;
  bool up_ = true;
  bool missed_ = true;  // something was not heard: look
};

/// Lets the NIC stamp every packet that it receives. Returns errno, 0 on success.
int enable_hardware_timestamps(const std::string& name);

/// RX queues in use now; nothing when the interface is gone.
std::optional<uint32_t> rx_queues(int fd, int index);

}  // namespace ringtap::afxdp
