// What the engine says itself: questions, answers, announcements and complaints.
#include <algorithm>
#include <utility>

#include "core/byte_order.h"
#include "forward/engine.h"

namespace ringtap::forward {

namespace {

constexpr int64_t kSecond = 1'000'000'000;

Bytes tags_from(uint64_t vlans) {
  Bytes tags;
  for (const uint32_t tag : {static_cast<uint32_t>(vlans >> 32), static_cast<uint32_t>(vlans)}) {
    if (tag == 0) continue;
    tags.resize(tags.size() + 4);
    store_big<uint32_t>(tags.data() + tags.size() - 4, tag);
  }
  return tags;
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

/// The error about a packet, to its sender, from the address that he knows; nothing where none may be sent.
std::optional<Bytes> Engine::complaint(const Packet& packet, const IcmpError& error) const {
  Mac to;
  std::copy_n(packet.frame.data + 6, to.size(), to.begin());
  const Envelope envelope{
      .to = to, .from = ports_[packet.port].mac, .tags = {packet.frame.data + 12, packet.link.tag_bytes()}};
  return icmp_error(envelope, packet.frame.bytes(), packet.ip, packet.near().own, error);
}

/// Not too often.
bool Engine::may_tell(int64_t now) noexcept {
  if (now - errors_since_ >= kSecond) {
    errors_since_ = now;
    errors_ = 0;
  }
  return errors_ < kMostErrorsASecond;
}

/// The sender hears why.
void Engine::tell(const Packet& packet, const IcmpError& error) {
  if (!may_tell(packet.now)) return;
  auto made = complaint(packet, error);
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
  for (Waiting& packet : failed) {
    if (packet.ledger == nullptr) continue;
    packet.ledger->waiting.subtract(1);
    packet.ledger->drop(Drop::kUnresolved);
    if (!packet.complaint || !ports_[packet.from].is_up || !may_tell(now)) continue;
    errors_++;
    packet.ledger->errors.add();
    make(packet.from, *std::move(packet.complaint));
  }
  for (const Rule& rule : table_->rules()) {
    if (rule.nat) rule.nat->expire(now);
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
