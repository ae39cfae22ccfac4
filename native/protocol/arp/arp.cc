#include "protocol/arp/arp.h"

#include <array>
#include <cstring>
#include <string>

namespace ringtap::protocol::arp {

#include "generated/arp_fields.inc"

namespace {

constexpr std::string_view kOpcodes[] = {"",
                                         "request",
                                         "reply",
                                         "reverse_request",
                                         "reverse_reply",
                                         "drarp_request",
                                         "drarp_reply",
                                         "drarp_error",
                                         "inarp_request",
                                         "inarp_reply"};

/// Which address was last said to be where: as many as there is room for, a later one takes the place of an earlier
/// one.
class Known {
 public:
  /// The hardware address that it had before, where that is another one.
  bool tell(uint32_t address, Span mac, std::array<std::byte, 6>& before) {
    Entry& entry = entries_[(address * 2654435761u) >> 20];
    const bool is_same = entry.address == address && address != 0;
    const bool has_moved = is_same && std::memcmp(entry.mac.data(), mac.data(), 6) != 0;
    if (has_moved) before = entry.mac;
    entry.address = address;
    std::memcpy(entry.mac.data(), mac.data(), 6);
    return has_moved;
  }

 private:
  struct Entry {
    uint32_t address = 0;
    std::array<std::byte, 6> mac{};
  };
  std::array<Entry, 4096> entries_{};
};

class Watching final : public Watcher {
 public:
  void packet(const Packet& packet, Output& out) override {
    Reader in(packet.bytes);
    const uint16_t hardware = in.u16();
    const uint16_t protocol = in.u16();
    const uint8_t hardware_size = in.u8();
    const uint8_t protocol_size = in.u8();
    const uint16_t opcode = in.u16();
    const Span src_mac = in.take(hardware_size);
    const Span src = in.take(protocol_size);
    const Span dest_mac = in.take(hardware_size);
    const Span dest = in.take(protocol_size);
    if (!in.ok() || hardware_size > 20 || protocol_size != 4) return;
    std::array<std::byte, 6> before{};
    const bool says_its_own = (opcode == 1 || opcode == 2) && hardware_size == 6;
    const auto address = load_big<uint32_t>(src.data());
    const bool has_moved = says_its_own && address != 0 && known_.tell(address, src_mac, before);
    Event event = out.event(kProtocol.name);
    if (!event) return;
    event->put(kHwType, hardware == 1 ? std::string("ethernet") : std::to_string(hardware));
    const std::array<std::byte, 2> type = {std::byte(protocol >> 8), std::byte(protocol & 255)};
    if (protocol == 0x0800) {
      event->put(kProtoType, "ipv4");
    } else {
      event->put_hex(kProtoType, type);
    }
    event->put(kOpcode,
               opcode > 0 && opcode < std::size(kOpcodes) ? std::string(kOpcodes[opcode]) : std::to_string(opcode));
    event->put_hex(kSrcMac, src_mac, ':');
    event->put_address(kSrcIp, src);
    event->put_hex(kDestMac, dest_mac, ':');
    event->put_address(kDestIp, dest);
    if (says_its_own && address != 0 && address == load_big<uint32_t>(dest.data())) event->put(kGratuitous, true);
    if (has_moved) event->put_hex(kWasMac, before, ':');
  }

 private:
  Known known_;
};

std::unique_ptr<Watcher> watch() { return std::make_unique<Watching>(); }

}  // namespace

const Protocol kProtocol = {.name = "arp", .watch = watch, .ether_type = 0x0806};

}  // namespace ringtap::protocol::arp
