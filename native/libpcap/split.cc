#include "libpcap/split.h"

#include <algorithm>
#include <string_view>

#include "filter/opcodes.h"
#include "libpcap/tokens.h"

namespace ringtap {
namespace {

// WHY a list of what is known to be harmless: a word like `vlan` moves where all that follows it looks.
constexpr std::string_view kHarmless[] = {
    "ip",  "ip6",  "arp",  "rarp",      "tcp", "udp", "sctp",  "icmp", "icmp6",   "igmp",      "ether",     "host",
    "net", "mask", "port", "portrange", "src", "dst", "proto", "less", "greater", "broadcast", "multicast", "len"};

constexpr std::string_view kBeforeNames[] = {"host", "net", "port", "proto"};

class Splitter {
 public:
  Splitter(const std::string& text, size_t most_words) : text_(text), words_(tokens_of(text)), most_(most_words) {}

  Part whole() {
    bool divisible = words_.size() > most_;
    for (size_t at = 0; divisible && at < words_.size(); at++) divisible = harmless(word(at)) || is_name(at);
    return divisible ? part(0, words_.size()) : leaf(0, words_.size());
  }

 private:
  std::string_view word(size_t at) const {
    return std::string_view(text_).substr(words_[at].begin, words_[at].end - words_[at].begin);
  }

  static bool is_and(std::string_view word) { return word == "and" || word == "&&"; }
  static bool is_or(std::string_view word) { return word == "or" || word == "||"; }
  static bool is_not(std::string_view word) { return word == "not" || word == "!"; }
  static bool is_sign(std::string_view word) {
    return word.find_first_not_of("()[]<>=!&|+-*/%^:") == std::string_view::npos;
  }
  /// Or a name with a domain.
  static bool is_address(std::string_view word) { return word.find_first_of("0123456789.:") != std::string_view::npos; }
  bool is_name(size_t at) const {
    return at > 0 &&
           std::find(std::begin(kBeforeNames), std::end(kBeforeNames), word(at - 1)) != std::end(kBeforeNames);
  }
  static bool is_known(std::string_view word) {
    return std::find(std::begin(kHarmless), std::end(kHarmless), word) != std::end(kHarmless);
  }
  static bool harmless(std::string_view word) {
    return is_and(word) || is_or(word) || is_not(word) || is_sign(word) || is_address(word) || is_known(word);
  }

  Part leaf(size_t begin, size_t end) const {
    return {.begin = begin < end ? words_[begin].begin : 0,
            .end = begin < end ? words_[end - 1].end : 0,
            .words = end - begin};
  }

  /// Where the parenthesis that opens at `at` closes; `end` if it does not.
  size_t closing(size_t at, size_t end) const {
    size_t depth = 0;
    for (; at < end; at++) {
      if (word(at) == "(") depth++;
      if (word(at) == ")" && --depth == 0) return at;
    }
    return end;
  }

  Part part(size_t begin, size_t end, size_t depth = 0) const {  // NOLINT(misc-no-recursion)
    Part as_it_is = leaf(begin, end);
    if (end - begin <= most_ || depth == kDeepest) return as_it_is;
    std::vector<size_t> links;  // the words that link the terms
    for (size_t at = begin; at < end; at++) {
      if (word(at) == "(" || word(at) == ")") {
        at = closing(at, end);
        if (at == end) return as_it_is;
      } else if ((is_and(word(at)) || is_or(word(at))) && !joins_directions(at)) {
        links.push_back(at);
      }
    }
    if (!links.empty()) return chain(begin, end, links, depth);
    if (is_not(word(begin))) {
      as_it_is.kind = Part::Kind::kNot;
      as_it_is.parts = {part(begin + 1, end, depth + 1)};
      return as_it_is;
    }
    const bool is_wrapped = word(begin) == "(" && closing(begin, end) == end - 1;
    if (is_wrapped && end - begin > 2) return part(begin + 1, end - 1, depth + 1);
    return as_it_is;
  }

  struct Term {
    size_t begin;
    std::string prefix;
  };

  /// Terms, of which the last ones are linked by the same word, and what is before them counts as one.
  Part chain(size_t begin, size_t end, const std::vector<size_t>& links,
             size_t depth) const {  // NOLINT(misc-no-recursion)
    Part result = leaf(begin, end);
    if (links.front() == begin) return result;
    const bool is_or_chain = is_or(word(links.back()));
    size_t first = links.size() - 1;
    while (first > 0 && is_or(word(links[first - 1])) == is_or_chain) first--;
    std::vector<Term> terms{{begin, {}}};
    size_t complete = begin;  // the last term that says what its address means
    for (size_t i = 0; i < links.size(); i++) {
      const size_t next = links[i] + 1;
      std::string prefix;
      const size_t term_end = i + 1 < links.size() ? links[i + 1] : end;
      if (next == term_end) return result;
      const bool compares = next + 1 < term_end && is_sign(word(next + 1));  // 1 < ip[0]
      if (word(next) == "(" || is_not(word(next)) || is_known(word(next)) || compares) {
        complete = next;
      } else if (next + 1 < term_end) {
        return result;
      } else {
        prefix = qualifiers(complete, end);
        if (prefix.empty() || first != 0 || !is_or_chain) return result;
      }
      if (i >= first) terms.push_back({next, std::move(prefix)});
    }
    result.kind = is_or_chain ? Part::Kind::kOr : Part::Kind::kAnd;
    terms.push_back({end + 1, {}});
    // As many neighbours as fit make one leaf.
    for (size_t i = 0; i + 1 < terms.size();) {
      size_t last = i + 1;
      while (last + 1 < terms.size() && terms[last + 1].begin - 1 - terms[i].begin <= most_) last++;
      result.parts.push_back(part(terms[i].begin, terms[last].begin - 1, depth + 1));
      result.parts.back().prefix = terms[i].prefix;
      i = last;
    }
    return result;
  }

  /// `src or dst host`
  bool joins_directions(size_t link) const { return link > 0 && (word(link - 1) == "src" || word(link - 1) == "dst"); }

  /// The words in front of the address that a term begins with; empty if it has none.
  std::string qualifiers(size_t term, size_t end) const {
    size_t at = term;
    while (at < end && (is_known(word(at)) || joins_directions(at))) at++;
    if (at == term || at == end || !is_address(word(at))) return "";
    return text_.substr(words_[term].begin, words_[at].begin - words_[term].begin);
  }

  static constexpr size_t kDeepest = 64;

  const std::string& text_;
  const std::vector<Token> words_;
  const size_t most_;
};

bool is_return(const BpfInsn& insn) { return insn.code == (bpf::kRet | bpf::kK); }

}  // namespace

Part split(const std::string& expression, size_t most_words) { return Splitter(expression, most_words).whole(); }

Program join(Part::Kind kind, const std::vector<Program>& programs, uint32_t accept) {
  Program joined;
  for (size_t i = 0; i < programs.size(); i++) {
    const size_t after = joined.size() + programs[i].size();
    for (BpfInsn insn : programs[i]) {
      if (is_return(insn)) {
        // What leaves the answer to the next part goes there.
        const bool open = (insn.k == 0) == (kind == Part::Kind::kOr) && i + 1 < programs.size();
        if (kind == Part::Kind::kNot) insn.k = insn.k == 0 ? accept : 0;
        if (kind != Part::Kind::kNot && open) {
          insn = {.code = bpf::kJmp | bpf::kJa, .k = static_cast<uint32_t>(after - joined.size() - 1)};
        }
      }
      joined.push_back(insn);
    }
  }
  return joined;
}

}  // namespace ringtap
