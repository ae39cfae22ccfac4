#include "core/desc.h"

namespace ringtap {

DescBlock::DescBlock(uint32_t capacity)
    : capacity_(capacity), memory_(std::make_shared<std::byte[]>(bytes_for(capacity))) {
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
  offset = reinterpret_cast<uint32_t*>(take(n * 4));
  caplen = reinterpret_cast<uint32_t*>(take(n * 4));
  wirelen = reinterpret_cast<uint32_t*>(take(n * 4));
  flags = reinterpret_cast<uint32_t*>(take(n * 4));
  hash = reinterpret_cast<uint32_t*>(take(n * 4));
  queue = reinterpret_cast<uint16_t*>(take(n * 2));
  vlan = reinterpret_cast<uint16_t*>(take(n * 2));
  control = reinterpret_cast<uint32_t*>(take(16));
}

}  // namespace ringtap
