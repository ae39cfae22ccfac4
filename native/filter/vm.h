// The classic-BPF machine: decides in user space what a filter keeps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/program.h"
#include "core/tunnel.h"

namespace ringtap {

/// What one receive() may spend on its filter, so that no program keeps the event loop from its turn for longer than a
/// few milliseconds. In steps of the machine.
class FilterBudget {
 public:
  void renew() noexcept { left_ = kSteps; }
  /// Come back with what there is: the next packet may have a budget of its own.
  bool used_up() const noexcept { return left_ <= 0; }
  void spend(int64_t steps) noexcept { left_ -= steps; }

 private:
  static constexpr int64_t kSteps = int64_t{1} << 21;
  int64_t left_ = kSteps;
};

/// What is known of a packet beside its bytes.
struct PacketMetadata {
  uint32_t type = 0;  // PACKET_OUTGOING and the like
  uint32_t interface = 0;
  const TunnelRow* tunnel = nullptr;  // null: not known, which reads as none
};

/// Runs one program, decoded once. Decides exactly as libpcap's bpf_filter() does: a load beyond the captured bytes
/// rejects the packet, and so does an offset that means metadata to a kernel. Scratch memory starts as zeros.
class FilterVm {
 public:
  /// Reads metadata where the program asks for it: a packet's type and its interface, as the kernel does, and its
  /// tunnel.
  enum class Metadata : bool { kRejects, kIsRead };

  /// `program` has passed validate().
  explicit FilterVm(const Program& program, Metadata metadata = Metadata::kRejects);

  /// How many bytes of the packet to keep; 0 rejects it.
  uint32_t run(const std::byte* data, uint32_t wirelen, uint32_t caplen, FilterBudget& budget) const noexcept {
    return run(data, wirelen, caplen, budget, {});
  }
  uint32_t run(const std::byte* data, uint32_t wirelen, uint32_t caplen, FilterBudget& budget,
               const PacketMetadata& metadata) const noexcept {
    // What has no loop takes no more; what it took to the step is not worth counting.
    budget.spend(static_cast<int64_t>(ops_.size()));
    return is_special_ ? interpret<true>(data, wirelen, caplen, &budget, &metadata)
                       : interpret<false>(data, wirelen, caplen, nullptr, nullptr);
  }
  /// Where somebody else sees to it that it does not take too long, or nobody waits.
  uint32_t run(const std::byte* data, uint32_t wirelen, uint32_t caplen) const noexcept {
    if (!is_special_) return interpret<false>(data, wirelen, caplen, nullptr, nullptr);
    FilterBudget budget;
    return run(data, wirelen, caplen, budget);
  }

  /// A program that thousands of packets do not make long.
  bool is_quick() const noexcept { return !is_special_ && ops_.size() <= kQuick; }

 private:
  struct Op {
    uint16_t operation = 0;
    uint16_t jt = 0;  // where to go on, counted from the start of the program
    uint16_t jf = 0;
    uint32_t k = 0;
    uint32_t value = 0;  // what a fused load is compared with
  };

  static constexpr size_t kQuick = 64;

  /// WHY twice: what few programs need would take registers from all.
  template <bool kSpecial>
  uint32_t interpret(const std::byte* data, uint32_t wirelen, uint32_t caplen, FilterBudget* budget,
                     const PacketMetadata* metadata) const noexcept;

  std::vector<Op> ops_;
  bool uses_scratch_ = false;
  bool is_special_ = false;  // loops or reads metadata
};

}  // namespace ringtap
