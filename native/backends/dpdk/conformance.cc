#include "test/conformance_lab.h"

#ifdef RINGTAP_WITH_DPDK
#include "backends/dpdk/module/module.h"
#endif

namespace ringtap::test {

#ifdef RINGTAP_WITH_DPDK
namespace {

/// Few packets may wait, so that a flood fills the ring; the driver's own memory is large, because it does not count
/// what it has no room for.
Result<std::unique_ptr<Source>> open_af_packet(const OpenRequest& request) {
  OpenRequest other = request;
  other.target = "net_af_packet0";
  other.options.set("mbufs", 2048.0);
  other.options.set("devargs", "iface=" + request.target + ",blocksz=4096,framesz=2048,framecnt=16384");
  return dpdk::open_port(other);
}

}  // namespace

std::vector<Fixture> fixtures() { return live_fixtures("dpdk", open_af_packet); }
#else
std::vector<Fixture> fixtures() { return {}; }
#endif

}  // namespace ringtap::test
