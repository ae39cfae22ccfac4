#include "core/lease.h"

namespace ringtap {

LeaseTable::LeaseTable(uint32_t capacity) : slots_(capacity) {
  free_.reserve(capacity);
  for (uint32_t i = capacity; i-- > 0;) free_.push_back(i);
}

std::optional<Lease> LeaseTable::acquire(uint32_t tag) {
  if (free_.empty()) return std::nullopt;
  const uint32_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  slot.out = true;
  slot.tag = tag;
  outstanding_++;
  return (Lease{slot.generation} << 32) | index;
}

std::optional<uint32_t> LeaseTable::release(Lease lease) {
  const auto index = static_cast<uint32_t>(lease);
  if (index >= slots_.size()) return std::nullopt;
  Slot& slot = slots_[index];
  if (!slot.out || slot.generation != lease >> 32) return std::nullopt;
  slot.out = false;
  slot.generation = slot.generation == UINT32_MAX ? 1 : slot.generation + 1;
  free_.push_back(index);
  outstanding_--;
  return slot.tag;
}

}  // namespace ringtap
