// Random bytes as a PF_RING ring, read in random steps: nothing outside the mapping may be read, whatever it says.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "backends/pfring/ring.h"
#include "core/lease.h"

using namespace ringtap;

namespace {

constexpr size_t kRingBytes = pfring::kSlotsAt + 4096;
constexpr uint32_t kBatches = 4;

struct Step {
  uint8_t what;
  uint8_t count;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // The start of the first page, the steps, then the slots.
  constexpr size_t kHead = 64;
  constexpr size_t kSteps = 32;
  if (size < kHead + kSteps * sizeof(Step)) return 0;
  // Of exactly this size, so that a step beyond is seen.
  auto* memory = static_cast<std::byte*>(std::malloc(kRingBytes));
  std::memset(memory, 0, kRingBytes);
  std::memcpy(memory, data, kHead);
  // SAFETY: the memory is aligned and begins with a RingHeader.
  auto& header = *reinterpret_cast<pfring::RingHeader*>(memory);
  header.version = pfring::kSlotVersion;
  header.total_bytes = kRingBytes;
  if (header.slot_length > 2048) header.slot_length = header.slot_length % 2048 & ~7u;
  Step steps[kSteps];
  std::memcpy(steps, data + kHead, sizeof steps);
  data += kHead + sizeof steps;
  size -= kHead + sizeof steps;
  std::memcpy(memory + pfring::kSlotsAt, data, std::min(size, kRingBytes - pfring::kSlotsAt));

  auto region = std::make_shared<Region>(memory, kRingBytes, [](std::byte* base, size_t) { std::free(base); });
  if (!pfring::check_header(header, 14, "fuzz")) return 0;
  pfring::Ring ring(region);
  OrderedLeases leases(kBatches);
  const Segment segment = ring.segment();
  std::vector<Lease> lent;
  uint64_t sum = 0;
  for (const Step& step : steps) {
    pfring::Walk walk = ring.walk();
    for (uint32_t i = 0; i < step.count % 32u && walk.has_packets(); i++) {
      const auto slot = walk.peek((step.what & 8) != 0);
      if (!slot) break;
      if (uint64_t{slot->data} + slot->caplen > segment.bytes) __builtin_trap();
      sum += static_cast<uint64_t>(slot->time_ns) + static_cast<uint64_t>(segment.base[slot->data]) +
             static_cast<uint64_t>(segment.base[slot->data + slot->caplen - 1]);
      walk.pop(*slot);
    }
    ring.pass(walk);
    if ((step.what & 1) != 0 && lent.size() < kBatches) {
      lent.push_back(leases.lend(walk.at()));
    } else {
      leases.skip(walk.at());
    }
    if ((step.what & 2) != 0 && !lent.empty()) {
      const size_t which = step.what / 16 % lent.size();
      if (!leases.release(lent[which])) __builtin_trap();
      lent.erase(lent.begin() + static_cast<ptrdiff_t>(which));
    }
    ring.free_to(leases.freed());
    ring.blocked(leases.freed());
    if (header.remove_offset > segment.bytes) __builtin_trap();
    // JavaScript writes into the slots meanwhile.
    if ((step.what & 4) != 0) segment.base[step.count * 16u % segment.bytes] ^= std::byte{0xff};
  }
  return sum == 1 ? 1 : 0;
}
