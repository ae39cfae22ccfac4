// What is told of the tunnel that a packet came out of: a row of batch.tunnel.
#pragma once

#include <cstdint>
#include <string_view>

namespace ringtap {

/// Bits 0 to 7 of TunnelRow::about; lib/capture/tunnel.ts names them in the same order.
enum class TunnelKind : uint8_t { kNone, kVxlan, kGeneve, kGre, kErspan, kTzsp, kMpls, kGtpU };

/// Their names, in this order: of filters, options and records. That of none is empty.
inline constexpr std::string_view kTunnelNames[] = {"", "vxlan", "geneve", "gre", "erspan", "tzsp", "mpls", "gtp-u"};

/// A set of kinds: bit 1 << kind.
using TunnelKinds = uint32_t;
constexpr TunnelKinds set_of(TunnelKind kind) noexcept { return TunnelKinds{1} << static_cast<uint32_t>(kind); }
constexpr TunnelKinds kAllTunnels = 0xfe;

/// Bits of TunnelRow::about.
enum TunnelFlag : uint32_t {
  kTunnelHasId = 1u << 12,
  kTunnelFrom6 = 1u << 13,  // the source is an IPv6 address
  kTunnelHasTime = 1u << 14,
  kTunnelCut = 1u << 15,  // whoever mirrors says that it cut the packet
  kTunnelFlags = kTunnelHasId | kTunnelFrom6 | kTunnelHasTime | kTunnelCut,
};

/// Of the innermost tunnel that was opened. In words, because JavaScript reads it as such.
struct TunnelRow {
  uint32_t about = 0;       // kind | depth << 8 | TunnelFlag | bytes of outer headers << 16; 0: it came through none
  uint32_t id = 0;          // VNI, session, key, TEID, label
  uint32_t source[4] = {};  // of the tunnel, in host order; IPv4 in the first word, none is 0
  uint32_t time[2] = {};    // ns by the clock of whoever mirrors, the lower word first

  void set_kind(TunnelKind kind, uint32_t depth, uint64_t outer_bytes, uint32_t flags) noexcept {
    about = static_cast<uint32_t>(kind) | depth << 8 | flags | static_cast<uint32_t>(outer_bytes) << 16;
  }
  void set_time(uint64_t ns) noexcept {
    time[0] = static_cast<uint32_t>(ns);
    time[1] = static_cast<uint32_t>(ns >> 32);
  }
  TunnelKind kind() const noexcept { return static_cast<TunnelKind>(about & 0xff); }
  uint32_t depth() const noexcept { return about >> 8 & 15; }
  uint32_t outer_bytes() const noexcept { return about >> 16; }
  uint64_t time_ns() const noexcept { return uint64_t{time[1]} << 32 | time[0]; }
};
static_assert(sizeof(TunnelRow) == 32);

}  // namespace ringtap
