#include "protocol/rdp/rdp.h"

#include <array>
#include <optional>

namespace ringtap::protocol::rdp {

#include "generated/rdp_fields.inc"

namespace {

// TPKT (RFC 1006), and X.224 in it: a version, a blank, a length; a length again, what it is, two references, a class.
constexpr uint8_t kTpktVersion = 3;
constexpr size_t kTpktHead = 4;
constexpr size_t kHead = kTpktHead + 7;
constexpr size_t kLongestMessage = 4096;
constexpr uint8_t kConnectionRequest = 0xe0;
constexpr uint8_t kConnectionConfirm = 0xd0;
// MS-RDPBCGR §2.2.1: a type, flags, a length of 8, and a number.
constexpr size_t kNegotiation = 8;
constexpr uint8_t kNegotiationRequest = 1;
constexpr uint8_t kNegotiationResponse = 2;
constexpr uint8_t kNegotiationFailure = 3;
constexpr uint32_t kSsl = 1;
constexpr uint16_t kPort = 3389;

constexpr std::array<std::string_view, 5> kProtocolNames = {"ssl", "hybrid", "rds_tls", "hybrid_ex", "rds_aad"};
constexpr std::array<std::string_view, 7> kReasons = {"",
                                                      "ssl required by server",
                                                      "ssl not allowed by server",
                                                      "ssl cert not on server",
                                                      "inconsistent flags",
                                                      "hybrid required by server",
                                                      "ssl with user auth required by server"};

struct Message {
  uint8_t type = 0;         // of X.224
  std::string_view cookie;  // a line of text before the negotiation
  uint8_t negotiation = 0;  // its type; 0: there is none
  uint32_t number = 0;      // of it
};

/// Nothing: it is none of RDP's. Other protocols connect by X.224, too, but with parameters of its own.
std::optional<Message> read(Span packet, bool is_usual_port) noexcept {
  Reader in(packet);
  in.skip(kTpktHead);
  Message found;
  const uint8_t length = in.u8();
  found.type = in.u8();
  in.skip(2);
  in.skip(2);
  const uint8_t options = in.u8();
  if (!in.ok() || size_t{length} + 1 + kTpktHead != packet.size() || options != 0) return std::nullopt;
  const bool is_request = found.type == kConnectionRequest;
  if (!is_request && found.type != kConnectionConfirm) return std::nullopt;
  const std::string_view text = text_of(in.rest());
  if (is_request && (text.substr(0, 8) == "Cookie: " || text.substr(0, 4) == "tsv:")) {
    const size_t end = text.find("\r\n");
    if (end == std::string_view::npos) return std::nullopt;
    found.cookie = text.substr(0, end);
    in.skip(end + 2);
  }
  if (in.left() == 0) return !found.cookie.empty() || is_usual_port ? std::optional(found) : std::nullopt;
  // More may follow it: a correlation id.
  found.negotiation = in.u8();
  in.skip(1);
  const uint16_t size = in.little16();
  found.number = in.little32();
  const bool is_its = is_request
                          ? found.negotiation == kNegotiationRequest
                          : found.negotiation == kNegotiationResponse || found.negotiation == kNegotiationFailure;
  if (!in.ok() || !is_its || size != kNegotiation) return std::nullopt;
  return found;
}

/// How long the packet is that begins here; 0: it is none. @param bytes at least kTpktHead
size_t size_of(Span bytes) noexcept {
  Reader in(bytes);
  if (in.u8() != kTpktVersion || in.u8() != 0) return 0;
  const size_t size = in.u16();
  return size >= kHead && size <= kLongestMessage ? size : 0;
}

Match match(Span bytes, const Meeting& meeting) {
  if (!bytes.empty() && static_cast<uint8_t>(bytes[0]) != kTpktVersion) return Match::kNo;
  if (bytes.size() < kTpktHead) return Match::kMore;
  const size_t size = size_of(bytes);
  if (size == 0) return Match::kNo;
  if (bytes.size() < size) {
    if (bytes.size() < kTpktHead + 2) return Match::kMore;
    const auto type = static_cast<uint8_t>(bytes[kTpktHead + 1]);
    return type == kConnectionRequest || type == kConnectionConfirm ? Match::kMore : Match::kNo;
  }
  return read(bytes.first(size), meeting.has_port({kPort})) ? Match::kYes : Match::kNo;
}

class Conversing final : public Conversation {
 public:
  Progress take(Side, Span bytes, bool, Output& out) override {
    Progress progress;
    progress.need = kTpktHead;
    if (bytes.size() < kTpktHead) return progress;
    progress.need = size_of(bytes);
    if (progress.need == 0) return Progress::lost();
    if (bytes.size() < progress.need) return progress;
    const auto found = read(bytes.first(progress.need), true);
    if (!found) return Progress::lost();
    progress.consumed = progress.need;
    progress.need = 1;
    tell(*found, out);
    if (found->type == kConnectionRequest) {
      if (++requests_ > 1) return Progress::done();
      return progress;
    }
    if (found->negotiation != kNegotiationResponse || found->number == 0) return Progress::done();
    // TLS follows, whoever asks for more within it.
    progress.begins_anew = true;
    return progress;
  }

 private:
  void tell(const Message& found, Output& out) {
    Event event = out.event(kProtocol.name);
    const uint32_t id = messages_++;
    if (!event) return;
    const bool is_request = found.type == kConnectionRequest;
    event->put(kTxId, id);
    event->put(kEventType, is_request ? "initial_request" : "initial_response");
    constexpr std::string_view kUser = "Cookie: mstshash=";
    if (found.cookie.substr(0, kUser.size()) == kUser) {
      event->put(kCookie, found.cookie.substr(kUser.size()));
    } else if (!found.cookie.empty()) {
      event->put(kRoutingToken, found.cookie);
    }
    switch (found.negotiation) {
      case kNegotiationRequest:
        event->list(kRequestedProtocols);
        if (found.number == 0) event->add("rdp");
        for (size_t i = 0; i < kProtocolNames.size(); i++) {
          if ((found.number >> i & kSsl) != 0) event->add(kProtocolNames[i]);
        }
        event->end_list();
        return;
      case kNegotiationResponse:
        event->put(kProtocolKey, chosen(found.number));
        return;
      case kNegotiationFailure:
        event->put(kErrorCode, found.number);
        if (found.number < kReasons.size() && found.number != 0) event->put(kReason, kReasons[found.number]);
        return;
      default:
        // Neither end knows of anything else.
        if (!is_request) event->put(kProtocolKey, "rdp");
    }
  }

  /// One of them, as a bit.
  static std::string_view chosen(uint32_t number) noexcept {
    if (number == 0) return "rdp";
    for (size_t i = 0; i < kProtocolNames.size(); i++) {
      if (number == kSsl << i) return kProtocolNames[i];
    }
    return "unknown";
  }

  uint32_t messages_ = 0;
  uint8_t requests_ = 0;
};

std::unique_ptr<Conversation> open(const Meeting&) { return std::make_unique<Conversing>(); }

}  // namespace

const Protocol kProtocol = {.name = "rdp", .match = match, .open = open, .on_tcp = true};

}  // namespace ringtap::protocol::rdp
