// Many clients behind one address: which of their ports is which of ours.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <span>
#include <unordered_map>
#include <vector>

#include "forward/frame.h"
#include "forward/ledger.h"

namespace ringtap::forward {

/// How a conversation stands, which says how long it is kept while nobody says anything.
enum class Stage : uint8_t { kEstablished, kTransitory, kClosing, kUdp, kIcmp, kCount };
inline constexpr size_t kStages = static_cast<size_t>(Stage::kCount);

/// Bounds of a table. The times are those of RFC 5382, RFC 4787 and RFC 5508, but for closing, which is Linux's.
struct NatSettings {
  uint16_t first_port = 1024;  // of ours: of TCP and UDP; ICMP has all ids
  uint16_t last_port = 65535;
  uint32_t most_entries = 65536;
  uint32_t most_per_client = 1024;
  std::array<int64_t, kStages> timeouts_ns = {7'440'000'000'000, 240'000'000'000, 120'000'000'000, 120'000'000'000,
                                              60'000'000'000};
  bool operator==(const NatSettings&) const = default;
};

/// Written by the thread that forwards, read by any.
struct NatLedger {
  Counter entries;    // conversations that there are
  Counter clients;    // who has some
  Counter created;    // ever
  Counter expired;    // after their time without packets
  Counter fragments;  // of packets, whose later fragments are awaited
};

/// Conversations of clients with one server. Each has a port of ours, the client's own where that is free: no other
/// conversation with that port of the server has it until this one has expired. Used by one thread, but for ledger().
class Nat {
 public:
  static constexpr int64_t kFragmentNs = 30'000'000'000;  // as Linux keeps fragments
  static constexpr size_t kMostFragments = 4096;

  /// `seed`: of the choice of ports, and against clients that choose theirs so that look-ups are slow.
  Nat(const NatSettings& settings, uint64_t seed);

  /// What a packet is to say.
  struct Mapping {
    Address client;
    uint16_t client_port = 0;
    uint16_t port = 0;  // ours
  };
  /// Either, or why not.
  struct Outcome {
    std::optional<Drop> drop = {};
    Mapping mapping = {};
  };
  /// Of a packet that a client sends (direction 0), or the server (1), which can be rewritten.
  Outcome translate(uint8_t direction, std::span<const std::byte> frame, const Network& ip, int64_t now);
  /// Of a packet that came the other way, and that an ICMP error quotes.
  Outcome of_quote(uint8_t direction, std::span<const std::byte> frame, const Network& quote, int64_t now);

  /// Forgets up to `most` conversations whose time is over, and what is awaited of old fragments.
  void expire(int64_t now, size_t most = SIZE_MAX) noexcept;

  const NatSettings& settings() const noexcept { return settings_; }
  const NatLedger& ledger() const noexcept { return ledger_; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct ClientKey {
    Address client;
    uint16_t client_port;
    uint16_t server_port;
    uint8_t protocol;
    bool operator==(const ClientKey&) const = default;
  };
  struct FragmentKey {
    Address from, to;
    uint32_t id;
    uint8_t protocol;
    bool operator==(const FragmentKey&) const = default;
  };
  struct Hash {
    size_t seed = 0;
    size_t operator()(uint64_t key) const noexcept { return mix(seed, key ^ (key >> 29)); }
    size_t operator()(const Address& address) const noexcept { return hash_of(address, seed); }
    size_t operator()(const ClientKey& key) const noexcept {
      return mix(hash_of(key.client, seed),
                 uint64_t{key.client_port} << 32 | uint64_t{key.server_port} << 8 | key.protocol);
    }
    size_t operator()(const FragmentKey& key) const noexcept {
      return mix(hash_of(key.from, hash_of(key.to, seed)), uint64_t{key.id} << 8 | key.protocol);
    }
  };
  struct Entry {
    Mapping mapping;
    uint16_t server_port = 0;  // 0: of ICMP
    uint8_t protocol = 0;
    Stage stage = Stage::kTransitory;
    uint8_t spoke = 0;  // TCP: bits of the directions that said something
    uint8_t ended = 0;  // and of those that said FIN
    int64_t used = 0;
    uint32_t before = kNone, after = kNone;  // of the same stage, the one that was used last at the end
    uint32_t generation = 0;
  };
  struct List {
    uint32_t first = kNone, last = kNone;
  };
  struct Awaited {
    uint32_t entry;
    uint32_t generation;
    int64_t since;
  };
  struct Said;

  static uint64_t server_key(uint8_t protocol, uint16_t port, uint16_t server_port) noexcept {
    return uint64_t{protocol} << 32 | uint64_t{port} << 16 | server_port;
  }
  std::optional<Said> read(uint8_t direction, std::span<const std::byte> frame, const Network& ip) const noexcept;
  uint32_t find(uint8_t direction, const Address& client, const Said& said) const noexcept;
  Outcome begin(const Address& client, const Said& said, int64_t now);
  std::optional<uint16_t> free_port(const Said& said);
  Outcome of_fragment(std::span<const std::byte> frame, const Network& ip, int64_t now);
  void await_fragments(uint32_t index, std::span<const std::byte> frame, const Network& ip, int64_t now);
  void advance(Entry& entry, uint8_t direction, const Said& said) noexcept;
  void touch(uint32_t index, Stage stage, int64_t now) noexcept;
  void unlink(uint32_t index) noexcept;
  void erase(uint32_t index) noexcept;

  const NatSettings settings_;
  std::minstd_rand random_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> free_;  // of them
  std::array<List, kStages> lists_;
  std::unordered_map<ClientKey, uint32_t, Hash> by_client_;
  std::unordered_map<uint64_t, uint32_t, Hash> by_server_;
  std::unordered_map<Address, uint32_t, Hash> clients_;  // how many conversations each has
  std::unordered_map<uint64_t, uint32_t, Hash> taken_;   // ports of ours, for each port of the server
  std::unordered_map<FragmentKey, Awaited, Hash> fragments_;
  std::deque<std::pair<FragmentKey, int64_t>> fragment_order_;
  NatLedger ledger_;
};

}  // namespace ringtap::forward
