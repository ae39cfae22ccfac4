#include "forward/nat.h"

#include <algorithm>
#include <numeric>

#include "forward/rewrite.h"

namespace ringtap::forward {

namespace {

constexpr size_t kFewExpired = 16;     // with each packet
constexpr uint32_t kMostTries = 4096;  // for a free port
constexpr uint8_t kFin = 1, kSyn = 2, kReset = 4, kAck = 16;
constexpr uint8_t kBoth = 3;

bool is_icmp(const Network& ip) noexcept { return ip.protocol == (ip.v6 ? protocol::kIcmp6 : protocol::kIcmp); }

/// ICMP messages that ask, and those that answer.
bool asks(bool v6, uint8_t type) noexcept {
  return v6 ? type == 128 : type == 8 || type == 13 || type == 15 || type == 17;
}

}  // namespace

/// What the transport header says.
struct Nat::Said {
  uint8_t protocol = 0;
  uint16_t own = 0;     // the port of who is with us: the client's, or ours for the server
  uint16_t server = 0;  // its port; of ICMP 0
  uint8_t flags = 0;    // of TCP
  bool is_icmp = false;
  bool fits = true;  // ICMP: it goes the way that asking, or answering, goes
};

Nat::Nat(const NatSettings& settings, uint64_t seed)
    : settings_(settings),
      random_(static_cast<uint32_t>(seed ^ (seed >> 32)) | 1),
      by_client_(0, Hash{static_cast<size_t>(seed)}),
      by_server_(0, Hash{static_cast<size_t>(seed)}),
      clients_(0, Hash{static_cast<size_t>(seed)}),
      taken_(0, Hash{static_cast<size_t>(seed)}),
      fragments_(0, Hash{static_cast<size_t>(seed)}) {}

std::optional<Nat::Said> Nat::read(uint8_t direction, std::span<const std::byte> frame,
                                   const Network& ip) const noexcept {
  const auto ports = read_ports(frame, ip);
  if (!ports) return std::nullopt;
  Said said{.protocol = ip.protocol,
            .own = direction == 0 ? ports->source : ports->destination,
            .server = direction == 0 ? ports->destination : ports->source};
  if (is_icmp(ip)) {
    said.is_icmp = true;
    said.server = 0;
    said.fits = asks(ip.v6, std::to_integer<uint8_t>(frame[ip.transport])) == (direction == 0);
  } else if (ip.protocol == protocol::kTcp && ip.transport + 14 <= ip.end) {
    said.flags = std::to_integer<uint8_t>(frame[ip.transport + 13]);
  }
  return said;
}

uint32_t Nat::find(uint8_t direction, const Address& client, const Said& said) const noexcept {
  if (direction == 0) {
    const auto found = by_client_.find({client, said.own, said.server, said.protocol});
    return found == by_client_.end() ? kNone : found->second;
  }
  const auto found = by_server_.find(server_key(said.protocol, said.own, said.server));
  return found == by_server_.end() ? kNone : found->second;
}

Nat::Outcome Nat::translate(uint8_t direction, std::span<const std::byte> frame, const Network& ip, int64_t now) {
  expire(now, kFewExpired);
  if (!ip.is_first) return of_fragment(frame, ip, now);
  const auto said = read(direction, frame, ip);
  if (!said) return {.drop = Drop::kProtocol};
  if (!said->fits) return {.drop = Drop::kUnmapped};
  const Address client = ip.source(frame);
  uint32_t index = find(direction, client, *said);
  if (index == kNone) {
    const bool may_begin =
        direction == 0 && (said->flags & (kFin | kReset)) == 0 && (said->flags & (kSyn | kAck)) != (kSyn | kAck);
    if (!may_begin) return {.drop = Drop::kUnmapped};
    if (const Outcome begun = begin(client, *said, now); begun.drop) return begun;
    index = find(direction, client, *said);
  }
  advance(entries_[index], direction, *said);
  touch(index, entries_[index].stage, now);
  if (ip.is_fragment) await_fragments(index, frame, ip, now);
  return {.mapping = entries_[index].mapping};
}

Nat::Outcome Nat::of_quote(uint8_t direction, std::span<const std::byte> frame, const Network& quote, int64_t now) {
  expire(now, kFewExpired);
  // WHY the other direction: what is quoted went that way.
  const auto said = read(1 - direction, frame, quote);
  if (!said || !said->fits) return {.drop = Drop::kUnmapped};
  // The server's port or ours were ours or the server's, seen from the other end.
  uint32_t index = kNone;
  if (direction == 0) {
    index = find(0, quote.destination(frame), *said);
  } else {
    const auto found = by_server_.find(server_key(said->protocol, said->own, said->server));
    if (found != by_server_.end()) index = found->second;
  }
  if (index == kNone) return {.drop = Drop::kUnmapped};
  return {.mapping = entries_[index].mapping};
}

Nat::Outcome Nat::begin(const Address& client, const Said& said, int64_t now) {
  if (by_client_.size() >= settings_.most_entries) expire(now);
  if (by_client_.size() >= settings_.most_entries) return {.drop = Drop::kTableFull};
  const auto at = clients_.find(client);
  if (at != clients_.end() && at->second >= settings_.most_per_client) {
    expire(now);
    const auto again = clients_.find(client);
    if (again != clients_.end() && again->second >= settings_.most_per_client) return {.drop = Drop::kClientFull};
  }
  const auto port = free_port(said);
  if (!port) return {.drop = Drop::kNoPort};
  uint32_t index = 0;
  if (free_.empty()) {
    index = static_cast<uint32_t>(entries_.size());
    entries_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  const uint32_t generation = entries_[index].generation + 1;
  entries_[index] = {.mapping = {.client = client, .client_port = said.own, .port = *port},
                     .server_port = said.server,
                     .protocol = said.protocol,
                     .stage = said.is_icmp                      ? Stage::kIcmp
                              : said.protocol == protocol::kTcp ? Stage::kTransitory
                                                                : Stage::kUdp,
                     .used = now,
                     .generation = generation};
  List& list = lists_[static_cast<size_t>(entries_[index].stage)];
  entries_[index].before = list.last;
  (list.last == kNone ? list.first : entries_[list.last].after) = index;
  list.last = index;
  by_client_.emplace(ClientKey{client, said.own, said.server, said.protocol}, index);
  by_server_.emplace(server_key(said.protocol, *port, said.server), index);
  taken_[server_key(said.protocol, 0, said.server)]++;
  if (clients_[client]++ == 0) ledger_.clients.add();
  ledger_.created.add();
  ledger_.entries.add();
  return {};
}

/// The client's own, if it is free; else one that is, even if that is even (RFC 4787).
std::optional<uint16_t> Nat::free_port(const Said& said) {
  const uint32_t first = said.is_icmp ? 0 : settings_.first_port, last = said.is_icmp ? 65535 : settings_.last_port;
  const auto is_free = [&](uint32_t port) {
    return !by_server_.contains(server_key(said.protocol, static_cast<uint16_t>(port), said.server));
  };
  if (said.own >= first && said.own <= last && is_free(said.own)) return said.own;
  const auto taken = taken_.find(server_key(said.protocol, 0, said.server));
  if (taken != taken_.end() && taken->second > last - first) return std::nullopt;
  for (const uint32_t parity : {said.own & 1u, ~said.own & 1u}) {
    const uint32_t least = first + ((first ^ parity) & 1);
    if (least > last) continue;
    const uint32_t count = (last - least) / 2 + 1;
    const auto any = [&] { return static_cast<uint32_t>(random_()) % count; };
    const uint32_t start = any();
    // WHY in steps that meet each once: ports that are taken lie side by side.
    uint32_t step = any() + 1;
    while (std::gcd(step, count) != 1) step++;
    for (uint32_t i = 0; i < std::min(count, kMostTries); i++) {
      const auto port = static_cast<uint16_t>(least + 2 * ((start + uint64_t{i} * step) % count));
      if (is_free(port)) return port;
    }
  }
  return std::nullopt;
}

Nat::Outcome Nat::of_fragment(std::span<const std::byte> frame, const Network& ip, int64_t now) {
  const auto found = fragments_.find({ip.source(frame), ip.destination(frame), ip.id, ip.protocol});
  if (found == fragments_.end()) return {.drop = Drop::kFragment};
  const Awaited awaited = found->second;
  if (entries_[awaited.entry].generation != awaited.generation || now - awaited.since >= kFragmentNs) {
    return {.drop = Drop::kFragment};
  }
  touch(awaited.entry, entries_[awaited.entry].stage, now);
  return {.mapping = entries_[awaited.entry].mapping};
}

void Nat::await_fragments(uint32_t index, std::span<const std::byte> frame, const Network& ip, int64_t now) {
  const FragmentKey key{ip.source(frame), ip.destination(frame), ip.id, ip.protocol};
  // WHY the oldest goes: nobody holds the others up with fragments that never come.
  while (fragment_order_.size() >= kMostFragments) {
    const auto& [oldest, since] = fragment_order_.front();
    const auto at = fragments_.find(oldest);
    if (at != fragments_.end() && at->second.since == since) fragments_.erase(at);
    fragment_order_.pop_front();
  }
  fragments_[key] = {.entry = index, .generation = entries_[index].generation, .since = now};
  fragment_order_.emplace_back(key, now);
  ledger_.fragments.add();
}

/// RFC 7857, but for sequence numbers, which are not looked at.
void Nat::advance(Entry& entry, uint8_t direction, const Said& said) noexcept {
  if (entry.protocol != protocol::kTcp) return;
  if ((said.flags & kReset) != 0) {
    entry.stage = Stage::kClosing;
    return;
  }
  const bool begins_anew = direction == 0 && (said.flags & (kSyn | kAck)) == kSyn && entry.stage == Stage::kClosing;
  if (begins_anew) {
    entry.spoke = entry.ended = 0;
    entry.stage = Stage::kTransitory;
  }
  entry.spoke |= static_cast<uint8_t>(1 << direction);
  if ((said.flags & kFin) != 0) entry.ended |= static_cast<uint8_t>(1 << direction);
  if (entry.ended == kBoth) {
    entry.stage = Stage::kClosing;
  } else if (entry.spoke != kBoth) {
    entry.stage = Stage::kTransitory;
  } else if (entry.stage == Stage::kClosing || (direction == 0 && (said.flags & kSyn) == 0)) {
    entry.stage = Stage::kEstablished;  // also where somebody goes on after a reset that the other end did not believe
  }
}

void Nat::touch(uint32_t index, Stage stage, int64_t now) noexcept {
  unlink(index);
  Entry& entry = entries_[index];
  entry.stage = stage;
  entry.used = now;
  List& list = lists_[static_cast<size_t>(stage)];
  entry.before = list.last;
  entry.after = kNone;
  (list.last == kNone ? list.first : entries_[list.last].after) = index;
  list.last = index;
}

void Nat::unlink(uint32_t index) noexcept {
  const Entry& entry = entries_[index];
  // Its stage may have changed: whoever is first or last of a list is looked for in all.
  for (List& list : lists_) {
    if (list.first == index) list.first = entry.after;
    if (list.last == index) list.last = entry.before;
  }
  if (entry.before != kNone) entries_[entry.before].after = entry.after;
  if (entry.after != kNone) entries_[entry.after].before = entry.before;
}

void Nat::erase(uint32_t index) noexcept {
  unlink(index);
  Entry& entry = entries_[index];
  const Mapping mapping = entry.mapping;
  by_client_.erase({mapping.client, mapping.client_port, entry.server_port, entry.protocol});
  by_server_.erase(server_key(entry.protocol, mapping.port, entry.server_port));
  const auto less = [](auto& counts, const auto& key) {
    const auto at = counts.find(key);
    if (at == counts.end() || --at->second > 0) return false;
    counts.erase(at);
    return true;
  };
  less(taken_, server_key(entry.protocol, 0, entry.server_port));
  if (less(clients_, mapping.client)) ledger_.clients.subtract(1);
  entry.generation++;
  entry.before = entry.after = kNone;
  free_.push_back(index);
  ledger_.entries.subtract(1);
  ledger_.expired.add();
}

void Nat::expire(int64_t now, size_t most) noexcept {
  for (size_t stage = 0; stage < kStages; stage++) {
    for (; most > 0 && lists_[stage].first != kNone; most--) {
      const uint32_t first = lists_[stage].first;
      if (now - entries_[first].used < settings_.timeouts_ns[stage]) break;
      erase(first);
    }
  }
  for (; most > 0 && !fragment_order_.empty() && now - fragment_order_.front().second >= kFragmentNs; most--) {
    const auto& [key, since] = fragment_order_.front();
    const auto at = fragments_.find(key);
    if (at != fragments_.end() && at->second.since == since) fragments_.erase(at);
    fragment_order_.pop_front();
  }
}

}  // namespace ringtap::forward
