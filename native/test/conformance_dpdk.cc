#include "test/conformance_lab.h"

#ifdef RINGTAP_WITH_DPDK
#include "backends/dpdk/module/module.h"
#endif

namespace ringtap::test {

#ifdef RINGTAP_WITH_DPDK
namespace {

/// Drivers that are given an interface. Few packets may wait, so that a flood fills the ring; the driver's own memory is
/// large, because it does not count what it has no room for.
Result<std::unique_ptr<Source>> open_driver(const char* device, const std::string& devargs, const OpenRequest& request) {
  OpenRequest other = request;
  other.target = device;
  other.options.set("mbufs", 2048.0);
  other.options.set("devargs", "iface=" + request.target + devargs);
  return dpdk::open_port(other);
}

Result<std::unique_ptr<Source>> open_af_packet(const OpenRequest& request) {
  return open_driver("net_af_packet0", ",blocksz=4096,framesz=2048,framecnt=16384", request);
}

Result<std::unique_ptr<Source>> open_af_xdp(const OpenRequest& request) {
  return open_driver("net_af_xdp0", ",force_copy=1", request);
}

}  // namespace

std::vector<Fixture> fixtures() {
  std::vector<Fixture> all;
  for (auto* open : {open_af_packet, open_af_xdp}) {
    for (Fixture& fixture : live_fixtures("dpdk", open)) {
      fixture.name += open == open_af_packet ? " af_packet" : " af_xdp";
      all.push_back(std::move(fixture));
    }
  }
  return all;
}
#else
std::vector<Fixture> fixtures() { return {}; }
#endif

}  // namespace ringtap::test
