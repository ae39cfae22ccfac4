#include "backends/pcap/pcap.h"
#include "test/conformance_lab.h"

// libpcap's blocks are as long as its longest packet: fewer would be too few for a burst.
std::vector<ringtap::test::Fixture> ringtap::test::fixtures() { return live_fixtures("pcap", open_pcap, 16 << 20); }
