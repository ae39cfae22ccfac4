// What is exported, and in which form.
#pragma once

#include <cstdint>
#include <string>

namespace ringtap::ipfix {

enum class Protocol : uint8_t { kIpfix, kNetflow9 };
/// How finely IPFIX tells when a flow began and ended.
enum class Times : uint8_t { kMilliseconds, kMicroseconds, kNanoseconds };

struct Settings {
  Protocol protocol = Protocol::kIpfix;
  bool biflow = true;  // both directions in a record (RFC 5103); else, and in NetFlow v9, a record each
  Times times = Times::kMilliseconds;
  uint32_t enterprise = 0;  // whose number the elements have that IANA knows none for; 0: they are left out
  uint32_t domain = 1;      // observation domain, or source id
  uint32_t message_bytes = 1400;
  uint32_t interface_index = 0;  // 0: it is not told
  std::string interface_name{};
  std::string interface_description{};
  uint32_t sample_packets = 1;  // one of so many was looked at
  uint32_t sample_flows = 1;
  /// The first message of a call has the number 0: whoever sends it knows how many records went before.
  bool numbered_by_caller = false;

  bool is_sampled() const noexcept { return sample_packets > 1 || sample_flows > 1; }
};

/// A message holds each template whole, and any record.
constexpr uint32_t kLeastMessage = 512;
/// The length of a message is a number of 16 bits.
constexpr uint32_t kMostMessage = 65535;
/// What is longer is cut.
constexpr size_t kMostName = 64;

}  // namespace ringtap::ipfix
