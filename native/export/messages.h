// Messages of IPFIX (RFC 7011) and NetFlow v9 (RFC 3954), one after the other in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "export/settings.h"

namespace ringtap::ipfix {

struct Message {
  size_t at = 0;
  uint32_t bytes = 0;
  uint32_t records = 0;  // of flows
  uint64_t packets = 0;  // that these count
  uint64_t octets = 0;
};

/// What a header says of the time. `uptime_ms`: of NetFlow v9, since boot.
struct HeaderTime {
  uint32_t seconds = 0;
  uint32_t uptime_ms = 0;
};

/// Numbers of sets that are no data.
struct SetIds {
  uint16_t templates;
  uint16_t options;
};
constexpr SetIds set_ids(Protocol protocol) noexcept {
  return protocol == Protocol::kIpfix ? SetIds{2, 3} : SetIds{0, 1};
}

/// Puts sets into messages, none of which is longer than it may be.
class Messages {
 public:
  Messages(Protocol protocol, uint32_t most, bool numbered_by_caller)
      : protocol_(protocol), most_(most), numbered_by_caller_(numbered_by_caller) {}

  /// What was made before is gone.
  void clear() noexcept;
  void set_time(HeaderTime time) noexcept { time_ = time; }

  /// Room in a set of this number for one record or more of so many bytes, in the message that is open or in a new one.
  /// Valid until the next call.
  struct Room {
    std::byte* at;
    size_t records;
  };
  Room room(uint32_t domain, uint16_t set, size_t bytes, size_t wanted = 1);
  /// A template is written.
  void wrote_template(std::byte* end) noexcept { wrote(end, 1); }
  /// A record that is of no flow.
  void wrote_option(std::byte* end) noexcept {
    wrote(end, 1);
    data_++;
  }
  /// Records of flows, and what these count.
  void wrote_flows(std::byte* end, uint32_t records, uint64_t packets, uint64_t octets) noexcept {
    wrote(end, records);
    data_ += records;
    open_.records += records;
    open_.packets += packets;
    open_.octets += octets;
  }
  /// Ends the message that is open.
  void finish() noexcept;

  std::span<const Message> made() const noexcept { return made_; }
  const std::byte* memory() const noexcept { return memory_.get(); }
  size_t size() const noexcept { return size_; }
  uint32_t next_sequence(bool of_zero) const noexcept { return sequences_[of_zero ? 1 : 0]; }

 private:
  void wrote(std::byte* end, uint32_t records) noexcept {
    size_ = static_cast<size_t>(end - memory_.get());
    records_ += records;
  }
  size_t header_bytes() const noexcept { return protocol_ == Protocol::kIpfix ? 16 : 20; }
  void begin(uint32_t domain);
  void begin_set(uint16_t set) noexcept;
  void end_set() noexcept;
  uint32_t& sequence_of(uint32_t domain) noexcept { return sequences_[domain == 0 ? 1 : 0]; }

  Protocol protocol_;
  uint32_t most_;
  bool numbered_by_caller_;
  HeaderTime time_;
  std::unique_ptr<std::byte[]> memory_;
  size_t capacity_ = 0;
  size_t size_ = 0;
  std::vector<Message> made_;
  uint32_t sequences_[2] = {};  // of the domain, and of domain 0

  bool is_open_ = false;
  Message open_;
  uint32_t domain_ = 0;
  uint16_t set_ = 0;  // 0xffff: none is open
  size_t set_at_ = 0;
  uint32_t records_ = 0;  // of any kind, in the open message
  uint32_t data_ = 0;
};

}  // namespace ringtap::ipfix
