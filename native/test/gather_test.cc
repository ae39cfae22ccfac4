// How long packets gather.
#include "core/gather.h"

#include <doctest/doctest.h>

using namespace ringtap;

namespace {

constexpr uint32_t kMostMs = 80;
constexpr uint32_t kBlocks = 256;

/// A reader that empties a ring of blocks.
struct Reader {
  Gather gather{kMostMs, 0, kBlocks};
  uint64_t now_us = 5'000'000;

  Reader() { gather.emptied(now_us); }

  /// So much was taken since the last time, `us` ago: how long to sleep, in ms.
  uint32_t pass(uint64_t us, uint32_t blocks, uint32_t packets) {
    for (uint32_t i = 0; i < blocks; i++) gather.took(packets / blocks, 1);
    gather.emptied(now_us += us);
    return gather.ms();
  }
};

}  // namespace

TEST_CASE("the first packets after a silence are waited for, not slept over") {
  Reader reader;
  CHECK(reader.pass(1'000'000, 1, 1) == 0);
  CHECK(reader.pass(10'000, 0, 0) == 0);
  CHECK(reader.pass(60'000'000, 1, 1'000) == 0);
}

TEST_CASE("a thousand packets a second are no load, ten thousand are") {
  Reader reader;
  CHECK(reader.pass(10'000, 1, 10) == 0);
  CHECK(reader.pass(10'000, 1, 99) == 0);
  CHECK(reader.pass(10'000, 1, 100) == kMostMs);
  CHECK(reader.pass(80'000, 8, 800) == kMostMs);
  CHECK(reader.pass(80'000, 8, 200) == 0);
}

TEST_CASE("under load the sleep is as long as fifty thousand packets take, and at most what was promised") {
  Reader reader;
  CHECK(reader.pass(80'000, 8, 8'000) == kMostMs);  // 100 kpps: half a second's worth
  CHECK(reader.pass(10'000, 1, 10'000) == 50);      // 1 Mpps
  CHECK(reader.pass(10'000, 1, 25'000) == 20);
}

TEST_CASE("a sleep is no longer than a quarter of the ring takes to fill") {
  Reader reader;
  CHECK(reader.pass(10'000, 16, 1'600) == 40);
  CHECK(reader.pass(10'000, 64, 6'400) == 10);
  CHECK(reader.pass(40'000, 256, 2'560) == 10);
  CHECK(reader.pass(1'000, 256, 2'560) == 0);

  Gather tiny(kMostMs, 0, 3);  // of which a quarter is nothing
  tiny.emptied(1'000);
  tiny.took(5'000, 1);
  tiny.emptied(11'000);
  CHECK(tiny.ms() == 0);
}

TEST_CASE("what gathers without load, too, does so for as long as was asked for") {
  Gather gather(8, 1, 16'384);
  CHECK(gather.ms() == 1);
  gather.emptied(1'000'000);
  CHECK(gather.ms() == 1);
  gather.took(1, 1);
  gather.emptied(1'001'000);
  CHECK(gather.ms() == 1);
  gather.took(200, 200);
  gather.emptied(1'002'000);
  CHECK(gather.ms() == 8);
  gather.took(4'096, 4'096);  // a quarter of the ring in 8 ms
  gather.emptied(1'010'000);
  CHECK(gather.ms() == 8);
  gather.took(4'096, 4'096);  // in 2 ms
  gather.emptied(1'012'000);
  CHECK(gather.ms() == 2);

  Gather none(0, 0, 16'384);
  none.emptied(1'000'000);
  none.took(1'000, 1'000);
  none.emptied(1'001'000);
  CHECK(none.ms() == 0);
}

TEST_CASE("whether anything was taken is told once") {
  Gather gather(kMostMs, 0, kBlocks);
  CHECK_FALSE(gather.emptied(1'000));
  gather.took(1, 1);
  CHECK(gather.emptied(2'000));
  CHECK_FALSE(gather.emptied(3'000));
}
