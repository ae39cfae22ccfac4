// Which share a packet belongs to: the kernel's programs, and the same hash of packets in memory.
#include <doctest/doctest.h>
#include <linux/bpf.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>

#include "core/unique_fd.h"
#include "decode/share_hash.h"
#include "filter/share_program.h"
#include "linux/bpf_call.h"
#include "test/share_frames.h"

using namespace ringtap;
using namespace ringtap::test;
using namespace ringtap::bpf_call;
using decode::ShareHasher;

namespace {

constexpr ShareHash kHashes[] = {ShareHash::kUnidirectional, ShareHash::kBidirectional, ShareHash::kAddresses,
                                 ShareHash::kSource, ShareHash::kDestination};

uint32_t hash_of(ShareHasher& hasher, const Bytes& bytes) {
  // In memory of exactly its size: a sanitizer sees each step beyond it.
  const auto memory = std::make_unique<std::byte[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), memory.get());
  return hasher.hash({.data = memory.get(), .size = bytes.size()}, 1);
}

UniqueFd map_of(bpf_map_type type, uint32_t key, uint32_t value, uint32_t entries) {
  bpf_attr attr = zero_attr();
  attr.map_type = type;
  attr.key_size = key;
  attr.value_size = value;
  attr.max_entries = entries;
  return UniqueFd(bpf(BPF_MAP_CREATE, attr));
}

/// A program in the kernel.
class Kernel {
 public:
  explicit Kernel(ShareHash how) {
    if (share_hash::uses_ports(how)) {
      fragments_ = map_of(BPF_MAP_TYPE_LRU_HASH, sizeof(FragmentKey), 4, share_hash::kFragments);
      orphans_ = map_of(BPF_MAP_TYPE_ARRAY, 4, 8, 1);
    }
    auto program = share_program(how, {.fragments = fragments_.get(), .orphans = orphans_.get()});
    REQUIRE(program);
    std::string log(1 << 16, '\0');
    bpf_attr attr = zero_attr();
    attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    attr.insns = address(program->data());
    attr.insn_cnt = static_cast<uint32_t>(program->size());
    attr.license = address("GPL");
    attr.log_buf = address(log.data());
    attr.log_size = static_cast<uint32_t>(log.size());
    attr.log_level = 1;
    program_ = UniqueFd(bpf(BPF_PROG_LOAD, attr));
    allowed_ = program_ || errno != EPERM;
    if (allowed_)
      REQUIRE_MESSAGE(bool(program_), log.substr(log.size() < 2000 ? 0 : log.find_last_not_of('\0') - 1000));
  }

  bool allowed() const { return allowed_; }
  uint32_t run(const Bytes& frame) const {
    bpf_attr attr = zero_attr();
    attr.test.prog_fd = static_cast<uint32_t>(program_.get());
    attr.test.data_in = address(frame.data());
    attr.test.data_size_in = static_cast<uint32_t>(frame.size());
    attr.test.repeat = 1;
    REQUIRE_MESSAGE(bpf(BPF_PROG_TEST_RUN, attr) == 0, frame.size() << " bytes: " << strerror(errno));
    return attr.test.retval;
  }

 private:
  UniqueFd fragments_, orphans_, program_;
  bool allowed_ = false;
};

/// A classic program, which the kernel runs on packets that it receives: here on a frame, as it would.
uint32_t run_classic(const Program& program, const Bytes& frame) {
  constexpr uint32_t kNetwork = 0xfff00000;
  uint32_t a = 0, x = 0;
  std::array<uint32_t, 16> memory{};
  const auto load = [&](uint32_t at, uint32_t bytes) -> std::optional<uint32_t> {
    if (at == 0xfffff000)
      return uint32_t{std::to_integer<uint32_t>(frame[12]) << 8 | std::to_integer<uint32_t>(frame[13])};
    const uint64_t from = uint64_t{at} - kNetwork + 14;
    if (at < kNetwork || from + bytes > frame.size()) return std::nullopt;
    uint32_t value = 0;
    for (uint32_t i = 0; i < bytes; i++) value = value << 8 | std::to_integer<uint32_t>(frame[from + i]);
    return value;
  };
  for (size_t i = 0; i < program.size(); i++) {
    const BpfInsn& insn = program[i];
    const uint32_t by = (insn.code & 8) != 0 ? x : insn.k;
    switch (insn.code & 7) {
      case 0: {  // LD
        if ((insn.code & 0xe0) == 0) {
          a = insn.k;
        } else if ((insn.code & 0xe0) == 0x60) {
          a = memory[insn.k];
        } else {
          const uint32_t bytes = (insn.code & 0x18) == 0 ? 4 : (insn.code & 0x18) == 8 ? 2 : 1;
          const auto value = load((insn.code & 0xe0) == 0x40 ? insn.k + x : insn.k, bytes);
          if (!value) return 0;
          a = *value;
        }
        break;
      }
      case 1:
        x = (insn.code & 0xe0) == 0 ? insn.k : memory[insn.k];
        break;
      case 2:
        memory[insn.k] = a;
        break;
      case 3:
        memory[insn.k] = x;
        break;
      case 4:
        switch (insn.code & 0xf0) {
          case 0x00:
            a += by;
            break;
          case 0x20:
            a *= by;
            break;
          case 0x50:
            a &= by;
            break;
          case 0x60:
            a <<= by;
            break;
          case 0x70:
            a >>= by;
            break;
          case 0xa0:
            a ^= by;
            break;
          default:
            FAIL("an operation that is not expected");
        }
        break;
      case 5:
        if ((insn.code & 0xf0) == 0) {
          i += insn.k;
        } else {
          const bool yes = (insn.code & 0xf0) == 0x10 ? a == by : (insn.code & 0xf0) == 0x40 ? (a & by) != 0 : a > by;
          i += yes ? insn.jt : insn.jf;
        }
        break;
      case 6:
        return (insn.code & 0x18) == 0x10 ? a : insn.k;
      default:
        if ((insn.code & 0xf8) == 0x80) {
          a = x;
        } else {
          x = a;
        }
    }
  }
  FAIL("the program has no end");
  return 0;
}

struct Spread {
  std::map<uint32_t, std::set<uint32_t>> shares_of;  // flow → shares that saw it
  std::vector<uint32_t> flows;
  std::map<std::string, uint32_t> split;

  explicit Spread(uint32_t shares) : flows(shares) {}
  void finish() {
    for (const auto& [flow, seen] : shares_of) {
      if (seen.size() > 1) split[FlowFrames::kind(flow)]++;
      flows[*seen.begin()]++;
    }
  }
  double imbalance() const {
    const double mean = static_cast<double>(shares_of.size()) / static_cast<double>(flows.size());
    return *std::max_element(flows.begin(), flows.end()) / mean;
  }
};

}  // namespace

TEST_CASE("no flow is dealt out to two shares, and shares differ by less than a tenth") {
  const auto frames = FlowFrames(1).make(12000);
  for (const ShareHash how : {ShareHash::kBidirectional, ShareHash::kAddresses}) {
    for (const uint32_t shares : {2u, 3u, 4u, 8u}) {
      ShareHasher hasher(how);
      Spread spread(shares);
      for (const auto& [flow, bytes] : frames) spread.shares_of[flow].insert(hash_of(hasher, bytes) % shares);
      spread.finish();
      CAPTURE(shares);
      for (const auto& kind : spread.split) CHECK_MESSAGE(kind.second == 0, kind.first);
      CHECK(spread.imbalance() < 1.10);
      CHECK(hasher.orphans() == 0);
    }
  }
}

TEST_CASE("the kernel's program computes the hash that we do, of whole and of damaged packets") {
  auto frames = FlowFrames(2).make(600);
  std::mt19937 random(3);
  const size_t whole = frames.size();
  for (size_t i = 0; i < whole; i += 3) {
    Bytes damaged = frames[i].bytes;
    for (int j = 0; j < 3; j++)
      damaged[14 + random() % std::min<size_t>(damaged.size() - 14, 60)] = static_cast<std::byte>(random());
    // The kernel wants an IP header to run a program on a packet of our own.
    if (random() % 2 == 0) damaged.resize(54 + random() % (damaged.size() - 53));
    frames.push_back({.flow = 0, .bytes = std::move(damaged)});
  }
  for (const ShareHash how : kHashes) {
    const Kernel kernel(how);
    if (!kernel.allowed()) {
      MESSAGE("not run: needs CAP_BPF");
      return;
    }
    ShareHasher hasher(how);
    uint32_t different = 0;
    for (const auto& [flow, bytes] : frames) different += hash_of(hasher, bytes) != kernel.run(bytes) ? 1 : 0;
    CAPTURE(static_cast<int>(how));
    CHECK(different == 0);
  }
}

TEST_CASE("the classic program computes the same hash of addresses") {
  const auto frames = FlowFrames(4).make(600);
  for (const ShareHash how : {ShareHash::kAddresses, ShareHash::kSource, ShareHash::kDestination}) {
    const Program program = classic_share_program(how);
    CHECK(program.size() < 255);
    ShareHasher hasher(how);
    uint32_t different = 0;
    for (const auto& [flow, bytes] : frames) {
      // IPv6 extension headers are beyond it.
      if (std::string(FlowFrames::kind(flow)) == "fragments6") continue;
      different += hash_of(hasher, bytes) != run_classic(program, bytes) ? 1 : 0;
    }
    CAPTURE(static_cast<int>(how));
    CHECK(different == 0);
  }
}

TEST_CASE("a later fragment whose first one was not seen goes by its addresses, and is counted") {
  auto frames = FlowFrames(5).make(FlowFrames::kKinds);
  std::erase_if(frames, [](const FlowFrame& frame) { return frame.flow != 4; });
  REQUIRE(frames.size() == 4);
  ShareHasher hasher(ShareHash::kBidirectional);
  hash_of(hasher, frames[1].bytes);
  CHECK(hasher.orphans() == 1);
  const uint32_t first = hash_of(hasher, frames[2].bytes);
  CHECK(hash_of(hasher, frames[3].bytes) == first);
  CHECK(hasher.orphans() == 1);
}
