#include "forward/rules.h"

#include <algorithm>
#include <utility>

namespace ringtap::forward {

namespace {

Error same_packets(const Rule& one, const Rule& other, const std::string& which) {
  return Error{.code = Code::kBadOption,
               .message = "rules \"" + one.name + "\" and \"" + other.name + "\" want the same packets " + which,
               .hint = "Rules that share a client or a server need addresses of their own on that side."};
}

}  // namespace

Result<std::shared_ptr<const Table>> Table::create(std::vector<Rule> rules) {
  auto table = std::make_shared<Table>();
  table->rules_ = std::move(rules);
  std::unordered_map<std::string, const Rule*> names;
  for (const Rule& rule : table->rules_) {
    if (!names.emplace(rule.name, &rule).second) {
      return Error{.code = Code::kBadOption,
                   .message = "two rules have the name \"" + rule.name + "\"",
                   .hint = "Give each rule a name of its own."};
    }
    if (auto done = table->add(rule); !done) return std::move(done).error();
  }
  for (const auto& [key, rule] : table->tunnels_) {
    if (table->owned_.contains(key)) {
      return Error{.code = Code::kBadOption,
                   .message = "rule \"" + rule->name + "\" takes GENEVE from an address that another rule owns",
                   .hint = "The address of a rule for GENEVE is the host's."};
    }
  }
  return std::shared_ptr<const Table>(std::move(table));
}

Result<Ok> Table::add(const Rule& rule) {
  if (rule.kind == Kind::kGeneve) {
    const auto [at, is_new] = tunnels_.emplace(Key{rule.sides[0].port, rule.sides[0].own, {}}, &rule);
    if (is_new) return Ok{};
    return same_packets(*at->second, rule, "of balancers");
  }
  for (uint8_t direction = 0; direction < 2; direction++) {
    const Side& side = rule.sides[direction];
    owned_[Key{side.port, side.own, {}}]++;
    if (rule.kind == Kind::kNat && direction == 0) {
      if (auto done = add_clients(rule); !done) return done;
      continue;
    }
    const auto [at, is_new] = matches_.emplace(Key{side.port, side.own, side.peer}, Match{&rule, direction});
    if (!is_new) {
      return same_packets(*at->second.rule, rule, direction == 0 ? "of a client" : "that the server answers with");
    }
  }
  return Ok{};
}

Result<Ok> Table::add_clients(const Rule& rule) {
  const Side& near = rule.sides[0];
  std::vector<Clients>& all = clients_[Key{near.port, near.own, {}}];
  for (const Clients& other : all) {
    if (other.bits == rule.client_bits && near.peer.is_in(other.network, other.bits)) {
      return same_packets(*other.rule, rule, "of clients");
    }
  }
  const auto shorter =
      std::find_if(all.begin(), all.end(), [&](const Clients& one) { return one.bits < rule.client_bits; });
  all.insert(shorter, {near.peer, rule.client_bits, &rule});
  return Ok{};
}

std::optional<Table::Match> Table::find(uint16_t port, const Address& from, const Address& to) const noexcept {
  if (const auto found = matches_.find({port, to, from}); found != matches_.end()) return found->second;
  const auto clients = clients_.find({port, to, {}});
  if (clients == clients_.end() || !from.is_host()) return std::nullopt;
  for (const Clients& one : clients->second) {
    if (from.is_in(one.network, one.bits)) return Match{one.rule, 0};
  }
  return std::nullopt;
}

std::vector<Address> Table::owned(uint16_t port) const {
  std::vector<Address> addresses;
  for (const auto& [key, uses] : owned_) {
    if (key.port == port) addresses.push_back(key.own);
  }
  return addresses;
}

const Rule* Table::tunnel(uint16_t port, const Address& to) const noexcept {
  if (tunnels_.empty()) return nullptr;
  const auto found = tunnels_.find({port, to, {}});
  return found == tunnels_.end() ? nullptr : found->second;
}

std::vector<Address> Table::tunnels(uint16_t port) const {
  std::vector<Address> addresses;
  for (const auto& [key, rule] : tunnels_) {
    if (key.port == port) addresses.push_back(key.own);
  }
  return addresses;
}

bool Table::has(const Ledger* ledger) const noexcept {
  return std::any_of(rules_.begin(), rules_.end(), [ledger](const Rule& rule) {
    return ledger == &(*rule.ledgers)[0] || ledger == &(*rule.ledgers)[1];
  });
}

}  // namespace ringtap::forward
