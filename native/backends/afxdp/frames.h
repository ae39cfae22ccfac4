// Which frame of the UMEM is whose: a batch's until its lease returns, then the fill ring's again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace ringtap::afxdp {

/// What one lease pins: what its batch shows.
struct Lent {
  uint32_t queue = 0;               // whose fill ring the frames go back to
  std::vector<uint64_t> addresses;  // of frames
  std::vector<uint32_t> joined;     // slots in which fragmented packets were put together
};

/// How many pieces of something each of so many leases may pin, so that every other one still finds some: a share of
/// its own, and beyond that what nobody else has taken. Takes at least as many pieces as leases.
class Quota {
 public:
  Quota() = default;
  Quota(uint32_t pieces, uint32_t leases)
      : share_(std::max(1u, pieces / 2 / leases)), spare_(pieces - share_ * leases) {}

  /// The most that the next lease may pin.
  uint32_t most() const noexcept { return share_ + spare_; }
  void take(uint32_t pieces) noexcept { spare_ -= beyond(pieces); }
  void give(uint32_t pieces) noexcept { spare_ += beyond(pieces); }

 private:
  uint32_t beyond(uint32_t pieces) const noexcept { return pieces > share_ ? pieces - share_ : 0; }

  uint32_t share_ = 0;
  uint32_t spare_ = 0;
};

}  // namespace ringtap::afxdp
