// The contract between a capture method and everything above it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/desc.h"
#include "core/error.h"
#include "core/lease.h"
#include "core/options.h"
#include "core/program.h"
#include "core/region.h"
#include "core/sharing.h"
#include "core/snaplen.h"
#include "core/stats.h"
#include "core/trace_block.h"
#include "core/tx.h"

namespace ringtap {

class Connection;  // io's
class Remote;

/// What a receive() came back with.
enum class Rx : uint8_t {
  kOk,        // a batch was lent
  kAgain,     // nothing now; wait as readiness() says
  kEof,       // nothing ever again
  kNoBuffer,  // every lease is out: release one first
  kError,     // see error(); final
  kNotice,    // see error(); the user should hear of it, but receiving goes on
};

/// A lent batch. When rx is kOk, count > 0 and `lease` must be released exactly once.
struct RxBatch {
  Rx rx = Rx::kAgain;
  uint32_t count = 0;
  uint32_t segment = 0;    // index into SourceInfo::segments
  uint32_t link_type = 0;  // LINKTYPE_ value of every packet in the batch
  Lease lease = 0;
};

/// A packet of a batch, as JavaScript describes it: what it says is not to be trusted.
struct Passing {
  uint32_t index = 0;  // in the batch
  TxFrame frame = {};
};

/// How to wait for a source.
struct Readiness {
  enum class Kind : uint8_t {
    kFd,      // readable fd
    kPoll,    // ask pending() from a thread, sleeping at most max_sleep_us in between
    kAlways,  // receive() never has to wait
  };
  Kind kind = Kind::kAlways;
  int fd = -1;
  /// The fd is nobody else's and non-blocking: it may be watched as it is.
  bool owned = false;
  uint32_t max_sleep_us = 100;
  /// How long to let packets gather after a batch, before waiting anew; asked each time. For sources that would
  /// otherwise wake the reader for little.
  uint32_t gather_ms = 0;
  /// The last receive() came back to let others run, not for want of packets: ask again after so long, whatever the fd
  /// says.
  uint32_t again_ms = 0;
};

/// Facts about an opened source, frozen by start(). But further segments may follow, the last of which a batch is in;
/// none goes before close().
struct SourceInfo {
  uint32_t link_type = 1;  // LINKTYPE_ETHERNET; of the first packet where there are several
  int64_t epoch_ns = 0;    // Unix time that packet times count from
  uint32_t snaplen = kMaxSnaplen;
  std::vector<Segment> segments;
  uint32_t max_leases = 1;         // leases that may be out at once
  bool copies = false;             // packets are copied into `segments` on the way
  bool origins = false;            // receive() tells origins to a DescBlock that has room for them
  bool tunnels = false;            // descriptors tell of tunnels: receive() wants a DescBlock with room for them
  std::string mode;                // for people: native | generic | copy | zero-copy | ring | stream …
  std::string timestamp_source;    // hardware | kernel | user | file | synthetic
  std::vector<std::string> notes;  // what the user should know: reduced function, chosen sizes …
};

/// One capture method on one target. Life: open → set_filter? → start → receive/release … → close.
///
/// One call at a time, from whichever thread: it is opened on one, read on another and closed on a third, and who hands
/// it on sees to it. Except pending(), which another thread may call meanwhile.
class Source {
 public:
  virtual ~Source() = default;

  virtual const SourceInfo& info() const noexcept = 0;

  /// Before start() only. Answers where the filter runs; no packet that it rejects is ever lent.
  virtual Result<FilterPlacement> set_filter(std::shared_ptr<Filter> filter) = 0;

  /// From here on packets may arrive. Until then nothing touched the target's traffic.
  virtual Result<Ok> start() = 0;

  /// Instead of start(): only tx() works, and the target's traffic stays untouched.
  virtual Result<Ok> start_tx() { return Ok{}; }

  /// Lends up to `max` packets. Never blocks, never throws. The bytes are valid until release(lease).
  virtual RxBatch receive(DescBlock& block, uint32_t max) noexcept = 0;

  /// Gives a batch back. Any order; a lease that is not out is ignored and reported false.
  virtual bool release(Lease lease) noexcept = 0;

  virtual Readiness readiness() const noexcept = 0;

  /// For Readiness::kPoll: could receive() find something? Any thread.
  virtual bool pending() const noexcept { return true; }

  /// What became of the packets so far. Reading it resets nothing; after close() it stays what it was then.
  virtual Stats stats() const noexcept = 0;

  /// Why receive() said kError or kNotice. Valid until the next receive().
  virtual const Error& error() const noexcept = 0;

  /// What a trace told beside its packets so far, from the `first`-th block on.
  virtual std::vector<TraceBlock> blocks(size_t /*first*/) const { return {}; }

  /// The sending side, or null where there is none. Owned by the source; gone with close().
  virtual Tx* tx() noexcept { return nullptr; }

  /// Whether pass_on() would send the packet of a batch that is lent from where it lies: it is there, in one piece, and
  /// was not passed on before.
  virtual bool can_pass_on(Lease /*lease*/, const Passing& /*packet*/) const noexcept { return false; }
  /// Sends packets of a batch by tx() without a copy, behind what is queued: how many were accepted, from the front, up
  /// to one that cannot be passed on or has no room. They may be changed by `edit`, once, and only if they are
  /// accepted. Until the lease comes back they stay readable, as they were sent; their memory is used again when it
  /// has, and they were sent. Who calls it has tx() for himself.
  virtual Result<uint32_t> pass_on(Lease /*lease*/, std::span<const Passing> /*packets*/,
                                   FrameEdit* /*edit: null: none*/) noexcept {
    return 0u;
  }

  /// What its control channel speaks to, or null where packets come without one. Owned by the source; gone with
  /// close().
  virtual Remote* remote() noexcept { return nullptr; }

  /// Stops and frees everything but the regions, which live as long as somebody holds them. Idempotent.
  virtual void close() noexcept = 0;
};

/// What a source is opened for.
enum class Purpose : uint8_t {
  kCapture,
  kExplain,  // it is never started: the interface's settings stay as they are
  kTransmit,
};

/// What to open.
struct OpenRequest {
  std::string uri;     // as the user wrote it, for messages
  std::string target;  // what follows the scheme: an interface, a path …
  Options options;
  Purpose purpose = Purpose::kCapture;
  /// Set from another thread when nobody waits for the source any more. Who waits for others looks at it.
  std::shared_ptr<const std::atomic<bool>> cancelled = {};
  /// Where its bytes come from, instead of what the target names: somebody else has connected to that.
  std::shared_ptr<Connection> connection = {};

  bool is_cancelled() const noexcept { return cancelled != nullptr && cancelled->load(std::memory_order_relaxed); }
};

/// Can this host do it? `error` says what is missing when it cannot.
struct Probe {
  bool available = true;
  std::optional<Error> error = {};
  std::string detail = {};  // version of the library, kernel feature …
};

/// Something a backend can open.
struct Device {
  std::string target;
  std::string description = {};
  bool up = true;
  bool loopback = false;
};

/// A row of the generated backend table.
struct Backend {
  const char* name;
  Probe (*probe)();
  Result<std::unique_ptr<Source>> (*open)(const OpenRequest& request);
  std::vector<Device> (*devices)();
  /// Several sources among which the method itself shares packets out. Null: it has no such thing.
  Result<Shares> (*open_shares)(const OpenRequest& request, const Sharing& sharing) = nullptr;
};

}  // namespace ringtap
