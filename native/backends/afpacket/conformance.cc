#include "backends/afpacket/afpacket.h"
#include "test/conformance_lab.h"

std::vector<ringtap::test::Fixture> ringtap::test::fixtures() {
  std::vector<Fixture> live = live_fixtures("afpacket", open_afpacket);
  for (Fixture& fixture : live) fixture.in_order = true;
  return live;
}
