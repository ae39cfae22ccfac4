// The AF_XDP sockets of net_af_xdp, which (in 22.11) never closes them: their queues would stay taken.
#pragma once

#include <cstdint>
#include <map>

namespace ringtap::dpdk {

class XdpSockets {
 public:
  /// Those of the whole process that net_af_xdp made, as the time that they poll busily tells.
  static XdpSockets now();
  /// Those that are not among `before`.
  XdpSockets since(const XdpSockets& before) const;
  /// Closes what is still open of them.
  void close() noexcept;

 private:
  std::map<int, uint64_t> cookies_;  // by descriptor: tells whether it is still the same socket
};

}  // namespace ringtap::dpdk
