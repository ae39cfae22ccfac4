#include "backends/afxdp/afxdp.h"
#include "test/conformance_lab.h"

std::vector<ringtap::test::Fixture> ringtap::test::fixtures() { return live_fixtures("afxdp", open_afxdp); }
