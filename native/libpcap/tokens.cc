#include "libpcap/tokens.h"

#include <cctype>

namespace ringtap {

std::vector<Token> tokens_of(const std::string& text) {
  constexpr const char* kWordSigns = "._-:/\\";
  const auto in_word = [&](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string(kWordSigns).find(c) != std::string::npos;
  };
  const auto two_signs = [&](size_t i) {
    const std::string pair = text.substr(i, 2);
    return pair == "<=" || pair == ">=" || pair == "!=" || pair == "==" || pair == "<<" || pair == ">>" ||
           pair == "&&" || pair == "||";
  };
  std::vector<Token> tokens;
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    if (std::isspace(static_cast<unsigned char>(text[i])) != 0) {
      i++;
      continue;
    }
    if (in_word(text[i])) {
      while (i < text.size() && in_word(text[i])) i++;
    } else {
      i += two_signs(i) ? 2 : 1;
    }
    tokens.push_back({begin, i});
  }
  return tokens;
}

}  // namespace ringtap
