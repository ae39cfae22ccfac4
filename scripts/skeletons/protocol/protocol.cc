#include "protocol/@name@/@name@.h"

namespace ringtap::protocol::@name@ {

#include "generated/@name@_fields.inc"

namespace {

constexpr std::string_view kBegin = "@name@ ";
constexpr size_t kLongestLine = 1024;

/// Do these bytes begin it? It is asked of the first packets of each end.
Match match(Span bytes, const Meeting&) {
  const std::string_view text = text_of(bytes);
  if (text.substr(0, kBegin.size()) != kBegin.substr(0, text.size())) return Match::kNo;
  return text.size() < kBegin.size() ? Match::kMore : Match::kYes;
}

/// One flow. What it keeps between calls goes with the flow.
class Conversing final : public Conversation {
 public:
  Progress take(Side side, Span bytes, bool, Output& out) override {
    Progress progress;
    const std::string_view text = text_of(bytes);
    for (size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n', progress.consumed)) {
      tell(side, bytes.subspan(progress.consumed, end - progress.consumed), out);
      progress.consumed = end + 1;
    }
    const size_t left = bytes.size() - progress.consumed;
    if (left > kLongestLine) return Progress::done();
    progress.need = left + 1;
    return progress;
  }

 private:
  static void tell(Side side, Span line, Output& out) {
    if (Event event = out.event(kProtocol.name)) {
      event->put(kFrom, side == Side::kClient ? "client" : "server");
      event->put(kLine, line);
    }
  }
};

std::unique_ptr<Conversation> open(const Meeting&) { return std::make_unique<Conversing>(); }

}  // namespace

const Protocol kProtocol = {.name = "@name@", .match = match, .open = open, .on_udp = true, .on_tcp = true};

}  // namespace ringtap::protocol::@name@
