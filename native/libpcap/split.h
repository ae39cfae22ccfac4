// Long expressions in parts: libpcap's compiler takes more than quadratic time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/program.h"

namespace ringtap {

/// An expression as libpcap reads it: `not` binds closest, `and` and `or` bind alike, from left to right.
struct Part {
  enum class Kind : uint8_t { kLeaf, kAnd, kOr, kNot };

  Kind kind = Kind::kLeaf;
  size_t begin = 0;  // of the part's text in the expression
  size_t end = 0;
  size_t words = 0;
  std::string prefix = {};  // belongs in front of it: in `port 80 or 443`, of which this is `443`, that is `port `
  std::vector<Part> parts = {};
};

/// Divides an expression into leaves of at most `most_words`, as far as that can be done without changing what it
/// means; what cannot be divided stays a longer leaf.
Part split(const std::string& expression, size_t most_words);

/// One program that decides as these together, which return constants alone; it accepts with `accept`.
Program join(Part::Kind kind, const std::vector<Program>& programs, uint32_t accept);

}  // namespace ringtap
