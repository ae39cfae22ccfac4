#include "flow/index.h"

namespace ringtap::flow {

Result<Index> Index::make(uint32_t places) {
  auto region = Region::allocate(size_t{places} * sizeof(Place));
  if (!region) return std::move(region).error();
  return Index(*std::move(region), places);
}

bool Index::grow() {
  if (mask_ >= UINT32_MAX / 2) return taken_ < mask_;
  auto larger = make((mask_ + 1) * 2);
  if (!larger) return taken_ < mask_;  // then fuller than half
  for (uint32_t at = 0; at <= mask_; at++) {
    if (places_[at].flow != 0) larger->put(places_[at].tag, places_[at].flow);
  }
  larger->taken_ = taken_;
  *this = *std::move(larger);
  return true;
}

uint32_t Index::longest_run() const noexcept {
  uint32_t longest = 0;
  uint32_t run = 0;
  for (uint32_t at = 0; at <= mask_; at++) {
    run = places_[at].flow != 0 ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return longest;
}

}  // namespace ringtap::flow
