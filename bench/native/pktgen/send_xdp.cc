// BPF_PROG_TEST_RUN with live frames: the kernel makes the frames, an XDP program numbers each and redirects it into
// the interface. Several times faster than a socket. At a rate, the program drops what is not due yet: the pace is kept
// to the packet, without a system call. Raw bpf(2), no libbpf.
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <stdexcept>
#include <vector>

#include "sender.h"

namespace pktgen {
namespace {

// A call sets up a page pool first: that is worth it for a million frames.
constexpr uint64_t kFramesPerCall = 1 << 20;
// At a rate most turns of the loop drop; a signal ends it when the frames are out.
constexpr uint32_t kTurnsPerPacedCall = 1U << 31;
constexpr int kIntervalBits = 16;

/// Shared with the program.
struct Control {
  uint64_t number;    // of the next frame
  uint64_t end;       // the first number that is not sent
  uint64_t interval;  // ns from frame to frame << kIntervalBits; 0: flat out, and nothing below matters
  uint64_t first;     // of this call
  uint64_t start_ns;  // when it was sent, CLOCK_MONOTONIC: set by the program
  uint64_t last_ns;   // when the last one was sent: set by the program
};

int64_t bpf(bpf_cmd command, bpf_attr& attr) { return syscall(SYS_bpf, command, &attr, sizeof attr); }

uint64_t address(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

int create_map(bpf_map_type type, uint32_t value_size, uint32_t flags) {
  bpf_attr attr{};
  attr.map_type = type;
  attr.key_size = 4;
  attr.value_size = value_size;
  attr.max_entries = 1;
  attr.map_flags = flags;
  const int64_t fd = bpf(BPF_MAP_CREATE, attr);
  if (fd < 0) fail("BPF_MAP_CREATE (--method xdp needs CAP_BPF and CAP_NET_ADMIN of the host)");
  return static_cast<int>(fd);
}

// The few instructions needed, as the kernel's own macros (include/linux/filter.h) name them.
using Code = std::vector<bpf_insn>;
bpf_insn op(int code, int dst, int src, int off, int imm) {
  bpf_insn insn{};
  insn.code = static_cast<uint8_t>(code);
  insn.dst_reg = static_cast<uint8_t>(dst) & 0xf;
  insn.src_reg = static_cast<uint8_t>(src) & 0xf;
  insn.off = static_cast<int16_t>(off);
  insn.imm = imm;
  return insn;
}
bpf_insn mov(int dst, int src) { return op(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0); }
bpf_insn mov_imm(int dst, int imm) { return op(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm); }
bpf_insn alu_imm(int kind, int dst, int imm) { return op(BPF_ALU64 | kind | BPF_K, dst, 0, 0, imm); }
bpf_insn to_big_endian(int dst, int bits) { return op(BPF_ALU | BPF_END | BPF_TO_BE, dst, 0, 0, bits); }
bpf_insn load(int size, int dst, int src, uint32_t off) {
  return op(BPF_LDX | BPF_MEM | size, dst, src, static_cast<int>(off), 0);
}
bpf_insn store(int size, int dst, uint32_t off, int src) {
  return op(BPF_STX | BPF_MEM | size, dst, src, static_cast<int>(off), 0);
}
bpf_insn call(int helper) { return op(BPF_JMP | BPF_CALL, 0, 0, 0, helper); }
void load_map(Code& code, int dst, int kind, int fd) {
  code.push_back(op(BPF_LD | BPF_DW | BPF_IMM, dst, kind, 0, fd));
  code.push_back(op(0, 0, 0, 0, 0));
}

Code program(const Frames& frames, int devmap, int control) {
  const uint32_t payload = frames.payload_offset();
  Code code;
  const auto add = [&code](std::initializer_list<bpf_insn> insns) { code.insert(code.end(), insns); };
  add({load(BPF_W, 7, 1, offsetof(xdp_md, data)), load(BPF_W, 8, 1, offsetof(xdp_md, data_end)), mov(2, 7),
       alu_imm(BPF_ADD, 2, static_cast<int>(payload + 16)), op(BPF_JMP | BPF_JLE | BPF_X, 2, 8, 2, 0),
       mov_imm(0, XDP_ABORTED), op(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)});
  // r6 = the control block, r9 = the frame's number; one CPU runs the test, so no atomic is needed.
  load_map(code, 6, BPF_PSEUDO_MAP_VALUE, control);
  add({load(BPF_DW, 9, 6, offsetof(Control, number)), load(BPF_DW, 2, 6, offsetof(Control, end)),
       op(BPF_JMP | BPF_JLT | BPF_X, 9, 2, 2, 0), mov_imm(0, XDP_DROP), op(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)});
  // Due is start + (number - first) * interval.
  add({load(BPF_DW, 1, 6, offsetof(Control, interval)), op(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 16, 0),
       call(BPF_FUNC_ktime_get_ns), load(BPF_DW, 2, 6, offsetof(Control, start_ns)),
       op(BPF_JMP | BPF_JNE | BPF_K, 2, 0, 2, 0), store(BPF_DW, 6, offsetof(Control, start_ns), 0), mov(2, 0),
       load(BPF_DW, 3, 6, offsetof(Control, first)), mov(1, 9), op(BPF_ALU64 | BPF_SUB | BPF_X, 1, 3, 0, 0),
       load(BPF_DW, 3, 6, offsetof(Control, interval)), op(BPF_ALU64 | BPF_MUL | BPF_X, 1, 3, 0, 0),
       alu_imm(BPF_RSH, 1, kIntervalBits), op(BPF_ALU64 | BPF_ADD | BPF_X, 1, 2, 0, 0),
       op(BPF_JMP | BPF_JGE | BPF_X, 0, 1, 2, 0), mov_imm(0, XDP_DROP), op(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
       store(BPF_DW, 6, offsetof(Control, last_ns), 0)});
  add({mov(2, 9), alu_imm(BPF_ADD, 2, 1), store(BPF_DW, 6, offsetof(Control, number), 2)});
  add({mov(2, 9), alu_imm(BPF_MOD, 2, static_cast<int>(frames.flows())), alu_imm(BPF_ADD, 2, kFirstPort),
       to_big_endian(2, 16), store(BPF_H, 7, frames.source_port_offset(), 2)});
  add({mov(2, 9), to_big_endian(2, 64), store(BPF_DW, 7, payload, 2)});
  if (frames.options().stamp) {
    add({call(BPF_FUNC_ktime_get_tai_ns), to_big_endian(0, 64), store(BPF_DW, 7, payload + 8, 0)});
  }
  load_map(code, 1, BPF_PSEUDO_MAP_FD, devmap);
  add({mov_imm(2, 0), mov_imm(3, 0), call(BPF_FUNC_redirect_map), op(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)});
  return code;
}

int load_program(const Code& code) {
  std::vector<char> log(1 << 16);
  bpf_attr attr{};
  attr.prog_type = BPF_PROG_TYPE_XDP;
  attr.insns = address(code.data());
  attr.insn_cnt = static_cast<uint32_t>(code.size());
  attr.license = address("GPL");
  attr.log_buf = address(log.data());
  attr.log_size = static_cast<uint32_t>(log.size());
  attr.log_level = 1;
  const int64_t fd = bpf(BPF_PROG_LOAD, attr);
  if (fd < 0)
    fail("BPF_PROG_LOAD (--method xdp needs CAP_BPF and CAP_NET_ADMIN of the host)\n" + std::string(log.data()));
  return static_cast<int>(fd);
}

/// What a veth counts when its peer takes (or refuses) redirected frames: nothing else says how many arrived.
class XmitCounters {
 public:
  explicit XmitCounters(const std::string& iface) : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    std::strncpy(request_.ifr_name, iface.c_str(), IFNAMSIZ - 1);
    ethtool_drvinfo info{};
    info.cmd = ETHTOOL_GDRVINFO;
    if (!ask(&info) || std::strcmp(info.driver, "veth") != 0) return;
    std::vector<uint64_t> names((sizeof(ethtool_gstrings) + size_t{info.n_stats} * ETH_GSTRING_LEN) / 8 + 1);
    auto* const strings = reinterpret_cast<ethtool_gstrings*>(names.data());
    strings->cmd = ETHTOOL_GSTRINGS;
    strings->string_set = ETH_SS_STATS;
    strings->len = info.n_stats;
    if (!ask(strings)) return;
    for (uint32_t i = 0; i < info.n_stats; i++) {
      const std::string name(reinterpret_cast<const char*>(strings->data) + size_t{i} * ETH_GSTRING_LEN);
      if (name.ends_with("_xdp_xmit")) taken_.push_back(i);
    }
    count_ = info.n_stats;
  }
  ~XmitCounters() { close(fd_); }
  XmitCounters(const XmitCounters&) = delete;
  XmitCounters& operator=(const XmitCounters&) = delete;

  bool known() const { return !taken_.empty(); }
  uint64_t taken() {
    std::vector<uint64_t> values(sizeof(ethtool_stats) / 8 + count_ + 1);
    auto* const stats = reinterpret_cast<ethtool_stats*>(values.data());
    stats->cmd = ETHTOOL_GSTATS;
    stats->n_stats = count_;
    if (!ask(stats)) fail("ETHTOOL_GSTATS");
    uint64_t sum = 0;
    for (const uint32_t i : taken_) sum += stats->data[i];
    return sum;
  }

 private:
  bool ask(void* command) {
    request_.ifr_data = static_cast<char*>(command);
    return ioctl(fd_, SIOCETHTOOL, &request_) == 0;
  }

  int fd_;
  ifreq request_{};
  std::vector<uint32_t> taken_;  // indexes of the counters to add up, one per queue
  uint32_t count_ = 0;
};

class XdpSender final : public Sender {
 public:
  XdpSender(const std::string& iface, const Frames& frames, double rate)
      : iface_(iface), xmit_(iface), frame_(frames.max_size()), rate_(rate) {
    if (frames.options().proto != "udp") throw std::invalid_argument("--method xdp sends --proto udp only");
    if (frames.options().size.find_first_not_of("0123456789") != std::string::npos)
      throw std::invalid_argument("--method xdp sends frames of one --size only");
    if (frame_.size() < frames.payload_offset() + 16)
      throw std::invalid_argument("--method xdp: --size must be at least " +
                                  std::to_string(frames.payload_offset() + 16));
    const uint32_t index = if_nametoindex(iface.c_str());
    if (index == 0) fail("--iface " + iface);
    frames.write(frame_.data(), 0);

    devmap_ = create_map(BPF_MAP_TYPE_DEVMAP, 4, 0);
    map_ = create_map(BPF_MAP_TYPE_ARRAY, sizeof(Control), BPF_F_MMAPABLE);
    const uint32_t key = 0;
    bpf_attr attr{};
    attr.map_fd = static_cast<uint32_t>(devmap_);
    attr.key = address(&key);
    attr.value = address(&index);
    if (bpf(BPF_MAP_UPDATE_ELEM, attr) != 0) fail(iface + " takes no redirected frames");
    program_ = load_program(program(frames, devmap_, map_));
    void* const map = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, map_, 0);
    if (map == MAP_FAILED) fail("mmap of the control block");
    control_ = static_cast<volatile Control*>(map);
    if (rate_ > 0) {
      control_->interval = static_cast<uint64_t>(1e9 / rate_ * (1 << kIntervalBits));
      struct sigaction action {};
      action.sa_handler = [](int) {};  // without SA_RESTART: it only ends the call
      sigaction(SIGALRM, &action, nullptr);
    }
  }
  ~XdpSender() override {
    munmap(const_cast<Control*>(control_), 4096);
    for (const int fd : {program_, map_, devmap_}) close(fd);
  }
  XdpSender(const XdpSender&) = delete;
  XdpSender& operator=(const XdpSender&) = delete;

  uint64_t send(uint64_t first, uint64_t count, Sent& total) override {
    const uint64_t taken_before = xmit_.known() ? xmit_.taken() : 0;
    control_->number = first;
    control_->end = first + count;
    if (rate_ > 0) {
      control_->first = first;
      control_->start_ns = 0;
      control_->last_ns = 0;
      interrupt_after((count * control_->interval >> kIntervalBits) + kSetUpNs);
    }
    bpf_attr attr{};
    attr.test.prog_fd = static_cast<uint32_t>(program_);
    attr.test.data_in = address(frame_.data());
    attr.test.data_size_in = static_cast<uint32_t>(frame_.size());
    attr.test.repeat = rate_ > 0 ? kTurnsPerPacedCall : static_cast<uint32_t>(std::min(count, kFramesPerCall));
    attr.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
    if (bpf(BPF_PROG_TEST_RUN, attr) != 0 && errno != EINTR) fail("BPF_PROG_TEST_RUN (live frames: Linux 5.18)");

    if (rate_ > 0) {
      interrupt_after(0);
      total.paced_ns += control_->last_ns - control_->start_ns;
    }

    const uint64_t made = control_->number - first;
    const uint64_t taken = xmit_.known() ? xmit_.taken() - taken_before : made;
    total.frames += taken;
    total.bytes += taken * frame_.size();
    total.errors += made - taken;
    if (made > 0 && taken == 0) {
      throw std::runtime_error("the peer of " + iface_ +
                               " takes no redirected frames: attach an XDP program to it, or ethtool -K <peer> gro on");
    }
    return made;
  }

 private:
  static constexpr uint64_t kSetUpNs = 30000000;

  /// After so much time (0: never) a signal every millisecond: one alone could come before the call begins.
  static void interrupt_after(uint64_t ns) {
    itimerval timer{};
    if (ns != 0) {
      timer.it_value = {static_cast<time_t>(ns / 1000000000), static_cast<suseconds_t>(ns / 1000 % 1000000 + 1)};
      timer.it_interval = {0, 1000};
    }
    setitimer(ITIMER_REAL, &timer, nullptr);
  }

  std::string iface_;
  XmitCounters xmit_;
  std::vector<std::byte> frame_;
  double rate_;
  int devmap_ = -1;
  int map_ = -1;
  int program_ = -1;
  volatile Control* control_ = nullptr;
};

}  // namespace

std::unique_ptr<Sender> make_xdp_sender(const std::string& iface, const Frames& frames, double rate) {
  return std::make_unique<XdpSender>(iface, frames, rate);
}

}  // namespace pktgen
