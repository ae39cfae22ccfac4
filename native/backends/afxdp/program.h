// The XDP program of a capture: filter, timestamp, redirect into the sockets of an XSKMAP.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/program.h"
#include "core/unique_fd.h"
#include "filter/ebpf.h"

namespace ringtap::afxdp {

/// The clock that stamps packets in the kernel. WHY not TAI: its helper takes 6 ns more, and what it would save, the
/// reader's look at the clocks, is once a batch. Hardware: the NIC's, where its driver knows when this packet came,
/// else monotonic.
enum class StampClock : uint8_t { kNone, kMonotonic, kHardware };

/// What the XDP program puts right in front of a packet.
struct Stamp {
  uint32_t magic;
  uint32_t clock;  // a StampClock, that of this packet
  int64_t time_ns;
};
static_assert(sizeof(Stamp) == 16);
inline constexpr uint32_t kStampBytes = sizeof(Stamp);

/// The reader's side of the stamps of one program.
///
/// WHY a stamp is never another packet's: the magic number is random for each program, so that packet bytes cannot be
/// taken for a stamp; and a frame that was stamped once is stamped again for its next packet, or else the program says
/// that it could not, before that packet can be seen, and from then on no stamp counts.
class Stamps {
 public:
  /// UNSUPPORTED: the kernel has no memory-mapped BPF maps (before Linux 5.5).
  static Result<Stamps> create(StampClock clock);

  StampClock clock() const { return clock_; }
  uint32_t magic() const { return magic_; }
  int failure_map() const { return map_.get(); }

  /// Are the stamps of packets taken from the ring before this call good? Ask once a batch, after taking it.
  bool intact() const;

  /// The stamp of a packet. `packet` has kStampBytes readable bytes in front of it.
  std::optional<Stamp> read(const std::byte* packet) const {
    // SAFETY: the caller promises the bytes; a copy, because they may be unaligned and JavaScript may write to them.
    Stamp stamp;
    std::memcpy(&stamp, packet - kStampBytes, kStampBytes);
    const auto is = [&stamp](StampClock clock) { return stamp.clock == static_cast<uint32_t>(clock); };
    if (stamp.magic != magic_ || !(is(StampClock::kMonotonic) || is(clock_))) return std::nullopt;
    return stamp;
  }

 private:
  struct Unmap {
    void operator()(void* page) const;
  };

  StampClock clock_ = StampClock::kNone;
  uint32_t magic_ = 0;
  UniqueFd map_;
  std::unique_ptr<void, Unmap> page_;
};

struct ProgramSpec {
  int xsk_map = -1;
  const Program* filter = nullptr;  // validated; null takes every packet
  ebpf::FilterOptions options = {};
  const Stamps* stamps = nullptr;
  uint32_t rx_timestamp = 0;  // with hardware stamps: the id of the kernel's function that asks the driver
};

struct XdpCode {
  EbpfProgram program;
  uint32_t keep = 0;  // as append_filter() returns it
};

/// The program. What the filter rejects, and what no socket waits for, goes on to the host's stack untouched.
Result<XdpCode> assemble(const ProgramSpec& spec);

struct LoadSpec {
  int xsk_map = -1;
  const Program* filter = nullptr;
  StampClock clock = StampClock::kNone;
  int device = 0;  // with hardware stamps: the index of the interface
  bool frags = false;
};

struct LoadedProgram {
  UniqueFd fd;
  FilterPlacement filter;  // xdp, xdp-load-bytes, user or none
  /// How many bytes the filter keeps of every packet it accepts. 0 with a filter: run it again in user space, it alone
  /// knows (placement user, or a program with several lengths).
  uint32_t keep = 0;
  std::optional<Stamps> stamps;    // if packets are stamped
  std::vector<std::string> notes;  // what was asked for and is not so
};

/// Loads the fastest variant that this process may load on this kernel. A filter that cannot run in XDP is not an
/// error: the placement says so.
Result<LoadedProgram> load(const LoadSpec& spec);

}  // namespace ringtap::afxdp
