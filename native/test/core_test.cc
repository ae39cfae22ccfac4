#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/desc.h"
#include "core/lease.h"
#include "core/new_descriptors.h"
#include "core/region.h"

using namespace ringtap;

TEST_CASE("a lease is released once, in any order, and never twice") {
  LeaseTable table(3);
  const auto a = table.acquire(10);
  const auto b = table.acquire(20);
  const auto c = table.acquire(30);
  CHECK(table.full());
  CHECK_FALSE(table.acquire(40).has_value());
  CHECK(table.release(*b) == 20u);
  CHECK_FALSE(table.release(*b).has_value());
  const auto d = table.acquire(50);
  CHECK(*d != *b);
  CHECK_FALSE(table.release(*b).has_value());
  CHECK(table.release(*d) == 50u);
  CHECK(table.release(*a) == 10u);
  CHECK(table.release(*c) == 30u);
  CHECK(table.outstanding() == 0);
  CHECK_FALSE(table.release(0).has_value());
  CHECK_FALSE(table.release(~Lease{0}).has_value());
}

TEST_CASE("a descriptor block lays its arrays out without overlap") {
  DescBlock block(7);
  for (uint32_t i = 0; i < 7; i++) {
    block.set(i, PacketDesc{.offset = i,
                            .caplen = i + 1,
                            .wirelen = i + 2,
                            .time_ns = i + 3,
                            .flags = i + 4,
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
    CHECK(block.time[i] == i + 3);
    CHECK(block.flags[i] == i + 4);
    CHECK(block.hash[i] == i + 5);
    CHECK(block.queue[i] == 6);
    CHECK(block.vlan[i] == 7);
  }
  block.poison(2, 4);
  CHECK(block.offset[1] == 1);
  CHECK(block.offset[2] == DescBlock::kPoison);
  CHECK(block.offset[3] == DescBlock::kPoison);
  CHECK(block.offset[4] == 4);
  CHECK(reinterpret_cast<std::byte*>(block.control + 3) == block.data() + block.bytes());
}

TEST_CASE("descriptors that are opened meanwhile are closed in child processes, and no others") {
  int old_pipe[2];
  int new_pipe[2];
  REQUIRE(pipe(old_pipe) == 0);
  const NewDescriptors opened;
  REQUIRE(pipe(new_pipe) == 0);
  opened.close_on_exec();
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
