#include "backends/afxdp/inline_program.h"

#include <linux/bpf.h>

#include "forward/geneve.h"
#include "linux/address_set.h"

namespace ringtap::afxdp {

namespace {

using namespace ebpf;

constexpr uint32_t kMapLookup = 1, kRedirectMap = 51;
// In struct xdp_md.
constexpr int16_t kContextData = 0, kContextEnd = 4, kContextQueue = 16;
constexpr int kEthernet = 14, kTag = 4, kTags = 2;
constexpr int16_t kType = 12;
constexpr int16_t kKey = -24;  // on the stack
constexpr int16_t kKeyV6 = kKey + 16;

/// The packet without its tags, its end, the type of what it carries, and the context.
constexpr Reg kPacket = R7, kEnd = R8, kCarried = R9, kContext = R6;

/// Who has no such byte passes.
void need(Assembler& as, int bytes, Label pass) {
  as.mov64(R1, kPacket);
  as.alu64(Alu::kAdd, R1, bytes);
  as.jump64(Jump::kGreater, R1, kEnd, pass);
}

void load_type(Assembler& as) {
  as.load(Size::kHalf, kCarried, kPacket, kType);
  as.from_network(Size::kHalf, kCarried);
}

/// Goes to `ours` if the address at this place is one of ours, and to `some` if only GENEVE to it is. Its bytes are
/// there.
void look_up(Assembler& as, int addresses, int16_t at, bool v6, Label ours, Label some) {
  const Label none = as.label();
  for (int16_t word = 0; word < 16; word += 4) {
    if (v6 || word == 0) {
      as.load(Size::kWord, R1, kPacket, static_cast<int16_t>(at + word));
      as.store(Size::kWord, R10, static_cast<int16_t>(kKey + word), R1);
    } else {
      as.store(Size::kWord, R10, static_cast<int16_t>(kKey + word), 0);
    }
  }
  as.store(Size::kWord, R10, kKeyV6, v6 ? 1 : 0);
  as.load_map(R1, addresses);
  as.mov64(R2, R10);
  as.alu64(Alu::kAdd, R2, kKey);
  as.call(kMapLookup);
  as.jump64(Jump::kEqual, R0, 0, none);
  as.load(Size::kWord, R0, R0, 0);
  as.jump64(Jump::kEqual, R0, static_cast<int>(AddressSet::What::kAll), ours);
  as.jump(some);
  as.bind(none);
}

/// Goes on only if the byte at this place, which is there, is this one.
void expect_byte(Assembler& as, int16_t at, int value, Label pass) {
  as.load(Size::kByte, R1, kPacket, at);
  as.jump64(Jump::kNotEqual, R1, value, pass);
}

/// Ends at `ours` if the transport header behind the Ethernet and the IP header, which is R1 bytes long, is to GENEVE's
/// port.
void expect_geneve(Assembler& as, Label ours, Label pass) {
  constexpr int16_t kPort = 2, kPortEnd = 4;
  as.alu64(Alu::kAdd, R1, kPacket);
  as.mov64(R2, R1);
  as.alu64(Alu::kAdd, R2, kEthernet + kPortEnd);
  as.jump64(Jump::kGreater, R2, kEnd, pass);
  as.load(Size::kHalf, R1, R1, kEthernet + kPort);
  as.from_network(Size::kHalf, R1);
  as.jump64(Jump::kEqual, R1, forward::kGenevePort, ours);
  as.jump(pass);
}

}  // namespace

Result<EbpfProgram> assemble_inline(int addresses, int xsk_map) {
  constexpr int16_t kIpv4To = kEthernet + 16, kArpTarget = kEthernet + 24, kIpv6To = kEthernet + 24,
                    kIpv6Next = kEthernet + 6, kIcmp6Type = kEthernet + 40, kSolicited = kEthernet + 40 + 8,
                    kIpv4Fragment = kEthernet + 6, kIpv4Carried = kEthernet + 9;
  constexpr int kIcmp6 = 58, kSolicitation = 135, kUdp = 17, kIpv6Header = 40;
  static_assert(sizeof(AddressSet::Key) == 20);
  Assembler as;
  const Label ours = as.label(), pass = as.label(), known = as.label(), not_ip = as.label(), not_arp = as.label(),
              some4 = as.label(), some6 = as.label();
  as.mov64(kContext, R1);
  as.load(Size::kWord, kPacket, kContext, kContextData);
  as.load(Size::kWord, kEnd, kContext, kContextEnd);
  need(as, kEthernet, pass);
  load_type(as);
  for (int i = 0; i < kTags; i++) {
    const Label tagged = as.label();
    as.jump64(Jump::kEqual, kCarried, 0x8100, tagged);
    as.jump64(Jump::kNotEqual, kCarried, 0x88a8, known);
    as.bind(tagged);
    as.alu64(Alu::kAdd, kPacket, kTag);
    need(as, kEthernet, pass);
    load_type(as);
  }
  as.bind(known);
  as.jump64(Jump::kNotEqual, kCarried, 0x0800, not_ip);
  need(as, kIpv4To + 4, pass);
  look_up(as, addresses, kIpv4To, false, ours, some4);
  as.jump(pass);
  as.bind(not_ip);
  as.jump64(Jump::kNotEqual, kCarried, 0x0806, not_arp);
  need(as, kArpTarget + 4, pass);
  look_up(as, addresses, kArpTarget, false, ours, pass);
  as.jump(pass);
  as.bind(not_arp);
  as.jump64(Jump::kNotEqual, kCarried, 0x86dd, pass);
  need(as, kIpv6To + 16, pass);
  look_up(as, addresses, kIpv6To, true, ours, some6);
  expect_byte(as, kIpv6Next, kIcmp6, pass);
  need(as, kSolicited + 16, pass);
  expect_byte(as, kIcmp6Type, kSolicitation, pass);
  look_up(as, addresses, kSolicited, true, ours, pass);
  as.jump(pass);
  as.bind(some4);
  expect_byte(as, kIpv4Carried, kUdp, pass);
  as.load(Size::kHalf, R1, kPacket, kIpv4Fragment);
  as.from_network(Size::kHalf, R1);
  as.alu64(Alu::kAnd, R1, 0x1fff);
  as.jump64(Jump::kNotEqual, R1, 0, pass);
  as.load(Size::kByte, R1, kPacket, kEthernet);
  as.alu64(Alu::kAnd, R1, 15);
  as.alu64(Alu::kLsh, R1, 2);
  expect_geneve(as, ours, pass);
  as.bind(some6);
  expect_byte(as, kIpv6Next, kUdp, pass);
  as.mov64(R1, kIpv6Header);
  expect_geneve(as, ours, pass);
  as.bind(pass);
  as.mov32(R0, XDP_PASS);
  as.exit();
  as.bind(ours);
  as.load_map(R1, xsk_map);
  as.load(Size::kWord, R2, kContext, kContextQueue);
  as.mov32(R3, XDP_PASS);
  as.call(kRedirectMap);
  as.exit();
  return as.finish();
}

}  // namespace ringtap::afxdp
