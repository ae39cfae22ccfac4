#include <cstdlib>

#include "backends/pfring/pfring.h"
#include "test/conformance_lab.h"

namespace ringtap::test {

namespace {

/// The same interface by another way into PF_RING: the module and the library are stand-ins (native/test/pfring).
Fixture through(const Fixture& live, const char* name, const char* prefix, const char* path) {
  Fixture fixture = live;
  fixture.name = name;
  // The sender of the lab starts anew at each open(), so it is asked to do so under its own name.
  fixture.open = [=](Options options) {
    options.set("path", std::string(path));
    options.set("target", std::string(prefix));
    return live.open(std::move(options));
  };
  return fixture;
}

Result<std::unique_ptr<Source>> open_prefixed(const OpenRequest& request) {
  OpenRequest other = request;
  other.target = request.options.text("target") + request.target;
  return open_pfring(other);
}

}  // namespace

std::vector<Fixture> fixtures() {
  // A small ring: it wraps and fills up.
  setenv("RINGTAP_STANDIN", "slots=256", 1);
  setenv("RINGTAP_LIBPFRING", RINGTAP_PFRING_LIBRARY, 1);
  const std::vector<Fixture> live = live_fixtures("pfring", open_prefixed);
  if (live.empty()) return {};
  Fixture ring = through(live.front(), "pfring ring", "", "ring");
  ring.in_order = true;
  return {ring, through(live.front(), "pfring library", "", "library"),
          through(live.front(), "pfring zc", "zc:", "auto")};
}

}  // namespace ringtap::test
