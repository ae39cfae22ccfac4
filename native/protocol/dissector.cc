#include "protocol/dissector.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/tunnel.h"
#include "flow/protocol_name.h"
#include "protocol/community_id.h"

namespace ringtap::protocol {

namespace {

constexpr size_t kTalkBytes = 160;  // with what the allocator adds
constexpr size_t kWaysBytes = 320;
constexpr size_t kConversationBytes = 512;
constexpr uint8_t kIcmp = 1;
constexpr uint8_t kIcmp6 = 58;

}  // namespace

/// What a stream gives, on its way into the conversation.
struct Dissector::Receiver {
  Dissector& dissector;
  Talk& talk;
  Side side;
  void bytes(Span given) { dissector.received(talk, side, given); }
  void gap(uint64_t count) { dissector.missing(talk, side, count); }
};

Dissector::Dissector(const Settings& settings)
    : settings_(settings), budget_(settings.most_memory), arena_(settings.most_event_bytes) {
  const auto all = protocols();
  for (size_t i = 0; i < all.size(); i++) {
    if ((settings.enabled >> i & 1) == 0) continue;
    if (all[i]->on_udp) on_udp_.push_back(all[i]);
    if (all[i]->on_tcp) on_tcp_.push_back(all[i]);
    if (all[i]->watch == nullptr) continue;
    watching_.push_back({all[i], all[i]->watch()});
    watches_icmp_ = watches_icmp_ || all[i]->watches_icmp;
  }
}

Dissector::~Dissector() = default;

void Dissector::packet(const flow::Flow& flow, uint32_t slot, const decode::Row& row, const flow::Sighting& seen) {
  const decode::Headers& found = row.headers;
  if (found.fragment_offset != 0) return;
  if (found.protocol == decode::kTcpProtocol) {
    if (!on_tcp_.empty()) segment(flow, slot, row, seen);
  } else if (found.protocol == decode::kUdp) {
    if (!on_udp_.empty() && found.payload_caplen > 0) datagram(flow, slot, row, seen);
  } else if ((found.protocol == kIcmp || found.protocol == kIcmp6) && watches_icmp_) {
    Talk* of = talk(slot, false);
    if (of == nullptr || found.payload_caplen == 0) return;
    flow_ = &flow;
    rate_ = &of->rate;
    now_ = seen.time;
    icmp_ = &seen;
    watch({.bytes = stable({row.bytes.data + found.payload_offset, found.payload_caplen}),
           .is_cut = found.payload_caplen < found.payload_length,
           .ip_version = found.ip_version},
          0, true);
    icmp_ = nullptr;
  }
}

void Dissector::other(const decode::Row& row, const flow::Sighting& seen) {
  if (watching_.empty() || row.headers.network_offset == decode::kAbsent ||
      row.headers.network_offset >= row.bytes.size) {
    return;
  }
  flow_ = nullptr;
  rate_ = &watched_;
  now_ = seen.time;
  const size_t at = row.headers.network_offset;
  const size_t bytes = static_cast<size_t>(row.bytes.size) - at;
  watch({.bytes = stable({row.bytes.data + at, bytes}), .is_cut = row.bytes.size < row.wirelen}, row.headers.ether_type,
        false);
}

void Dissector::watch(const Packet& packet, uint16_t ether_type, bool is_icmp) {
  for (const Watching& each : watching_) {
    const bool is_its = is_icmp ? each.protocol->watches_icmp : each.protocol->ether_type == ether_type;
    if (is_its) each.watcher->packet(packet, *this);
  }
}

/// SAFETY: JS may write to packets while they are read. What is looked at is copied once.
Span Dissector::stable(Span bytes) {
  scratch_.resize(std::max(scratch_.size(), bytes.size()));
  if (!bytes.empty()) std::memcpy(scratch_.data(), bytes.data(), bytes.size());
  return {scratch_.data(), bytes.size()};
}

Meeting Dissector::meeting_of(const flow::Flow& flow, Side side) noexcept {
  const bool from_b = flow.initiator() != 0;
  return {.client_port = from_b ? flow.key.port_b() : flow.key.port_a(),
          .server_port = from_b ? flow.key.port_a() : flow.key.port_b(),
          .is_tcp = flow.key.protocol() == decode::kTcpProtocol,
          .side = side};
}

/// What is known of the flow in this slot; null: nothing is to be known, or there is no memory.
Dissector::Talk* Dissector::talk(uint32_t slot, bool is_tcp) {
  if (slot >= talk_of_.size()) talk_of_.resize(std::max<size_t>(size_t{slot} + 1, talk_of_.size() * 2), kNothing);
  uint32_t& of = talk_of_[slot];
  if (of == kDone) return nullptr;
  if (of != kNothing) return &talks_[of - 2];
  if (!budget_.take(kTalkBytes + (is_tcp ? kWaysBytes : 0))) {
    stats_.without_memory++;
    return nullptr;
  }
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(talks_.size()));
    talks_.emplace_back();
  }
  const uint32_t index = free_.back();
  free_.pop_back();
  of = index + 2;
  Talk& made = talks_[index];
  if (is_tcp) made.ways = std::make_unique<std::array<Way, 2>>();
  return &made;
}

/// What is known by now is told.
void Dissector::give_up(Talk& talk) {
  if (talk.is_done) return;
  talk.is_done = true;
  if (talk.conversation == nullptr) return;
  count_lost(talk);
  talk.conversation->ended(*this);
}

void Dissector::count_lost(Talk& talk) {
  if (!talk.has_lost) stats_.given_up++;
  talk.has_lost = true;
}

/// What the conversation keeps is of the memory that all share.
void Dissector::account(Talk& talk) {
  const size_t keeps = talk.conversation->memory();
  if (keeps > talk.kept && !budget_.take(keeps - talk.kept)) {
    stats_.without_memory++;
    return give_up(talk);
  }
  if (keeps < talk.kept) budget_.give(talk.kept - keeps);
  talk.kept = keeps;
}

/// The flow, or what is of use in it, is over.
void Dissector::finish(uint32_t slot) {
  uint32_t& of = talk_of_[slot];
  Talk& talk = talks_[of - 2];
  free_.push_back(of - 2);
  of = kDone;
  size_t bytes = kTalkBytes;
  if (talk.ways != nullptr) {
    bytes += kWaysBytes;
    for (Way& way : *talk.ways) {
      way.stream.drop(budget_);
      budget_.give(way.pending.size());
    }
  }
  if (talk.conversation != nullptr) bytes += kConversationBytes + talk.kept;
  budget_.give(bytes);
  talk = {};
}

void Dissector::ended(const flow::Flow& flow, uint32_t slot) {
  if (slot >= talk_of_.size()) return;
  if (talk_of_[slot] > kDone) {
    Talk& talk = talks_[talk_of_[slot] - 2];
    flow_ = &flow;
    rate_ = &talk.rate;
    now_ = flow.last_ns();
    if (talk.ways != nullptr && !talk.is_done) {
      for (const Side side : {Side::kClient, Side::kServer}) {
        meeting_ = meeting_of(flow, side);
        Receiver receiver{*this, talk, side};
        (*talk.ways)[index_of(side)].stream.flush(budget_, receiver);
      }
    }
    if (talk.conversation != nullptr && !talk.is_done) talk.conversation->ended(*this);
    finish(slot);
  }
  talk_of_[slot] = kNothing;
}

/// The protocol whose message begins with these bytes. False: none is known yet. @param is_whole nothing follows
bool Dissector::find(Talk& talk, Side side, Span bytes, bool is_whole) {
  if (talk.tries[index_of(side)] >= kTries) return false;
  bool may_be = false;
  for (const Protocol* each : is_whole ? on_udp_ : on_tcp_) {
    const Match match = each->match(bytes, meeting_);
    if (match == Match::kNo) continue;
    if (match == Match::kMore) {
      may_be = true;
      continue;
    }
    if (!budget_.take(kConversationBytes)) {
      stats_.without_memory++;
      talk.is_done = true;
      return false;
    }
    talk.conversation = each->open(meeting_);
    return true;
  }
  if (may_be && !is_whole && bytes.size() < 256) return false;
  Way* way = is_whole ? nullptr : &(*talk.ways)[index_of(side)];
  if (way != nullptr) {
    budget_.give(way->pending.size());
    way->pending.clear();
  }
  if (++talk.tries[index_of(side)] >= kTries && (is_whole || talk.tries[index_of(opposite(side))] >= kTries)) {
    talk.is_done = true;
  }
  return false;
}

void Dissector::datagram(const flow::Flow& flow, uint32_t slot, const decode::Row& row, const flow::Sighting& seen) {
  Talk* of = talk(slot, false);
  if (of == nullptr) return;
  const decode::Headers& found = row.headers;
  const Side side = (seen.from_b ? 1u : 0u) == flow.initiator() ? Side::kClient : Side::kServer;
  flow_ = &flow;
  rate_ = &of->rate;
  now_ = seen.time;
  meeting_ = meeting_of(flow, side);
  const Span bytes = stable({row.bytes.data + found.payload_offset, found.payload_caplen});
  if (of->conversation != nullptr || find(*of, side, bytes, true)) {
    const bool is_cut = found.payload_caplen < found.payload_length || (found.flags & decode::kFragment) != 0;
    const Progress progress = of->conversation->take(side, bytes, is_cut, *this);
    of->is_done = progress.is_done;
    if (progress.has_lost) count_lost(*of);
    if (!of->is_done) account(*of);
  }
  if (of->is_done) finish(slot);
}

void Dissector::segment(const flow::Flow& flow, uint32_t slot, const decode::Row& row, const flow::Sighting& seen) {
  if (slot < talk_of_.size() && talk_of_[slot] == kDone) return;
  const decode::Headers& found = row.headers;
  const flow::Segment& tcp = seen.segment;
  const bool is_known = slot < talk_of_.size() && talk_of_[slot] != kNothing;
  const bool is_syn = (tcp.flags & flow::kSynFlag) != 0;
  if (!is_known && found.payload_length == 0 && !is_syn) return;
  Talk* of = talk(slot, true);
  if (of == nullptr) return;
  const Side side = (seen.from_b ? 1u : 0u) == flow.initiator() ? Side::kClient : Side::kServer;
  flow_ = &flow;
  rate_ = &of->rate;
  now_ = seen.time;
  meeting_ = meeting_of(flow, side);
  Way& way = (*of->ways)[index_of(side)];
  uint32_t sequence = found.sequence;
  if (is_syn) way.stream.begin(sequence++);
  if (found.payload_length > 0) {
    Receiver receiver{*this, *of, side};
    const Span bytes =
        found.payload_caplen > 0 ? Span{row.bytes.data + found.payload_offset, found.payload_caplen} : Span{};
    way.stream.add(sequence, bytes, found.payload_length, budget_, receiver);
  }
  Way& back = (*of->ways)[index_of(opposite(side))];
  if ((tcp.flags & flow::kAckFlag) != 0 && back.stream.is_waiting() && !of->is_done) {
    Receiver receiver{*this, *of, opposite(side)};
    meeting_.side = opposite(side);
    back.stream.acknowledged(found.acknowledgment, budget_, receiver);
    look_closed(*of, opposite(side));
  }
  if ((tcp.flags & flow::kFinFlag) != 0) way.stream.end(sequence + found.payload_length);
  look_closed(*of, side);
  if (of->is_done) finish(slot);
}

void Dissector::look_closed(Talk& talk, Side side) {
  Way& way = (*talk.ways)[index_of(side)];
  if (way.is_closed || talk.is_done || !way.stream.is_at_end()) return;
  way.is_closed = true;
  if (talk.conversation != nullptr) talk.conversation->closed(side, *this);
}

/// Bytes of a stream, in order. What nobody needs is not touched.
void Dissector::received(Talk& talk, Side side, Span bytes) {
  Way& way = (*talk.ways)[index_of(side)];
  while (!bytes.empty() && !talk.is_done) {
    if (way.skip > 0) {
      const auto count = static_cast<size_t>(std::min<uint64_t>(way.skip, bytes.size()));
      way.skip -= count;
      bytes = bytes.subspan(count);
      if (talk.conversation != nullptr) talk.conversation->passed(side, count);
      continue;
    }
    if (talk.conversation == nullptr && talk.tries[index_of(side)] >= kTries) return;
    // WHY copied: JS may write to packets while they are read.
    const size_t count = std::min(bytes.size(), kMostPending - way.pending.size());
    if (count == 0 || !budget_.take(count)) {
      if (count > 0) stats_.without_memory++;
      give_up(talk);
      return;
    }
    way.pending.insert(way.pending.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(count));
    bytes = bytes.subspan(count);
    if (way.pending.size() >= way.need) consume(talk, side);
  }
}

/// Gives the conversation what is there, and finds out which one it is.
void Dissector::consume(Talk& talk, Side side) {
  Way& way = (*talk.ways)[index_of(side)];
  if (talk.conversation == nullptr) {
    if (!find(talk, side, way.pending, false)) return;
    // What the other end has said already is of it, too.
    Way& back = (*talk.ways)[index_of(opposite(side))];
    if (!back.pending.empty()) {
      meeting_.side = opposite(side);
      consume(talk, opposite(side));
      meeting_.side = side;
      if (talk.is_done || talk.conversation == nullptr) return;
    }
  }
  const Progress progress = talk.conversation->take(side, way.pending, false, *this);
  const size_t consumed = std::min(progress.consumed, way.pending.size());
  const auto past = static_cast<size_t>(std::min<uint64_t>(progress.skip, way.pending.size() - consumed));
  way.skip = progress.skip - past;
  way.need = std::max<size_t>(progress.need, 1);
  budget_.give(consumed + past);
  way.pending.erase(way.pending.begin(), way.pending.begin() + static_cast<ptrdiff_t>(consumed + past));
  if (past > 0) talk.conversation->passed(side, past);
  if (progress.is_done) talk.is_done = true;
  if (progress.has_lost) count_lost(talk);
  if (!progress.begins_anew) return account(talk);
  talk.conversation->ended(*this);
  talk.conversation = nullptr;
  budget_.give(kConversationBytes + talk.kept);
  talk.kept = 0;
  talk.tries = {};
  if (++talk.beginnings > kMostBeginnings) {
    count_lost(talk);
    talk.is_done = true;
    return;
  }
  for (Way& each : *talk.ways) {
    each.need = 1;
    each.skip = 0;
  }
  if (!way.pending.empty()) consume(talk, side);
}

void Dissector::missing(Talk& talk, Side side, uint64_t bytes) {
  if (talk.is_done) return;
  stats_.gaps++;
  stats_.gap_bytes += bytes;
  Way& way = (*talk.ways)[index_of(side)];
  const uint64_t skipped = std::min(way.skip, bytes);
  way.skip -= skipped;
  if (skipped > 0 && talk.conversation != nullptr) talk.conversation->passed(side, skipped);
  if (skipped == bytes) return;
  budget_.give(way.pending.size());
  way.pending.clear();
  way.need = 1;
  if (talk.conversation != nullptr && !talk.conversation->gap(side, bytes - skipped)) give_up(talk);
}

Writer* Dissector::begin(std::string_view type) {
  const int64_t second = now_ / 1'000'000'000;
  if (rate_->second != second) {
    rate_->second = second;
    rate_->count = 0;
  }
  if (rate_->count >= settings_.most_events_per_second) {
    withhold();
    return nullptr;
  }
  rate_->count++;
  writer_.clear();
  writer_.raw("{\"timestamp\":\"");
  writer_.with([&](flow::TextWriter& out) { out.time(now_); });
  writer_.raw("\"");
  if (flow_ != nullptr) {
    writer_.raw(",\"flow_id\":");
    writer_.digits(flow_->id);
  }
  writer_.raw(",\"event_type\":\"");
  writer_.raw(type);
  writer_.raw("\"");
  if (flow_ != nullptr) write_flow(*flow_);
  if (rate_->withheld > 0) {
    writer_.raw(",\"withheld\":");
    writer_.digits(rate_->withheld);
    rate_->withheld = 0;
  }
  writer_.raw(",\"");
  writer_.raw(type);
  writer_.raw("\":{");
  return &writer_;
}

void Dissector::withhold() {
  rate_->withheld++;
  stats_.withheld++;
}

void Dissector::write_flow(const flow::Flow& flow) {
  const flow::Key& key = flow.key;
  const bool from_b = flow.initiator() != 0;
  const Address a = address_of(key, false);
  const Address b = address_of(key, true);
  const bool has_ports = key.protocol() != kIcmp && key.protocol() != kIcmp6;
  writer_.raw(",\"src_ip\":");
  writer_.address((from_b ? b : a).span());
  if (has_ports) {
    writer_.raw(",\"src_port\":");
    writer_.digits(from_b ? key.port_b() : key.port_a());
  }
  writer_.raw(",\"dest_ip\":");
  writer_.address((from_b ? a : b).span());
  if (has_ports) {
    writer_.raw(",\"dest_port\":");
    writer_.digits(from_b ? key.port_a() : key.port_b());
  }
  writer_.raw(",\"proto\":\"");
  writer_.raw(flow::protocol_name(key.protocol()));
  writer_.raw("\",\"ip_v\":");
  writer_.digits(key.version());
  if ((key.outer_vlan() | key.inner_vlan()) != 0) {
    writer_.raw(",\"vlan\":[");
    writer_.digits(key.outer_vlan());
    if (key.inner_vlan() != 0) {
      writer_.raw(",");
      writer_.digits(key.inner_vlan());
    }
    writer_.raw("]");
  }
  if (key.tunnel_kind() != 0 && key.tunnel_kind() < std::size(kTunnelNames)) {
    writer_.raw(",\"tunnel\":{\"kind\":\"");
    writer_.raw(kTunnelNames[key.tunnel_kind()]);
    writer_.raw("\",\"id\":");
    writer_.digits(key.tunnel_id());
    writer_.raw("}");
  }
  if (settings_.community_id && (has_ports || icmp_ != nullptr)) {
    writer_.raw(",\"community_id\":\"");
    writer_.raw(community_id(key, has_ports ? nullptr : icmp_));
    writer_.raw("\"");
  }
}

void Dissector::commit() {
  writer_.raw("}");
  if (writer_.was_cut()) writer_.raw(",\"truncated\":true");
  writer_.raw("}\n");
  if (arena_.add(writer_.text())) stats_.events++;
}

}  // namespace ringtap::protocol
