// Which ports the later fragments of a datagram belong to.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <new>

#include "flow/key.h"

namespace ringtap::flow {

/// Remembers the first fragments of the last 30 seconds, as many as there is room for; the oldest one goes first. So a
/// flood of fragments costs its own, and no memory. That is taken with the first fragment; where there is none, nothing
/// is remembered.
class Fragments {
 public:
  explicit Fragments(const KeyedHash& hash) : hash_(hash) {}

  /// @param key of addresses without ports @param from_b which way it goes
  void remember(const Key& key, uint32_t id, bool from_b, int64_t now, uint16_t source_port,
                uint16_t destination_port) noexcept {
    if (rows_ == nullptr) rows_.reset(new (std::nothrow) Row[kRows]());
    if (rows_ == nullptr) return;
    Row& row = row_of(key, id);
    Entry* entry = row.data();
    for (Entry& each : row) {
      if (each.is(key, id, from_b)) {
        entry = &each;
        break;
      }
      if (each.time < entry->time) entry = &each;
    }
    *entry = {.key = key,
              .time = now,
              .id = id,
              .source_port = source_port,
              .destination_port = destination_port,
              .from_b = from_b};
  }

  struct Ports {
    uint16_t source = 0;
    uint16_t destination = 0;
    bool found = false;
  };

  Ports find(const Key& key, uint32_t id, bool from_b, int64_t now) noexcept {
    if (rows_ == nullptr) return {};
    for (const Entry& each : row_of(key, id)) {
      if (each.is(key, id, from_b) && now - each.time <= kKeptNs)
        return {each.source_port, each.destination_port, true};
    }
    return {};
  }

 private:
  static constexpr uint32_t kRows = 4096;
  static constexpr int64_t kKeptNs = 30'000'000'000;

  struct Entry {
    Key key{};
    int64_t time = INT64_MIN / 2;
    uint32_t id = 0;
    uint16_t source_port = 0;
    uint16_t destination_port = 0;
    bool from_b = false;

    bool is(const Key& other, uint32_t other_id, bool other_from_b) const noexcept {
      return id == other_id && from_b == other_from_b && key.words == other.words;
    }
  };
  using Row = std::array<Entry, 4>;

  Row& row_of(const Key& key, uint32_t id) noexcept {
    Key with_id = key;
    with_id.words[4] ^= uint64_t{id} << 32;
    return rows_[hash_(with_id) % kRows];
  }

  KeyedHash hash_;
  std::unique_ptr<Row[]> rows_;
};

}  // namespace ringtap::flow
