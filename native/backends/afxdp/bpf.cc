#include "backends/afxdp/bpf.h"

#include <linux/bpf.h>
#include <linux/if_link.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "linux/bpf_call.h"
#include "linux/interface.h"

namespace ringtap::afxdp {
namespace {

using namespace bpf_call;

// What older <linux/bpf.h> lack.
constexpr uint32_t kHasFrags = 1u << 5;        // BPF_F_XDP_HAS_FRAGS
constexpr uint32_t kDeviceBound = 1u << 6;     // BPF_F_XDP_DEV_BOUND_ONLY
constexpr uint32_t kTestLiveFrames = 1u << 1;  // BPF_F_TEST_XDP_LIVE_FRAMES
constexpr int kNotSupported = 524;             // ENOTSUPP, which the kernel leaks to user space
constexpr size_t kLogBytes = size_t{1} << 20;
constexpr size_t kLastLines = 6;  // of the log, in a hint
constexpr size_t kLineBytes = 200;

constexpr Capabilities kNeeded = {Capability::kNetRaw, Capability::kNetAdmin, Capability::kBpf};
// CAP_PERFMON makes filters fast.
constexpr Capabilities kGranted = {Capability::kNetRaw, Capability::kNetAdmin, Capability::kBpf, Capability::kPerfmon};

/// What the kernel tells of a program or a link.
template <class Info>
std::optional<Info> info_of(int fd) {
  Info info;
  std::memset(&info, 0, sizeof info);
  bpf_attr attr = zero_attr();
  attr.info.bpf_fd = static_cast<uint32_t>(fd);
  attr.info.info_len = sizeof info;
  attr.info.info = address(&info);
  if (bpf(BPF_OBJ_GET_INFO_BY_FD, attr) != 0) return std::nullopt;
  return info;
}

std::string locked_memory_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return "";
  return " (RLIMIT_MEMLOCK is " + std::to_string(limit.rlim_cur / 1024) + " KiB)";
}

Error bpf_error(const std::string& what, int err) {
  if (err == EPERM || err == EACCES) {
    Error error = rights_error(what, "bpf", err);
    if (lacks_rights()) return error;
    error.message += locked_memory_limit();
    error.hint += " Before Linux 5.11 the locked-memory limit counts, too: ulimit -l unlimited.";
    return error;
  }
  if (err == ENOMEM || err == ENOBUFS) {
    return system_error(Code::kNoMemory, what + ": no memory" + locked_memory_limit(), "bpf", err);
  }
  if (err == ENOSYS) return system_error(Code::kUnsupported, what + ": this kernel has no bpf(2)", "bpf", err);
  return system_error(Code::kSystem, what, "bpf", err);
}

/// The last lines of a verifier's log that are about the program, the very last one first.
std::vector<std::string> last_lines(const std::string& log, size_t most) {
  std::vector<std::string> lines;
  for (size_t end = log.size(); end > 0 && lines.size() < most;) {
    const size_t newline = log.rfind('\n', end - 1);
    const size_t start = newline == std::string::npos ? 0 : newline + 1;
    const std::string line = log.substr(start, end - start);
    if (!line.empty() && line.find("processed ") != 0 && line.find("verification time") != 0 &&
        line.find("stack depth") != 0) {
      lines.push_back(line.substr(0, kLineBytes));
    }
    end = start == 0 ? 0 : start - 1;
  }
  return lines;
}

Error refusal(const std::string& what, int err, const std::string& log) {
  const std::vector<std::string> lines = last_lines(log, kLastLines);
  Error error = system_error(Code::kUnsupported, what, "bpf", err);
  error.message += ": the kernel's verifier says: " + (lines.empty() ? "" : lines.front());
  error.hint = "A newer kernel may take it. The verifier's log ends:";
  for (auto line = lines.rbegin(); line != lines.rend(); line++) error.hint += " | " + *line;
  return error;
}

bpf_attr load_attr(const EbpfProgram& program, bool frags) {
  bpf_attr attr = zero_attr();
  attr.prog_type = BPF_PROG_TYPE_XDP;
  attr.expected_attach_type = BPF_XDP;
  attr.insns = address(program.data());
  attr.insn_cnt = static_cast<uint32_t>(program.size());
  attr.license = address("Dual MIT/GPL");
  attr.prog_flags = frags ? kHasFrags : 0;
  std::strncpy(attr.prog_name, "ringtap", sizeof attr.prog_name - 1);
  return attr;
}

std::string verifier_log(bpf_attr attr) {
  std::vector<char> text(kLogBytes);
  attr.log_buf = address(text.data());
  attr.log_size = static_cast<uint32_t>(text.size());
  attr.log_level = 1;
  const UniqueFd loaded(bpf(BPF_PROG_LOAD, attr));  // a log too long for the buffer is cut
  text.back() = '\0';
  return text.data();
}

}  // namespace

bool lacks_rights() { return !missing_of(surroundings(), kNeeded).empty(); }

Error rights_error(const std::string& what, const char* syscall, int err) {
  return right_refused(what, kNeeded, kGranted, syscall, err);
}

Result<UniqueFd> create_map(const MapSpec& spec) {
  bpf_attr attr = zero_attr();
  attr.map_type = spec.type;
  attr.key_size = spec.key_size;
  attr.value_size = spec.value_size;
  attr.max_entries = spec.entries;
  attr.map_flags = spec.flags;
  std::strncpy(attr.map_name, spec.name, sizeof attr.map_name - 1);
  UniqueFd map(bpf(BPF_MAP_CREATE, attr));
  if (!map) return bpf_error("creating a BPF map", errno);
  return map;
}

Result<Ok> set_map(int map, uint32_t key, uint32_t value) {
  bpf_attr attr = zero_attr();
  attr.map_fd = static_cast<uint32_t>(map);
  attr.key = address(&key);
  attr.value = address(&value);
  if (bpf(BPF_MAP_UPDATE_ELEM, attr) != 0) return bpf_error("writing to a BPF map", errno);
  return Ok{};
}

Result<UniqueFd> load_program(const EbpfProgram& program, bool frags, int device) {
  bpf_attr attr = load_attr(program, frags);
  if (device != 0) {
    attr.prog_flags |= kDeviceBound;
    attr.prog_ifindex = static_cast<uint32_t>(device);
  }
  UniqueFd loaded(bpf(BPF_PROG_LOAD, attr));
  if (loaded) return loaded;
  const int err = errno;
  const std::string what = "loading an XDP program of " + std::to_string(program.size()) + " instructions";
  if (err == EMFILE || err == ENFILE) return bpf_error(what, err);  // its verifier may well have taken it
  const std::string log = verifier_log(attr);
  // No log: it was not the verifier that refused.
  return log.empty() ? bpf_error(what, err) : refusal(what, err, log);
}

Result<UniqueFd> attach_xdp(int program, int interface_index, const std::string& interface_name, AttachMode mode) {
  bpf_attr attr = zero_attr();
  attr.link_create.prog_fd = static_cast<uint32_t>(program);
  attr.link_create.target_ifindex = static_cast<uint32_t>(interface_index);
  attr.link_create.attach_type = BPF_XDP;
  attr.link_create.flags = mode == AttachMode::kNative ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  UniqueFd link(bpf(BPF_LINK_CREATE, attr));
  if (link) return link;

  const int err = errno;
  const std::string where = interface_name + (mode == AttachMode::kNative ? " (native XDP)" : " (generic XDP)");
  switch (err) {
    case EBUSY:
    case EEXIST: {
      Error error = system_error(Code::kBusy, where + ": another XDP program is attached", "bpf", err);
      error.hint = "See it with: ip link show dev " + interface_name + "; or sudo bpftool net. Stop what attached it.";
      return error;
    }
    case EOPNOTSUPP:
    case kNotSupported:
      return system_error(Code::kUnsupported, where + ": the driver cannot do it", "bpf", err);
    case ERANGE: {
      Error error = system_error(Code::kUnsupported, where + ": the MTU is too big for this XDP program", "bpf", err);
      error.hint = "Lower the MTU: sudo ip link set dev " + interface_name + " mtu 1500";
      return error;
    }
  }
  // EINVAL means many things, this one among them.
  const UniqueFd any = query_socket();
  if (is_gone(any.get(), interface_index)) {
    return system_error(Code::kNoInterface, where + ": the interface is gone", "bpf", err);
  }
  if (err == EINVAL && mode == AttachMode::kNative) {
    // Drivers say it of what they cannot combine with XDP: an MTU beyond a page, receive offloads, a small ring.
    Error error = system_error(Code::kUnsupported, where + ": the driver refuses it as it is set up now", "bpf", err);
    error.hint = "See its reason with dmesg; often a smaller MTU or ethtool -K " + interface_name +
                 " lro off helps. mode=generic needs no driver.";
    return error;
  }
  return bpf_error(where + ": attaching an XDP program", err);
}

LinkOf inspect_link(int link, int program) {
  const auto link_info = info_of<bpf_link_info>(link);
  // A detached link has no interface any more.
  if (!link_info || link_info->xdp.ifindex == 0) return LinkOf::kNothing;
  const auto program_info = info_of<bpf_prog_info>(program);
  return program_info && program_info->id == link_info->prog_id ? LinkOf::kProgram : LinkOf::kAnotherProgram;
}

void detach_link(int link) {
  bpf_attr attr = zero_attr();
  attr.link_detach.link_fd = static_cast<uint32_t>(link);
  bpf(BPF_LINK_DETACH, attr);
}

bool has_helper(uint32_t helper) {
  using namespace ebpf;
  Assembler as;
  as.store(Size::kDouble, R10, -8, 0);
  as.mov64(R2, 0);
  as.mov64(R3, R10);
  as.alu64(Alu::kAdd, R3, -8);
  as.mov64(R4, 4);
  as.call(helper);
  as.mov64(R0, 2);
  as.exit();
  const auto program = as.finish();
  if (!program) return false;
  bpf_attr attr = load_attr(*program, false);
  return bool(UniqueFd(bpf(BPF_PROG_LOAD, attr)));
}

Result<TestResult> test_run(int program, const TestRun& run) {
  bpf_attr attr = zero_attr();
  attr.test.prog_fd = static_cast<uint32_t>(program);
  attr.test.repeat = run.repeat;
  attr.test.data_in = address(run.packet.data());
  attr.test.data_size_in = static_cast<uint32_t>(run.packet.size());
  if (!run.output.empty()) {
    attr.test.data_out = address(run.output.data());
    attr.test.data_size_out = static_cast<uint32_t>(run.output.size());
  }
  if (!run.context.empty()) {
    attr.test.ctx_in = address(run.context.data());
    attr.test.ctx_size_in = static_cast<uint32_t>(run.context.size());
  }
  attr.test.flags = run.live_frames ? kTestLiveFrames : 0;
  // ENOSPC: `output` is too short for all of it.
  if (bpf(BPF_PROG_TEST_RUN, attr) != 0 && errno != ENOSPC) return bpf_error("a test run of an XDP program", errno);
  return TestResult{
      .verdict = attr.test.retval, .output_size = attr.test.data_size_out, .nanoseconds = attr.test.duration};
}

}  // namespace ringtap::afxdp
