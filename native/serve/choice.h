// Which packets of a capture somebody gets, and how much of each.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>

#include "core/error.h"
#include "core/program.h"
#include "filter/vm.h"
#include "format/checked_packet.h"
#include "format/rpcap.h"
#include "serve/own_traffic.h"

namespace ringtap {

/// Some of many: as rpcap's SETSAMPLING has it.
struct Sampling {
  enum class Method : uint8_t { kNone, kOneOfEvery, kFirstAfterMs };
  Method method = Method::kNone;
  uint32_t value = 0;
};

/// Unix times that packets are taken from: [since, until).
struct Window {
  uint64_t since_ns = 0;
  uint64_t until_ns = std::numeric_limits<uint64_t>::max();
};

class Choice {
 public:
  struct Counts {
    uint64_t looked = 0;    // at all; those that follow are among them
    uint64_t outside = 0;   // of the window
    uint64_t filtered = 0;  // by the program
    uint64_t own = 0;       // of the daemon's connections, and wanted otherwise
    uint64_t sampled = 0;   // left out by sampling
    uint64_t damaged = 0;   // no packet is where the batch says
  };

  explicit Choice(uint32_t snaplen) : snaplen_(snaplen) {}

  /// From the next packet on. An empty program keeps all of them.
  Result<Ok> set_filter(const Program& program);
  void set_sampling(Sampling sampling) noexcept;
  /// Packets of these are left out: as OwnTraffic::set() reads them.
  void set_own(std::span<const std::byte> connections) { own_.set(connections); }
  uint32_t snaplen() const noexcept { return snaplen_; }

  /// At each batch, before its packets: what its filter may spend.
  void renew() noexcept { budget_.renew(); }
  /// The rest of the batch may wait until others have had their turn.
  bool used_up() const noexcept { return budget_.used_up(); }

  /// The packet, cut; its data is null where it is not wanted. Its number is not set.
  rpcap::Packet choose(const BatchView& batch, uint32_t i, const Window& window) noexcept;

  const Counts& counts() const noexcept { return counts_; }

 private:
  bool is_sample(uint64_t unix_ns) noexcept;

  const uint32_t snaplen_;
  std::optional<FilterVm> vm_;
  FilterBudget budget_;
  OwnTraffic own_;
  Sampling sampling_;
  uint32_t passed_ = 0;   // since the last sample
  uint64_t next_ns_ = 0;  // when the next sample is due
  Counts counts_;
};

}  // namespace ringtap
