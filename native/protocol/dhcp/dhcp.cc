#include "protocol/dhcp/dhcp.h"

#include <algorithm>
#include <string>

namespace ringtap::protocol::dhcp {

#include "generated/dhcp_fields.inc"

namespace {

constexpr uint32_t kMagic = 0x63825363;
constexpr size_t kOptionsAt = 240;
constexpr std::string_view kTypes[] = {
    "",        "discover", "offer",       "request",     "decline",          "ack",           "nak",
    "release", "inform",   "force_renew", "lease_query", "lease_unassigned", "lease_unknown", "lease_active"};

Match match(Span bytes, const Meeting&) {
  if (bytes.size() < kOptionsAt || load_big<uint32_t>(bytes.data() + 236) != kMagic) return Match::kNo;
  const auto op = std::to_integer<unsigned>(bytes[0]);
  return (op == 1 || op == 2) && std::to_integer<unsigned>(bytes[2]) <= 16 ? Match::kYes : Match::kNo;
}

Span until_zero(Span bytes) noexcept { return bytes.first(std::min(text_of(bytes).find('\0'), bytes.size())); }

void addresses(ListKey key, Span data, Writer& out) {
  out.list(key);
  for (; data.size() >= 4; data = data.subspan(4)) out.add_address(data.first(4));
  out.end_list();
}

void write_option(uint8_t code, Span data, Writer& out) {
  const auto number = [&](NumberKey key) {
    if (data.size() >= 4) out.put(key, load_big<uint32_t>(data.data()));
  };
  const auto address = [&](TextKey key) {
    if (data.size() >= 4) out.put_address(key, data.first(4));
  };
  switch (code) {
    case 1:
      return address(kSubnetMask);
    case 3:
      return addresses(kRouters, data, out);
    case 6:
      return addresses(kDnsServers, data, out);
    case 42:
      return addresses(kNtpServers, data, out);
    case 12:
      return out.put(kHostname, until_zero(data));
    case 15:
      return out.put(kDomain, until_zero(data));
    case 50:
      return address(kRequestedIp);
    case 51:
      return number(kLeaseTime);
    case 53:
      if (!data.empty() && std::to_integer<size_t>(data[0]) < std::size(kTypes)) {
        out.put(kDhcpType, kTypes[std::to_integer<size_t>(data[0])]);
      }
      return;
    case 54:
      return address(kServerIp);
    case 55:
      out.list(kParams);
      for (const std::byte each : data) out.add(std::to_integer<uint64_t>(each));
      return out.end_list();
    case 56:
      return out.put(kMessage, until_zero(data));
    case 58:
      return number(kRenewalTime);
    case 59:
      return number(kRebindingTime);
    case 60:
      return out.put(kVendorClassIdentifier, until_zero(data));
    case 61: {
      const bool is_mac = data.size() == 7 && data[0] == std::byte{1};
      return out.put_hex(kClientId, is_mac ? data.subspan(1) : data, is_mac ? ':' : '\0');
    }
    case 67:
      return out.put(kBootFile, until_zero(data));
    case 81:
      if (data.size() > 3) out.put(kFqdn, data.subspan(3));
      return;
    default:
      return;
  }
}

class Conversing final : public Conversation {
 public:
  Progress take(Side, Span bytes, bool, Output& out) override {
    if (match(bytes, {}) != Match::kYes) return {};
    Event event = out.event(kProtocol.name);
    if (!event) return {};
    Reader in(bytes);
    event->put(kType, in.u8() == 1 ? "request" : "reply");
    in.skip(1);
    const uint8_t size = in.u8();
    in.skip(1);
    event->put(kId, in.u32());
    in.skip(4);
    const Span client = in.take(4);
    const Span assigned = in.take(4);
    const Span next = in.take(4);
    const Span relay = in.take(4);
    event->put_hex(kClientMac, in.take(16).first(std::min<size_t>(size, 16)), ':');
    event->put_address(kAssignedIp, assigned);
    const auto where = [&](TextKey key, Span address) {
      if (load_big<uint32_t>(address.data()) != 0) event->put_address(key, address);
    };
    where(kClientIp, client);
    where(kNextServerIp, next);
    where(kRelayIp, relay);
    Reader options(bytes.subspan(kOptionsAt));
    // WHY each once: a name that comes twice is no JSON that everybody reads alike.
    bool seen[256] = {};
    while (options.ok() && options.left() > 0) {
      const uint8_t code = options.u8();
      if (code == 0) continue;
      if (code == 255) break;
      const Span data = options.take(options.u8());
      if (!options.ok()) break;
      if (!seen[code]) write_option(code, data, *event);
      seen[code] = true;
    }
    return {};
  }
};

std::unique_ptr<Conversation> open(const Meeting&) { return std::make_unique<Conversing>(); }

}  // namespace

const Protocol kProtocol = {.name = "dhcp", .match = match, .open = open, .on_udp = true};

}  // namespace ringtap::protocol::dhcp
