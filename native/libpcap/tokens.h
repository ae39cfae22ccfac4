// A filter expression in words.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace ringtap {

struct Token {
  size_t begin;
  size_t end;
};

/// Roughly libpcap's own tokens: words with the characters of names, numbers and addresses; signs one by one.
std::vector<Token> tokens_of(const std::string& text);

}  // namespace ringtap
