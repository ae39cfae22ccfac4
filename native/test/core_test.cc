#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/desc.h"
#include "core/new_descriptors.h"
#include "core/region.h"
#include "core/text.h"
#include "test/conformance.h"

using namespace ringtap;

TEST_CASE("a descriptor block lays its arrays out without overlap") {
  DescBlock block(7);
  for (uint32_t i = 0; i < 7; i++) {
    block.set(i, PacketDesc{.offset = i,
                            .caplen = i + 1,
                            .wirelen = i + 2,
                            .time_ns = (int64_t{1} << 53) + 1 + 2 * i,
                            .flags = 0,
                            .hash = i + 5,
                            .queue = 6,
                            .vlan = 7});
  }
  block.control[0] = 8;
  block.control[1] = 9;
  block.control[2] = 10;
  for (uint32_t i = 0; i < 7; i++) {
    CHECK(block.offset[i] == i);
    CHECK(block.caplen[i] == i + 1);
    CHECK(block.wirelen[i] == i + 2);
    CHECK(static_cast<int64_t>(block.time[i]) + static_cast<int64_t>(block.rest[i]) == (int64_t{1} << 53) + 1 + 2 * i);
    CHECK(block.flags[i] == kFlagTimeInexact);
    CHECK(block.hash[i] == i + 5);
    CHECK(block.queue[i] == 6);
    CHECK(block.vlan[i] == 7);
  }
  block.poison(2, 4);
  CHECK(block.offset[1] == 1);
  CHECK(block.offset[2] == DescBlock::kPoison);
  CHECK(block.offset[3] == DescBlock::kPoison);
  CHECK(block.offset[4] == 4);
  CHECK(reinterpret_cast<std::byte*>(block.control + 4) == block.data() + block.bytes());
}

TEST_CASE("a time is exact, wherever it is: in `time` where a double holds it, and with `rest` beyond") {
  DescBlock block(1);
  constexpr int64_t kExact = int64_t{1} << 53;
  for (const int64_t ns : {int64_t{0}, int64_t{-1}, kExact - 1, kExact, kExact + 1, -kExact, -kExact - 1, INT64_MAX,
                           INT64_MAX - 512, INT64_MIN, INT64_MIN + 1, int64_t{1'700'000'000'123'456'789}}) {
    CAPTURE(ns);
    block.set_basic(0, 0, 0, 0, ns, kFlagOutgoing);
    const bool inexact = ns > kExact || ns < -kExact;
    CHECK(block.flags[0] == (kFlagOutgoing | (inexact ? kFlagTimeInexact : 0)));
    CHECK(block.time[0] == static_cast<double>(ns));
    if (!inexact) continue;
    // The sum is out of an int64's reach on the way, but not modulo 2^64.
    const double half = block.time[0] / 2;
    const auto time = 2 * static_cast<uint64_t>(static_cast<int64_t>(half));
    CHECK(time + static_cast<uint64_t>(static_cast<int64_t>(block.rest[0])) == static_cast<uint64_t>(ns));
  }
}

TEST_CASE("memory of our own is left out when the process forks") {
  const auto region = Region::allocate(1 << 20);
  REQUIRE(region);
  CHECK(test::kept_from_children((*region)->base()));
  CHECK_FALSE(test::kept_from_children(&region));
}

TEST_CASE("descriptors that are opened meanwhile are closed in child processes, and no others") {
  int old_pipe[2];
  int new_pipe[2];
  REQUIRE(pipe(old_pipe) == 0);
  NewDescriptors opened;
  REQUIRE(pipe(new_pipe) == 0);
  CHECK(opened.keep().size() == 2);
  for (const int fd : old_pipe) CHECK(fcntl(fd, F_GETFD) == 0);
  for (const int fd : new_pipe) CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
  for (const int fd : {old_pipe[0], old_pipe[1], new_pipe[0], new_pipe[1]}) close(fd);
}

TEST_CASE("a region is freed by its last owner, whoever that is") {
  int freed = 0;
  auto first = std::make_shared<Region>(nullptr, 0, [&](std::byte*, size_t) { freed++; });
  auto second = first;
  first.reset();
  CHECK(freed == 0);
  second.reset();
  CHECK(freed == 1);
}

TEST_CASE("a list in a line is split where its separators are, and a last one ends it") {
  using Pieces = std::vector<std::string>;
  CHECK(ringtap::split("", ',') == Pieces{});
  CHECK(ringtap::split("a", ',') == Pieces{"a"});
  CHECK(ringtap::split("a,,b,", ',') == Pieces{"a", "", "b"});
  CHECK(ringtap::split(",", ',') == Pieces{""});
  CHECK(ringtap::lines_of("one\ntwo") == Pieces{"one", "two"});
}

#ifdef __linux__
TEST_CASE("a file whose size the kernel does not tell is read whole, and one that is missing is empty") {
  CHECK(ringtap::content_of("/proc/kallsyms").size() > 100'000);
  CHECK(ringtap::content_of("/proc/no such file").empty());
}
#endif
