// The bump in the wire: what becomes of each frame. It opens nothing and waits for nothing; whoever has the interfaces
// gives it frames and the time, and sends what it says.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "forward/frame.h"
#include "forward/geneve.h"
#include "forward/ledger.h"
#include "forward/messages.h"
#include "forward/neighbours.h"
#include "forward/rewrite.h"
#include "forward/rules.h"

namespace ringtap::forward {

/// Where frames go to.
class Output {
 public:
  virtual ~Output() = default;
  /// Later, in this order. The bytes stay where they are until Engine::flushed(). `ledger`: of the packet, to be told
  /// what became of it; null: it is a part of one, or our own.
  virtual void send(uint16_t port, const Frame& frame, Ledger* ledger) = 0;
};

/// Who looks on. Each call is about bytes that change afterwards.
class Taps {
 public:
  virtual ~Taps() = default;
  virtual void ingress(uint16_t port, const Frame& frame) = 0;
  /// As if nobody were between: the packet that came in, from the one end to the other.
  virtual void synthetic(uint16_t port, const Frame& frame) = 0;
  virtual bool wants_synthetic() const noexcept = 0;
  /// What was sent.
  virtual void egress(uint16_t port, const Frame& frame) = 0;
  /// After some of these.
  virtual void flush() = 0;
};

/// An interface as it is now.
struct Port {
  Mac mac{};
  uint32_t mtu = 1500;
  bool is_up = true;
  PortLedger ledger = {};
};

class Engine {
 public:
  /// The ports are the caller's, and their number never changes. `taps`: null: nobody looks on.
  Engine(std::vector<Port>& ports, Output& output, Taps* taps) : ports_(ports), output_(output), taps_(taps) {}

  /// These rules from now on. New addresses are announced.
  void adopt(std::shared_ptr<const Table> table);

  /// A frame that has arrived, with kHeadroom bytes in front, which may all be changed.
  void receive(uint16_t port, Frame& frame, int64_t now);
  /// Time goes on: at least each 100 ms while is_busy().
  void tick(int64_t now);
  /// Something is asked for, and not answered yet.
  bool is_busy() const noexcept { return neighbours_.is_asking(); }
  /// All that send() was given is gone.
  void flushed() noexcept { scratch_.clear(); }

  /// Asks whether somebody has this address; conflict() says who has answered since. Ends with end_probes().
  void probe(uint16_t port, const Address& address);
  std::optional<Mac> conflict(uint16_t port, const Address& address) const noexcept;
  void end_probes() noexcept { probes_.clear(); }

  /// The end: what waits for a next hop counts as dropped.
  void close();

  static constexpr uint32_t kMostErrorsASecond = 1000;

 private:
  struct Probe {
    uint16_t port;
    Address address;
    std::optional<Mac> conflict;
  };
  struct Packet {
    uint16_t port;
    Frame& frame;
    Link link;
    Network ip;
    Table::Match match;
    int64_t now;
    std::optional<Nat::Mapping> mapping = {};  // of a rule for many clients

    const Side& near() const noexcept { return match.rule->sides[match.direction]; }
    const Side& far() const noexcept { return match.rule->sides[1 - match.direction]; }
    Ledger& ledger() const noexcept { return (*match.rule->ledgers)[match.direction]; }
    const Address& peer(uint8_t side) const noexcept {
      return side == 0 && mapping ? mapping->client : match.rule->sides[side].peer;
    }
    const Address& near_peer() const noexcept { return peer(match.direction); }
    const Address& far_peer() const noexcept { return peer(1 - match.direction); }
  };
  /// Where a packet goes next.
  struct Way {
    Hop hop;
    std::optional<Mac> mac;          // if it is known
    std::optional<Bytes> complaint;  // else: what its sender hears if nobody answers
  };

  void neighbour_told(uint16_t port, const Frame& frame, const Link& link, const NeighbourTold& told, int64_t now);
  void packet(uint16_t port, Frame& frame, const Link& link, int64_t now);
  void tunnelled(uint16_t port, Frame& frame, const Network& ip, const Rule& rule);
  std::optional<Table::Match> find(uint16_t port, const Frame& frame, const Network& ip) const noexcept;
  void forward(Packet& packet);
  std::optional<Drop> refusal(Packet& packet);
  std::optional<Drop> map(Packet& packet, const std::optional<Network>& quote);
  void show_synthetic(const Packet& packet, const std::optional<Network>& quote);
  void show_inner(uint16_t port, const Frame& frame, const Geneve& told);
  Way way_of(const Packet& packet);
  void leave(const Packet& packet, Frame& frame, Ledger* ledger, Way& way);
  void cut(Packet& packet, Way& way);
  std::optional<Bytes> complaint(const Packet& packet, const IcmpError& error) const;
  bool may_tell(int64_t now) noexcept;
  void tell(const Packet& packet, const IcmpError& error);
  void make(uint16_t port, Bytes bytes);
  void ask(const std::vector<Neighbours::Request>& requests);
  void announce(uint16_t port, const Address& own);

  std::vector<Port>& ports_;
  Output& output_;
  Taps* const taps_;
  std::shared_ptr<const Table> table_ = std::make_shared<Table>();
  Neighbours neighbours_;
  std::vector<Probe> probes_;
  std::deque<Bytes> scratch_;  // what send() was given of ours
  std::vector<std::byte> image_;
  std::vector<Neighbours::Request> requests_;
  int64_t errors_since_ = 0;
  uint32_t errors_ = 0;
};

}  // namespace ringtap::forward
