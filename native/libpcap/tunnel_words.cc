#include "libpcap/tunnel_words.h"

#if !defined(_WIN32)
#include <arpa/inet.h>
#endif

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string_view>
#include <vector>

#include "core/byte_order.h"
#include "core/tunnel.h"
#include "filter/opcodes.h"
#include "libpcap/compiler.h"
#include "libpcap/tokens.h"

namespace ringtap {
namespace {

// One thing, which each kind has a name of its own for.
constexpr std::string_view kIds[] = {"vni", "id", "session", "key", "teid", "label"};
// Behind these stands a name, whatever it is.
constexpr std::string_view kBeforeNames[] = {"host", "net", "port", "portrange", "proto", "gateway", "src", "dst"};

template <size_t kCount>
size_t place_in(const std::string_view (&words)[kCount], std::string_view word) {
  return static_cast<size_t>(std::find(std::begin(words), std::end(words), word) - std::begin(words));
}

std::string load(size_t at) { return "link[" + std::to_string(bpf::kTunnelRow + at) + ":4]"; }

std::string equals(size_t at, uint32_t value) { return load(at) + "=" + std::to_string(value); }

std::string flag(uint32_t bit, bool set) {
  return load(offsetof(TunnelRow, about)) + "&" + std::to_string(bit) + (set ? "!=0" : "=0");
}

std::optional<uint32_t> number(std::string_view text) {
  const bool is_hex = text.substr(0, 2) == "0x";
  if (is_hex) text.remove_prefix(2);
  uint32_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value, is_hex ? 16 : 10);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::string> from(const std::string& address) {
  constexpr size_t kSource = offsetof(TunnelRow, source);
  std::array<std::byte, 16> bytes{};
#if !defined(_WIN32)
  if (inet_pton(AF_INET, address.c_str(), bytes.data()) == 1) {
    return flag(kTunnelFrom6, false) + " and " + equals(kSource, load_big<uint32_t>(bytes.data()));
  }
  if (inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1) {
    std::string words = flag(kTunnelFrom6, true);
    for (size_t i = 0; i < 16; i += 4) words += " and " + equals(kSource + i, load_big<uint32_t>(bytes.data() + i));
    return words;
  }
#endif
  return std::nullopt;
}

class Translation {
 public:
  explicit Translation(const std::string& text) : text_(text), words_(tokens_of(text)) {}

  Result<std::string> run() {
    std::string translated;
    size_t copied = 0;
    for (size_t at = 0; at < words_.size(); at++) {
      if (!begins_at(at)) continue;
      translated += text_.substr(copied, words_[at].begin - copied);
      size_t last = at;
      auto term = term_of(at, last);
      if (!term) return std::move(term).error();
      translated += "(" + *term + ")";
      copied = words_[last].end;
      at = last;
    }
    return translated + text_.substr(copied);
  }

  bool begins_at(size_t at) const {
    return word(at) == "tunnel" && (at == 0 || place_in(kBeforeNames, word(at - 1)) == std::size(kBeforeNames));
  }
  size_t words() const noexcept { return words_.size(); }

 private:
  std::string_view word(size_t at) const {
    if (at >= words_.size()) return {};
    return std::string_view(text_).substr(words_[at].begin, words_[at].end - words_[at].begin);
  }

  /// @param last becomes the last word of it
  Result<std::string> term_of(size_t at, size_t& last) const {
    const std::string_view what = word(at + 1);
    const size_t kind = what.empty() ? std::size(kTunnelNames) : place_in(kTunnelNames, what);
    if (kind < std::size(kTunnelNames)) {
      last = at + 1;
      return load(offsetof(TunnelRow, about)) + "&255=" + std::to_string(kind);
    }
    if (place_in(kIds, what) < std::size(kIds)) {
      last = at + 2;
      const auto id = number(word(last));
      if (!id) return bad(last, "`tunnel " + std::string(what) + "` wants a number, 0 to 4294967295");
      return flag(kTunnelHasId, true) + " and " + equals(offsetof(TunnelRow, id), *id);
    }
    if (what == "src") {
      last = at + 2;
      auto source = from(std::string(word(last)));
      if (!source) return bad(last, "`tunnel src` wants an address in numbers");
      return *std::move(source);
    }
    return load(offsetof(TunnelRow, about)) + "!=0";
  }

  Error bad(size_t at, const std::string& what) const {
    const size_t position = at < words_.size() ? words_[at].begin : text_.size();
    return {.code = Code::kBadFilter,
            .message = "filter: " + what + marked(text_, position),
            .hint =
                "tunnel · tunnel vxlan|geneve|gre|erspan|tzsp|mpls|gtp-u · tunnel vni|id|session|key|teid|label "
                "NUMBER · tunnel src ADDRESS",
            .syscall = {},
            .position = static_cast<int64_t>(position)};
  }

  const std::string& text_;
  const std::vector<Token> words_;
};

}  // namespace

Result<std::string> without_tunnel_words(const std::string& expression) { return Translation(expression).run(); }

bool has_tunnel_words(const std::string& expression) {
  if (expression.find("tunnel") == std::string::npos) return false;
  const Translation translation(expression);
  for (size_t at = 0; at < translation.words(); at++) {
    if (translation.begins_at(at)) return true;
  }
  return false;
}

}  // namespace ringtap
