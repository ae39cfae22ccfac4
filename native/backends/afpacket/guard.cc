#include "backends/afpacket/guard.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "filter/ebpf_asm.h"
#include "forward/geneve.h"
#include "linux/bpf_call.h"
#include "linux/rights.h"

namespace ringtap::afpacket {

namespace {

using namespace bpf_call;
using namespace ebpf;

constexpr uint32_t kTcxIngress = 46;  // BPF_TCX_INGRESS, which older <linux/bpf.h> lack
constexpr uint32_t kMapLookup = 1, kLoadBytes = 26;
constexpr Capabilities kNeeded = {Capability::kNetRaw, Capability::kNetAdmin, Capability::kBpf};
constexpr int kDrop = 2, kNext = -1;
constexpr int16_t kKey = -24, kLoaded = -32;  // on the stack

Error refused(const std::string& what, int err) {
  if (err == EPERM || err == EACCES) {
    return right_refused(what, kNeeded, kNeeded, "bpf", err);
  }
  return system_error(Code::kSystem, what, "bpf", err);
}

/// Loads bytes of the packet onto the stack; what is too short passes.
void load(Assembler& as, Operand at, int16_t to, int bytes, Label pass) {
  as.mov64(R1, R6);
  as.mov64(R2, at);
  as.mov64(R3, R10);
  as.alu64(Alu::kAdd, R3, to);
  as.mov64(R4, bytes);
  as.call(kLoadBytes);
  as.jump64(Jump::kNotEqual, R0, 0, pass);
}

/// Goes to `drop` if the address at this place of the packet is one of ours, and to `some` if only GENEVE to it is.
void look_up(Assembler& as, int map, int at, bool v6, Label drop, Label some, Label pass) {
  const Label none = as.label();
  as.store(Size::kDouble, R10, kKey, 0);
  as.store(Size::kDouble, R10, kKey + 8, 0);
  as.store(Size::kWord, R10, kKey + 16, v6 ? 1 : 0);
  load(as, at, kKey, v6 ? 16 : 4, pass);
  as.load_map(R1, map);
  as.mov64(R2, R10);
  as.alu64(Alu::kAdd, R2, kKey);
  as.call(kMapLookup);
  as.jump64(Jump::kEqual, R0, 0, none);
  as.load(Size::kWord, R0, R0, 0);
  as.jump64(Jump::kEqual, R0, static_cast<int>(AddressSet::What::kAll), drop);
  as.jump(some);
  as.bind(none);
}

/// Goes on only if these bytes of the packet are these; `at` is a place, or a register that holds one.
void expect(Assembler& as, Operand at, Size size, uint32_t mask, uint32_t value, Label pass) {
  load(as, at, kLoaded, static_cast<int>(bytes(size)), pass);
  as.load(size, R8, R10, kLoaded);
  if (size != Size::kByte) as.from_network(size, R8);
  as.alu64(Alu::kAnd, R8, mask);
  as.jump64(Jump::kNotEqual, R8, value, pass);
}

Result<EbpfProgram> assemble(int map) {
  constexpr int kType = 12, kIpv4To = 14 + 16, kArpTarget = 14 + 24, kIpv6To = 14 + 24, kIpv6Next = 14 + 6,
                kIcmp6Type = 14 + 40, kSolicited = 14 + 40 + 8, kIpv4 = 14, kIpv4Fragment = 14 + 6,
                kIpv4Carried = 14 + 9, kPort = 2, kUdp = 17;
  Assembler as;
  const Label drop = as.label(), pass = as.label(), not_ip = as.label(), not_arp = as.label(), some4 = as.label(),
              some6 = as.label();
  as.mov64(R6, R1);
  load(as, kType, kLoaded, 2, pass);
  as.load(Size::kHalf, R7, R10, kLoaded);
  as.from_network(Size::kHalf, R7);
  as.jump64(Jump::kNotEqual, R7, 0x0800, not_ip);
  look_up(as, map, kIpv4To, false, drop, some4, pass);
  as.jump(pass);
  as.bind(not_ip);
  as.jump64(Jump::kNotEqual, R7, 0x0806, not_arp);
  look_up(as, map, kArpTarget, false, drop, pass, pass);
  as.jump(pass);
  as.bind(not_arp);
  as.jump64(Jump::kNotEqual, R7, 0x86dd, pass);
  look_up(as, map, kIpv6To, true, drop, some6, pass);
  load(as, kIpv6Next, kLoaded, 1, pass);
  as.load(Size::kByte, R7, R10, kLoaded);
  as.jump64(Jump::kNotEqual, R7, 58, pass);
  load(as, kIcmp6Type, kLoaded, 1, pass);
  as.load(Size::kByte, R7, R10, kLoaded);
  as.jump64(Jump::kNotEqual, R7, 135, pass);
  look_up(as, map, kSolicited, true, drop, pass, pass);
  as.jump(pass);
  as.bind(some4);
  expect(as, kIpv4Carried, Size::kByte, 0xff, kUdp, pass);
  expect(as, kIpv4Fragment, Size::kHalf, 0x1fff, 0, pass);
  load(as, kIpv4, kLoaded, 1, pass);
  as.load(Size::kByte, R7, R10, kLoaded);
  as.alu64(Alu::kAnd, R7, 15);
  as.alu64(Alu::kLsh, R7, 2);
  as.alu64(Alu::kAdd, R7, kIpv4 + kPort);
  expect(as, R7, Size::kHalf, 0xffff, forward::kGenevePort, pass);
  as.jump(drop);
  as.bind(some6);
  expect(as, kIpv6Next, Size::kByte, 0xff, kUdp, pass);
  expect(as, kIcmp6Type + kPort, Size::kHalf, 0xffff, forward::kGenevePort, pass);
  as.jump(drop);
  as.bind(pass);
  as.mov32(R0, kNext);
  as.exit();
  as.bind(drop);
  as.mov32(R0, kDrop);
  as.exit();
  return as.finish();
}

/// Whether the host sends on what is for others.
bool forwards(const std::string& name) {
  for (const char* family : {"ipv4", "ipv6"}) {
    const UniqueFd file(
        open((std::string("/proc/sys/net/") + family + "/conf/" + name + "/forwarding").c_str(), O_RDONLY | O_CLOEXEC));
    char value = '0';
    if (file && read(file.get(), &value, 1) == 1 && value != '0') return true;
  }
  return false;
}

}  // namespace

Result<Guard> Guard::open(int interface, const std::string& name) {
  Guard guard;
  auto addresses = AddressSet::create(name + ": a BPF map, to keep the host from answering");
  if (!addresses) return std::move(addresses).error();
  guard.addresses_ = *std::move(addresses);

  const auto program = assemble(guard.addresses_.map());
  if (!program) return program.error();
  bpf_attr attr = zero_attr();
  attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
  attr.insns = address(program->data());
  attr.insn_cnt = static_cast<uint32_t>(program->size());
  attr.license = address("Dual MIT/GPL");
  std::strncpy(attr.prog_name, "ringtap_inline", sizeof attr.prog_name - 1);
  guard.program_.reset(bpf(BPF_PROG_LOAD, attr));
  if (!guard.program_) return refused(name + ": a BPF program, to keep the host from answering", errno);

  attr = zero_attr();
  attr.link_create.prog_fd = static_cast<uint32_t>(guard.program_.get());
  attr.link_create.target_ifindex = static_cast<uint32_t>(interface);
  attr.link_create.attach_type = static_cast<bpf_attach_type>(kTcxIngress);
  guard.link_.reset(bpf(BPF_LINK_CREATE, attr));
  if (guard.link_) return guard;
  const int err = errno;
  if (err != EINVAL && err != EOPNOTSUPP) return refused(name + ": attaching a BPF program", err);
  if (!forwards(name)) return guard;
  Error error = system_error(Code::kUnsupported,
                             name +
                                 ": this kernel cannot keep what is for the rules' addresses from the host, which "
                                 "would forward it a second time",
                             "bpf", err);
  error.hint = "Linux 6.6 can. Before, the host must not forward: sudo sysctl -w net.ipv4.conf." + name +
               ".forwarding=0 net.ipv6.conf." + name + ".forwarding=0";
  return error;
}

Result<Ok> Guard::set(const std::vector<AddressSet::Key>& addresses, AddressSet::What what) {
  return addresses_.set(addresses, what);
}

}  // namespace ringtap::afpacket
