// The ring that the kernel module fills: slots of different lengths, given back in the order in which they were filled.
//
// JS can write to the slots, not to the two pages before them. What is read from a slot is read once and checked; how
// far a held batch reaches is kept in our own memory.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "backends/pfring/abi.h"
#include "core/error.h"
#include "core/region.h"

namespace ringtap::pfring {

/// Is this the first page of a ring that we can read, whose packets have at most `caplen` bytes? `uri` is for messages.
/// A slot version other than ours is kUnsupported, anything else that is wrong kRingCorrupt.
Result<Ok> check_header(const RingHeader& header, uint32_t caplen, const std::string& uri);

/// A slot's header, copied and checked.
struct Slot {
  uint32_t data;  // offset of the packet, from the first slot
  uint32_t next;  // offset of the next slot
  uint32_t caplen;
  uint32_t wirelen;
  uint32_t hash;
  int64_t time_ns;  // Unix time
  bool hardware_time;
  bool outgoing;
};

/// The slots between us and the kernel. A value, so that a loop can keep it in registers.
class Walk {
 public:
  /// Slots that begin beyond `wrap_after` do not fit. `read` of the `inserted` packets lie behind the cursor `at`, and
  /// `end` is where the kernel writes next.
  Walk(const std::byte* slots, uint32_t wrap_after, uint32_t slot_length, uint32_t at, uint32_t end, uint64_t read,
       uint64_t inserted)
      : slots_(slots),
        wrap_after_(wrap_after),
        longest_(slot_length - static_cast<uint32_t>(sizeof(SlotHeader)) - 2),
        at_(at),
        end_(end),
        read_(read),
        inserted_(inserted) {}

  bool has_packets() const noexcept { return read_ != inserted_; }
  uint32_t at() const noexcept { return at_; }
  uint64_t read() const noexcept { return read_; }

  /// Reads the slot at the cursor. Nothing when it cannot be one.
  std::optional<Slot> peek(bool hardware_time) const noexcept;
  /// Steps over the slot that peek() showed.
  void pop(const Slot& slot) noexcept {
    at_ = slot.next;
    read_++;
  }

 private:
  /// SAFETY: one load, so that a second look cannot differ.
  template <class T>
  static T once(const std::byte* field) noexcept {
    struct __attribute__((may_alias)) Field {
      T value;
    };
    return reinterpret_cast<const volatile Field*>(field)->value;
  }

  const std::byte* slots_;
  uint32_t wrap_after_;
  uint32_t longest_;
  uint32_t at_;
  uint32_t end_;
  uint64_t read_;
  uint64_t inserted_;
};

inline std::optional<Slot> Walk::peek(bool hardware_time) const noexcept {
  // SAFETY: at_ <= wrap_after_ and a multiple of 8, so that the longest slot lies within the ring.
  const std::byte* h = slots_ + at_;
  const auto caplen = once<uint32_t>(h + offsetof(SlotHeader, caplen));
  if (caplen == 0 || caplen > longest_) return std::nullopt;
  const auto wirelen = once<uint32_t>(h + offsetof(SlotHeader, wirelen));
  if (wirelen < caplen) return std::nullopt;
  const uint32_t after = at_ + slot_bytes(caplen);
  const uint32_t next = after > wrap_after_ ? 0 : after;
  // The slots end where the kernel writes next: no step leads beyond that.
  if (at_ < end_ && (next == 0 || next > end_)) return std::nullopt;

  const int64_t kernel_ns =
      static_cast<int64_t>(uint64_t(once<int64_t>(h + offsetof(SlotHeader, seconds))) * 1'000'000'000u +
                           uint64_t(once<int64_t>(h + offsetof(SlotHeader, microseconds))) * 1000u);
  const auto time_ns = once<uint64_t>(h + offsetof(SlotHeader, time_ns));
  // Within the kernel's microsecond it is the kernel's own time, with more digits.
  const bool kernel_time = time_ns - static_cast<uint64_t>(kernel_ns) < 1000;
  const bool nic_time = !kernel_time && hardware_time;
  return Slot{.data = at_ + static_cast<uint32_t>(sizeof(SlotHeader)),
              .next = next,
              .caplen = caplen,
              .wirelen = wirelen,
              .hash = once<uint32_t>(h + offsetof(SlotHeader, hash)),
              .time_ns = kernel_time || nic_time ? static_cast<int64_t>(time_ns) : kernel_ns,
              .hardware_time = nic_time,
              .outgoing = once<uint8_t>(h + offsetof(SlotHeader, received)) == 0 &&
                          once<int32_t>(h + offsetof(SlotHeader, interface)) != 0};
}

class Ring {
 public:
  /// `region` is a whole ring whose header has passed check_header().
  explicit Ring(std::shared_ptr<Region> region);

  /// The slots, without the pages before them.
  Segment segment() const;

  Walk walk() const noexcept;
  /// What the walk has passed was looked at: from here on the socket is readable when there is more.
  void pass(const Walk& walk) noexcept;
  /// The kernel gets the memory in front of this offset, where nothing is lent any more.
  void free_to(uint64_t offset) noexcept;

  /// Has the kernel no room for another packet, because everything from `freed` on is lent?
  bool blocked(uint64_t freed) const noexcept;
  uint64_t inserted() const noexcept;
  uint64_t lost() const noexcept;

 private:
  RingHeader& header() const noexcept;

  std::shared_ptr<Region> region_;
  const uint32_t bytes_;  // of the slots
  const uint32_t slot_length_;
  uint32_t at_ = 0;
  uint64_t read_ = 0;
};

}  // namespace ringtap::pfring
