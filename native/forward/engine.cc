#include "forward/engine.h"

#include <algorithm>
#include <utility>

#include "core/byte_order.h"

namespace ringtap::forward {

namespace {

constexpr uint8_t kFreshTtl = 64;

Mac destination_of(const Frame& frame) noexcept {
  Mac mac;
  std::copy_n(frame.data, mac.size(), mac.begin());
  return mac;
}

Mac source_of(const Frame& frame) noexcept {
  Mac mac;
  std::copy_n(frame.data + 6, mac.size(), mac.begin());
  return mac;
}

std::span<const std::byte> tags_of(const Frame& frame, const Link& link) noexcept {
  return {frame.data + 12, link.tag_bytes()};
}

/// VLANs without their priorities. WHY not 0: it is none, and hosts answer without it.
uint64_t vlans_of(const Frame& frame, const Link& link) noexcept {
  uint64_t vlans = 0;
  for (uint32_t at = 0; at < link.tag_bytes(); at += 4) {
    const uint32_t tag = load_big<uint32_t>(frame.data + 12 + at) & 0xffff0fff;
    if ((tag & 0xfff) != 0) vlans = vlans << 32 | tag;
  }
  return vlans;
}

/// How long the packets are that the way out gets, in bytes of their network layer.
uint32_t sent_bytes(const Frame& frame, const Network& ip) noexcept {
  if (!frame.offload.is_aggregate()) return ip.end - ip.start;
  uint32_t header = ip.transport - ip.start + 8;
  if (ip.protocol == protocol::kTcp && ip.transport + 13 <= ip.end) {
    header += (std::to_integer<uint32_t>(frame.data[ip.transport + 12]) >> 4) * 4 - 8;
  }
  return std::min(header + frame.offload.segment_bytes, ip.end - ip.start);
}

}  // namespace

void Engine::receive(uint16_t port, Frame& frame, int64_t now) {
  Port& at = ports_[port];
  at.ledger.frames.add();
  const auto link = read_link(frame.bytes());
  if (!link || source_of(frame) == at.mac) return;
  if (link->type == kEtherArp) {
    if (const auto told = read_arp(frame.bytes(), *link)) neighbour_told(port, frame, *link, *told, now);
  } else if (link->type == kEtherIpv4 || link->type == kEtherIpv6) {
    packet(port, frame, *link, now);
  }
}

void Engine::neighbour_told(uint16_t port, const Frame& frame, const Link& link, const NeighbourTold& told,
                            int64_t now) {
  Port& at = ports_[port];
  const bool is_request = told.kind == NeighbourTold::Kind::kRequest;
  for (Probe& probe : probes_) {
    if (probe.port != port) continue;
    const bool probes_too = is_request && !told.sender.is_host() && told.target == probe.address;
    if (told.sender == probe.address || probes_too) probe.conflict = told.mac;
  }
  if (table_->owns(port, told.sender)) {
    at.ledger.conflicts.add();
    return;
  }
  if (told.sender.is_host() && (told.mac[0] & std::byte{1}) == std::byte{0}) {
    const Hop hop{.port = port, .tags = vlans_of(frame, link), .address = told.sender};
    for (Waiting& waited : neighbours_.learn(hop, told.mac, now)) {
      std::copy(told.mac.begin(), told.mac.end(), waited.frame.data);
      scratch_.push_back(std::move(waited.bytes));
      if (waited.ledger != nullptr) waited.ledger->waiting.subtract(1);
      output_.send(port, waited.frame, waited.ledger);
    }
  }
  if (!is_request || !table_->owns(port, told.target)) return;
  at.ledger.answered.add();
  const bool to_one = told.sender.is_host() || !told.target.v6;
  const Envelope envelope{.to = to_one ? told.mac : everybody(true), .from = at.mac, .tags = tags_of(frame, link)};
  make(port, neighbour_reply(envelope, told.target, told.sender, told.mac, true));
}

std::optional<Table::Match> Engine::find(uint16_t port, const Frame& frame, const Network& ip) const noexcept {
  const Address to = ip.destination(frame.bytes());
  // An error is about what was sent to somebody, whoever says so on the way.
  const auto quote = read_quote(frame.bytes(), ip);
  if (quote && quote->source(frame.bytes()) == to) {
    if (const auto match = table_->find(port, quote->destination(frame.bytes()), to)) return match;
  }
  return table_->find(port, ip.source(frame.bytes()), to);
}

void Engine::packet(uint16_t port, Frame& frame, const Link& link, int64_t now) {
  Port& at = ports_[port];
  const bool v6 = link.type == kEtherIpv6;
  // WHY as if quoted: of a packet that is cut off it is still known whose it is.
  const auto ip = read_network(frame.bytes(), link.network, v6, Quoted::kYes);
  if (!ip) return;
  if (is_discovery(frame.bytes(), *ip)) {
    if (const auto told = read_discovery(frame, *ip)) neighbour_told(port, frame, link, *told, now);
    return;
  }
  const Address to = ip->destination(frame.bytes());
  if (destination_of(frame) != at.mac) return;
  if (const Rule* tunnel = table_->tunnel(port, to)) {
    if (is_geneve(frame.bytes(), *ip)) tunnelled(port, frame, *ip, *tunnel);
    return;
  }
  if (!table_->owns(port, to)) return;
  const auto match = find(port, frame, *ip);
  if (!match) {
    at.ledger.unmatched.add();
    return;
  }
  at.ledger.matched.add();
  Packet packet{.port = port, .frame = frame, .link = link, .ip = *ip, .match = *match, .now = now};
  Ledger& ledger = packet.ledger();
  ledger.ingress.add();
  ledger.ingress_bytes.add(frame.length);
  if (taps_ != nullptr) taps_->ingress(port, frame);
  if (const auto why = refusal(packet)) {
    ledger.drop(*why);
    return;
  }
  forward(packet);
}

std::optional<Drop> Engine::refusal(Packet& packet) {
  const Frame& frame = packet.frame;
  const Network& ip = packet.ip;
  if (!read_network(frame.bytes(), ip.start, ip.v6) || !can_rewrite(frame.bytes(), ip)) return Drop::kMalformed;
  if (!has_good_header(frame.bytes(), ip)) return Drop::kChecksum;
  if (ip.ttl <= 1) {
    tell(packet, kTimeExceeded);
    return Drop::kTtl;
  }
  constexpr std::byte kRedirect{5};
  if (!ip.v6 && ip.protocol == protocol::kIcmp && ip.is_first && frame.data[ip.transport] == kRedirect) {
    return Drop::kRedirect;
  }
  const Port& out = ports_[packet.far().port];
  if (!out.is_up) return Drop::kLinkDown;
  if (sent_bytes(frame, ip) > out.mtu && (ip.dont_fragment || frame.offload.is_aggregate())) {
    tell(packet, too_big(out.mtu));
    return Drop::kTooBig;
  }
  return std::nullopt;
}

/// Balancers know each datagram again by its addresses, ports and options: it goes back as it came.
void Engine::tunnelled(uint16_t port, Frame& frame, const Network& ip, const Rule& rule) {
  Port& at = ports_[port];
  const Address from = ip.source(frame.bytes());
  if (!from.is_host() || !from.is_in(rule.sides[0].peer, rule.client_bits)) {
    at.ledger.unmatched.add();
    return;
  }
  at.ledger.matched.add();
  Ledger& ledger = (*rule.ledgers)[0];
  ledger.ingress.add();
  ledger.ingress_bytes.add(frame.length);
  if (taps_ != nullptr) taps_->ingress(port, frame);
  const bool is_whole = read_network(frame.bytes(), ip.start, ip.v6) && can_rewrite(frame.bytes(), ip);
  if (!is_whole) return ledger.drop(Drop::kMalformed);
  if (!has_good_header(frame.bytes(), ip)) return ledger.drop(Drop::kChecksum);
  if (ip.is_fragment) return ledger.drop(Drop::kFragment);
  if (frame.offload.is_aggregate()) return ledger.drop(Drop::kTooBig);
  const auto told = read_geneve(frame.bytes(), ip);
  if (!told) return ledger.drop(Drop::kGeneve);
  if (!at.is_up) return ledger.drop(Drop::kLinkDown);
  if (taps_ != nullptr && taps_->wants_synthetic()) show_inner(port, frame, *told);
  rewrite(frame, ip, {.source = rule.sides[0].own, .destination = from, .ttl = kFreshTtl});
  // WHY no question after the next hop: whoever has brought it takes it back.
  const Mac back = source_of(frame);
  std::copy(back.begin(), back.end(), frame.data);
  std::copy(at.mac.begin(), at.mac.end(), frame.data + 6);
  frame.is_forwarded = true;
  output_.send(port, frame, &ledger);
}

/// The packet that a datagram carries, behind a link header where it has none.
void Engine::show_inner(uint16_t port, const Frame& frame, const Geneve& told) {
  image_.clear();
  if (told.type != kGeneveEthernet) {
    image_.assign(frame.data, frame.data + kEthernetBytes);
    store_big<uint16_t>(image_.data() + 12, told.type);
  }
  image_.insert(image_.end(), frame.data + told.inner, frame.data + told.end);
  taps_->synthetic(port,
                   {.data = image_.data(), .length = static_cast<uint32_t>(image_.size()), .time_ns = frame.time_ns});
}

/// Whose conversation it is of.
std::optional<Drop> Engine::map(Packet& packet, const std::optional<Network>& quote) {
  Nat& nat = *packet.match.rule->nat;
  const uint8_t direction = packet.match.direction;
  const auto bytes = packet.frame.bytes();
  Nat::Outcome outcome;
  if (quote) {
    // An error about something that we did not send: whom would it reach?
    const bool is_ours = quote->source(bytes) == packet.near().own &&
                         (direction == 0 || quote->destination(bytes) == packet.near().peer);
    if (!is_ours) return Drop::kUnmapped;
    outcome = nat.of_quote(direction, bytes, *quote, packet.now);
  } else {
    outcome = nat.translate(direction, bytes, packet.ip, packet.now);
  }
  if (!outcome.drop) packet.mapping = outcome.mapping;
  return outcome.drop;
}

void Engine::forward(Packet& packet) {
  Frame& frame = packet.frame;
  const auto quote = read_quote(frame.bytes(), packet.ip);
  if (packet.match.rule->nat) {
    if (const auto why = map(packet, quote)) {
      packet.ledger().drop(*why);
      return;
    }
  }
  // An error about something that we did not send is none about a packet of this rule: its quote stays as it is.
  const bool is_ours = quote && quote->source(frame.bytes()) == packet.near().own &&
                       quote->destination(frame.bytes()) == packet.near_peer();
  const std::optional<Network> edited = is_ours ? quote : std::nullopt;
  if (taps_ != nullptr && taps_->wants_synthetic()) show_synthetic(packet, edited);
  const Side& far = packet.far();
  Way way = way_of(packet);
  Edit there{.source = far.own, .destination = packet.far_peer(), .ttl = static_cast<uint8_t>(packet.ip.ttl - 1)};
  Edit back{.source = packet.far_peer(), .destination = far.own};
  if (packet.mapping && packet.match.direction == 0) {
    there.source_port = back.destination_port = packet.mapping->port;
  } else if (packet.mapping) {
    there.destination_port = back.source_port = packet.mapping->client_port;
  }
  if (edited) rewrite_quote(frame, packet.ip, *edited, back);
  rewrite(frame, packet.ip, there);
  if (packet.ip.end - packet.ip.start > ports_[far.port].mtu && !frame.offload.is_aggregate()) {
    cut(packet, way);
  } else {
    leave(packet, frame, &packet.ledger(), way);
  }
}

void Engine::show_synthetic(const Packet& packet, const std::optional<Network>& quote) {
  image_.assign(packet.frame.data, packet.frame.data + packet.frame.length);
  Frame image = packet.frame;
  image.data = image_.data();
  Edit there{.source = packet.ip.source(image.bytes()), .destination = packet.far_peer()};
  Edit back{.source = packet.far_peer(), .destination = packet.near_peer()};
  if (packet.mapping && packet.match.direction == 1) {
    there.destination_port = back.source_port = packet.mapping->client_port;
  }
  if (quote) rewrite_quote(image, packet.ip, *quote, back);
  rewrite(image, packet.ip, there);
  taps_->synthetic(packet.port, image);
}

/// While the packet is as it came: that is what its sender knows it by.
Engine::Way Engine::way_of(const Packet& packet) {
  const Side& far = packet.far();
  const uint64_t vlans = vlans_of(packet.frame, packet.link);
  Way way{
      .hop = {.port = far.port, .tags = vlans, .address = far.next_hop(packet.far_peer())}, .mac = {}, .complaint = {}};
  requests_.clear();
  way.mac = neighbours_.find(way.hop, far.own, packet.now, requests_);
  ask(requests_);
  if (!way.mac) way.complaint = complaint(packet, kHostUnreachable);
  return way;
}

/// On its way to the next hop, or to wait for that.
void Engine::leave(const Packet& packet, Frame& frame, Ledger* ledger, Way& way) {
  const uint16_t port = way.hop.port;
  frame.is_forwarded = true;
  std::copy(ports_[port].mac.begin(), ports_[port].mac.end(), frame.data + 6);
  if (way.mac) {
    std::copy(way.mac->begin(), way.mac->end(), frame.data);
    output_.send(port, frame, ledger);
    return;
  }
  Waiting waiting{.bytes = Bytes(kHeadroom + frame.length),
                  .frame = frame,
                  .keeps = packet.match.rule->ledgers,
                  .ledger = ledger,
                  .complaint = ledger == nullptr ? std::nullopt : std::exchange(way.complaint, std::nullopt),
                  .from = packet.port};
  std::copy_n(frame.data, frame.length, waiting.bytes.begin() + kHeadroom);
  waiting.frame.data = waiting.bytes.data() + kHeadroom;
  const bool waits = neighbours_.wait(way.hop, std::move(waiting));
  if (ledger == nullptr) return;
  if (waits) {
    ledger->waiting.add();
  } else {
    ledger->drop(Drop::kUnresolved);
  }
}

void Engine::cut(Packet& packet, Way& way) {
  Ledger& ledger = packet.ledger();
  complete_sum(packet.frame);
  std::vector<Bytes> pieces = fragments(packet.frame.bytes(), packet.ip, ports_[packet.far().port].mtu);
  if (pieces.empty()) return ledger.drop(Drop::kTooBig);
  ledger.fragments.add(pieces.size());
  for (size_t i = 0; i < pieces.size(); i++) {
    scratch_.push_back(std::move(pieces[i]));
    Frame piece{.data = scratch_.back().data(),
                .length = static_cast<uint32_t>(scratch_.back().size()),
                .time_ns = packet.frame.time_ns};
    leave(packet, piece, i + 1 == pieces.size() ? &ledger : nullptr, way);
  }
}

}  // namespace ringtap::forward
