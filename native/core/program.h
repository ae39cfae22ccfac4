// Classic BPF as data: what a filter is once it is compiled. The machine is in native/filter.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"

namespace ringtap {

struct BpfInsn {
  uint16_t code = 0;
  uint8_t jt = 0;
  uint8_t jf = 0;
  uint32_t k = 0;

  friend bool operator==(const BpfInsn&, const BpfInsn&) = default;
};

using Program = std::vector<BpfInsn>;

/// What a filter is compiled for: the bytes that it will see, and what is known beside them.
struct FilterTarget {
  enum class Place : uint8_t {
    kBytes,         // the bytes are all there is
    kPacketSocket,  // Linux knows a packet's type and interface, too
    kFile,          // another host's packets
    kTunnel,        // packets out of tunnels: the tunnel is known, too
  };

  FilterTarget(int type, Place where = Place::kBytes, bool big = false)
      : link_type(type), place(where), big_endian(big) {}
  friend auto operator<=>(const FilterTarget&, const FilterTarget&) = default;

  int link_type;  // a LINKTYPE_ value
  Place place;
  bool big_endian;  // kFile: so was the host that captured. A few link types have headers in its byte order.
};

/// A filter as the user gave it, compiled on demand: a pcapng file has several link types.
class Filter {
 public:
  virtual ~Filter() = default;
  /// A validated program. Owned by the filter, valid as long as it is. May wait for a name server; comes back as soon
  /// as nobody waits for the open() that asks.
  virtual Result<const Program*> program(const FilterTarget& target) = 0;
  /// For the event loop's thread: waits a few milliseconds at most. Null while it is still being compiled: ask again.
  virtual Result<const Program*> program_soon(const FilterTarget& target) { return program(target); }
};

/// Where a filter runs, nearest to the wire first.
enum class FilterPlace : uint8_t {
  kRemote,  // on the host that captures for us
  kHardware,
  kXdp,
  kXdpLoadBytes,  // in XDP, and slower: through a helper where the verifier allows no look of its own
  kKernel,
  kUser,
  kNone,  // there is no filter
};

/// Where a filter runs, and why not closer to the wire.
struct FilterPlacement {
  FilterPlace where = FilterPlace::kNone;
  std::string reason;
};

}  // namespace ringtap
