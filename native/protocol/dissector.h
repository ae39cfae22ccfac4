// Finds protocols in flows, and makes events of what they say.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <vector>

#include "flow/sink.h"
#include "protocol/arena.h"
#include "protocol/protocol.h"
#include "protocol/stream.h"

namespace ringtap::protocol {

struct Settings {
  uint64_t enabled = ~uint64_t{0};  // bit i: protocols()[i]
  bool community_id = false;
  size_t most_event_bytes = 64 << 20;      // that wait
  size_t most_memory = 256 << 20;          // for what flows are known by, and what waits in them
  uint32_t most_events_per_second = 1000;  // of one flow
};

struct DissectorStats {
  uint64_t events = 0;
  uint64_t withheld = 0;        // beyond the rate of a flow
  uint64_t without_memory = 0;  // packets of flows that there was no memory to look into
  uint64_t given_up =
      0;              // flows whose messages could not be followed, each once: a gap, more than is kept, or no sense
  uint64_t gaps = 0;  // in streams
  uint64_t gap_bytes = 0;
  uint64_t without_fields = 0;  // events that lack what a library would have read, which is not here
};

/// Behind a meter. What it keeps of a flow goes with the flow.
class Dissector final : public flow::Sink, private Output {
 public:
  explicit Dissector(const Settings& settings);
  ~Dissector() override;

  void packet(const flow::Flow& flow, uint32_t slot, const decode::Row& row, const flow::Sighting& seen) override;
  void other(const decode::Row& row, const flow::Sighting& seen) override;
  void ended(const flow::Flow& flow, uint32_t slot) override;

  Arena& arena() noexcept { return arena_; }
  const Arena& arena() const noexcept { return arena_; }
  const DissectorStats& stats() const noexcept { return stats_; }
  size_t memory() const noexcept { return budget_.used(); }
  /// What time it is where flows end without a packet.
  void set_now(int64_t ns) noexcept { now_ = ns; }

 private:
  /// Of a message that has not come whole yet.
  static constexpr size_t kMostPending = 256 << 10;
  /// First packets of an end that are looked at before it is given up.
  static constexpr uint8_t kTries = 6;
  static constexpr uint8_t kMostBeginnings = 4;
  static constexpr uint32_t kNothing = 0;  // of talk_of_: not looked at yet
  static constexpr uint32_t kDone = 1;     // there is nothing to be had from it

  /// Events of one flow.
  struct Rate {
    int64_t second = 0;
    uint32_t count = 0;
    uint64_t withheld = 0;
  };
  /// What one end sends.
  struct Way {
    Stream stream;
    std::vector<std::byte> pending;
    uint64_t skip = 0;
    size_t need = 1;
    bool is_closed = false;
  };
  struct Talk {
    std::unique_ptr<Conversation> conversation;
    std::unique_ptr<std::array<Way, 2>> ways;  // of TCP
    Rate rate;
    std::array<uint8_t, 2> tries{};
    size_t kept = 0;         // by the conversation
    uint8_t beginnings = 0;  // of another protocol
    bool is_done = false;
    bool has_lost = false;  // counted as given up
  };
  struct Receiver;

  // Output
  Writer* begin(std::string_view type) override;
  void commit() override;
  void withhold() override;
  void lack_fields() override { stats_.without_fields++; }
  void write_flow(const flow::Flow& flow);

  void datagram(const flow::Flow& flow, uint32_t slot, const decode::Row& row, const flow::Sighting& seen);
  void segment(const flow::Flow& flow, uint32_t slot, const decode::Row& row, const flow::Sighting& seen);
  void watch(const Packet& packet, uint16_t ether_type, bool is_icmp);
  Talk* talk(uint32_t slot, bool is_tcp);
  void finish(uint32_t slot);
  bool find(Talk& talk, Side side, Span bytes, bool is_whole);
  void received(Talk& talk, Side side, Span bytes);
  void consume(Talk& talk, Side side);
  void missing(Talk& talk, Side side, uint64_t bytes);
  void look_closed(Talk& talk, Side side);
  void give_up(Talk& talk);
  void count_lost(Talk& talk);
  void account(Talk& talk);
  Span stable(Span bytes);
  static Meeting meeting_of(const flow::Flow& flow, Side side) noexcept;

  Settings settings_;
  std::vector<const Protocol*> on_udp_;
  std::vector<const Protocol*> on_tcp_;
  struct Watching {
    const Protocol* protocol;
    std::unique_ptr<Watcher> watcher;
  };
  std::vector<Watching> watching_;
  bool watches_icmp_ = false;
  std::vector<uint32_t> talk_of_;  // by slot
  std::deque<Talk> talks_;
  std::vector<uint32_t> free_;
  Budget budget_;
  Arena arena_;
  Writer writer_;
  DissectorStats stats_;
  Rate watched_;  // of what is in no flow
  std::vector<std::byte> scratch_;
  // Of the packet that is being looked at.
  const flow::Flow* flow_ = nullptr;
  const flow::Sighting* icmp_ = nullptr;
  Rate* rate_ = nullptr;
  Meeting meeting_;
};

}  // namespace ringtap::protocol
