// A packet as the table has to know it: of which flow it is, and what it adds.
#pragma once

#include <cstdint>

#include "core/tunnel.h"
#include "decode/decode.h"
#include "flow/fragments.h"
#include "flow/key.h"
#include "flow/tcp.h"

namespace ringtap::flow {

/// What is part of the key besides addresses, ports and protocol.
struct Keyed {
  bool vlan = true;
  bool tunnel = true;
};

/// Why a packet is in no flow.
enum class Class : uint8_t { kFlow, kArp, kMpls, kPppoe, kLldp, kLlc, kOther, kUnknownLink, kMalformed };
constexpr size_t kClasses = 9;

enum class Starter : uint8_t { kAny, kSender, kReceiver };

struct Sighting {
  Key key;
  uint64_t hash = 0;
  int64_t time = 0;
  uint32_t ip_bytes = 0;
  uint32_t frame_bytes = 0;
  uint32_t likely = kNoFlow;  // slot of the flow that it may be of
  Segment segment;
  Class kind = Class::kFlow;
  bool from_b = false;
  bool is_tcp = false;
  bool is_icmp = false;
  bool is_sampled_out = false;
  uint8_t rate = 0;  // of sampling; set before it is seen
  uint8_t ttl = 0;
  uint8_t icmp_type = 0;
  uint8_t icmp_code = 0;
  Starter starter = Starter::kAny;
  bool without_ports = false;  // its protocol has some, but they were not there
  decode::Bytes quoted;        // of an ICMP error: the packet that it is about
};

/// What a packet's headers mean. Fragments are looked up and remembered.
class Sightings {
 public:
  Sightings(const Keyed& keyed, bool decap, Fragments& fragments)
      : keyed_(keyed), decap_(decap), fragments_(fragments) {}

  /// @param tunnel what the capture says of the tunnel that it has opened already, or null. `row.headers` become those
  /// of the innermost packet, and `row.bytes` its bytes.
  void see(decode::Row& row, const TunnelRow* tunnel, uint32_t link_type, int64_t time, Sighting& out) noexcept;

  /// The key of the packet that an ICMP error quotes. False where it is not to be had. @param around of the error
  /// itself
  bool quoted(const decode::Bytes& bytes, const Key& around, Key& key) const noexcept;

 private:
  void see_ip(const decode::Row& row, const TunnelRow* tunnel, int64_t time, Sighting& out) noexcept;
  void see_icmp(const decode::Headers& found, const decode::Bytes& bytes, Sighting& out, uint16_t& ports) noexcept;
  void join(const decode::Headers& found, const decode::Bytes& bytes, const Around& around, int64_t time,
            uint16_t& source_port, uint16_t& destination_port) noexcept;

  Keyed keyed_;
  bool decap_;
  Fragments& fragments_;
};

}  // namespace ringtap::flow
