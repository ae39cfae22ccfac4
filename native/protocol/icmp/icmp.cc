#include "protocol/icmp/icmp.h"

#include <algorithm>
#include <array>
#include <string>

#include "decode/decode.h"

namespace ringtap::protocol::icmp {

#include "generated/icmp_fields.inc"

namespace {

constexpr uint16_t kLinkRaw = 101;

struct Named {
  uint8_t type;
  uint8_t code;
  std::string_view name;
};
constexpr uint8_t kAny = 255;
constexpr Named kNames4[] = {
    {0, kAny, "echo_reply"},
    {3, 0, "net_unreachable"},
    {3, 1, "host_unreachable"},
    {3, 2, "protocol_unreachable"},
    {3, 3, "port_unreachable"},
    {3, 4, "fragmentation_needed"},
    {3, 5, "source_route_failed"},
    {3, 9, "net_prohibited"},
    {3, 10, "host_prohibited"},
    {3, 13, "admin_prohibited"},
    {3, kAny, "unreachable"},
    {4, kAny, "source_quench"},
    {5, kAny, "redirect"},
    {8, kAny, "echo_request"},
    {9, kAny, "router_advertisement"},
    {10, kAny, "router_solicitation"},
    {11, 0, "ttl_exceeded"},
    {11, 1, "reassembly_time_exceeded"},
    {11, kAny, "time_exceeded"},
    {12, kAny, "parameter_problem"},
    {13, kAny, "timestamp_request"},
    {14, kAny, "timestamp_reply"},
    {17, kAny, "address_mask_request"},
    {18, kAny, "address_mask_reply"},
};
constexpr Named kNames6[] = {
    {1, 0, "no_route"},
    {1, 1, "admin_prohibited"},
    {1, 3, "address_unreachable"},
    {1, 4, "port_unreachable"},
    {1, kAny, "unreachable"},
    {2, kAny, "packet_too_big"},
    {3, 0, "ttl_exceeded"},
    {3, kAny, "time_exceeded"},
    {4, kAny, "parameter_problem"},
    {128, kAny, "echo_request"},
    {129, kAny, "echo_reply"},
    {130, kAny, "multicast_listener_query"},
    {131, kAny, "multicast_listener_report"},
    {132, kAny, "multicast_listener_done"},
    {133, kAny, "router_solicitation"},
    {134, kAny, "router_advertisement"},
    {135, kAny, "neighbour_solicitation"},
    {136, kAny, "neighbour_advertisement"},
    {137, kAny, "redirect"},
    {143, kAny, "multicast_listener_report"},
};

template <size_t n>
std::string name_in(const Named (&names)[n], uint8_t type, uint8_t code) {
  for (const Named& each : names) {
    if (each.type == type && (each.code == code || each.code == kAny)) return std::string(each.name);
  }
  return "type_" + std::to_string(type);
}

constexpr bool is_error(bool six, uint8_t type) noexcept {
  return six ? type >= 1 && type <= 4 : type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

class Watching final : public Watcher {
 public:
  void packet(const Packet& packet, Output& out) override {
    Reader in(packet.bytes);
    const uint8_t type = in.u8();
    const uint8_t code = in.u8();
    in.skip(2);
    if (!in.ok()) return;
    const bool six = packet.ip_version == 6;
    const bool asks = type == (six ? 128 : 8);
    const bool answers = type == (six ? 129 : 0);
    Reader echo = in;
    const uint16_t id = echo.u16();
    const uint16_t sequence = echo.u16();
    int64_t rtt = -1;
    Asked& asked = asked_[(id * 31u + sequence) % asked_.size()];
    if (asks) {
      asked = {.time = out.now(), .id = id, .sequence = sequence, .is_open = true};
    } else if (answers && asked.is_open && asked.id == id && asked.sequence == sequence && out.now() >= asked.time) {
      rtt = out.now() - asked.time;
      asked.is_open = false;
    }
    Event event = out.event(kProtocol.name);
    if (!event) return;
    event->put(kType, type);
    event->put(kCode, code);
    event->put(kName, six ? name_in(kNames6, type, code) : name_in(kNames4, type, code));
    if ((asks || answers) && echo.ok()) {
      event->put(kId, id);
      event->put(kSeq, sequence);
      event->put(kBytes, echo.left());
      if (rtt >= 0) event->put(kRttUs, static_cast<uint64_t>(rtt / 1000));
    } else if (is_error(six, type)) {
      error(six, type, code, in, *event);
    } else if (six && (type == 135 || type == 136 || type == 137)) {
      neighbour(in, *event);
    }
  }

 private:
  struct Asked {
    int64_t time = 0;
    uint16_t id = 0;
    uint16_t sequence = 0;
    bool is_open = false;
  };

  static void error(bool six, uint8_t type, uint8_t code, Reader in, Writer& out) {
    Reader word = in;
    if (six && type == 2) out.put(kMtu, word.u32());
    if (!six && type == 3 && code == 4) {
      word.skip(2);
      out.put(kMtu, word.u16());
    }
    if (!six && type == 5 && in.left() >= 4) out.put_address(kGateway, in.rest().first(4));
    in.skip(4);
    const Span quoted = in.rest();
    const decode::Headers found = decode::decode_packet(quoted, static_cast<uint32_t>(quoted.size()), kLinkRaw);
    if (!in.ok() || found.ip_version == 0) return;
    const size_t size = found.ip_version == 4 ? 4 : 16;
    const size_t at = found.ip_version == 4 ? found.network_offset + 12 : found.addresses6;
    if (at + 2 * size > quoted.size()) return;
    out.open(kAbout);
    out.put_address(kSrcIp, quoted.subspan(at, size));
    if ((found.flags & decode::kPorts) != 0) out.put(kSrcPort, found.src_port);
    out.put_address(kDestIp, quoted.subspan(at + size, size));
    if ((found.flags & decode::kPorts) != 0) out.put(kDestPort, found.dst_port);
    out.put(kProto, found.protocol);
    out.close();
  }

  static void neighbour(Reader in, Writer& out) {
    in.skip(4);
    const Span target = in.take(16);
    if (target.size() != 16) return;
    out.put_address(kTarget, target);
    while (in.ok() && in.left() >= 8) {
      const uint8_t type = in.u8();
      const size_t size = size_t{in.u8()} * 8;
      if (size == 0) return;
      const Span data = in.take(size - 2);
      if ((type == 1 || type == 2) && data.size() >= 6) return out.put_hex(kMac, data.first(6), ':');
    }
  }

  std::array<Asked, 256> asked_;
};

std::unique_ptr<Watcher> watch() { return std::make_unique<Watching>(); }

}  // namespace

const Protocol kProtocol = {.name = "icmp", .watch = watch, .watches_icmp = true};

}  // namespace ringtap::protocol::icmp
