// What has become of packets.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace ringtap::forward {

/// Why a packet of a rule was not sent on. lib/inline/stats.ts has the same list.
enum class Drop : uint8_t {
  kTtl,         // its time to live was over; the sender was told
  kTooBig,      // for the way out; the sender was told, where it asked not to be cut
  kMalformed,   // its headers contradict themselves
  kChecksum,    // of its IPv4 header
  kUnresolved,  // nobody answers for the next hop, or too many wait for that
  kLinkDown,    // the way out has no link
  kNoBuffer,    // the way out had no room
  kRefused,     // the kernel refused the frame
  kRedirect,    // an ICMP redirect, which means nothing on the other side
  kClosed,      // it waited when all was closed
  kProtocol,    // address translation knows no ports of it
  kUnmapped,    // it is about no conversation that the table knows, and begins none
  kTableFull,   // the table of conversations
  kClientFull,  // the client has as many conversations as one may have
  kNoPort,      // no port of ours is free
  kFragment,    // the first fragment, which has the ports, has not come before; or GENEVE came in fragments
  kGeneve,      // it is no GENEVE that makes sense
  kCount
};
inline constexpr size_t kDrops = static_cast<size_t>(Drop::kCount);
inline constexpr std::array<const char*, kDrops> kDropNames = {
    "ttl",    "tooBig",   "malformed", "checksum",  "unresolved", "linkDown", "noBuffer", "refused", "redirect",
    "closed", "protocol", "unmapped",  "tableFull", "clientFull", "noPort",   "fragment", "geneve"};

/// Written by the thread that forwards, read by any.
class Counter {
 public:
  void add(uint64_t more = 1) noexcept { value_.store(get() + more, std::memory_order_relaxed); }
  void subtract(uint64_t less) noexcept { value_.store(get() - less, std::memory_order_relaxed); }
  uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

/// Of one rule and one direction: ingress = egress + drops + waiting.
struct Ledger {
  Counter ingress, ingress_bytes;
  Counter egress, egress_bytes;
  Counter waiting;    // for the address of the next hop
  Counter fragments;  // that were made, in place of the packets
  Counter errors;     // ICMP messages that senders were told with
  std::array<Counter, kDrops> drops;

  void drop(Drop why) noexcept { drops[static_cast<size_t>(why)].add(); }
};

/// Of an interface.
struct PortLedger {
  Counter frames;     // that were received
  Counter missed;     // that were lost before
  Counter matched;    // of them of a rule
  Counter answered;   // ARP requests and neighbour solicitations
  Counter asked;      // the same, by us
  Counter unmatched;  // to an address of a rule, but of none of its conversations
  Counter conflicts;  // somebody else says that an address of ours is his
  Counter downs;      // its link was lost
};

}  // namespace ringtap::forward
