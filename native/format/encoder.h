// Turning batches into the records of a trace format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/desc.h"
#include "core/error.h"
#include "core/snaplen.h"
#include "core/trace_block.h"

namespace ringtap {

/// A batch as it lies in memory that JS can write: every number in it is checked before it is used.
struct BatchView {
  const double* time = nullptr;
  const double* rest = nullptr;
  const uint32_t* offset = nullptr;
  const uint32_t* caplen = nullptr;
  const uint32_t* wirelen = nullptr;
  const uint32_t* flags = nullptr;
  const uint16_t* vlan = nullptr;
  const uint16_t* queue = nullptr;       // null: not known
  const TunnelRow* tunnel = nullptr;     // null: nothing is told of tunnels
  const PacketOrigin* origin = nullptr;  // null: not known; not shown to JS
  const uint32_t* interfaces = nullptr;  // numbers among the blocks of an encoder, of the interfaces that origins have,
  uint32_t interface_count = 0;          // so many
  uint32_t count = 0;
  const std::byte* segment = nullptr;  // where offsets count from
  size_t segment_bytes = 0;
  int64_t epoch_ns = 0;
  uint32_t link_type = 1;
  uint32_t source = 0;  // which of the writer's interfaces they come from
  uint64_t lost = 0;    // that it is missing between those before the batch and its first packet
  // Which packets to take, in this order; null: all. Not shown to JS.
  const uint32_t* select = nullptr;
  uint32_t selected = 0;

  /// How many packets there are to take …
  uint32_t size() const noexcept { return select != nullptr ? selected : count; }
  /// … and which is the i-th of them.
  uint32_t index(uint32_t i) const noexcept { return select != nullptr ? select[i] : i; }

  static BatchView of(const DescBlock& block, uint32_t count, const std::byte* segment, size_t segment_bytes,
                      int64_t epoch_ns, uint32_t link_type) {
    return {.time = block.time,
            .rest = block.rest,
            .offset = block.offset,
            .caplen = block.caplen,
            .wirelen = block.wirelen,
            .flags = block.flags,
            .vlan = block.vlan,
            .queue = block.queue,
            .tunnel = block.tunnel,
            .origin = block.origin,
            .count = count,
            .segment = segment,
            .segment_bytes = segment_bytes,
            .epoch_ns = epoch_ns,
            .link_type = link_type};
  }
};

/// Counts of a whole capture.
struct DropCounts {
  uint64_t received = 0;
  uint64_t dropped = 0;
  std::vector<std::string> causes = {};  // "ring=5"
};

/// What packets come from, as a trace describes it; empty or 0: not known.
struct InterfaceInfo {
  std::string name = {};
  std::string description = {};
  std::string filter = {};
  uint64_t bits_per_second = 0;
  std::optional<uint32_t> link_type = {};  // nothing: that of its first batch
};

/// What a format can hold of a packet.
struct PacketLimits {
  uint32_t snaplen = 0;
  uint64_t end_ns = 0;  // times from 1970 up to here, exclusive
};

/// Memory that whole records are encoded into.
struct EncodeBuffer {
  std::byte* data = nullptr;
  uint32_t capacity = 0;
  uint32_t used = 0;
  uint32_t packets = 0;
  uint64_t first_ns = 0;  // Unix times: of its first packet,
  uint64_t earliest_ns = UINT64_MAX;
  uint64_t latest_ns = 0;
  bool describes = false;    // later packets cannot be read without what it says of interfaces
  bool begins_file = false;  // the header of the file is in front of its records
  bool ends_file = false;    // nothing of the file comes after it

  void clear() noexcept { *this = {.data = data, .capacity = capacity}; }
};

class Encoder {
 public:
  virtual ~Encoder() = default;

  /// The bytes that a file begins with; the next one when there was one before.
  virtual void header(EncodeBuffer& buffer) = 0;

  /// Encodes the packets to take from the `next`-th on, advancing it, until the batch or the buffer is at its end.
  virtual std::optional<Error> encode(const BatchView& batch, uint32_t& next, EncodeBuffer& buffer) = 0;

  /// Why the file takes no packets of this link type, if so.
  virtual std::optional<Error> refuses(uint32_t link_type) const = 0;
  virtual const PacketLimits& limits() const noexcept = 0;

  /// A remark about the next packet.
  virtual void comment(const std::string&) {}

  /// So many packets are missing before the next one of this source.
  virtual void lost(uint32_t /*source*/, uint64_t /*packets*/) {}

  /// False when the buffer has no room for it. Interfaces among them are numbered from 0 on in each file.
  virtual bool block(const TraceBlock&, EncodeBuffer&) { return true; }
  /// Some of what packets had beside them was too much.
  virtual bool leaves_out() const { return false; }

  /// The bytes that the file ends with, by what each source has counted …
  virtual void trailer(const std::vector<std::optional<DropCounts>>& counts, EncodeBuffer& buffer) = 0;
  /// … and how many they are at most.
  virtual uint32_t trailer_bytes() const = 0;

  /// A record of a buffer that encode() filled.
  struct Record {
    uint32_t end = 0;
    bool is_packet = false;
  };
  /// The one that begins at `at`.
  virtual Record record(const EncodeBuffer& buffer, uint32_t at) const = 0;
};

/// The record that begins at `at` of what an encoder of the format has put out. `begins_file`: the header of the file
/// is in front.
Encoder::Record pcap_record(const std::byte* data, uint32_t at, bool begins_file);
Encoder::Record pcapng_record(const std::byte* data, uint32_t at);

struct EncoderOptions {
  uint32_t link_type = 1;  // of a source that has none of its own: the one that is first to write, or the only one
  uint32_t source = 0;     // which that is
  uint32_t snaplen = kMaxSnaplen;
  bool nanosecond = true;
  std::string hardware = {};
  std::string os = {};
  std::string application = {};
  std::string comment = {};
  std::vector<InterfaceInfo> interfaces = {InterfaceInfo{}};  // one for each source, and one at least
  bool packet_details = false;                                // direction, number and queue of each packet
  // Packets have their origins: an interface of these options is described once there is one without.
  bool keeps = false;
  bool keeps_resolution = false;  // of times, by interface, as far as it is that of a number of ns
  std::string section = {};       // options of it, of other traces
};

std::unique_ptr<Encoder> make_pcap_encoder(const EncoderOptions& options);
std::unique_ptr<Encoder> make_pcapng_encoder(const EncoderOptions& options);
std::unique_ptr<Encoder> make_erf_encoder(const EncoderOptions& options);

}  // namespace ringtap
