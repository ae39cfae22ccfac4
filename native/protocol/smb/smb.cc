#include "protocol/smb/smb.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include "protocol/smb/negotiation.h"

namespace ringtap::protocol::smb {

#include "generated/smb_fields.inc"

namespace {

constexpr size_t kLongestMessage = 64 << 10;
/// Of NetBIOS before it: a session is asked for, granted, refused.
constexpr uint8_t kMostSessionMessages = 8;
constexpr uint8_t kMostNegotiations = 4;
constexpr size_t kHead = 4;
constexpr uint8_t kMessage = 0;
constexpr uint8_t kSessionRequest = 0x81;
constexpr uint8_t kSessionLast = 0x85;
constexpr uint32_t kSessionRequestBytes = 68;

constexpr bool is_session(uint8_t type) noexcept { return type >= kSessionRequest && type <= kSessionLast; }

/// A negotiation, or the request of a session with an encoded name of 32 bytes.
Match match(Span bytes, const Meeting&) {
  const auto at = [bytes](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  if (bytes.empty()) return Match::kMore;
  if (at(0) != kMessage && at(0) != kSessionRequest) return Match::kNo;
  if (bytes.size() <= kHead) return Match::kMore;
  Reader in(bytes);
  const uint8_t type = in.u8();
  const uint32_t length = in.u24();
  if (type == kSessionRequest) return length == kSessionRequestBytes && in.u8() == 32 ? Match::kYes : Match::kNo;
  if (length < 32 || length > kLongestMessage) return Match::kNo;
  if (at(kHead) != 0xff && at(kHead) != 0xfe) return Match::kNo;
  // As far as the command of SMB 2.
  if (bytes.size() < kHead + 14) return Match::kMore;
  if (!begins_message(in.rest())) return Match::kNo;
  const bool is_negotiation =
      at(kHead) == 0xff ? at(kHead + 4) == 0x72 : at(kHead + 4) == 64 && at(kHead + 12) == 0 && at(kHead + 13) == 0;
  return is_negotiation ? Match::kYes : Match::kNo;
}

/// Of the codes that a negotiation may have; the empty name is another one.
std::string_view status_name(uint32_t code) noexcept {
  switch (code) {
    case 0:
      return "STATUS_SUCCESS";
    case 0xc000000d:
      return "STATUS_INVALID_PARAMETER";
    case 0xc0000022:
      return "STATUS_ACCESS_DENIED";
    case 0xc00000bb:
      return "STATUS_NOT_SUPPORTED";
    case 0xc0000203:
      return "STATUS_USER_SESSION_DELETED";
    default:
      return {};
  }
}

class Conversing final : public Conversation {
 public:
  Progress take(Side, Span bytes, bool, Output& out) override {
    Progress progress;
    for (;;) {
      const Span left = bytes.subspan(progress.consumed);
      progress.need = kHead;
      if (left.size() < kHead) return progress;
      Reader in(left);
      const uint8_t type = in.u8();
      const uint32_t length = in.u24();
      if (length > kLongestMessage || (type != kMessage && !is_session(type))) return stop(out, !is_told_);
      progress.need = kHead + length;
      if (left.size() < progress.need) return progress;
      progress.consumed += progress.need;
      if (type != kMessage) {
        if (++sessions_ > kMostSessionMessages) return stop(out, true);
        continue;
      }
      const Progress next = message(left.subspan(kHead, length), out);
      if (next.is_done) return next;
    }
  }

  void ended(Output& out) override { tell(out); }
  size_t memory() const noexcept override { return known_.memory(); }

 private:
  Progress message(Span message, Output& out) {
    Negotiation next = known_;
    const Kind kind = read_message(message, next);
    // Whatever comes behind the negotiation is of no use; what should be one and is none is lost.
    if (kind == Kind::kOther) return stop(out, !is_told_);
    if (kind == Kind::kRequest && (known_.has_request || known_.has_response)) {
      tell(out);
      next = {};
      read_message(message, next);
    }
    known_ = std::move(next);
    (kind == Kind::kRequest ? known_.has_request : known_.has_response) = true;
    if (kind == Kind::kRequest) return {};
    const bool goes_on = known_.goes_on;
    tell(out);
    return goes_on && id_ < kMostNegotiations ? Progress{} : Progress::done();
  }

  Progress stop(Output& out, bool is_lost) {
    tell(out);
    return is_lost ? Progress::lost() : Progress::done();
  }

  void tell(Output& out) {
    if (!known_.has_request && !known_.has_response) return;
    const Negotiation known = std::move(known_);
    known_ = {};
    is_told_ = true;
    id_++;
    Event event = out.event(kProtocol.name);
    if (!event) return;
    event->put(kId, id_);
    event->put(kDialect, known.dialect.empty() ? std::string_view("unknown") : std::string_view(known.dialect));
    event->put(kCommand, known.is_smb1 ? "SMB1_COMMAND_NEGOTIATE_PROTOCOL" : "SMB2_COMMAND_NEGOTIATE_PROTOCOL");
    if (known.has_response) {
      if (!status_name(known.status).empty()) event->put(kStatus, status_name(known.status));
      char code[16];
      std::snprintf(code, sizeof code, "0x%x", known.status);
      event->put(kStatusCode, code);
    }
    if (!known.dialects.empty()) {
      event->list(kClientDialects);
      for (const std::string& each : known.dialects) event->add(std::string_view(each));
      event->end_list();
    }
    if (!known.client_guid.empty()) event->put(kClientGuid, known.client_guid);
    if (!known.server_guid.empty()) event->put(kServerGuid, known.server_guid);
    if (known.has_response && !known.dialect.empty()) event->put(kSigningRequired, known.requires_signing);
    if (known.max_read != 0) event->put(kMaxReadSize, known.max_read);
    if (known.max_write != 0) event->put(kMaxWriteSize, known.max_write);
  }

  Negotiation known_;
  uint32_t id_ = 0;
  uint8_t sessions_ = 0;
  bool is_told_ = false;
};

std::unique_ptr<Conversation> open(const Meeting&) { return std::make_unique<Conversing>(); }

}  // namespace

const Protocol kProtocol = {.name = "smb", .match = match, .open = open, .on_tcp = true};

}  // namespace ringtap::protocol::smb
