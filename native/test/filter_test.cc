#include <doctest/doctest.h>

#include <random>

#include "filter/metadata.h"
#include "filter/opcodes.h"
#include "filter/prepend.h"
#include "filter/text.h"
#include "filter/validate.h"
#include "filter/vm.h"
#include "test/reference_filter.h"

using namespace ringtap;
using namespace ringtap::bpf;

namespace {

constexpr BpfInsn kAccept{.code = kRet | kK, .k = 0xffff};

std::vector<std::byte> bytes(std::initializer_list<int> values) {
  std::vector<std::byte> result;
  for (const int value : values) result.push_back(static_cast<std::byte>(value));
  return result;
}

uint32_t run(const Program& program, const std::vector<std::byte>& packet) {
  const auto size = static_cast<uint32_t>(packet.size());
  return FilterVm(program).run(packet.data(), size, size);
}

void check_refused(const Program& program, int64_t position, const std::string& words) {
  const auto result = validate(program);
  REQUIRE_FALSE(result);
  INFO(result.error().message);
  CHECK(result.error().code == Code::kBadFilter);
  CHECK(result.error().position == position);
  CHECK(result.error().message.find(words) != std::string::npos);
}

/// Programs that validate() takes, of every instruction there is.
class Programs {
 public:
  explicit Programs(uint64_t seed) : random_(seed) {}

  Program next() {
    const size_t length = 1 + pick(24);
    Program program;
    // WHY: libpcap leaves its scratch memory uninitialised.
    const bool scratch = pick(4) == 0;
    for (uint32_t i = 0; scratch && i < kScratchWords; i++) program.push_back({.code = kSt, .k = i});
    const size_t first = program.size();
    for (size_t i = 0; i + 1 < length; i++) program.push_back(instruction(length - i - 1, scratch));
    program.resize(first + length - 1);
    program.push_back(pick(3) == 0 ? BpfInsn{.code = kRet | kA} : BpfInsn{.code = kRet | kK, .k = pick(5) * 1000});
    return program;
  }

  std::vector<std::byte> packet() {
    std::vector<std::byte> result(pick(80));
    for (std::byte& byte : result) byte = static_cast<std::byte>(pick(4) == 0 ? pick(4) : pick(256));
    return result;
  }

  uint32_t pick(uint32_t below) { return static_cast<uint32_t>(random_() % below); }

 private:
  uint32_t offset() {
    static constexpr uint32_t kOdd[] = {0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff,
                                        0xfffff030, 0xffe00000, 0xfffffffe};
    return pick(12) == 0 ? kOdd[pick(7)] : pick(70);
  }
  uint32_t constant() { return pick(6) == 0 ? static_cast<uint32_t>(random_()) : pick(40); }

  BpfInsn instruction(size_t rest, bool scratch) {
    static constexpr uint16_t kLoads[] = {kLd | kW | kAbs, kLd | kH | kAbs, kLd | kB | kAbs, kLd | kW | kInd,
                                          kLd | kH | kInd, kLd | kB | kInd, kLdx | kB | kMsh};
    static constexpr uint16_t kSimple[] = {kLd | kImm,       kLdx | kImm,  kLd | kW | kLen,
                                           kLdx | kW | kLen, kMisc | kTax, kMisc | kTxa};
    static constexpr uint16_t kMemory[] = {kLd | kMem, kLdx | kMem, kSt, kStx};
    static constexpr uint16_t kArithmetic[] = {kAdd, kSub, kMul, kDiv, kMod, kAnd, kOr, kXor, kLsh, kRsh, kNeg};
    static constexpr uint16_t kJumps[] = {kJeq, kJgt, kJge, kJset};
    switch (pick(scratch ? 6 : 5)) {
      case 0:
        return {.code = kLoads[pick(7)], .k = offset()};
      case 1:
        return {.code = kSimple[pick(6)], .k = constant()};
      case 2: {
        const uint16_t operation = kArithmetic[pick(11)];
        const uint16_t source = operation == kNeg || pick(2) == 0 ? kK : kX;
        uint32_t k = constant();
        if (operation == kLsh || operation == kRsh) k %= 32;
        if (operation == kDiv || operation == kMod) k |= 1;
        return {.code = static_cast<uint16_t>(kAlu | operation | source), .k = k};
      }
      case 3:
        return {.code = static_cast<uint16_t>(kJmp | kJumps[pick(4)] | (pick(2) == 0 ? kK : kX)),
                .jt = static_cast<uint8_t>(pick(static_cast<uint32_t>(rest))),
                .jf = static_cast<uint8_t>(pick(static_cast<uint32_t>(rest))),
                .k = constant()};
      case 4:
        if (pick(4) != 0) return {.code = kLoads[pick(7)], .k = offset()};
        return {.code = kJmp | kJa, .k = pick(static_cast<uint32_t>(rest))};
    }
    return {.code = kMemory[pick(4)], .k = pick(kScratchWords)};
  }

  std::mt19937_64 random_;
};

}  // namespace

TEST_CASE("the validator names the instruction that it refuses") {
  check_refused({}, 0, "empty");
  check_refused(Program(4097, kAccept), 4096, "4096 instructions");
  check_refused({{.code = 0xffff}, kAccept}, 0, "unknown opcode");
  check_refused({kAccept, {.code = kRet | kX}}, 1, "unknown opcode");
  check_refused({{.code = kAlu | 0xb0}, kAccept}, 0, "unknown opcode");
  check_refused({{.code = kJmp | 0x50}, kAccept}, 0, "unknown opcode");
  check_refused({{.code = kLd | kW | kMsh}, kAccept}, 0, "unknown opcode");
  check_refused({{.code = kMisc | 0x40}, kAccept}, 0, "unknown opcode");
  check_refused({kAccept, {.code = kLd | kMem, .k = 16}, kAccept}, 1, "scratch");
  check_refused({{.code = kStx, .k = 0xffffffff}, kAccept}, 0, "scratch");
  check_refused({{.code = kAlu | kDiv | kK}, kAccept}, 0, "division by zero");
  check_refused({{.code = kAlu | kMod | kK}, kAccept}, 0, "division by zero");
  check_refused({{.code = kAlu | kLsh | kK, .k = 32}, kAccept}, 0, "shift by 32");
  check_refused({kAccept, kAccept, {.code = kAlu | kRsh | kK, .k = 64}, kAccept}, 2, "shift by 64");
  check_refused({{.code = kJmp | kJeq | kK, .jt = 0, .jf = 1}, kAccept}, 0, "jump out");
  check_refused({{.code = kJmp | kJgt | kX, .jt = 255, .jf = 0}, kAccept}, 0, "jump out");
  check_refused({{.code = kJmp | kJa, .k = 1}, kAccept}, 0, "jump out");
  check_refused({{.code = kJmp | kJa, .k = 0x7fffffff}, kAccept}, 0, "jump out");
  check_refused({kAccept, {.code = kJmp | kJa, .k = 0xfffffffd}, kAccept}, 1, "jump out");
  check_refused({{.code = kLd | kImm}}, 0, "must be a return");
  check_refused({kAccept, {.code = kMisc | kTax}}, 1, "must be a return");
}

TEST_CASE("the validator takes every instruction, variable divisors and 4096 instructions") {
  CHECK(validate({{.code = kAlu | kDiv | kX}, {.code = kAlu | kLsh | kX}, {.code = kRet | kA}}));
  CHECK(validate(Program(4096, kAccept)));
  CHECK(validate({{.code = kJmp | kJa, .k = 0}, kAccept}));
}

TEST_CASE("an error shows the instruction as tcpdump -d would") {
  const auto result = validate({{.code = kSt, .k = 99}, kAccept});
  CHECK(result.error().message ==
        "filter program, instruction 0: scratch memory has 16 words, not 99: (000) st       M[99]");
}

TEST_CASE("loads beyond the captured bytes reject the packet, and so do metadata offsets") {
  const auto packet = bytes({1, 2, 3, 4, 5, 6});
  for (const uint32_t k : {3u, 0xfffffffcu, 0xffffffffu, kVlanTagPresent, 0xfff00000u}) {
    CHECK(run({{.code = kLd | kW | kAbs, .k = k}, kAccept}, packet) == 0);
    CHECK(run({{.code = kLdx | kImm, .k = k}, {.code = kLd | kW | kInd}, kAccept}, packet) == 0);
  }
  CHECK(run({{.code = kLd | kW | kAbs, .k = 2}, {.code = kRet | kA}}, packet) == 0x03040506);
  CHECK(run({{.code = kLd | kH | kAbs, .k = 4}, {.code = kRet | kA}}, packet) == 0x0506);
  CHECK(run({{.code = kLd | kH | kAbs, .k = 5}, kAccept}, packet) == 0);
  CHECK(run({{.code = kLd | kB | kAbs, .k = 5}, {.code = kRet | kA}}, packet) == 6);
  CHECK(run({{.code = kLd | kB | kAbs, .k = 6}, kAccept}, packet) == 0);
  CHECK(run({{.code = kLdx | kB | kMsh, .k = 5}, {.code = kMisc | kTxa}, {.code = kRet | kA}}, packet) == 24);
  CHECK(run({{.code = kLd | kB | kAbs}, kAccept}, {}) == 0);
}

TEST_CASE("scratch memory starts as zeros") {
  CHECK(run({{.code = kLd | kMem, .k = 15}, {.code = kRet | kA}}, {}) == 0);
  CHECK(run({{.code = kLd | kMem, .k = 15}, {.code = kAlu | kAdd | kK, .k = 7}, {.code = kRet | kA}}, {}) == 7);
}

TEST_CASE("a program that never ends rejects the packet") {
  const Program forever{{.code = kJmp | kJa, .k = 0xffffffff}, kAccept};
  REQUIRE(validate(forever));
  CHECK(has_loop(forever));
  CHECK(run(forever, bytes({1})) == 0);
}

TEST_CASE("a loop that ends is run to its end") {
  // x = 200; do x-- while (x > 0); accept x + 5
  const Program loop{{.code = kLd | kImm, .k = 200},
                     {.code = kAlu | kSub | kK, .k = 1},
                     {.code = kJmp | kJeq | kK, .jt = 1, .jf = 0, .k = 0},
                     {.code = kJmp | kJa, .k = static_cast<uint32_t>(-3)},
                     {.code = kAlu | kAdd | kK, .k = 5},
                     {.code = kRet | kA}};
  REQUIRE(validate(loop));
  CHECK(run(loop, {}) == 5);
}

TEST_CASE("the machine decides as libpcap does: 300,000 random programs and packets") {
  const test::ReferenceFilter reference;
  constexpr uint64_t kSeed = 20261121;
  Programs programs(kSeed);
  uint32_t accepted = 0;
  for (int i = 0; i < 100'000; i++) {
    const Program program = programs.next();
    const auto valid = validate(program);
    REQUIRE_MESSAGE(bool(valid), "seed ", kSeed, ", program ", i, "\n", disassemble(program));
    REQUIRE(reference.valid(program));
    const FilterVm vm(program);
    for (int j = 0; j < 3; j++) {
      const auto packet = programs.packet();
      const auto caplen = static_cast<uint32_t>(packet.size());
      const uint32_t wirelen = caplen + programs.pick(3) * 1000;
      const uint32_t ours = vm.run(packet.data(), wirelen, caplen);
      const uint32_t theirs = reference.run(program, packet, wirelen);
      if (ours != theirs) {
        FAIL("seed ", kSeed, ", program ", i, ", packet ", j, " of ", caplen, " bytes: ", ours, " instead of ", theirs,
             "\n", disassemble(program));
      }
      accepted += ours != 0;
    }
  }
  // The comparison means little if nearly everything is rejected.
  CHECK(accepted > 60'000);
}

TEST_CASE("programs print as libpcap prints them") {
  const test::ReferenceFilter reference;
  Programs programs(7);
  for (int i = 0; i < 5000; i++) {
    const Program program = programs.next();
    for (size_t at = 0; at < program.size(); at++) {
      // libpcap does not know this one.
      if (program[at].code == (kLdx | kW | kLen)) continue;
      const std::string theirs = reference.image(program, at);
      REQUIRE(disassemble(program[at], at) == theirs);
    }
  }
  CHECK(disassemble(Program{{.code = 0xffff}, kAccept}) == "(000) unimp    0xffff\n(001) ret      #65535\n");
}

TEST_CASE("the VLAN prefix accepts tagged packets whole and leaves the program as it is") {
  const Program program{{.code = kLd | kH | kAbs, .k = 12},
                        {.code = kJmp | kJeq | kK, .jt = 0, .jf = 1, .k = 0x800},
                        kAccept,
                        {.code = kRet | kK}};
  const Program kernel = with_vlan_prefix(program, 777);
  REQUIRE(validate(kernel));
  CHECK(disassemble(kernel) ==
        "(000) ld       [vlanp]\n"
        "(001) jeq      #0x0             jt 3\tjf 2\n"
        "(002) ret      #777\n"
        "(003) ldh      [12]\n"
        "(004) jeq      #0x800           jt 5\tjf 6\n"
        "(005) ret      #65535\n"
        "(006) ret      #0\n");
}

TEST_CASE("the direction prefix rejects the wrong way and what the kernel shows twice") {
  const Program program{kAccept};
  for (const Direction direction : {Direction::kBoth, Direction::kIn, Direction::kOut}) {
    CHECK(validate(with_direction_prefix(program, direction, 1)));
  }
  CHECK(disassemble(with_direction_prefix(program, Direction::kBoth, 1)) ==
        "(000) ld       [type]\n"
        "(001) jeq      #0x4             jt 2\tjf 7\n"
        "(002) ld       [ifidx]\n"
        "(003) jeq      #0x1             jt 6\tjf 4\n"
        "(004) ld       [hatype]\n"
        "(005) jeq      #0x118           jt 6\tjf 7\n"
        "(006) ret      #0\n"
        "(007) ret      #65535\n");
  CHECK(disassemble(with_direction_prefix(program, Direction::kOut, 1)) ==
        "(000) ld       [type]\n"
        "(001) jeq      #0x4             jt 2\tjf 4\n"
        "(002) ld       [ifidx]\n"
        "(003) jeq      #0x1             jt 4\tjf 5\n"
        "(004) ret      #0\n"
        "(005) ret      #65535\n");
}

TEST_CASE("what the kernel knows of a packet is read where somebody can tell, and nowhere else") {
  const auto packet = bytes({1, 2, 3, 4});
  const auto reading = [](uint32_t offset) {
    return Program{{.code = kLd | kB | kAbs, .k = offset}, {.code = kAlu | kAdd | kK, .k = 100}, {.code = kRet | kA}};
  };
  FilterBudget budget;
  const PacketMetadata metadata{.type = 4, .interface = 7};
  for (const auto& [offset, expected] : {std::pair{kPacketType, 104u}, {kInterfaceIndex, 107u}, {kVlanTag, 0u}}) {
    const FilterVm knows(reading(offset), FilterVm::Metadata::kIsRead);
    CHECK(knows.run(packet.data(), 4, 4, budget, metadata) == expected);
    const FilterVm does_not(reading(offset));
    CHECK(does_not.run(packet.data(), 4, 4, budget, metadata) == 0);
  }
  // An indexed load goes by the sum, as libpcap has it.
  const FilterVm indexed({{.code = kLd | kB | kInd, .k = kPacketType}, kAccept}, FilterVm::Metadata::kIsRead);
  CHECK(indexed.run(packet.data(), 4, 4, budget, metadata) == 0);
}

TEST_CASE("reads of metadata are found, and those of a tag that is in the bytes become none") {
  const Program program{{.code = kLd | kB | kAbs, .k = kVlanTagPresent},
                        {.code = kLd | kH | kAbs, .k = 12},
                        {.code = kLd | kW | kAbs, .k = kPacketType},
                        kAccept};
  CHECK(metadata_reads(program).packet_type);
  CHECK_FALSE(metadata_reads(program).interface);
  CHECK(metadata_reads(program).other == size_t{0});
  const Program without = without_tag_metadata(program);
  CHECK_FALSE(metadata_reads(without).other);
  CHECK(without[0] == BpfInsn{.code = kLd | kImm});
  CHECK(without[1] == program[1]);
  CHECK(metadata_reads({{.code = kLdx | kB | kMsh, .k = kFirstKernelOffset}, kAccept}).other == size_t{0});
  CHECK_FALSE(metadata_reads({{.code = kLd | kImm, .k = kPacketType}, kAccept}).any());
}

TEST_CASE("a program that accepts a packet of some type is never said to reject all of them: 100,000 programs") {
  Programs programs(20261129);
  uint32_t hopeless = 0;
  for (int i = 0; i < 100'000; i++) {
    Program program = programs.next();
    // Loads become questions for the type, now and then.
    for (BpfInsn& insn : program) {
      if (instruction_class(insn.code) == kLd && programs.pick(3) == 0)
        insn = {.code = kLd | kW | kAbs, .k = kPacketType};
    }
    const FilterVm vm(program, FilterVm::Metadata::kIsRead);
    for (const uint32_t type : {0u, 4u}) {
      const auto packet = programs.packet();
      const auto size = static_cast<uint32_t>(packet.size());
      FilterBudget budget;
      const bool accepted = vm.run(packet.data(), size, size, budget, {.type = type}) != 0;
      const bool may = may_accept(program, type);
      REQUIRE_MESSAGE((may || !accepted), disassemble(program));
      hopeless += may ? 0 : 1;
    }
  }
  CHECK(hopeless > 10'000);
  const Program inbound{{.code = kLd | kW | kAbs, .k = kPacketType},
                        {.code = kJmp | kJeq | kK, .jt = 1, .jf = 0, .k = 4},
                        kAccept,
                        {.code = kRet | kK}};
  CHECK(may_accept(inbound, 0));
  CHECK_FALSE(may_accept(inbound, 4));
}

TEST_CASE("a prefix turns away tagged packets of a type, and all others are the program's") {
  const Program program{{.code = kLd | kW | kAbs, .k = 0}, kAccept};
  CHECK(disassemble(with_vlan_prefix(program, 777, {4, 1})) ==
        "(000) ld       [vlanp]\n"
        "(001) jeq      #0x0             jt 8\tjf 2\n"
        "(002) ld       [type]\n"
        "(003) jeq      #0x4             jt 4\tjf 5\n"
        "(004) ret      #0\n"
        "(005) jeq      #0x1             jt 6\tjf 7\n"
        "(006) ret      #0\n"
        "(007) ret      #777\n"
        "(008) ld       [0]\n"
        "(009) ret      #65535\n");
  CHECK(without_types(program, {}) == program);
}

TEST_CASE("a budget is for all packets of a receive(), a loop of one cannot take more than it has") {
  const Program forever{{.code = kJmp | kJa, .k = 0xffffffff}, kAccept};
  const FilterVm vm(forever);
  const auto packet = bytes({1});
  FilterBudget budget;
  int packets = 0;
  while (!budget.used_up()) {
    CHECK(vm.run(packet.data(), 1, 1, budget) == 0);
    packets++;
  }
  CHECK(packets <= 3);
  // Without a loop a program is charged by its length, whatever it runs through.
  const FilterVm straight({kAccept});
  budget.renew();
  packets = 0;
  while (!budget.used_up()) packets += straight.run(packet.data(), 1, 1, budget) != 0 ? 1 : 0;
  CHECK(packets > 1'000'000);
}

TEST_CASE("capping changes accept lengths and nothing else") {
  const Program capped = cap_snaplen({{.code = kLd | kImm, .k = 5000},
                                      {.code = kRet | kK, .k = 0},
                                      {.code = kRet | kK, .k = 60},
                                      {.code = kRet | kA},
                                      kAccept},
                                     96);
  CHECK(capped[0].k == 5000);
  CHECK(capped[1].k == 0);
  CHECK(capped[2].k == 60);
  CHECK(capped[4].k == 96);
}

TEST_CASE("programs that a kernel refuses or reads differently are told apart") {
  CHECK(kernel_obstacle({kAccept}) == "");
  CHECK(kernel_obstacle({{.code = kJmp | kJa, .k = 0xffffffff}, kAccept}).find("loop") != std::string::npos);
  CHECK(kernel_obstacle({{.code = kLd | kB | kAbs, .k = kVlanTagPresent}, kAccept}).find("metadata") !=
        std::string::npos);
  CHECK(kernel_obstacle({{.code = kLd | kW | kAbs, .k = kPacketType}, kAccept}) == "");
  CHECK(kernel_obstacle({{.code = kLd | kB | kInd, .k = 0xffffffff}, kAccept}).find("before the packet") !=
        std::string::npos);
  CHECK(kernel_obstacle(Program(5000, kAccept)).find("5000 instructions") != std::string::npos);
  CHECK(kernel_obstacle({{.code = kLd | kImm, .k = kVlanTagPresent}, kAccept}) == "");
  CHECK(kernel_obstacle({{.code = kAlu | kLsh | kX}, kAccept}).find("modulo 32") != std::string::npos);
}
