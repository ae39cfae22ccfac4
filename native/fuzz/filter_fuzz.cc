// Random bytes as a program and a packet: whatever validate() takes must run and print without a fault.
#include <cstring>

#include "filter/metadata.h"
#include "filter/opcodes.h"
#include "filter/prepend.h"
#include "filter/text.h"
#include "filter/validate.h"
#include "filter/vm.h"

using namespace ringtap;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t wanted = data[0] % 64;
  data++;
  size--;
  Program program;
  while (program.size() < wanted && size >= sizeof(BpfInsn)) {
    BpfInsn insn;
    std::memcpy(&insn, data, sizeof insn);
    // Codes above 0xff are all refused alike: spend the time on the others.
    if (insn.k % 64 != 0) insn.code &= 0xff;
    program.push_back(insn);
    data += sizeof insn;
    size -= sizeof insn;
  }
  disassemble(program);
  if (!validate(program)) return 0;

  // SAFETY: bytes are bytes.
  const auto* packet = reinterpret_cast<const std::byte*>(data);
  const auto caplen = static_cast<uint32_t>(size);
  FilterVm(program).run(packet, caplen + 4, caplen);
  for (const Program& kernel :
       {with_vlan_prefix(cap_snaplen(program, 96), 262144), with_vlan_prefix(program, 262144, {0, 4}),
        without_types(program, {1}), with_direction_prefix(program, Direction::kBoth, 1)}) {
    if (!validate(kernel)) __builtin_trap();
    FilterVm(kernel).run(packet, caplen, caplen);
  }
  kernel_obstacle(program);
  metadata_reads(program);
  if (!validate(without_tag_metadata(program))) __builtin_trap();
  const FilterVm knowing(program, FilterVm::Metadata::kIsRead);
  for (const uint32_t type : {0u, 4u}) {
    FilterBudget budget;
    const bool accepted = knowing.run(packet, caplen + 4, caplen, budget, {.type = type, .interface = 3}) != 0;
    if (!has_loop(program) && accepted && !may_accept(program, type)) __builtin_trap();
  }
  return 0;
}
