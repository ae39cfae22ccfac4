// What neighbours say that is not for our addresses: the host hears it, and so do we.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>

#include "core/error.h"
#include "core/unique_fd.h"
#include "forward/frame.h"

namespace ringtap::afxdp {

/// ARP and neighbour discovery that the XDP program leaves to the host: answers about an address that is not ours yet,
/// and a neighbour's news of himself.
class InlineEar {
 public:
  /// NO_PERMISSION, SYSTEM.
  static Result<InlineEar> open(int interface, const std::string& name);

  int fd() const noexcept { return socket_.get(); }
  /// Some that were heard; none when there are no more. Valid until the next call.
  std::span<forward::Frame> listen() noexcept;
  /// From now on the interface takes frames to every group, as neighbour solicitations are.
  Result<Ok> hear_groups(const std::string& name);

 private:
  static constexpr uint32_t kFrames = 16;
  static constexpr uint32_t kMostFrame = 256;
  using Slot = std::array<std::byte, forward::kHeadroom + kMostFrame>;

  UniqueFd socket_;
  int interface_ = 0;
  bool hears_groups_ = false;
  std::unique_ptr<std::array<Slot, kFrames>> slots_;
  std::array<forward::Frame, kFrames> frames_;
};

}  // namespace ringtap::afxdp
