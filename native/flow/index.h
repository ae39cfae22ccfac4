// From hashes to flows: open addressing, eight bytes a place.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>

#include "core/byte_order.h"
#include "core/region.h"
#include "flow/flow.h"

namespace ringtap::flow {

/// Linear probing over places that keep 32 bits of the hash beside the flow: a probe touches a flow only where those
/// are equal, and neither growing nor erasing touches one at all. At most half of the places are taken.
class Index {
 public:
  /// Null memory where there is none.
  static Result<Index> make(uint32_t places = kFewest);

  void fetch(uint64_t hash) const noexcept { prefetch(reinterpret_cast<const std::byte*>(&places_[home(tag(hash))])); }

  /// The first flow with these bits, which need not be the right one; kNoFlow.
  uint32_t likely(uint64_t hash) const noexcept {
    for (uint32_t at = home(tag(hash)); places_[at].flow != 0; at = (at + 1) & mask_) {
      if (places_[at].tag == tag(hash)) return places_[at].flow - 1;
    }
    return kNoFlow;
  }

  template <class Is>
  uint32_t find(uint64_t hash, const Is& is) const noexcept {
    for (uint32_t at = home(tag(hash)); places_[at].flow != 0; at = (at + 1) & mask_) {
      if (places_[at].tag == tag(hash) && is(places_[at].flow - 1)) return places_[at].flow - 1;
    }
    return kNoFlow;
  }

  /// A flow that is not in it. False: there is no memory for more.
  bool insert(uint64_t hash, uint32_t flow) {
    if (taken_ >= mask_ / 2 && !grow()) [[unlikely]]
      return false;
    put(tag(hash), flow + 1);
    taken_++;
    return true;
  }

  void erase(uint64_t hash, uint32_t flow) noexcept {
    uint32_t at = home(tag(hash));
    while (places_[at].flow != flow + 1) {
      if (places_[at].flow == 0) return;
      at = (at + 1) & mask_;
    }
    taken_--;
    // Those behind it move up, as far as each is from home.
    for (uint32_t next = (at + 1) & mask_; places_[next].flow != 0; next = (next + 1) & mask_) {
      const uint32_t from_home = (next - home(places_[next].tag)) & mask_;
      if (from_home < ((next - at) & mask_)) continue;
      places_[at] = places_[next];
      at = next;
    }
    places_[at] = {};
  }

  /// The longest run that a search may have to go through. For tests: it looks at all.
  uint32_t longest_run() const noexcept;
  size_t bytes() const noexcept { return (size_t{mask_} + 1) * sizeof(Place); }

 private:
  static constexpr uint32_t kFewest = 4096;

  struct Place {
    uint32_t tag = 0;
    uint32_t flow = 0;  // and 1; 0: free
  };

  explicit Index(std::shared_ptr<Region> region, uint32_t places)
      // SAFETY: zeroed pages are free places.
      : region_(std::move(region)), places_(reinterpret_cast<Place*>(region_->base())), mask_(places - 1) {}

  static uint32_t tag(uint64_t hash) noexcept { return static_cast<uint32_t>(hash >> 32); }
  uint32_t home(uint32_t tag) const noexcept { return tag & mask_; }

  void put(uint32_t tag, uint32_t flow) noexcept {
    uint32_t at = home(tag);
    while (places_[at].flow != 0) at = (at + 1) & mask_;
    places_[at] = {.tag = tag, .flow = flow};
  }

  bool grow();

  std::shared_ptr<Region> region_;
  Place* places_;
  uint32_t mask_;
  uint32_t taken_ = 0;
};

}  // namespace ringtap::flow
