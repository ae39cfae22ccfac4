#include "protocol/ntp/ntp.h"

#include <algorithm>
#include <string>

namespace ringtap::protocol::ntp {

#include "generated/ntp_fields.inc"

namespace {

constexpr uint16_t kPort = 123;
constexpr std::string_view kModes[] = {"reserved", "symmetric_active", "symmetric_passive", "client",
                                       "server",   "broadcast",        "control",           "private"};
constexpr size_t kHeader = 48;
constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kFrom1900To1970 = 2'208'988'800;

Match match(Span bytes, const Meeting& meeting) {
  if (bytes.size() < 4 || !meeting.has_port({kPort})) return Match::kNo;
  const auto first = std::to_integer<unsigned>(bytes[0]);
  const unsigned version = first >> 3 & 7;
  return version >= 1 && version <= 4 && (first & 7) != 0 ? Match::kYes : Match::kNo;
}

uint64_t micros_of(uint32_t fixed) noexcept { return uint64_t{fixed} * 1'000'000 >> 16; }

/// What time it is, in ns since 1970: of the era that is nearer to now.
int64_t time_of(uint64_t stamp) noexcept {
  auto seconds = static_cast<int64_t>(stamp >> 32);
  if (seconds < 0x80000000LL) seconds += int64_t{1} << 32;
  const auto nanos = static_cast<int64_t>(((stamp & UINT32_MAX) * 1'000'000'000) >> 32);
  return (seconds - kFrom1900To1970) * kSecond + nanos;
}

class Conversing final : public Conversation {
 public:
  Progress take(Side, Span bytes, bool, Output& out) override {
    if (bytes.size() < 4) return {};
    Event event = out.event(kProtocol.name);
    if (!event) return {};
    Reader in(bytes);
    const uint8_t first = in.u8();
    const unsigned mode = first & 7;
    event->put(kVersion, first >> 3 & 7);
    event->put(kMode, kModes[mode]);
    if (mode >= 6) {
      event->put(kOpCode, in.u8() & 31);
      return {};
    }
    if (bytes.size() < kHeader) return {};
    const uint8_t stratum = in.u8();
    event->put(kLeap, first >> 6);
    event->put(kStratum, stratum);
    event->put(kPoll, in.u8());
    const uint8_t precision = in.u8();
    event->put(kPrecision, precision > 127 ? 256u - precision : 0u);
    event->put(kRootDelayUs, micros_of(in.u32()));
    event->put(kRootDispersionUs, micros_of(in.u32()));
    const Span reference = in.take(4);
    if (load_big<uint32_t>(reference.data()) != 0) {
      if (stratum > 1) {
        event->put_address(kReference, reference);
      } else {
        const std::string_view text = text_of(reference);
        event->put(kReference, reference.first(std::min(text.find('\0'), text.size())));
      }
    }
    in.skip(24);
    const uint64_t transmitted = in.u64();
    if (transmitted != 0) event->put_time(kTransmitted, time_of(transmitted));
    return {};
  }
};

std::unique_ptr<Conversation> open(const Meeting&) { return std::make_unique<Conversing>(); }

}  // namespace

const Protocol kProtocol = {.name = "ntp", .match = match, .open = open, .on_udp = true};

}  // namespace ringtap::protocol::ntp
