// One AF_XDP socket on one queue.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "backends/afxdp/rings.h"
#include "core/error.h"
#include "core/region.h"
#include "core/unique_fd.h"

namespace ringtap::afxdp {

/// The memory that packets arrive in, as the kernel is told about it.
struct Umem {
  std::shared_ptr<Region> region;
  uint32_t frames = 0;
  uint32_t frame_bytes = 0;
  bool multi_buffer = false;
};

struct XskRequest {
  int ifindex = 0;
  uint32_t queue = 0;
  uint32_t rx_entries = 0;    // powers of two
  uint32_t fill_entries = 0;  // 0: it shares the queue, and its fill and completion ring, too
  uint32_t tx_entries = 0;    // 0: no sending
  uint32_t completion_entries = 0;
  int shared_with = -1;  // socket whose UMEM this one uses; -1 registers it
};

class Xsk {
 public:
  /// Socket, UMEM and rings; nothing is bound yet. ENOBUFS keeps its errno, so that the caller can ask for less.
  static Result<Xsk> create(const Umem& umem, const XskRequest& request, const std::string& uri);
  /// Binds to the queue. Returns errno, 0 on success.
  int bind(uint16_t flags) const;
  /// The same, waiting for the kernel to let go of a queue whose socket was closed, until `is_given_up()`: ECANCELED
  /// then.
  int bind_patiently(uint16_t flags, const std::function<bool()>& is_given_up) const;
  /// No other socket has the queue: all that live in this namespace are of this process, and none of these is for it.
  bool is_without_rival() const;

  int fd() const noexcept { return fd_.get(); }
  int interface() const noexcept { return request_.ifindex; }
  uint32_t queue() const noexcept { return request_.queue; }
  bool zero_copy() const;
  /// Counts since the socket was made; reading them changes nothing. Any thread.
  xdp_statistics statistics() const;
  /// Wakes the kernel's side: it fills (or, with TX, sends) what we put into the rings.
  void kick_rx() const;
  int kick_tx() const;

  Ring<xdp_desc> rx;
  Ring<xdp_desc> tx;
  Ring<uint64_t> fill;
  Ring<uint64_t> completion;

 private:
  std::shared_ptr<void> claim_;  // outlives the socket
  UniqueFd fd_;
  XskRequest request_;
};

/// How many AF_XDP sockets this network namespace has; nothing where /proc does not tell. One that was closed is not
/// counted, though the kernel keeps its queue a while longer.
std::optional<uint32_t> living_sockets();

}  // namespace ringtap::afxdp
