// What a protocol says of bytes, without a meter around it: for tests and fuzz targets.
#pragma once

#include <string>
#include <vector>

#include "protocol/protocol.h"

namespace ringtap::protocol {

/// Takes events as text: `dns {"version":3 …}`.
class Told final : public Output {
 public:
  void set_now(int64_t ns) noexcept { now_ = ns; }
  const std::vector<std::string>& lines() const noexcept { return lines_; }
  void withhold() override { withheld++; }
  void lack_fields() override { without_fields++; }
  uint64_t withheld = 0;
  uint64_t without_fields = 0;

 private:
  Writer* begin(std::string_view type) override {
    type_ = type;
    writer_.clear();
    writer_.raw("{");
    return &writer_;
  }
  void commit() override {
    writer_.raw("}");
    lines_.push_back(type_ + " " + std::string(writer_.text()));
  }

  Writer writer_;
  std::string type_;
  std::vector<std::string> lines_;
};

/// A conversation that gets bytes as the dissector would give them.
class Talking {
 public:
  Talking(const Protocol& protocol, const Meeting& meeting) : talk_(protocol.open(meeting)), meeting_(meeting) {}

  /// False: it wants no more.
  bool say(Side side, Span bytes, bool is_cut = false) {
    if (is_done_) return false;
    if (!meeting_.is_tcp) return !(is_done_ = talk_->take(side, bytes, is_cut, told).is_done);
    Way& way = ways_[index_of(side)];
    way.pending.insert(way.pending.end(), bytes.begin(), bytes.end());
    for (;;) {
      const auto skipped = static_cast<size_t>(std::min<uint64_t>(way.skip, way.pending.size()));
      way.skip -= skipped;
      if (skipped > 0) talk_->passed(side, skipped);
      way.pending.erase(way.pending.begin(), way.pending.begin() + static_cast<ptrdiff_t>(skipped));
      if (way.pending.empty() || way.pending.size() < way.need) return true;
      const Progress progress = talk_->take(side, way.pending, false, told);
      is_done_ = progress.is_done || progress.begins_anew;
      begins_anew = progress.begins_anew;
      has_lost = has_lost || progress.has_lost;
      if (is_done_) return false;
      way.pending.erase(way.pending.begin(), way.pending.begin() + static_cast<ptrdiff_t>(progress.consumed));
      way.skip = progress.skip;
      way.need = progress.need;
      if (progress.skip == 0) return true;
    }
  }
  bool lose(Side side, uint64_t bytes) {
    ways_[index_of(side)].pending.clear();
    ways_[index_of(side)].need = 1;
    return !is_done_ && talk_->gap(side, bytes);
  }
  void end() {
    if (!is_done_) talk_->ended(told);
  }

  Told told;
  bool begins_anew = false;
  bool has_lost = false;

 private:
  struct Way {
    std::vector<std::byte> pending;
    uint64_t skip = 0;
    size_t need = 1;
  };
  std::unique_ptr<Conversation> talk_;
  Meeting meeting_;
  Way ways_[2];
  bool is_done_ = false;
};

/// Bytes of hex digits; blanks are nothing, and text in '…' is itself.
inline std::vector<std::byte> bytes_of(std::string_view text) {
  std::vector<std::byte> out;
  bool is_text = false;
  unsigned high = 16;
  for (const char c : text) {
    if (c == '\'') {
      is_text = !is_text;
    } else if (is_text) {
      out.push_back(static_cast<std::byte>(c));
    } else if (c != ' ' && c != '\n') {
      const auto digit = static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
      if (high < 16) out.push_back(static_cast<std::byte>(high << 4 | digit));
      high = high < 16 ? 16 : digit;
    }
  }
  return out;
}

}  // namespace ringtap::protocol
