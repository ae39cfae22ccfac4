#include "libpcap/blame.h"

#include <vector>

#include "libpcap/tokens.h"

namespace ringtap {
namespace {

/// The place of what the message quotes, if the expression has it once.
std::optional<size_t> quoted(const std::string& expression, const std::string& words) {
  for (const char quote : {'\'', '"'}) {
    const size_t open = words.find(quote);
    if (open == std::string::npos) continue;
    const size_t close = words.find(quote, open + 1);
    if (close == std::string::npos || close == open + 1) continue;
    const std::string name = words.substr(open + 1, close - open - 1);
    const size_t place = expression.find(name);
    if (place != std::string::npos && expression.find(name, place + 1) == std::string::npos) return place;
  }
  return std::nullopt;
}

// WHY: libpcap stops at the first error. A number that is too big is one that its scanner reports in words of its own,
// at the moment it reads it: behind the tokens up to some point it is reported exactly if the parser got past all of
// them.
const std::string kTripwire = "99999999999999999999";

}  // namespace

std::optional<size_t> blame(const std::string& expression, const std::string& words, const CompileAttempt& attempt) {
  // Also spares name look-ups, which every attempt would repeat.
  if (const auto place = quoted(expression, words)) return place;

  const auto tripped = [&](const std::string& text) {
    return attempt(text + " " + kTripwire).find(kTripwire) != std::string::npos;
  };
  if (!tripped("")) return std::nullopt;
  const std::vector<Token> tokens = tokens_of(expression);
  size_t good = 0;
  size_t bad = tokens.size() + 1;
  while (bad - good > 1) {
    const size_t middle = good + (bad - good) / 2;
    const bool past = middle <= tokens.size() && tripped(expression.substr(0, tokens[middle - 1].end));
    (past ? good : bad) = middle;
  }
  if (good < tokens.size()) return tokens[good].begin;
  // Nothing is wrong with any token: it stops too early, or it is wrong as a whole.
  if (words.find("syntax error") == std::string::npos) return std::nullopt;
  return expression.size();
}

}  // namespace ringtap
