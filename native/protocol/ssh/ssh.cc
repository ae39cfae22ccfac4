#include "protocol/ssh/ssh.h"

#include <algorithm>
#include <array>
#include <string>

#include "protocol/digest.h"

namespace ringtap::protocol::ssh {

#include "generated/ssh_fields.inc"

namespace {

constexpr std::string_view kBegin = "SSH-";
constexpr size_t kLongestBanner = 255;
/// Of a server's lines before it.
constexpr size_t kLongestBefore = 16 << 10;
constexpr uint16_t kPort = 22;
constexpr size_t kLongestPacket = 35'000;  // RFC 4253
constexpr uint8_t kKeyExchangeInit = 20;

/// What may stand in a line, in any alphabet.
bool is_text(std::string_view line) noexcept {
  return std::ranges::all_of(line,
                             [](char c) { return static_cast<unsigned char>(c) >= ' ' || c == '\t' || c == '\r'; });
}

Match match_banner(std::string_view text) noexcept {
  if (text.substr(0, 4) != kBegin.substr(0, text.size())) return Match::kNo;
  if (text.size() < 5) return Match::kMore;
  return text[4] == '1' || text[4] == '2' ? Match::kYes : Match::kNo;
}

Match match(Span bytes, const Meeting& meeting) {
  std::string_view text = text_of(bytes);
  const Match first = match_banner(text);
  if (first != Match::kNo || meeting.side == Side::kClient) return first;
  // RFC 4253 §4.2: a server may send other lines before.
  text = text.substr(0, kLongestBefore);
  for (;;) {
    const size_t end = text.find('\n');
    if (!is_text(text.substr(0, end))) return Match::kNo;
    if (end == std::string_view::npos) return meeting.has_port({kPort}) ? Match::kMore : Match::kNo;
    text.remove_prefix(end + 1);
    if (match_banner(text) == Match::kYes) return Match::kYes;
  }
}

class Conversing final : public Conversation {
 public:
  Progress take(Side side, Span bytes, bool, Output& out) override {
    End& end = ends_[index_of(side)];
    Progress progress;
    if (end.is_done) return {.consumed = bytes.size()};
    while (!end.has_banner) {
      const std::string_view text = text_of(bytes);
      const size_t line = text.find('\n');
      const bool may_have_more = side == Side::kServer && match_banner(text) == Match::kNo;
      if (line == std::string_view::npos) {
        if (text.size() > (may_have_more ? kLongestBefore : kLongestBanner)) return lose(out);
        progress.need = text.size() + 1;
        return progress;
      }
      const std::string_view found = text.substr(0, line);
      if (!read_banner(found, end)) {
        end.before += line + 1;
        if (!may_have_more || end.before > kLongestBefore || !is_text(found)) return lose(out);
      }
      progress.consumed += line + 1;
      bytes = bytes.subspan(line + 1);
    }
    progress.need = 4;
    if (bytes.size() < 4) return progress;
    const size_t length = load_big<uint32_t>(bytes.data());
    if (length > kLongestPacket || length < 2) return lose(out);
    progress.need = 4 + length;
    if (bytes.size() < 4 + length) return progress;
    read_packet(bytes.subspan(4, length), end);
    end.is_done = true;
    if (ends_[0].is_done && ends_[1].is_done) return stop(out);
    progress.consumed += bytes.size();
    progress.need = 1;
    return progress;
  }

  void ended(Output& out) override { tell(out); }
  size_t memory() const noexcept override { return ends_[0].memory() + ends_[1].memory(); }

 private:
  struct End {
    std::string version;
    std::string software;
    std::string hassh;
    size_t before = 0;  // bytes of lines before the banner
    bool has_banner = false;
    bool is_done = false;

    size_t memory() const noexcept { return version.capacity() + software.capacity() + hassh.capacity(); }
  };

  Progress stop(Output& out) {
    tell(out);
    return Progress::done();
  }

  Progress lose(Output& out) {
    tell(out);
    return Progress::lost();
  }

  /// SSH-2.0-software comment
  static bool read_banner(std::string_view line, End& end) {
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.size() > kLongestBanner || line.substr(0, 4) != kBegin) return false;
    line.remove_prefix(4);
    const size_t dash = line.find('-');
    if (dash == std::string_view::npos) return false;
    end.version = line.substr(0, dash);
    end.software = line.substr(dash + 1);
    end.has_banner = true;
    return true;
  }

  void read_packet(Span packet, End& end) const {
    Reader in(packet);
    in.skip(1);  // of padding
    if (in.u8() != kKeyExchangeInit) return;
    in.skip(16);
    std::array<Span, 10> lists;
    for (Span& each : lists) each = in.take(in.u32());
    if (!in.ok()) return;
    // The client's are those that it offers for what it sends, the server's likewise.
    const bool is_server = &end == &ends_[1];
    for (const size_t i : is_server ? std::array<size_t, 4>{0, 3, 5, 7} : std::array<size_t, 4>{0, 2, 4, 6}) {
      if (i != 0) end.hassh += ';';
      end.hassh += text_of(lists[i]);
    }
  }

  void tell(Output& out) {
    if (is_told_ || (!ends_[0].has_banner && !ends_[1].has_banner)) return;
    is_told_ = true;
    Event event = out.event(kProtocol.name);
    if (!event) return;
    for (const Side side : {Side::kClient, Side::kServer}) {
      const End& end = ends_[index_of(side)];
      if (!end.has_banner) continue;
      event->open(side == Side::kClient ? kClient : kServer);
      event->put(kProtoVersion, end.version);
      event->put(kSoftwareVersion, end.software);
      if (!end.hassh.empty()) {
        event->open(kHassh);
        event->put(kHash, hex_of(md5(span_of(end.hassh))));
        event->put(kString, end.hassh);
        event->close();
      }
      event->close();
    }
  }

  std::array<End, 2> ends_;
  bool is_told_ = false;
};

std::unique_ptr<Conversation> open(const Meeting&) { return std::make_unique<Conversing>(); }

}  // namespace

const Protocol kProtocol = {.name = "ssh", .match = match, .open = open, .on_tcp = true};

}  // namespace ringtap::protocol::ssh
