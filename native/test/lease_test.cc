// Leases beside simple models of what they promise: random sequences of lending and giving back.
#include "core/lease.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include "core/arena.h"

using namespace ringtap;

namespace {

constexpr int kSteps = 20'000;
constexpr uint32_t kCapacities[] = {1, 2, 3, 16, 100};

template <class T>
T taken_from(std::vector<T>& all, size_t which) {
  std::swap(all[which], all.back());
  T one = all.back();
  all.pop_back();
  return one;
}

}  // namespace

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

TEST_CASE("a pool gives each of its pieces to one taker at a time, the warmest first") {
  for (const uint32_t size : kCapacities) {
    CAPTURE(size);
    std::mt19937 random(size);
    Pool pool(size);
    std::set<uint32_t> out;
    for (int step = 0; step < kSteps; step++) {
      REQUIRE(pool.taken() == out.size());
      REQUIRE(pool.empty() == (out.size() == size));
      if (!pool.empty() && random() % 2 == 0) {
        const uint32_t next = pool.next();
        REQUIRE(pool.take() == next);
        REQUIRE(next < size);
        REQUIRE(out.insert(next).second);
      } else if (!out.empty()) {
        const auto piece = std::next(out.begin(), static_cast<ptrdiff_t>(random() % out.size()));
        pool.give(*piece);
        REQUIRE(pool.next() == *piece);
        out.erase(piece);
      }
    }
  }
}

TEST_CASE("whatever is lent and given back, each lease brings its own tag back, and a number of its own") {
  for (const uint32_t capacity : kCapacities) {
    CAPTURE(capacity);
    std::mt19937 random(capacity);
    LeaseTable table(capacity);
    std::map<Lease, uint32_t> out;  // tag by lease
    std::vector<Lease> stale;
    for (int step = 0; step < kSteps; step++) {
      REQUIRE(table.outstanding() == out.size());
      REQUIRE(table.full() == (out.size() == capacity));
      const uint32_t tag = random();
      if (random() % 2 == 0) {
        const std::optional<uint32_t> next = table.full() ? std::nullopt : std::optional(table.next());
        const auto lease = table.acquire(tag);
        REQUIRE(lease.has_value() == next.has_value());
        if (!lease) continue;
        REQUIRE(*lease != 0);
        REQUIRE(*next < capacity);
        for (const auto& [other, unused] : out) REQUIRE(static_cast<uint32_t>(other) != *next);
        REQUIRE(static_cast<uint32_t>(*lease) == *next);
        REQUIRE(out.emplace(*lease, tag).second);
      } else if (!out.empty()) {
        const auto one = std::next(out.begin(), static_cast<ptrdiff_t>(random() % out.size()));
        REQUIRE(table.release(one->first) == one->second);
        stale.push_back(one->first);
        out.erase(one);
      }
      if (!stale.empty()) REQUIRE_FALSE(table.release(stale[random() % stale.size()]).has_value());
    }
  }
}

TEST_CASE("stretches of a ring are free in its order, in whatever order their leases come back") {
  struct Lent {
    Lease lease;
    uint64_t end;
    bool back;
  };
  for (const uint32_t capacity : kCapacities) {
    CAPTURE(capacity);
    std::mt19937 random(capacity);
    uint64_t at = random() % 1000;
    OrderedLeases leases(capacity, at);
    // The model: everything that was lent, in the ring's order. What nobody wants is a part of what was before it.
    uint64_t freed = at;
    std::deque<Lent> ring;
    std::vector<Lease> out;
    std::vector<Lease> stale;
    for (int step = 0; step < kSteps; step++) {
      REQUIRE(leases.freed() == freed);
      REQUIRE(leases.outstanding() == out.size());
      REQUIRE(leases.full() == (out.size() == capacity));
      switch (random() % 5) {
        case 0:
          at += 1 + random() % 100;
          leases.skip(at);
          (ring.empty() ? freed : ring.back().end) = at;
          break;
        case 1:
        case 2: {
          if (leases.full()) break;
          at += 1 + random() % 100;
          const Lease lease = leases.lend(at);
          REQUIRE(lease != 0);
          ring.push_back({lease, at, false});
          out.push_back(lease);
          break;
        }
        default: {
          if (out.empty()) break;
          const Lease lease = taken_from(out, random() % out.size());
          REQUIRE(leases.release(lease));
          stale.push_back(lease);
          std::find_if(ring.begin(), ring.end(), [lease](const Lent& lent) { return lent.lease == lease; })->back =
              true;
          // What came back in the middle is the neighbour's until that is back.
          while (ring.size() > 1 && ring.back().back) {
            ring[ring.size() - 2].end = ring.back().end;
            ring.pop_back();
          }
          while (!ring.empty() && ring.front().back) {
            freed = ring.front().end;
            ring.pop_front();
          }
        }
      }
      if (!stale.empty()) {
        REQUIRE_FALSE(leases.release(stale[random() % stale.size()]));
        REQUIRE(leases.freed() == freed);
      }
    }
    while (!out.empty()) REQUIRE(leases.release(taken_from(out, random() % out.size())));
    CHECK(leases.freed() == at);
  }
}

TEST_CASE("positions may begin anew at the ring's end") {
  OrderedLeases leases(2, 96);
  const Lease first = leases.lend(128);
  leases.skip(0);
  const Lease second = leases.lend(32);
  CHECK(leases.release(second));
  CHECK(leases.freed() == 96);
  CHECK(leases.release(first));
  CHECK(leases.freed() == 32);
}

TEST_CASE("an arena lends each of its chunks to one reader at a time") {
  auto arena = Arena::allocate(0, 65536);
  REQUIRE(arena);
  std::mt19937 random(5);
  std::map<Lease, uint32_t> out;  // offset by lease
  for (int step = 0; step < kSteps; step++) {
    REQUIRE(arena->exhausted() == (out.size() == arena->chunks()));
    if (!arena->exhausted() && random() % 2 == 0) {
      const uint32_t offset = arena->next_offset();
      REQUIRE(offset + arena->chunk_bytes() <= arena->region()->bytes());
      for (const auto& [lease, other] : out) {
        REQUIRE((offset + arena->chunk_bytes() <= other || other + arena->chunk_bytes() <= offset));
      }
      out.emplace(arena->lend(), offset);
    } else if (!out.empty()) {
      const auto one = std::next(out.begin(), static_cast<ptrdiff_t>(random() % out.size()));
      REQUIRE(arena->release(one->first));
      REQUIRE_FALSE(arena->release(one->first));
      REQUIRE((arena->exhausted() || arena->next_offset() == one->second));
      out.erase(one);
    }
  }
}
