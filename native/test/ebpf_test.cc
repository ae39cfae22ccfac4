#include <doctest/doctest.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include "backends/afxdp/bpf.h"
#include "backends/afxdp/program.h"
#include "core/link_type.h"
#include "filter/ebpf_flow.h"
#include "filter/opcodes.h"
#include "filter/text.h"
#include "filter/validate.h"
#include "filter/vm.h"
#include "libpcap/compile.h"
#include "test/ebpf_expressions.h"
#include "test/ebpf_frames.h"
#include "test/ebpf_programs.h"
#include "test/expressions.h"
#include "test/reference_filter.h"

using namespace ringtap;
using namespace ringtap::afxdp;
using ebpf::Access;
using ebpf::FilterOptions;
using ebpf::Length;
using test::Bytes;

namespace {

constexpr BpfInsn kAccept{.code = bpf::kRet | bpf::kK, .k = 0xffff};

struct Mode {
  std::string name;
  FilterOptions options;
};
const Mode kModes[] = {
    {"direct", {}},
    {"direct, length by pointers", {.length = Length::kPointers}},
    {"direct, frags", {.frags = true}},
    {"mixed", {.access = Access::kMixed}},
    {"mixed, frags", {.access = Access::kMixed, .frags = true}},
    {"load-bytes", {.access = Access::kLoadBytes}},
};

Program compiled(const std::string& expression) {
  auto program = compile_filter(expression, kLinkEthernet, 0xffff);
  REQUIRE_MESSAGE(bool(program), expression, ": ", program.error().message);
  return *program;
}

/// An XSKMAP whose slot 0, the queue of a test run, holds a socket that is bound to no interface. What the program
/// redirects can be told from what it passes.
class Target {
 public:
  /// Null, with the reason printed, if this process may not use bpf(2).
  static std::optional<Target> create() {
    auto map = create_map({.type = BPF_MAP_TYPE_XSKMAP});
    if (!map && map.error().code == Code::kNoPermission) {
      MESSAGE("not run: " << map.error().message);
      return std::nullopt;
    }
    REQUIRE_MESSAGE(bool(map), map.error().message);
    return Target(std::move(*map));
  }

  int map() const { return map_.get(); }
  /// The map forgets a socket that is closed.
  void clear() { socket_.reset(); }
  void fill() { REQUIRE(bool(set_map(map_.get(), 0, static_cast<uint32_t>(socket_.get())))); }

 private:
  static constexpr size_t kUmemBytes = 65536;

  explicit Target(UniqueFd map) : map_(std::move(map)), socket_(socket(AF_XDP, SOCK_RAW, 0)) {
    umem_ = mmap(nullptr, kUmemBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    xdp_umem_reg area{};
    area.addr = reinterpret_cast<uintptr_t>(umem_);
    area.len = kUmemBytes;
    area.chunk_size = 2048;
    const int entries = 64;
    const auto set = [&](int option, const void* value, socklen_t size) {
      REQUIRE(setsockopt(socket_.get(), SOL_XDP, option, value, size) == 0);
    };
    set(XDP_UMEM_REG, &area, sizeof area);
    set(XDP_UMEM_FILL_RING, &entries, sizeof entries);
    set(XDP_UMEM_COMPLETION_RING, &entries, sizeof entries);
    set(XDP_RX_RING, &entries, sizeof entries);
    fill();
  }

  UniqueFd map_;
  UniqueFd socket_;
  void* umem_;  // as long as the process
};

/// The program as it is attached, stamps included.
class Machine {
 public:
  Machine(const Target& target, const Program* filter, const FilterOptions& options, const Stamps* stamps) {
    const auto code = assemble({.xsk_map = target.map(), .filter = filter, .options = options, .stamps = stamps});
    if (!code) {
      obstacle_ = code.error().message;
      return;
    }
    size_ = code->program.size();
    auto fd = load_program(code->program, options.frags);
    if (fd) {
      fd_ = std::move(*fd);
    } else {
      refusal_ = fd.error().message + "\n" + fd.error().hint;
    }
  }

  /// Why it has no translation, and why the kernel refuses it; empty if so.
  const std::string& obstacle() const { return obstacle_; }
  const std::string& refusal() const { return refusal_; }
  size_t size() const { return size_; }
  int fd() const { return fd_.get(); }

  bool accepts(std::span<const std::byte> packet, std::span<const std::byte> context = {}) const {
    const auto run = test_run(fd_.get(), {.packet = packet, .context = context});
    REQUIRE_MESSAGE(bool(run), run.error().message);
    REQUIRE((run->verdict == XDP_REDIRECT || run->verdict == XDP_PASS));
    return run->verdict == XDP_REDIRECT;
  }

  /// The packet comes in fragments, the first one `first` bytes long.
  bool accepts_split(std::span<const std::byte> packet, uint32_t first) const {
    xdp_md context{};
    context.data_end = first;
    return accepts(packet, std::as_bytes(std::span(&context, 1)));
  }

  /// Can this kernel's test run split short packets? (Linux 6.18.)
  bool can_split() const {
    const Bytes packet(100);
    xdp_md context{};
    context.data_end = 14;
    return bool(test_run(fd_.get(), {.packet = packet, .context = std::as_bytes(std::span(&context, 1))}));
  }

 private:
  UniqueFd fd_;
  std::string obstacle_;
  std::string refusal_;
  size_t size_ = 0;
};

Stamps fresh_stamps() {
  auto stamps = Stamps::create(StampClock::kMonotonic);
  REQUIRE_MESSAGE(bool(stamps), stamps.error().message);
  return std::move(*stamps);
}

std::string hex(const Bytes& packet) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : packet) {
    text += kDigits[static_cast<unsigned>(byte) >> 4];
    text += kDigits[static_cast<unsigned>(byte) & 15];
  }
  return text;
}

std::vector<Bytes> frames(uint64_t seed, size_t count) {
  test::Frames source(seed);
  std::vector<Bytes> result;
  for (size_t i = 0; i < count; i++) result.push_back(source.next());
  return result;
}

/// In a thread of its own, whose capabilities and network namespace end with it.
void in_thread(const std::function<void()>& work) {
  std::exception_ptr thrown;
  std::thread([&] {
    try {
      work();
    } catch (...) {
      thrown = std::current_exception();
    }
  }).join();
  if (thrown) std::rethrow_exception(thrown);
}

void drop(std::initializer_list<Capability> capabilities) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  REQUIRE(syscall(SYS_capget, &header, data) == 0);
  for (const Capability capability : capabilities) {
    const auto bit = static_cast<uint32_t>(capability);
    data[bit / 32].effective &= ~(1u << bit % 32);
  }
  REQUIRE(syscall(SYS_capset, &header, data) == 0);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

TEST_CASE("filters decide in XDP as they do in libpcap: all expressions, 5,000 packets each") {
  auto target = Target::create();
  if (!target) return;
  const test::ReferenceFilter reference;
  const Stamps stamps = fresh_stamps();
  constexpr uint64_t kSeed = 20261121;
  const auto packets = frames(kSeed, 5000);

  std::vector<std::string> expressions(std::begin(test::kExpressions), std::end(test::kExpressions));
  expressions.insert(expressions.end(), std::begin(test::kMoreExpressions), std::end(test::kMoreExpressions));
  size_t translated = 0;
  size_t selective = 0;
  size_t runs = 0;
  size_t split_runs = 0;
  double kernel_seconds = 0;
  for (const std::string& expression : expressions) {
    const Program program = compiled(expression);
    const FilterVm vm(program);
    std::vector<bool> expected;
    for (const Bytes& packet : packets) {
      const auto size = static_cast<uint32_t>(packet.size());
      expected.push_back(reference.run(program, packet, size) != 0);
      REQUIRE(expected.back() == (vm.run(packet.data(), size, size) != 0));
    }
    const auto accepted = std::count(expected.begin(), expected.end(), true);
    selective += accepted > 0 && accepted < static_cast<long>(packets.size());

    if (has_loop(program)) {
      const Machine machine(*target, &program, {}, &stamps);
      CHECK_MESSAGE(machine.obstacle().find("jumps backwards") != std::string::npos, expression);
      continue;
    }
    translated++;
    for (const Mode& mode : kModes) {
      if (mode.options.length == Length::kPointers && !ebpf::analyse(program).uses_length) continue;
      const Machine machine(*target, &program, mode.options, &stamps);
      REQUIRE_MESSAGE(machine.obstacle().empty(), expression, ": ", machine.obstacle());
      REQUIRE_MESSAGE(machine.refusal().empty(), mode.name, ": ", expression, ": ", machine.refusal());
      const bool split = mode.options.frags && machine.can_split();
      const auto start = std::chrono::steady_clock::now();
      for (size_t i = 0; i < packets.size(); i++) {
        const Bytes& packet = packets[i];
        const auto first = static_cast<uint32_t>(14 + i % std::min<size_t>(packet.size() - 13, 80));
        if ((split ? machine.accepts_split(packet, first) : machine.accepts(packet)) == expected[i]) continue;
        FAIL(mode.name, ": ", expression, ": packet ", i, " of seed ", kSeed, " should be ",
             expected[i] ? "accepted" : "rejected", "\n", hex(packet), "\n", disassemble(program));
      }
      kernel_seconds += seconds_since(start);
      runs += packets.size();
      split_runs += split ? packets.size() : 0;
    }
  }
  CHECK(stamps.intact());
  CHECK(translated >= 200);
  // The comparison means little if most filters take all packets or none.
  CHECK(selective >= 190);
  MESSAGE(translated << " expressions of " << expressions.size() << ", " << selective << " tell packets apart, " << runs
                     << " test runs (" << split_runs << " in fragments) in " << kernel_seconds << " s");
}

TEST_CASE("filters read beyond the first fragment of a packet") {
  auto target = Target::create();
  if (!target) return;
  const test::ReferenceFilter reference;
  const Stamps stamps = fresh_stamps();
  constexpr const char* kExpressions[] = {"tcp port 80 or udp port 53",
                                          "len > 5000",
                                          "ether[3518:4] > 0x80000000",
                                          "ether[3519:2] & 1 = 0",
                                          "ether[3520] > 127",
                                          "ether[5000:4] > 0x80000000",
                                          "ether[9000:2] & 3 = 1",
                                          "ether[40000] > 127",
                                          "ether[len - 4:4] > 0x80000000",
                                          "ether[len / 2] > ether[len - 1]",
                                          "ether[3519 + (ether[100] & 3):4] > 0x80000000",
                                          "ip and ether[4000] > 127 and ether[20] > 10 and ether[30] > 20",
                                          "ether[ether[200:2]] > 127"};
  test::Frames source(5);
  std::vector<Bytes> packets;
  for (int i = 0; i < 1500; i++) {
    // Around the end of the first fragment of a test run, and far beyond.
    packets.push_back(source.next(i % 3 == 0 ? 3500 + source.pick(40) : 3000 + source.pick(50'000)));
  }
  for (const Access access : {Access::kDirect, Access::kMixed, Access::kLoadBytes}) {
    for (const std::string expression : kExpressions) {
      const Program program = compiled(expression);
      const Machine machine(*target, &program, {.access = access, .frags = true}, &stamps);
      REQUIRE_MESSAGE(machine.fd() >= 0, expression, ": ", machine.refusal());
      size_t accepted = 0;
      for (const Bytes& packet : packets) {
        const bool expected = reference.run(program, packet, static_cast<uint32_t>(packet.size())) != 0;
        accepted += expected;
        REQUIRE_MESSAGE(machine.accepts(packet) == expected, expression, ", ", packet.size(), " bytes");
      }
      CHECK_MESSAGE(accepted > 0, expression);
    }
  }
  CHECK(stamps.intact());
}

TEST_CASE("random programs decide in XDP as they do in libpcap: 6,000 programs, 60 packets each") {
  auto target = Target::create();
  if (!target) return;
  const test::ReferenceFilter reference;
  constexpr uint64_t kSeed = 7;
  test::RandomPrograms programs(kSeed, 200);
  const auto packets = frames(kSeed, 3000);
  std::mt19937 random(kSeed);
  size_t untranslatable = 0;
  size_t accepted = 0;
  size_t loaded[std::size(kModes)] = {};
  for (size_t i = 0; i < 6000; i++) {
    const bool scratch_set = random() % 2 == 0;
    const Program program = programs.next(scratch_set);
    REQUIRE(bool(validate(program)));
    const FilterVm vm(program);
    std::vector<const Bytes*> chosen(60);
    std::vector<bool> expected;
    for (const Bytes*& packet : chosen) {
      packet = &packets[random() % packets.size()];
      const auto size = static_cast<uint32_t>(packet->size());
      expected.push_back(vm.run(packet->data(), size, size) != 0);
      if (scratch_set) REQUIRE(expected.back() == (reference.run(program, *packet, size) != 0));
    }
    for (size_t m = 0; m < std::size(kModes); m++) {
      const Machine machine(*target, &program, kModes[m].options, nullptr);
      if (!machine.obstacle().empty()) {
        untranslatable += m == 0;
        CHECK(machine.obstacle().find("metadata") != std::string::npos);
        continue;
      }
      REQUIRE_MESSAGE(machine.fd() >= 0, kModes[m].name, ", program ", i, ": ", machine.refusal(), "\n",
                      disassemble(program));
      loaded[m]++;
      for (size_t j = 0; j < chosen.size(); j++) {
        REQUIRE_MESSAGE(machine.accepts(*chosen[j]) == expected[j], kModes[m].name, ", program ", i, " of seed ", kSeed,
                        "\n", hex(*chosen[j]), "\n", disassemble(program));
        accepted += expected[j];
      }
    }
  }
  MESSAGE(untranslatable << " of 6000 not translatable; " << accepted << " packets accepted");
  for (size_t m = 0; m < std::size(kModes); m++) MESSAGE(kModes[m].name << ": " << loaded[m] << " programs loaded");
  CHECK(untranslatable < 1000);
  CHECK(accepted > 100'000);
}

TEST_CASE("random programs decide alike on packets in fragments") {
  auto target = Target::create();
  if (!target) return;
  test::RandomPrograms programs(11, 8000);
  test::Frames source(11);
  std::vector<Bytes> packets;
  for (int i = 0; i < 200; i++) packets.push_back(source.next(3400 + source.pick(9000)));
  size_t tried = 0;
  for (size_t i = 0; i < 1000; i++) {
    const Program program = programs.next(false);
    const FilterVm vm(program);
    const Access access = i % 2 == 0 ? Access::kDirect : Access::kMixed;
    const Machine machine(*target, &program, {.access = access, .frags = true}, nullptr);
    if (!machine.obstacle().empty()) continue;
    REQUIRE_MESSAGE(machine.fd() >= 0, machine.refusal());
    tried++;
    for (size_t j = 0; j < 50; j++) {
      const Bytes& packet = packets[(i * 7 + j) % packets.size()];
      const auto size = static_cast<uint32_t>(packet.size());
      REQUIRE_MESSAGE(machine.accepts(packet) == (vm.run(packet.data(), size, size) != 0), "program ", i, "\n",
                      disassemble(program));
    }
  }
  CHECK(tried > 800);
}

TEST_CASE("a program that has no counterpart in XDP says why, and a long one too") {
  auto target = Target::create();
  if (!target) return;
  const auto obstacle = [&](const Program& program) { return Machine(*target, &program, {}, nullptr).obstacle(); };
  using namespace bpf;
  CHECK(obstacle({{.code = kJmp | kJa, .k = 0xffffffff}, kAccept}).find("backwards") != std::string::npos);
  CHECK(obstacle({{.code = kLd | kW | kAbs, .k = kVlanTagPresent}, kAccept}).find("[vlanp]") != std::string::npos);
  // Unreachable: no reason to refuse.
  CHECK(obstacle({kAccept, {.code = kLd | kW | kAbs, .k = kVlanTagPresent}, kAccept}).empty());

  Program longest;
  for (uint32_t i = 0; i < 4094; i++) longest.push_back({.code = kLd | kB | kInd, .k = i % 100});
  longest.push_back(kAccept);
  const Program& program = longest;
  CHECK(Machine(*target, &program, {.access = Access::kLoadBytes}, nullptr).obstacle().find("too long") !=
        std::string::npos);
  auto loaded = load({.xsk_map = target->map(), .filter = &program});
  REQUIRE(bool(loaded));
  MESSAGE("4095 instructions: " << static_cast<int>(loaded->filter.where) << " " << loaded->filter.reason);
}

TEST_CASE("a filter with hundreds of hosts and ports runs in XDP in every way") {
  auto target = Target::create();
  if (!target) return;
  std::string expression = "tcp and (port 1";
  for (int port = 1000; port < 1100; port++) expression += " or port " + std::to_string(port);
  expression += ") and (host 10.0.0.1";
  for (int host = 2; host < 200; host++) expression += " or host 10.0.1." + std::to_string(host);
  const Program program = compiled(expression + ")");
  for (const Mode& mode : kModes) {
    const Machine machine(*target, &program, mode.options, nullptr);
    CHECK_MESSAGE(machine.fd() >= 0, mode.name, ": ", machine.obstacle(), machine.refusal());
    if (mode.options.frags) MESSAGE(mode.name << ": " << program.size() << " → " << machine.size() << " instructions");
  }
}

TEST_CASE("the best variant is loaded, and what a program keeps is known") {
  auto target = Target::create();
  if (!target) return;
  const auto placed = [&](const Program& program) {
    auto loaded = load({.xsk_map = target->map(), .filter = &program, .clock = StampClock::kMonotonic});
    REQUIRE_MESSAGE(bool(loaded), loaded.error().message);
    CHECK(loaded->stamps);
    CHECK(loaded->notes.empty());
    return std::move(*loaded);
  };
  const auto best = placed(compiled("tcp port 80"));
  CHECK(best.filter.where == FilterPlace::kXdp);
  CHECK(best.filter.reason == "");
  CHECK(best.keep == 0xffff);

  const auto loop = placed(compiled("ip protochain 6"));
  CHECK(loop.filter.where == FilterPlace::kUser);
  CHECK(loop.filter.reason == "the filter cannot run in XDP: it jumps backwards (protochain)");
  CHECK(loop.keep == 0);
  const auto frame = test::Frames(1).next();
  CHECK(test_run(loop.fd.get(), {.packet = frame})->verdict == XDP_REDIRECT);

  CHECK(placed({{.code = bpf::kLd | bpf::kW | bpf::kLen}, {.code = bpf::kRet | bpf::kA}}).keep == 0);

  auto none = load({.xsk_map = target->map()});
  REQUIRE(bool(none));
  CHECK(none->filter.where == FilterPlace::kNone);
  CHECK_FALSE(none->stamps);
}

TEST_CASE("without CAP_PERFMON constant offsets are read directly, variable ones by the helper") {
  auto target = Target::create();
  if (!target) return;
  in_thread([&] {
    drop({Capability::kPerfmon, Capability::kSysAdmin});
    for (const bool frags : {false, true}) {
      for (const std::string expression : {"ether proto 0x800", "len > 60", "ip host 10.0.0.1 and not udp", "vlan 5"}) {
        const Program constant = compiled(expression);
        auto direct =
            load({.xsk_map = target->map(), .filter = &constant, .clock = StampClock::kMonotonic, .frags = frags});
        REQUIRE_MESSAGE(bool(direct), direct.error().message);
        CHECK_MESSAGE(direct->filter.where == FilterPlace::kXdp, expression, ": ", direct->filter.reason);
        CHECK(direct->stamps);
      }
      const Program variable = compiled("tcp port 80 or udp port 53");
      auto helped =
          load({.xsk_map = target->map(), .filter = &variable, .clock = StampClock::kMonotonic, .frags = frags});
      REQUIRE_MESSAGE(bool(helped), helped.error().message);
      CHECK(helped->filter.where == FilterPlace::kXdpLoadBytes);
      CHECK(helped->filter.reason == "without CAP_PERFMON the kernel allows no variable offsets into packets");
    }
  });
}

TEST_CASE("every expression can be loaded without CAP_PERFMON") {
  auto target = Target::create();
  if (!target) return;
  in_thread([&] {
    drop({Capability::kPerfmon, Capability::kSysAdmin});
    size_t direct = 0;
    size_t helped = 0;
    for (const std::string expression : test::kExpressions) {
      const Program program = compiled(expression);
      if (has_loop(program)) continue;
      const auto loaded = load({.xsk_map = target->map(), .filter = &program, .clock = StampClock::kMonotonic});
      REQUIRE(bool(loaded));
      CHECK_MESSAGE(loaded->filter.where != FilterPlace::kUser, expression, ": ", loaded->filter.reason);
      (loaded->filter.where == FilterPlace::kXdp ? direct : helped)++;
    }
    MESSAGE("without CAP_PERFMON: " << direct << " direct, " << helped << " by bpf_xdp_load_bytes");
  });
}

TEST_CASE("a missing capability is named") {
  auto target = Target::create();
  if (!target) return;
  const auto expect = [&](std::initializer_list<Capability> without, const char* name) {
    in_thread([&] {
      drop({Capability::kSysAdmin});
      drop(without);
      const auto loaded = load({.xsk_map = target->map()});
      REQUIRE_FALSE(bool(loaded));
      CHECK(loaded.error().code == Code::kNoPermission);
      CHECK(loaded.error().hint.find("setcap") != std::string::npos);
      CHECK_MESSAGE(loaded.error().message.find(name) != std::string::npos, loaded.error().message);
    });
  };
  expect({Capability::kNetAdmin}, "CAP_NET_ADMIN");
  expect({Capability::kBpf, Capability::kNetAdmin}, "CAP_NET_ADMIN and CAP_BPF");
}

TEST_CASE("the verifier's last words are in the message, the end of its log in the hint") {
  if (!Target::create()) return;
  ebpf::Assembler as;
  as.load(ebpf::Size::kWord, ebpf::R0, ebpf::R1, 0);
  as.load(ebpf::Size::kWord, ebpf::R0, ebpf::R0, 0);
  as.exit();
  const auto refused = load_program(*as.finish(), false);
  REQUIRE_FALSE(bool(refused));
  CHECK(refused.error().code == Code::kUnsupported);
  CHECK_MESSAGE(refused.error().message.find("outside of the packet") != std::string::npos, refused.error().message);
  CHECK(refused.error().message.size() < 400);
  // What it was looking at, then what it did not like.
  const std::string& hint = refused.error().hint;
  const size_t instruction = hint.find("(61) r0 = *(u32 *)(r0 +0)");
  const size_t verdict = hint.find("outside of the packet");
  CHECK_MESSAGE(instruction < verdict, hint);
  CHECK_MESSAGE(verdict != std::string::npos, hint);
  CHECK(hint.size() < 1500);
}

TEST_CASE("helpers are told apart") {
  if (!Target::create()) return;
  for (const uint32_t helper : {5u, 188u, 189u, 208u}) CHECK(has_helper(helper));
  CHECK_FALSE(has_helper(99'999));
  CHECK_FALSE(has_helper(26));  // bpf_skb_load_bytes
}

TEST_CASE("accepted packets carry the time, rejected and unwanted ones nothing") {
  auto target = Target::create();
  if (!target) return;
  const Stamps stamps = fresh_stamps();
  const Program program = compiled("ether[0] = 2");
  const Machine machine(*target, &program, {}, &stamps);
  REQUIRE(machine.fd() >= 0);
  Bytes packet(60);
  Bytes output(200);
  const auto run = [&] {
    const auto result = test_run(machine.fd(), {.packet = packet, .output = output});
    REQUIRE(bool(result));
    return *result;
  };

  CHECK(run().verdict == XDP_PASS);
  CHECK(run().output_size == 60);

  packet[0] = std::byte{2};
  const auto clock = [] {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  };
  const int64_t before = clock();
  CHECK(run().verdict == XDP_REDIRECT);
  const int64_t after = clock();
  CHECK(run().output_size == 60 + kStampBytes);
  const auto time = stamps.read(output.data() + kStampBytes);
  REQUIRE(time);
  CHECK(time->time_ns >= before);
  CHECK(run().verdict == XDP_REDIRECT);
  CHECK(time->time_ns <= clock());
  CHECK(after >= before);
  CHECK(stamps.intact());

  // Another program's stamps are none, and neither are packet bytes.
  CHECK_FALSE(fresh_stamps().read(output.data() + kStampBytes));
  CHECK_FALSE(stamps.read(Bytes(100).data() + 50));

  target->clear();
  CHECK(run().verdict == XDP_PASS);
  CHECK(run().output_size == 60);
}

TEST_CASE("a packet that could not be stamped is still redirected, and from then on no stamp counts") {
  auto target = Target::create();
  if (!target) return;
  const Stamps stamps = fresh_stamps();
  const Machine machine(*target, nullptr, {}, &stamps);
  const Bytes packet(400);
  CHECK(machine.accepts(packet));
  CHECK(stamps.intact());
  // So much metadata is there already that there is no room for more.
  xdp_md context{};
  context.data = 208;
  context.data_end = 400;
  CHECK(machine.accepts(packet, std::as_bytes(std::span(&context, 1))));
  CHECK_FALSE(stamps.intact());
}

TEST_CASE("a program that cannot stand fragments is refused where the MTU is too big for a page") {
  auto target = Target::create();
  if (!target) return;
  in_thread([&] {
    REQUIRE(unshare(CLONE_NEWNET) == 0);
    REQUIRE(std::system("ip link add jumbo mtu 9000 type veth peer name other mtu 9000") == 0);
    const auto index = static_cast<int>(if_nametoindex("jumbo"));
    const auto refused = attach_xdp(Machine(*target, nullptr, {}, nullptr).fd(), index, "jumbo", AttachMode::kNative);
    REQUIRE_FALSE(bool(refused));
    CHECK(refused.error().code == Code::kUnsupported);
    CHECK_MESSAGE(refused.error().message.find("the MTU is too big") != std::string::npos, refused.error().message);
    CHECK(refused.error().hint.find("ip link set dev jumbo mtu 1500") != std::string::npos);
    const Machine able(*target, nullptr, {.frags = true}, nullptr);
    CHECK(bool(attach_xdp(able.fd(), index, "jumbo", AttachMode::kNative)));
  });
}

TEST_CASE("a second program on an interface is refused with a reason") {
  auto target = Target::create();
  if (!target) return;
  in_thread([&] {
    // WHY: never on the host's own interfaces.
    REQUIRE(unshare(CLONE_NEWNET) == 0);
    constexpr int kLoopback = 1;
    const Machine machine(*target, nullptr, {}, nullptr);
    {
      const auto link = attach_xdp(machine.fd(), kLoopback, "lo", AttachMode::kGeneric);
      REQUIRE_MESSAGE(bool(link), link.error().message);
      const auto second = attach_xdp(machine.fd(), kLoopback, "lo", AttachMode::kGeneric);
      REQUIRE_FALSE(bool(second));
      CHECK(second.error().code == Code::kBusy);
      CHECK_MESSAGE(second.error().message.find("another XDP program") != std::string::npos, second.error().message);
    }
    CHECK(bool(attach_xdp(machine.fd(), kLoopback, "lo", AttachMode::kGeneric)));
    const auto native = attach_xdp(machine.fd(), kLoopback, "lo", AttachMode::kNative);
    REQUIRE_FALSE(bool(native));
    CHECK_MESSAGE(native.error().code == Code::kUnsupported, native.error().message);
    CHECK(attach_xdp(machine.fd(), 9999, "no9999", AttachMode::kGeneric).error().code == Code::kNoInterface);
  });
}
