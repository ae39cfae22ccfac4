// Walking the records of a trace that is partly in memory, without copying packet bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/desc.h"
#include "core/error.h"
#include "core/snaplen.h"
#include "core/trace_block.h"

namespace ringtap {

/// Decides which packets of one link type are described.
class PacketFilter {
 public:
  virtual ~PacketFilter() = default;
  /// How many bytes of the packet to keep; 0 rejects it.
  virtual uint32_t keep(const std::byte* data, uint32_t wirelen, uint32_t caplen) noexcept = 0;

  bool exhausted = false;  // it has taken long enough: the walk goes no further
};

/// Why a walk stopped.
enum class Stop : uint8_t {
  kFull,      // `max` packets are described; with max 0: a packet is next
  kStarved,   // the record at `pos` goes on beyond `end`; it takes `need` bytes, as far as can be told
  kSkip,      // the next `need` bytes are of no interest and go on beyond `end`
  kLinkType,  // the next packet has `next_link_type`, or headers in another byte order
  kPause,     // the filter is exhausted
  kCorrupt,   // the record at file offset `record` contradicts the format: see `damage`
};

/// One walk: what is in memory, how to read it, and how far it went.
struct Walk {
  const std::byte* base = nullptr;  // where packet offsets count from
  uint32_t pos = 0;                 // unread bytes are base[pos, end)
  uint32_t end = 0;
  uint64_t file_base = 0;  // file offset of `base`, modulo 2^64: chunks are reused

  uint32_t link_type = 0;  // describe packets of this link type only
  uint32_t snaplen = UINT32_MAX;
  PacketFilter* filter = nullptr;

  uint32_t count = 0;  // packets described
  uint64_t filtered = 0;
  uint64_t wire_bytes = 0;  // of the packets described
  Stop stop = Stop::kFull;
  uint32_t need = 0;
  uint32_t next_link_type = 0;
  uint64_t record = 0;        // file offset of the record that the walk stopped at
  uint32_t record_bytes = 0;  // its length, as far as can be told
  std::string damage;

  bool paused() const noexcept { return filter != nullptr && filter->exhausted; }
  void starve(uint64_t at, uint64_t bytes) noexcept {
    stop = Stop::kStarved;
    record = file_base + at;
    need = record_bytes = static_cast<uint32_t>(bytes);
  }
  void corrupt(uint64_t at, std::string what) {
    stop = Stop::kCorrupt;
    record = file_base + at;
    damage = std::move(what);
  }
};

/// A trace format. Every byte it reads may be hostile, and JS may change it meanwhile: lengths are
/// checked before each use, and nothing that was read is used as a pointer.
class RecordReader {
 public:
  virtual ~RecordReader() = default;

  /// Describes up to `max` packets of w.base[w.pos, w.end) and moves w.pos behind them. With max 0 it
  /// walks up to the next packet and stops there. The first packet seen sets the epoch.
  virtual void walk(Walk& w, DescBlock& out, uint32_t max) noexcept = 0;

  /// False where the walk stands in the middle of something that is passed over.
  virtual bool record_begins() const noexcept { return true; }

  /// Unix time in seconds that packet times count from, once known.
  const std::optional<int64_t>& epoch() const noexcept { return epoch_; }
  /// Sets the epoch where no packet has done so yet.
  virtual void set_epoch(int64_t seconds) noexcept { epoch_ = seconds; }

  /// Link type of the first packet or, before that, of the first interface.
  virtual std::optional<uint32_t> link_type() const noexcept = 0;
  /// Other link types that the trace has announced.
  virtual std::vector<uint32_t> other_link_types() const { return {}; }
  /// Did the host that captured the next packet have this byte order?
  virtual bool big_endian() const noexcept { return true; }

  /// File offsets of blocks that later packets cannot be read without, since this was asked last. Nothing before it was
  /// asked once.
  std::vector<uint64_t> take_descriptions() {
    notes_descriptions_ = true;
    return std::exchange(descriptions_, {});
  }

  /// Whether walk() tells where packets come from.
  virtual bool tells_origins() const noexcept { return false; }
  /// What it has come across beside packets, in its order.
  const std::vector<TraceBlock>& blocks() const noexcept { return blocks_; }

  uint32_t header_bytes() const noexcept { return header_bytes_; }  // where the first record is
  uint32_t snaplen() const noexcept { return snaplen_; }            // as the file states it, made sane
  const std::string& description() const noexcept { return description_; }

 protected:
  std::optional<int64_t> epoch_;
  uint32_t header_bytes_ = 0;
  uint32_t snaplen_ = kMaxSnaplen;
  std::string description_;
  bool notes_descriptions_ = false;
  std::vector<uint64_t> descriptions_;
  std::vector<TraceBlock> blocks_;
};

/// What the user says that a trace is.
enum class Told : uint8_t { kNothing, kPcap, kPcapng, kErf };

/// The reader for a trace that begins with these bytes; `whole`: there are no more of them. Null when
/// more are needed to tell. `erf_records`: the packets of ERF are whole records.
Result<std::unique_ptr<RecordReader>> detect_format(std::span<const std::byte> head, bool whole,
                                                    Told told = Told::kNothing, bool erf_records = false);

}  // namespace ringtap
