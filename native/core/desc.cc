#include "core/desc.h"

namespace ringtap {

DescBlock::DescBlock(uint32_t capacity, Tunnels tunnels)
    : capacity_(capacity), memory_(std::make_shared<std::byte[]>(bytes_for(capacity, tunnels))) {
  // SAFETY: the allocation is zeroed, 16-byte aligned, and each array starts at a multiple of its
  // element size because wider elements come first.
  std::byte* p = memory_.get();
  const auto take = [&p](size_t bytes) {
    std::byte* at = p;
    p += bytes;
    return at;
  };
  const size_t n = capacity;
  time = reinterpret_cast<double*>(take(n * 8));
  rest = reinterpret_cast<double*>(take(n * 8));
  offset = reinterpret_cast<uint32_t*>(take(n * 4));
  caplen = reinterpret_cast<uint32_t*>(take(n * 4));
  wirelen = reinterpret_cast<uint32_t*>(take(n * 4));
  flags = reinterpret_cast<uint32_t*>(take(n * 4));
  hash = reinterpret_cast<uint32_t*>(take(n * 4));
  queue = reinterpret_cast<uint16_t*>(take(n * 2));
  vlan = reinterpret_cast<uint16_t*>(take(n * 2));
  control = reinterpret_cast<uint32_t*>(take(16));
  tunnel = tunnels == Tunnels::kTold ? reinterpret_cast<TunnelRow*>(take(n * sizeof(TunnelRow))) : nullptr;
}

/// Each step is exact but the one sum, whose error is then computed: it is the rest.
void DescBlock::split_time(uint32_t i, WideTime ns) noexcept {
  constexpr double k2To32 = 4294967296.0;
  const auto rounded = static_cast<double>(ns.high);
  const double large = rounded * k2To32;
  const double small = static_cast<double>(ns.high - static_cast<int64_t>(rounded)) * k2To32 + ns.low;
  time[i] = large + small;
  rest[i] = small - (time[i] - large);
  flags[i] |= kFlagTimeInexact;
}

}  // namespace ringtap
