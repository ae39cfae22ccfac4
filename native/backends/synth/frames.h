// Seeded frames: the bytes of synth: packets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"

namespace ringtap::synth {

/// xorshift64*: small, fast, the same on every platform.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du) {
    if (state_ == 0) state_ = 1;
  }
  uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1du;
  }
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>((next() >> 32) * bound >> 32); }

 private:
  uint64_t state_;
};

enum class Protocol : uint8_t { kUdp, kTcp, kIcmp, kUdp6, kTcp6, kIcmp6, kArp };

/// What frames to make.
struct Profile {
  uint64_t seed = 1;
  std::vector<uint32_t> sizes;  // one is drawn per frame; a range is expanded by `min_size`/`max_size`
  uint32_t min_size = 0;        // used when `sizes` is empty
  uint32_t max_size = 0;
  std::vector<Protocol> protocols;
  uint32_t flows = 1;
  uint16_t vlan = 0;
};

/// Reads `sizes=` ("64", "64-1518", "imix") and `protocols=` ("udp,tcp").
Result<Profile> parse_profile(const std::string& sizes, const std::string& protocols);

/// The length of the next frame, at least what its headers need.
uint32_t draw_size(const Profile& profile, Protocol protocol, Random& random);

/// Writes one frame of `size` bytes for a flow. Checksums are right.
void write_frame(std::byte* at, uint32_t size, Protocol protocol, uint32_t flow, uint16_t vlan, Random& random);

}  // namespace ringtap::synth
