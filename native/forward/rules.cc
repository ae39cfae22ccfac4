#include "forward/rules.h"

#include <algorithm>
#include <utility>

namespace ringtap::forward {

Result<std::shared_ptr<const Table>> Table::create(std::vector<Rule> rules) {
  auto table = std::make_shared<Table>();
  table->rules_ = std::move(rules);
  std::unordered_map<std::string, const Rule*> names;
  for (Rule& rule : table->rules_) {
    if (!names.emplace(rule.name, &rule).second) {
      return Error{.code = Code::kBadOption,
                   .message = "two rules have the name \"" + rule.name + "\"",
                   .hint = "Give each rule a name of its own."};
    }
    for (uint8_t direction = 0; direction < 2; direction++) {
      const Side& side = rule.sides[direction];
      const auto [at, is_new] = table->matches_.emplace(Key{side.port, side.own, side.peer}, Match{&rule, direction});
      if (!is_new) {
        return Error{.code = Code::kBadOption,
                     .message = "rules \"" + at->second.rule->name + "\" and \"" + rule.name +
                                "\" want the same packets " +
                                (direction == 0 ? "of a client" : "that the server answers with"),
                     .hint = "Rules that share a client or a server need addresses of their own on that side."};
      }
      table->owned_[Key{side.port, side.own, {}}]++;
    }
  }
  return std::shared_ptr<const Table>(std::move(table));
}

std::optional<Table::Match> Table::find(uint16_t port, const Address& from, const Address& to) const noexcept {
  const auto found = matches_.find({port, to, from});
  return found == matches_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<Address> Table::owned(uint16_t port) const {
  std::vector<Address> addresses;
  for (const auto& [key, uses] : owned_) {
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
