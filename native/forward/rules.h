// Which packets are sent on, and as what.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/error.h"
#include "forward/address.h"
#include "forward/ledger.h"
#include "forward/nat.h"

namespace ringtap::forward {

/// One of the two sides of a rule: who is there, and who we are for him.
struct Side {
  uint16_t port = 0;     // of the forwarder: an interface
  Address peer;          // client or server
  Address own;           // that of the rule there; the kernel does not hold it
  uint8_t own_bits = 0;  // of its network; 0: everybody is on the link
  std::optional<Address> gateway = {};

  /// Whose link-layer address the peer's packets are sent to.
  const Address& next_hop(const Address& to) const noexcept {
    return gateway && !(own_bits > 0 && to.is_in(own, own_bits)) ? *gateway : to;
  }
  bool operator==(const Side&) const = default;
};

enum class Kind : uint8_t {
  kPair,    // one client, one server
  kNat,     // the clients of a network, and one server
  kGeneve,  // datagrams of balancers, that go back to where they came from
};

/// `sides[0]` has the client, `sides[1]` the server. Of GENEVE `sides[0]` has the balancers and an address of the
/// host's; the other one is the same.
struct Rule {
  std::string name;
  std::array<Side, 2> sides;
  Kind kind = Kind::kPair;
  uint8_t client_bits = 0;  // clients, or balancers, are the network of `sides[0].peer` that has so many bits
  NatSettings settings = {};
  /// Direction 0 goes to the server. Kept as long as the rule is the same, whichever others come and go.
  std::shared_ptr<std::array<Ledger, 2>> ledgers;
  /// Of kNat: its conversations, which are kept as long as the ledgers.
  std::shared_ptr<Nat> nat = {};

  bool is_same(const Rule& other) const {
    return name == other.name && sides == other.sides && kind == other.kind && client_bits == other.client_bits &&
           settings == other.settings;
  }
};

/// Rules that are in force together. Never changed: another one takes its place.
class Table {
 public:
  /// BAD_OPTION: two rules have the same name, or want the same packets.
  static Result<std::shared_ptr<const Table>> create(std::vector<Rule> rules);

  struct Match {
    const Rule* rule = nullptr;
    uint8_t direction = 0;
  };
  /// Of packets that arrive there, from a peer to an address of ours.
  std::optional<Match> find(uint16_t port, const Address& from, const Address& to) const noexcept;
  bool owns(uint16_t port, const Address& address) const noexcept { return owned_.contains({port, address, {}}); }
  /// Addresses of ours there.
  std::vector<Address> owned(uint16_t port) const;
  /// The rule for GENEVE to this address; null where there is none.
  const Rule* tunnel(uint16_t port, const Address& to) const noexcept;
  /// Addresses of the host's there that GENEVE is taken from.
  std::vector<Address> tunnels(uint16_t port) const;
  const std::vector<Rule>& rules() const noexcept { return rules_; }
  bool has(const Ledger* ledger) const noexcept;

 private:
  struct Key {
    uint16_t port;
    Address own;
    Address peer;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    size_t operator()(const Key& key) const noexcept { return hash_of(key.peer, hash_of(key.own, key.port)); }
  };

  struct Clients {
    Address network;
    uint8_t bits;
    const Rule* rule;
  };
  Result<Ok> add(const Rule& rule);
  Result<Ok> add_clients(const Rule& rule);

  std::vector<Rule> rules_;
  std::unordered_map<Key, Match, Hash> matches_;
  std::unordered_map<Key, std::vector<Clients>, Hash> clients_;  // of an address of ours, the longest network first
  std::unordered_map<Key, uint32_t, Hash> owned_;
  std::unordered_map<Key, const Rule*, Hash> tunnels_;
};

}  // namespace ringtap::forward
