// What a filter decides does not depend on who decides it: a kernel that sees no VLAN tags and user space behind it
// keep what the program alone would.
#include "filter/placement.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "core/snaplen.h"
#include "filter/opcodes.h"

using namespace ringtap;
using namespace ringtap::bpf;

namespace {

using Bytes = std::vector<std::byte>;

/// Keeps `accept` bytes of packets whose byte at `offset` is odd.
Program odd(uint32_t offset, uint32_t accept = 0xffff) {
  return {{.code = kLd | kB | kAbs, .k = offset},
          {.code = kJmp | kJset | kK, .jt = 0, .jf = 1, .k = 1},
          {.code = kRet | kK, .k = accept},
          {.code = kRet | kK, .k = 0}};
}

/// Keeps the number of bytes that stands in a packet's byte at `offset`.
Program as_many_as(uint32_t offset) { return {{.code = kLd | kB | kAbs, .k = offset}, {.code = kRet | kA}}; }

/// Jumps backwards for ever.
Program endless() { return {{.code = kJmp | kJa, .k = 0xffffffff}, {.code = kRet | kK, .k = 1}}; }

Bytes frame(std::mt19937& random) {
  Bytes bytes(random() % 64);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  if (bytes.size() >= 14 && random() % 2 == 0) {
    bytes[12] = std::byte{0x81};
    bytes[13] = std::byte{0x00};
  }
  return bytes;
}

uint32_t size_of(const Bytes& bytes) { return static_cast<uint32_t>(bytes.size()); }

uint32_t alone(const Program& program, const Bytes& bytes) {
  return FilterVm(program).run(bytes.data(), size_of(bytes), size_of(bytes));
}

uint32_t keep(UserFilter& filter, const Bytes& bytes) {
  return filter.keep(bytes.data(), size_of(bytes), size_of(bytes));
}

/// A kernel that takes every program.
struct Willing {
  Program taken;
  KernelFilter with(bool cuts = true, Judged left = Judged::kTagged) {
    const auto attach = [this](const Program& program) {
      taken = program;
      return std::string();
    };
    return {.attach = attach, .left = left, .cuts = cuts};
  }
};

/// Whom the bytes of what was kept are the same to.
uint32_t shown(const Bytes& bytes, uint32_t kept) { return std::min(kept, size_of(bytes)); }

}  // namespace

TEST_CASE("without a filter nothing is judged and everything kept") {
  UserFilter filter;
  std::mt19937 random(1);
  CHECK(filter.judged() == Judged::kNone);
  for (int i = 0; i < 100; i++) CHECK(keep(filter, frame(random)) == kMaxSnaplen);
  CHECK(filter.filtered() == 0);
  CHECK_FALSE(filter.judges(true));
}

TEST_CASE("kernel and user space together keep what the program alone keeps, and each rejected packet is counted") {
  std::mt19937 random(2);
  for (const bool cuts : {true, false}) {
    for (const bool willing : {true, false}) {
      for (const Program& program : {odd(20), odd(20, 30), as_many_as(5)}) {
        CAPTURE(cuts);
        CAPTURE(willing);
        Willing kernel;
        UserFilter filter;
        KernelFilter way = kernel.with(cuts);
        if (!willing) way.attach = [](const Program&) { return std::string("no"); };
        filter.place(program, way);
        uint64_t rejected = 0;
        for (int i = 0; i < 5000; i++) {
          const Bytes bytes = frame(random);
          const bool tagged = has_vlan_tag(bytes.data(), size_of(bytes));
          const uint32_t wanted = alone(program, bytes);
          uint32_t comes = kMaxSnaplen;
          // Of what has no tag the kernel lets through what its program accepts, cut to that where it cuts.
          if (willing && !tagged) {
            const uint32_t answer = alone(kernel.taken, bytes);
            if (answer == 0) {
              REQUIRE(wanted == 0);
              continue;
            }
            if (cuts) comes = answer;
          }
          filter.renew();
          const uint32_t kept = keep(filter, bytes);
          rejected += kept == 0;
          REQUIRE(shown(bytes, std::min(kept, comes)) == shown(bytes, wanted));
        }
        CHECK(filter.filtered() == rejected);
        CHECK(rejected > 0);
      }
    }
  }
}

TEST_CASE("a filter that the kernel takes is judged here for tagged frames alone, and its placement says so") {
  Willing kernel;
  UserFilter filter;
  const FilterPlacement placed = filter.place(odd(20), kernel.with());
  CHECK(placed.where == FilterPlace::kKernel);
  CHECK(placed.reason.find("VLAN-tagged") != std::string::npos);
  CHECK(kernel.taken == odd(20));
  CHECK(filter.judges(true));
  CHECK_FALSE(filter.judges(false));

  UserFilter none;
  const FilterPlacement whole = none.place(odd(20), kernel.with(true, Judged::kNone));
  CHECK(whole.where == FilterPlace::kKernel);
  CHECK(whole.reason.empty());
  CHECK_FALSE(none.judges(true));
}

TEST_CASE("a kernel that says yes or no is told the length by us, or judged again where it differs") {
  Willing kernel;
  UserFilter one;
  CHECK(one.place(odd(20, 30), kernel.with(false)).where == FilterPlace::kKernel);
  CHECK(one.judged() == Judged::kTagged);
  CHECK(one.kept() == 30);

  UserFilter several;
  const FilterPlacement placed = several.place(as_many_as(5), kernel.with(false));
  CHECK(placed.where == FilterPlace::kKernel);
  CHECK(placed.reason.find("how many bytes to keep") != std::string::npos);
  CHECK(several.judged() == Judged::kAll);

  CHECK(common_length(odd(0, 7)) == 7u);
  CHECK(common_length({{.code = kRet | kK, .k = 0}}) == kMaxSnaplen);
  CHECK_FALSE(common_length(as_many_as(0)));
  CHECK_FALSE(common_length(
      {{.code = kJmp | kJeq | kK, .jt = 0, .jf = 1}, {.code = kRet | kK, .k = 1}, {.code = kRet | kK, .k = 2}}));
}

TEST_CASE("what a kernel refuses, or would refuse, runs here whole and with the reason") {
  UserFilter refused;
  const FilterPlacement placed = refused.place(
      odd(20), {.attach = [](const Program&) { return std::string("the kernel refused the program: no"); }});
  CHECK(placed.where == FilterPlace::kUser);
  CHECK(placed.reason == "the kernel refused the program: no");
  CHECK(refused.judged() == Judged::kAll);
  CHECK_FALSE(refused.takes_long());

  bool asked = false;
  UserFilter loop;
  const FilterPlacement there = loop.place(endless(), {.attach = [&](const Program&) {
                                             asked = true;
                                             return std::string();
                                           }});
  CHECK(there.where == FilterPlace::kUser);
  CHECK(there.reason.find("protochain") != std::string::npos);
  CHECK_FALSE(asked);
  CHECK(loop.takes_long());
}

TEST_CASE("a budget is used up by a few packets that take for ever, and there again at the next receive()") {
  UserFilter filter;
  filter.place_here(endless(), "");
  const Bytes bytes(60);
  filter.renew();
  uint64_t packets = 0;
  for (; !filter.used_up(); packets++) REQUIRE(keep(filter, bytes) == 0);
  CHECK(packets <= 3);
  filter.renew();
  CHECK_FALSE(filter.used_up());
  CHECK(filter.filtered() == packets);
}

TEST_CASE("of a packet whose type nobody tells the most is kept that any type would keep") {
  const Program by_type{{.code = kLd | kW | kAbs, .k = kPacketType}, {.code = kRet | kA}};
  UserFilter filter(FilterVm::Metadata::kIsRead);
  filter.place_here(by_type, "");
  const Bytes bytes(60);
  const auto most = [&](std::vector<PacketMetadata> possible) {
    return filter.run(bytes.data(), 60, 60, std::span<const PacketMetadata>(possible));
  };
  CHECK(most({{.type = 4}, {.type = 0}, {.type = 3}}) == 4);
  CHECK(filter.filtered() == 0);
  CHECK(most({{.type = 0}}) == 0);
  CHECK(filter.filtered() == 1);
  CHECK(filter.run(bytes.data(), 60, 60, {.type = 2}) == 2);
}

TEST_CASE("placed anew, elsewhere, nothing is judged here any more") {
  UserFilter filter;
  filter.place_here(endless(), "");
  filter.place_elsewhere(40);
  CHECK(filter.judged() == Judged::kNone);
  CHECK_FALSE(filter.takes_long());
  CHECK(keep(filter, Bytes(60)) == 40);
}

TEST_CASE("a VLAN tag is one of the two types in the place of a type, and within the bytes that were captured") {
  Bytes bytes(14);
  const auto with = [&](int high, int low) {
    bytes[12] = static_cast<std::byte>(high);
    bytes[13] = static_cast<std::byte>(low);
    return has_vlan_tag(bytes.data(), 14);
  };
  CHECK(with(0x81, 0x00));
  CHECK(with(0x88, 0xa8));
  CHECK_FALSE(with(0x08, 0x00));
  CHECK_FALSE(with(0x00, 0x81));
  with(0x81, 0x00);
  CHECK_FALSE(has_vlan_tag(bytes.data(), 13));
}
