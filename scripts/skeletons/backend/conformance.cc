#include <algorithm>
#include <cmath>

#include "backends/@name@/@name@.h"
#include "test/conformance.h"

namespace ringtap::test {
namespace {

constexpr double kPackets = 20'000;
constexpr double kRate = 1'000'000;

/// Packet k is stamped k gaps after the epoch, and every byte of it follows from k.
std::optional<uint64_t> number(const Packet& packet) {
  const auto number = static_cast<uint64_t>(std::llround(packet.time_ns * kRate / 1e9));
  std::byte made[@name@::kFrameBytes];
  @name@::write_frame(made, number);
  if (packet.wirelen != sizeof made || packet.bytes.size() > sizeof made) return std::nullopt;
  if (!std::ranges::equal(packet.bytes, std::span(made).first(packet.bytes.size()))) return std::nullopt;
  return number;
}

}  // namespace

std::vector<Fixture> fixtures() {
  Fixture fixture;
  fixture.name = "@name@";
  fixture.open = [](Options options) {
    options.set("count", kPackets);
    options.set("rate", kRate);
    return open_@name@({.uri = "@name@:", .target = "", .options = std::move(options)});
  };
  fixture.number = number;
  fixture.endless = true;
  fixture.ends_after = static_cast<uint64_t>(kPackets);
  return {fixture};
}

}  // namespace ringtap::test
