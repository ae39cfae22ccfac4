// The conformance suite: what every backend must do, whatever it captures from. conformance.cc has the cases; the
// conformance.cc in a backend's folder says how to open it and how to make packets arrive.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/source.h"

namespace ringtap::test {

using Bytes = std::vector<std::byte>;

/// An Ethernet frame that carries its number and, in the rest, a pattern made from it. 60 to 299 bytes.
Bytes numbered_frame(uint64_t number);

/// A received packet.
struct Packet {
  std::span<const std::byte> bytes;
  uint32_t wirelen;
  double time_ns;
};

/// The number of a numbered_frame(); nothing if a single captured byte of it is wrong.
std::optional<uint64_t> number_of(const Packet& packet);

/// A way to open one backend. Packets are numbered from 0 at each open().
struct Fixture {
  std::string name;
  /// Opens, but does not start. The options are the suite's: a small buffer, sometimes a snaplen.
  std::function<Result<std::unique_ptr<Source>>(Options)> open;
  /// Makes `n` more packets arrive; returns how many it sent.
  std::function<uint32_t(uint32_t n)> feed = [](uint32_t n) { return n; };
  /// The number of a packet, nothing if it is none of ours or is damaged.
  std::function<std::optional<uint64_t>(const Packet&)> number = number_of;
  bool endless = false;     // packets are there without feed()
  uint64_t ends_after = 0;  // packets after which the source ends by itself; 0: it does not. At least 20,000.
  Rx end = Rx::kEof;        // how it ends
  /// Its memory is filled in a fixed order: a held batch may stop all that comes after it, which is kNoBuffer then.
  bool in_order = false;
};

/// Defined once per backend. Empty where the host cannot run it, which the suite then says.
std::vector<Fixture> fixtures();

/// A program as a filter for every link type.
class FixedFilter final : public Filter {
 public:
  explicit FixedFilter(Program program) : program_(std::move(program)) {}
  Result<const Program*> program(const FilterTarget&) override { return &program_; }

 private:
  Program program_;
};

/// Keeps `accepted` bytes of packets whose byte at `offset` is odd, nothing of the others.
std::shared_ptr<Filter> odd_filter(uint32_t offset, uint32_t accepted = 262144);

/// Is the page at this address left out when the process forks?
bool kept_from_children(const void* address);

/// Waits as readiness() asks for. False when nothing was ready in time.
bool wait_for(const Source& source, int patience_ms = 20'000);

}  // namespace ringtap::test
