#include "backends/afpacket/afpacket.h"
#include "test/conformance_lab.h"

std::vector<ringtap::test::Fixture> ringtap::test::fixtures() { return live_fixtures("afpacket", open_afpacket); }
