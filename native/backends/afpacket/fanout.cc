#include "backends/afpacket/fanout.h"

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cerrno>

#include "filter/share_program.h"
#include "linux/bpf_call.h"
#include "linux/packet_socket.h"

namespace ringtap::afpacket {

namespace {

using namespace bpf_call;

// What older <linux/if_packet.h> lack.
constexpr uint32_t kClassic = 6;        // PACKET_FANOUT_CBPF
constexpr uint32_t kExtended = 7;       // PACKET_FANOUT_EBPF
constexpr int kFanoutData = 22;         // PACKET_FANOUT_DATA
constexpr uint32_t kUniqueId = 0x2000;  // PACKET_FANOUT_FLAG_UNIQUEID

UniqueFd create_map(bpf_map_type type, uint32_t key_bytes, uint32_t value_bytes, uint32_t entries) noexcept {
  bpf_attr attr = zero_attr();
  attr.map_type = type;
  attr.key_size = key_bytes;
  attr.value_size = value_bytes;
  attr.max_entries = entries;
  std::strncpy(attr.map_name, "ringtap", sizeof attr.map_name - 1);
  return UniqueFd(bpf(BPF_MAP_CREATE, attr));
}

UniqueFd load_filter(const EbpfProgram& program) noexcept {
  bpf_attr attr = zero_attr();
  attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attr.insns = address(program.data());
  attr.insn_cnt = static_cast<uint32_t>(program.size());
  attr.license = address("Dual MIT/GPL");
  std::strncpy(attr.prog_name, "ringtap", sizeof attr.prog_name - 1);
  return UniqueFd(bpf(BPF_PROG_LOAD, attr));
}

}  // namespace

Result<std::shared_ptr<FanoutGroup>> FanoutGroup::create(const Sharing& sharing, const std::string& uri) {
  std::shared_ptr<FanoutGroup> group(new FanoutGroup(sharing, uri));
  if (auto loaded = group->load(); !loaded) return std::move(loaded).error();
  return group;
}

Result<Ok> FanoutGroup::load() {
  if (hash_ == ShareHash::kBalanced) return Ok{};
  load_maps();
  auto program = share_program(hash_, {.fragments = fragments_.get(), .orphans = orphans_.get()});
  if (!program) return std::move(program).error();
  // A hash of ports whose fragments nobody remembers would split flows.
  if (!share_hash::uses_ports(hash_) || fragments_) ebpf_ = load_filter(*program);
  if (ebpf_) return Ok{};
  const int err = errno;
  fragments_.reset();
  orphans_.reset();
  if (hash_ == ShareHash::kUnidirectional) {
    Error error =
        system_error(Code::kNoPermission, uri_ + ": the kernel takes no program that hashes by direction", "bpf", err);
    error.hint = "Grant CAP_BPF, or take hash: 'addresses', which needs CAP_NET_RAW alone.";
    return error;
  }
  if (hash_ == ShareHash::kBidirectional) hash_ = ShareHash::kAddresses;
  classic_ = classic_share_program(hash_);
  return Ok{};
}

void FanoutGroup::load_maps() {
  if (!share_hash::uses_ports(hash_)) return;
  fragments_ = create_map(BPF_MAP_TYPE_LRU_HASH, sizeof(FragmentKey), 4, share_hash::kFragments);
  orphans_ = create_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1);
}

const char* FanoutGroup::method() const noexcept {
  if (hash_ == ShareHash::kBalanced) return "fanout-lb";
  return ebpf_ ? "fanout-ebpf" : "fanout-cbpf";
}

uint32_t FanoutGroup::mode() const noexcept {
  if (hash_ == ShareHash::kBalanced) return PACKET_FANOUT_LB;
  return ebpf_ ? kExtended : kClassic;
}

uint64_t FanoutGroup::orphans() const noexcept {
  uint64_t count = 0;
  const uint32_t key = 0;
  bpf_attr attr = zero_attr();
  attr.map_fd = static_cast<uint32_t>(orphans_.get());
  attr.key = address(&key);
  attr.value = address(&count);
  return orphans_ && bpf(BPF_MAP_LOOKUP_ELEM, attr) == 0 ? count : 0;
}

int FanoutGroup::set_program(int fd) const noexcept {
  if (ebpf_) return set_packet_option(fd, kFanoutData, ebpf_.get());
  if (classic_.empty()) return 0;
  static_assert(sizeof(sock_filter) == sizeof(BpfInsn));
  sock_fprog request{};
  request.len = static_cast<unsigned short>(classic_.size());
  // SAFETY: BpfInsn has the layout of sock_filter; the kernel copies the program and writes nothing.
  request.filter = reinterpret_cast<sock_filter*>(const_cast<BpfInsn*>(classic_.data()));
  return set_packet_option(fd, kFanoutData, request);
}

Result<Ok> FanoutGroup::join(int fd, const Program& program) {
  const std::scoped_lock lock(mutex_);
  const auto failure = [this](const char* what, int err) {
    return system_error(Code::kSystem, uri_ + ": " + what, "setsockopt(PACKET_FANOUT)", err);
  };
  // WHY an id by the kernel: any other may be another program's, whose packets we would take then.
  const uint32_t argument = members_.empty() ? (mode() | kUniqueId) << 16 : id_ | mode() << 16;
  if (const int err = set_packet_option(fd, PACKET_FANOUT, argument); err != 0) {
    return failure("cannot join the group of sockets that share the packets", err);
  }
  if (members_.empty()) {
    socklen_t length = sizeof id_;
    if (getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &id_, &length) != 0) return failure("the group has no number", errno);
    id_ &= 0xffff;
  }
  members_.push_back({.fd = fd, .program = program});
  if (members_.size() < count_) return Ok{};
  if (const int err = set_program(fd); err != 0)
    return failure("the kernel refused the program that shares packets out", err);
  for (const Member& member : members_) {
    if (const int err = attach_filter(member.fd, member.program); err != 0)
      return failure("cannot attach the filter", err);
  }
  members_.clear();
  members_.shrink_to_fit();
  return Ok{};
}

}  // namespace ringtap::afpacket
