#include "backends/afxdp/inline_program.h"

#include <linux/bpf.h>

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

/// Goes to `ours` if the address at this place is one of ours. Its bytes are there.
void look_up(Assembler& as, int addresses, int16_t at, bool v6, Label ours) {
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
  as.jump64(Jump::kNotEqual, R0, 0, ours);
}

}  // namespace

Result<EbpfProgram> assemble_inline(int addresses, int xsk_map) {
  constexpr int16_t kIpv4To = kEthernet + 16, kArpTarget = kEthernet + 24, kIpv6To = kEthernet + 24,
                    kIpv6Next = kEthernet + 6, kIcmp6Type = kEthernet + 40, kSolicited = kEthernet + 40 + 8;
  constexpr int kIcmp6 = 58, kSolicitation = 135;
  static_assert(sizeof(AddressSet::Key) == 20);
  Assembler as;
  const Label ours = as.label(), pass = as.label(), known = as.label(), not_ip = as.label(), not_arp = as.label();
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
  look_up(as, addresses, kIpv4To, false, ours);
  as.jump(pass);
  as.bind(not_ip);
  as.jump64(Jump::kNotEqual, kCarried, 0x0806, not_arp);
  need(as, kArpTarget + 4, pass);
  look_up(as, addresses, kArpTarget, false, ours);
  as.jump(pass);
  as.bind(not_arp);
  as.jump64(Jump::kNotEqual, kCarried, 0x86dd, pass);
  need(as, kIpv6To + 16, pass);
  look_up(as, addresses, kIpv6To, true, ours);
  as.load(Size::kByte, R1, kPacket, kIpv6Next);
  as.jump64(Jump::kNotEqual, R1, kIcmp6, pass);
  need(as, kSolicited + 16, pass);
  as.load(Size::kByte, R1, kPacket, kIcmp6Type);
  as.jump64(Jump::kNotEqual, R1, kSolicitation, pass);
  look_up(as, addresses, kSolicited, true, ours);
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
