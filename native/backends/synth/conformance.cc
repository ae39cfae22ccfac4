#include "test/conformance.h"

#include <cmath>

#include "backends/synth/synth.h"

namespace ringtap::test {
namespace {

constexpr double kPackets = 20'000;
constexpr double kRate = 100'000;

/// Packet k is stamped k gaps after the epoch.
Fixture synth(std::string name, double gap_ns, std::function<void(Options&)> adjust) {
  Fixture fixture;
  fixture.name = std::move(name);
  fixture.endless = true;
  fixture.ends_after = static_cast<uint64_t>(kPackets);
  fixture.open = [adjust = std::move(adjust)](Options options) {
    options.set("sizes", "64-300");
    adjust(options);
    return open_synth({.uri = "synth:", .target = "", .options = std::move(options)});
  };
  fixture.number = [gap_ns](const Packet& packet) -> std::optional<uint64_t> {
    const double number = std::round(packet.time_ns / gap_ns);
    if (std::abs(number * gap_ns - packet.time_ns) > 1) return std::nullopt;
    return static_cast<uint64_t>(number);
  };
  return fixture;
}

}  // namespace

std::vector<Fixture> fixtures() {
  Fixture failing = synth("synth with errorAfter", 1000, [](Options& o) { o.set("errorAfter", kPackets); });
  failing.end = Rx::kError;
  return {
      synth("synth", 1000, [](Options& o) { o.set("count", kPackets); }),
      synth("synth with rate", 1e9 / kRate,
            [](Options& o) {
              o.set("count", kPackets);
              o.set("rate", kRate);
            }),
      failing,
  };
}

}  // namespace ringtap::test
