#include "forward/engine.h"

#include <algorithm>
#include <utility>

#include "core/byte_order.h"

namespace ringtap::forward {

namespace {

constexpr int64_t kSecond = 1'000'000'000;

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

Bytes tags_from(uint64_t vlans) {
  Bytes tags;
  for (const uint32_t tag : {static_cast<uint32_t>(vlans >> 32), static_cast<uint32_t>(vlans)}) {
    if (tag == 0) continue;
    tags.resize(tags.size() + 4);
    store_big<uint32_t>(tags.data() + tags.size() - 4, tag);
  }
  return tags;
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

void Engine::adopt(std::shared_ptr<const Table> table) {
  const std::shared_ptr<const Table> before = std::exchange(table_, std::move(table));
  const auto count = static_cast<uint16_t>(ports_.size());
  for (uint16_t port = 0; port < count; port++) {
    for (const Address& own : table_->owned(port)) {
      if (!before->owns(port, own)) announce(port, own);
    }
  }
}

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
  if (const auto match = table_->find(port, ip.source(frame.bytes()), to)) return match;
  // An error on the way, of somebody between: whom was it sent to?
  const auto quote = read_quote(frame.bytes(), ip);
  if (!quote || quote->source(frame.bytes()) != to) return std::nullopt;
  return table_->find(port, quote->destination(frame.bytes()), to);
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
  if (destination_of(frame) != at.mac || !table_->owns(port, to)) return;
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

void Engine::forward(Packet& packet) {
  Frame& frame = packet.frame;
  const auto quote = read_quote(frame.bytes(), packet.ip);
  // An error about something that we did not send is none about a packet of this rule: its quote stays as it is.
  const bool is_ours = quote && quote->source(frame.bytes()) == packet.near().own &&
                       quote->destination(frame.bytes()) == packet.near().peer;
  const std::optional<Network> edited = is_ours ? quote : std::nullopt;
  if (taps_ != nullptr && taps_->wants_synthetic()) show_synthetic(packet, edited);
  const Side& far = packet.far();
  if (edited) rewrite_quote(frame, packet.ip, *edited, {.source = far.peer, .destination = far.own});
  rewrite(frame, packet.ip,
          {.source = far.own, .destination = far.peer, .ttl = static_cast<uint8_t>(packet.ip.ttl - 1)});
  if (packet.ip.end - packet.ip.start > ports_[far.port].mtu && !frame.offload.is_aggregate()) {
    cut(packet);
  } else {
    leave(packet, frame, &packet.ledger());
  }
}

void Engine::show_synthetic(const Packet& packet, const std::optional<Network>& quote) {
  image_.assign(packet.frame.data, packet.frame.data + packet.frame.length);
  Frame image = packet.frame;
  image.data = image_.data();
  const Side& far = packet.far();
  if (quote) rewrite_quote(image, packet.ip, *quote, {.source = far.peer, .destination = packet.near().peer});
  rewrite(image, packet.ip, {.source = packet.ip.source(image.bytes()), .destination = far.peer});
  taps_->synthetic(packet.port, image);
}

/// On its way to the next hop, or to wait for that.
void Engine::leave(Packet& packet, Frame& frame, Ledger* ledger) {
  const Side& far = packet.far();
  frame.is_forwarded = true;
  const Hop hop{.port = far.port, .tags = vlans_of(frame, packet.link), .address = far.next_hop(far.peer)};
  std::copy(ports_[far.port].mac.begin(), ports_[far.port].mac.end(), frame.data + 6);
  requests_.clear();
  const auto mac = neighbours_.find(hop, far.own, packet.now, requests_);
  ask(requests_);
  if (mac) {
    std::copy(mac->begin(), mac->end(), frame.data);
    output_.send(far.port, frame, ledger);
    return;
  }
  Waiting waiting{
      .bytes = Bytes(kHeadroom + frame.length), .frame = frame, .keeps = packet.match.rule->ledgers, .ledger = ledger};
  std::copy_n(frame.data, frame.length, waiting.bytes.begin() + kHeadroom);
  waiting.frame.data = waiting.bytes.data() + kHeadroom;
  const bool waits = neighbours_.wait(hop, std::move(waiting));
  if (ledger == nullptr) return;
  if (waits) {
    ledger->waiting.add();
  } else {
    ledger->drop(Drop::kUnresolved);
  }
}

void Engine::cut(Packet& packet) {
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
    leave(packet, piece, i + 1 == pieces.size() ? &ledger : nullptr);
  }
}

/// The sender hears why, not too often.
void Engine::tell(const Packet& packet, const IcmpError& error) {
  if (packet.now - errors_since_ >= kSecond) {
    errors_since_ = packet.now;
    errors_ = 0;
  }
  if (errors_ >= kMostErrorsASecond) return;
  const Envelope envelope{
      .to = source_of(packet.frame), .from = ports_[packet.port].mac, .tags = tags_of(packet.frame, packet.link)};
  auto made = icmp_error(envelope, packet.frame.bytes(), packet.ip, packet.near().own, error);
  if (!made) return;
  errors_++;
  packet.ledger().errors.add();
  make(packet.port, *std::move(made));
}

void Engine::make(uint16_t port, Bytes bytes) {
  scratch_.push_back(std::move(bytes));
  output_.send(port, {.data = scratch_.back().data(), .length = static_cast<uint32_t>(scratch_.back().size())},
               nullptr);
}

void Engine::ask(const std::vector<Neighbours::Request>& requests) {
  for (const Neighbours::Request& request : requests) {
    Port& port = ports_[request.hop.port];
    if (!port.is_up) continue;
    port.ledger.asked.add();
    const Bytes tags = tags_from(request.hop.tags);
    const Envelope envelope{
        .to = request.told.value_or(request_group(request.hop.address)), .from = port.mac, .tags = tags};
    make(request.hop.port, neighbour_request(envelope, request.hop.address, request.own));
  }
}

void Engine::announce(uint16_t port, const Address& own) {
  const Envelope envelope{.to = everybody(own.v6), .from = ports_[port].mac};
  make(port, neighbour_reply(envelope, own, own, Mac{}, false));
}

void Engine::tick(int64_t now) {
  requests_.clear();
  std::vector<Waiting> failed;
  neighbours_.tick(now, requests_, failed);
  ask(requests_);
  for (const Waiting& packet : failed) {
    if (packet.ledger == nullptr) continue;
    packet.ledger->waiting.subtract(1);
    packet.ledger->drop(Drop::kUnresolved);
  }
}

void Engine::probe(uint16_t port, const Address& address) {
  const auto is_it = [&](const Probe& one) { return one.port == port && one.address == address; };
  if (std::none_of(probes_.begin(), probes_.end(), is_it)) probes_.push_back({port, address, std::nullopt});
  const Envelope envelope{.to = request_group(address), .from = ports_[port].mac};
  make(port, neighbour_request(envelope, address, std::nullopt));
}

std::optional<Mac> Engine::conflict(uint16_t port, const Address& address) const noexcept {
  for (const Probe& probe : probes_) {
    if (probe.port == port && probe.address == address) return probe.conflict;
  }
  return std::nullopt;
}

void Engine::close() {
  for (const Waiting& packet : neighbours_.take_all()) {
    if (packet.ledger == nullptr) continue;
    packet.ledger->waiting.subtract(1);
    packet.ledger->drop(Drop::kClosed);
  }
}

}  // namespace ringtap::forward
