// Descriptors that DPDK, its drivers and their libraries open.
#pragma once

#include <cstdint>
#include <map>

namespace ringtap::dpdk {

/// Made before DPDK is called. WHY: what it opens (raw sockets, VFIO's containers) children would inherit, as it makes
/// nothing close-on-exec. Everything of ours and Node's is so from the start: that tells whose is whose, too.
class NewDescriptors {
 public:
  NewDescriptors();
  ~NewDescriptors() { keep(); }
  NewDescriptors(const NewDescriptors&) = delete;
  NewDescriptors& operator=(const NewDescriptors&) = delete;

  /// By descriptor, a number that no other file has.
  using Files = std::map<int, uint64_t>;
  /// Makes what was opened since close-on-exec. Its AF_XDP sockets.
  Files keep() noexcept;

 private:
  Files before_;
};

/// Closes what is still open of the sockets of net_af_xdp, which (in 22.11) never closes them: their queues would stay
/// taken.
void close_sockets(const NewDescriptors::Files& sockets) noexcept;

}  // namespace ringtap::dpdk
