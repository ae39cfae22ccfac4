// Link-layer addresses of next hops, asked for and kept.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "forward/frame.h"
#include "forward/ledger.h"

namespace ringtap::forward {

/// Who is asked for: on an interface, in the VLAN that the packets are in.
struct Hop {
  uint16_t port = 0;
  uint64_t tags = 0;  // VLAN tags as they stand in a frame, but for priorities
  Address address;
  bool operator==(const Hop&) const = default;
};

/// A packet that waits for its next hop.
struct Waiting {
  std::vector<std::byte> bytes;  // kHeadroom in front
  Frame frame;                   // in it
  std::shared_ptr<std::array<Ledger, 2>> keeps;
  Ledger* ledger = nullptr;
  // What its sender is told with, and where, if nobody answers.
  std::optional<std::vector<std::byte>> complaint = {};
  uint16_t from = 0;
};

/// Asks for an address three times, a second apart, as the kernel does; keeps what is answered for half a minute, and
/// asks again while it is used.
class Neighbours {
 public:
  static constexpr int64_t kRetryNs = 1'000'000'000, kFreshNs = 30'000'000'000, kForgetNs = 120'000'000'000;
  static constexpr int kTries = 3;
  static constexpr size_t kMostWaiting = 16, kMostWaitingBytes = 256 << 10;  // for each hop
  static constexpr size_t kMostHops = 65536, kMostBytes = 16 << 20;          // that wait, for all of them

  struct Request {
    Hop hop;
    Address own;              // who asks
    std::optional<Mac> told;  // an answer that is old: ask there
  };

  /// The address, if it is known; else it is asked for from now on, and wait() takes packets. Requests that have to be
  /// sent are added.
  std::optional<Mac> find(const Hop& hop, const Address& own, int64_t now, std::vector<Request>& requests);
  /// False: there is no room, and it stays the caller's.
  bool wait(const Hop& hop, Waiting&& packet);

  /// Somebody said so. Taken for hops that are asked for or known, only.
  /// @returns what waited for it
  std::deque<Waiting> learn(const Hop& hop, const Mac& mac, int64_t now);

  /// Requests that are due, and packets that have waited in vain.
  void tick(int64_t now, std::vector<Request>& requests, std::vector<Waiting>& failed);
  /// Is something asked for?
  bool is_asking() const noexcept { return asking_ > 0; }
  size_t size() const noexcept { return entries_.size(); }

  /// Every packet that waits leaves.
  std::vector<Waiting> take_all();

 private:
  struct Entry {
    std::optional<Mac> mac;
    Address own;
    int64_t learned = 0;
    int64_t used = 0;
    int64_t asked = 0;
    int tries = 0;  // 0: it is not asked for
    std::deque<Waiting> waiting;
    size_t bytes = 0;
  };
  struct Hash {
    size_t operator()(const Hop& hop) const noexcept { return hash_of(hop.address, mix(hop.port, hop.tags)); }
  };
  std::unordered_map<Hop, Entry, Hash> entries_;
  size_t asking_ = 0;
  size_t bytes_ = 0;  // that wait
};

}  // namespace ringtap::forward
