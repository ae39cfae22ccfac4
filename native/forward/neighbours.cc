#include "forward/neighbours.h"

#include <utility>

namespace ringtap::forward {

std::optional<Mac> Neighbours::find(const Hop& hop, const Address& own, int64_t now, std::vector<Request>& requests) {
  auto found = entries_.find(hop);
  if (found == entries_.end()) {
    // WHY bounded: next hops are addresses of rules, but a VLAN tag is the sender's, and of many clients the address.
    if (entries_.size() >= kMostHops) return std::nullopt;
    found = entries_.emplace(hop, Entry{}).first;
  }
  Entry& entry = found->second;
  entry.used = now;
  entry.own = own;
  const bool is_old = !entry.mac || now - entry.learned > kFreshNs;
  if (is_old && entry.tries == 0) {
    entry.tries = 1;
    entry.asked = now;
    asking_++;
    requests.push_back({.hop = hop, .own = own, .told = entry.mac});
  }
  return entry.mac;
}

bool Neighbours::wait(const Hop& hop, Waiting&& packet) {
  const auto found = entries_.find(hop);
  if (found == entries_.end()) return false;
  Entry& entry = found->second;
  if (entry.waiting.size() >= kMostWaiting || entry.bytes + packet.bytes.size() > kMostWaitingBytes) return false;
  if (bytes_ + packet.bytes.size() > kMostBytes) return false;
  entry.bytes += packet.bytes.size();
  bytes_ += packet.bytes.size();
  entry.waiting.push_back(std::move(packet));
  return true;
}

std::deque<Waiting> Neighbours::learn(const Hop& hop, const Mac& mac, int64_t now) {
  const auto found = entries_.find(hop);
  if (found == entries_.end()) return {};
  Entry& entry = found->second;
  entry.mac = mac;
  entry.learned = now;
  if (entry.tries > 0) asking_--;
  entry.tries = 0;
  bytes_ -= std::exchange(entry.bytes, 0);
  return std::exchange(entry.waiting, {});
}

void Neighbours::tick(int64_t now, std::vector<Request>& requests, std::vector<Waiting>& failed) {
  for (auto at = entries_.begin(); at != entries_.end();) {
    Entry& entry = at->second;
    if (entry.tries > 0 && now - entry.asked >= kRetryNs) {
      if (entry.tries < kTries) {
        entry.tries++;
        entry.asked = now;
        requests.push_back({.hop = at->first, .own = entry.own, .told = std::nullopt});
      } else {
        entry.tries = 0;
        asking_--;
        entry.mac.reset();
        bytes_ -= std::exchange(entry.bytes, 0);
        for (Waiting& packet : entry.waiting) failed.push_back(std::move(packet));
        entry.waiting.clear();
      }
    }
    const bool is_forgotten = entry.tries == 0 && now - entry.used > kForgetNs;
    at = is_forgotten ? entries_.erase(at) : std::next(at);
  }
}

std::vector<Waiting> Neighbours::take_all() {
  std::vector<Waiting> all;
  for (auto& [hop, entry] : entries_) {
    for (Waiting& packet : entry.waiting) all.push_back(std::move(packet));
    entry.waiting.clear();
    bytes_ -= std::exchange(entry.bytes, 0);
  }
  return all;
}

}  // namespace ringtap::forward
