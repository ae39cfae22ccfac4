// Ready-made Ethernet frames, numbered and (if asked) stamped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace pktgen {

/// The most source ports a flow number can become.
inline constexpr uint32_t kMaxFlows = 60000;
/// Flow f has source port kFirstPort + f.
inline constexpr uint16_t kFirstPort = 1024;

struct FrameOptions {
  std::string size = "60";    // bytes without FCS: n, a-b or imix
  std::string proto = "udp";  // udp tcp icmp udp6 tcp6 icmp6
  uint32_t flows = 4096;
  uint16_t vlan = 0;   // 0: untagged
  bool stamp = false;  // CLOCK_TAI at sending, after the number
};

/// Ethernet / (802.1Q) / IP / L4 / u64 number / [u64 CLOCK_TAI ns], both big-endian, then zeros.
class Frames {
 public:
  /// Throws std::invalid_argument with a message for the user.
  explicit Frames(const FrameOptions& options);

  /// Length of frame `number`: the same number always has the same length.
  uint32_t size(uint64_t number) const { return sizes_.size() == 1 ? sizes_[0] : sizes_[pick(number)]; }
  uint32_t max_size() const { return max_size_; }

  /// Writes frame `number` to `out`, which must hold size(number) bytes. Returns its length.
  uint32_t write(std::byte* out, uint64_t number) const;

  uint32_t payload_offset() const { return payload_; }  // where the number is
  uint32_t source_port_offset() const { return l4_; }   // udp and tcp
  uint32_t flows() const { return options_.flows; }
  const FrameOptions& options() const { return options_; }

 private:
  size_t pick(uint64_t number) const;
  std::vector<std::byte> build(uint32_t size) const;
  void checksum_l4(std::byte* frame, uint32_t size) const;

  FrameOptions options_;
  std::vector<uint32_t> sizes_;  // cycled through (imix) or drawn from (range)
  uint32_t max_size_ = 0;
  uint32_t l3_ = 0;
  uint32_t l4_ = 0;
  uint32_t payload_ = 0;
  bool v6_ = false;
  uint8_t ip_proto_ = 0;
  std::map<uint32_t, std::vector<std::byte>> templates_;
};

}  // namespace pktgen
