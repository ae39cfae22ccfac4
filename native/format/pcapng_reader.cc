#include "format/pcapng_reader.h"

#include <algorithm>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/byte_order.h"
#include "format/link_type.h"
#include "format/pcapng_blocks.h"
#include "format/pcapng_kept.h"
#include "format/pcapng_options.h"
#include "format/tick_clock.h"

namespace ringtap {
namespace {

using namespace pcapng;

// A block that must be read whole and claims more than this is damage, not data.
constexpr uint32_t kLongestBlock = 256u << 20;
// The longest block of names or secrets that is kept.
constexpr uint32_t kLongestKept = (1u << 19) + 32;
// So many interfaces are told of.
constexpr uint32_t kMostInterfaces = 1024;

/// What reading an interface's packets takes.
struct Active {
  uint32_t limit;  // most bytes that a packet may have
  TickClock clock;
};

/// WHY in little memory: a file may be nothing but descriptions of interfaces, which are 20 bytes long.
struct Interface {
  std::unique_ptr<Active> active;  // from its first packet on
  int64_t offset;
  uint32_t snaplen;  // bounds simple packets, which do not say how much of them was captured
  uint16_t link_type;
  uint8_t resolution;
  uint32_t number;  // of those that are told of
};

/// What the three kinds of packet block have in common.
struct PacketBlock {
  uint32_t interface;
  uint64_t ticks;
  uint32_t caplen;
  uint32_t wirelen;
  uint32_t data;  // where the bytes are in the block
  uint16_t flags_option;
};

class PcapngReader final : public RecordReader {
 public:
  explicit PcapngReader(bool swapped) : swapped_(swapped) {
    description_ = std::string("pcapng, ") + (swapped != kHostIsBig ? "big-endian" : "little-endian");
  }

  std::optional<uint32_t> link_type() const noexcept override { return link_type_; }
  std::vector<uint32_t> other_link_types() const override {
    std::vector<uint32_t> others;
    for (const Interface& interface : interfaces_) {
      if (interface.link_type != link_type_) others.push_back(interface.link_type);
    }
    return others;
  }
  bool big_endian() const noexcept override { return swapped_ != kHostIsBig; }
  bool tells_origins() const noexcept override { return true; }

  void set_epoch(int64_t seconds) noexcept override {
    epoch_ = seconds;
    for (Interface& interface : interfaces_) {
      if (interface.active != nullptr) interface.active->clock.set_epoch(seconds);
    }
  }

  void walk(Walk& w, DescBlock& out, uint32_t max) noexcept override {
    w.count = 0;
    w.filtered = 0;
    w.wire_bytes = 0;
    while (swapped_ ? run<true>(w, out, max) : run<false>(w, out, max)) {
    }
  }

  bool record_begins() const noexcept override { return skipped_total_ == 0; }

 private:
  /// One stretch of sections in one byte order. True when the order changes at w.pos.
  template <bool kSwap>
  bool run(Walk& w, DescBlock& out, uint32_t max) noexcept;

  /// The block at pos, which is not a packet. False stops the walk.
  template <bool kSwap>
  bool other_block(Walk& w, uint64_t& pos, uint32_t type, uint32_t total);
  template <bool kSwap>
  void keep(const std::byte* block, uint32_t type, uint32_t total);
  template <bool kSwap>
  bool add_interface(Walk& w, uint64_t pos, uint32_t total);
  uint32_t tell(std::string interface);
  void activate(Interface& interface) const;
  bool section(Walk& w, uint64_t& pos);
  bool skipped_block_ends(Walk& w, uint64_t& pos);

  template <bool kSwap>
  static bool whole(Walk& w, uint64_t pos, uint32_t total, uint32_t least);

  template <bool kSwap>
  PacketBlock simple_packet(const std::byte* block, uint32_t total) const noexcept;

  bool swapped_;
  bool order_changed_ = false;  // since the last packet
  bool first_packet_seen_ = false;
  std::optional<uint32_t> link_type_;
  std::vector<Interface> interfaces_;  // of the current section
  std::optional<uint64_t> kept_to_;    // file offset behind the last block that was kept
  size_t kept_bytes_ = 0;
  uint32_t told_ = 0;                           // interfaces
  std::unordered_map<size_t, uint32_t> twins_;  // of the current section, by the hash of what they are
  uint32_t skipped_total_ = 0;                  // length of a block whose last 4 bytes are still to come
};

template <bool kSwap>
PacketBlock enhanced_packet(const std::byte* block) noexcept {
  return {
      .interface = load<uint32_t, kSwap>(block + 8),
      .ticks = (uint64_t{load<uint32_t, kSwap>(block + 12)} << 32) | load<uint32_t, kSwap>(block + 16),
      .caplen = load<uint32_t, kSwap>(block + 20),
      .wirelen = load<uint32_t, kSwap>(block + 24),
      .data = 28,
      .flags_option = kPacketFlags,
  };
}

template <bool kSwap>
PacketBlock obsolete_packet(const std::byte* block) noexcept {
  PacketBlock packet = enhanced_packet<kSwap>(block);
  packet.interface = load<uint16_t, kSwap>(block + 8);  // followed by a drop count
  return packet;
}

template <bool kSwap>
PacketBlock PcapngReader::simple_packet(const std::byte* block, uint32_t total) const noexcept {
  const auto wirelen = load<uint32_t, kSwap>(block + 8);
  const uint32_t snaplen = interfaces_.empty() || interfaces_[0].snaplen == 0 ? UINT32_MAX : interfaces_[0].snaplen;
  return {
      .interface = 0,
      .ticks = 0,
      .caplen = std::min({wirelen, snaplen, total - kSimpleBytes}),
      .wirelen = wirelen,
      .data = 12,
      .flags_option = 0,
  };
}

constexpr uint32_t least_bytes(uint32_t packet_type) noexcept {
  return packet_type == kSimplePacket ? kSimpleBytes : kEnhancedBytes;
}

template <bool kSwap>
uint32_t direction_flag(const std::byte* options, const std::byte* end, uint16_t flags_option) noexcept {
  uint32_t flag = 0;
  // Damaged options do not make the packet before them any worse.
  (void)for_each_option<kSwap>(options, end, [&](uint16_t code, const std::byte* value, uint16_t length) {
    if (code == flags_option && length == 4 && (load<uint32_t, kSwap>(value) & 3) == kOutbound) flag = kFlagOutgoing;
  });
  return flag;
}

template <bool kSwap>
bool PcapngReader::whole(Walk& w, uint64_t pos, uint32_t total, uint32_t least) {
  if (total < least || total % 4 != 0 || total > kLongestBlock) [[unlikely]] {
    w.corrupt(pos, "block length " + std::to_string(total) + " is not possible for this type of block");
    return false;
  }
  if (pos + total > w.end) {
    w.starve(pos, total);
    return false;
  }
  const auto trailer = load<uint32_t, kSwap>(w.base + pos + total - 4);
  if (trailer != total) [[unlikely]] {
    w.corrupt(pos, "block length is " + std::to_string(total) + " at its start but " + std::to_string(trailer) +
                       " at its end");
    return false;
  }
  return true;
}

template <bool kSwap>
bool PcapngReader::run(Walk& w, DescBlock& out, uint32_t max) noexcept {
  const std::byte* const base = w.base;
  uint64_t pos = w.pos;
  uint32_t n = w.count;
  bool other_order = false;
  w.stop = Stop::kFull;
  while (n < max || max == 0) {
    if (w.paused()) {
      w.stop = Stop::kPause;
      break;
    }
    if (skipped_total_ != 0 && !skipped_block_ends(w, pos)) break;
    if (pos + kAnyBytes > w.end) {
      w.starve(pos, pos == w.end ? 0 : kAnyBytes);
      break;
    }
    const std::byte* const block = base + pos;
    const auto type = load<uint32_t, kSwap>(block);
    const auto total = load<uint32_t, kSwap>(block + 4);
    if (type != kEnhancedPacket && type != kSimplePacket && type != kObsoletePacket) [[unlikely]] {
      if (!other_block<kSwap>(w, pos, type, total)) break;
      other_order = swapped_ != kSwap;
      if (other_order) break;
      continue;
    }
    if (!whole<kSwap>(w, pos, total, least_bytes(type))) break;
    PacketBlock packet;
    if (type == kEnhancedPacket) [[likely]] {
      packet = enhanced_packet<kSwap>(block);
    } else {
      packet = type == kSimplePacket ? simple_packet<kSwap>(block, total) : obsolete_packet<kSwap>(block);
    }
    if (packet.interface >= interfaces_.size()) [[unlikely]] {
      w.corrupt(pos, "packet of interface " + std::to_string(packet.interface) + ", but the section describes " +
                         std::to_string(interfaces_.size()));
      break;
    }
    Interface& interface = interfaces_[packet.interface];
    if (interface.active == nullptr) [[unlikely]]
      activate(interface);
    const Active& active = *interface.active;
    if (packet.caplen > active.limit || packet.caplen > total - packet.data - 4) [[unlikely]] {
      w.corrupt(pos, "captured length " + std::to_string(packet.caplen) + " is above " +
                         std::to_string(std::min(active.limit, total - packet.data - 4)) +
                         ", the most for this packet");
      break;
    }
    if (!first_packet_seen_) [[unlikely]] {
      first_packet_seen_ = true;
      link_type_ = interface.link_type;
      if (!epoch_) set_epoch(active.clock.second(packet.ticks));
    }
    if (max == 0) break;
    if (interface.link_type != w.link_type || order_changed_) {
      order_changed_ = false;
      w.stop = Stop::kLinkType;
      w.next_link_type = interface.link_type;
      break;
    }
    pos += total;
    prefetch(base + pos + 128);
    const std::byte* const data = block + packet.data;
    uint32_t keep = std::min(packet.caplen, w.snaplen);
    if (w.filter != nullptr) {
      const uint32_t wanted = w.filter->keep(data, packet.wirelen, packet.caplen);
      if (wanted == 0) {
        w.filtered++;
        continue;
      }
      keep = std::min(keep, wanted);
    }
    uint32_t flags = 0;
    const uint64_t options = packet.data + padded(packet.caplen);
    if (options + 4 < total) flags = direction_flag<kSwap>(block + options, block + total - 4, packet.flags_option);
    out.set_basic(n, static_cast<uint32_t>(data - base), keep, packet.wirelen, 0, flags);
    active.clock.stamp(packet.ticks, out, n);
    out.queue[n] = static_cast<uint16_t>(std::min<uint32_t>(packet.interface, UINT16_MAX));
    if (out.origin != nullptr) {
      const bool has_options = options + 4 < total && type == kEnhancedPacket;
      out.origin[n] = {.interface = interface.number,
                       .options = static_cast<uint32_t>(pos - total + options),
                       .option_bytes = has_options ? static_cast<uint32_t>(total - 4 - options) : 0,
                       .swapped = kSwap};
    }
    n++;
    w.wire_bytes += packet.wirelen;
  }
  w.pos = static_cast<uint32_t>(pos);
  w.count = n;
  return other_order;
}

template <bool kSwap>
bool PcapngReader::other_block(Walk& w, uint64_t& pos, uint32_t type, uint32_t total) {
  if (notes_descriptions_ && (type == kSection || type == kInterface) &&
      (descriptions_.empty() || descriptions_.back() != w.file_base + pos)) {
    descriptions_.push_back(w.file_base + pos);
  }
  if (type == kSection) return section(w, pos);
  if (type == kInterface) {
    if (!whole<kSwap>(w, pos, total, kInterfaceBytes) || !add_interface<kSwap>(w, pos, total)) return false;
    pos += total;
    return true;
  }
  if (total < kAnyBytes || total % 4 != 0) {
    w.corrupt(pos, "block length " + std::to_string(total) + " is not possible");
    return false;
  }
  if (type == kNames || type == kSecrets) {
    const bool is_kept = total <= kLongestKept;
    if (is_kept && !whole<kSwap>(w, pos, total, kAnyBytes)) return false;
    const uint64_t at = w.file_base + pos;
    const bool is_new = !kept_to_ || at >= *kept_to_;
    kept_to_ = std::max(kept_to_.value_or(0), at + total);
    if (!is_kept && is_new) keep_within(blocks_, kept_bytes_, {.type = type});
    if (is_kept) {
      if (is_new) keep<kSwap>(w.base + pos, type, total);
      pos += total;
      return true;
    }
  }
  if (pos + total <= w.end) {
    if (!whole<kSwap>(w, pos, total, kAnyBytes)) return false;
    pos += total;
    return true;
  }
  w.stop = Stop::kSkip;
  w.record = w.file_base + pos;
  w.record_bytes = total;
  w.need = total - 4;
  skipped_total_ = total;
  return false;
}

/// What of it is sound, in this host's byte order; its options, which only say who resolved the names, are left out.
template <bool kSwap>
void PcapngReader::keep(const std::byte* block, uint32_t type, uint32_t total) {
  const std::byte* at = block + 8;
  const std::byte* const end = block + total - 4;
  TraceBlock kept{.type = type};
  const auto put = [&kept](const auto& value) {
    kept.body.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  const auto put_padded = [&kept](const std::byte* bytes, uint32_t length) {
    kept.body.append(reinterpret_cast<const char*>(bytes), length);  // SAFETY: any bytes are characters
    kept.body.append(padded(length) - length, '\0');
  };
  if (type == kSecrets) {
    if (end - at < 8) return;
    const auto length = load<uint32_t, kSwap>(at + 4);
    if (length > static_cast<uint64_t>(end - at - 8)) return;
    put(load<uint32_t, kSwap>(at));
    put(length);
    put_padded(at + 8, length);
  } else {
    while (end - at >= 4) {
      const auto record = load<uint16_t, kSwap>(at);
      const auto length = load<uint16_t, kSwap>(at + 2);
      if (record == kEnd || static_cast<uint64_t>(end - at - 4) < padded(length)) break;
      put(record);
      put(length);
      put_padded(at + 4, length);
      at += 4 + padded(length);
    }
    if (kept.body.empty()) return;
    put(uint32_t{0});
  }
  keep_within(blocks_, kept_bytes_, std::move(kept));
}

void PcapngReader::activate(Interface& interface) const {
  interface.active = std::make_unique<Active>(Active{
      .limit = max_caplen(interface.link_type), .clock = *TickClock::make(interface.resolution, interface.offset)});
  if (epoch_) interface.active->clock.set_epoch(*epoch_);
}

bool PcapngReader::skipped_block_ends(Walk& w, uint64_t& pos) {
  const uint64_t start = pos + 4 - skipped_total_;
  if (pos + 4 > w.end) {
    w.starve(start, skipped_total_);
    w.need = 4;
    return false;
  }
  const auto trailer = load<uint32_t>(w.base + pos, swapped_);
  if (trailer != skipped_total_) {
    w.corrupt(start, "block length is " + std::to_string(skipped_total_) + " at its start but " +
                         std::to_string(trailer) + " at its end");
    return false;
  }
  skipped_total_ = 0;
  pos += 4;
  return true;
}

bool PcapngReader::section(Walk& w, uint64_t& pos) {
  if (pos + kSectionBytes > w.end) {
    w.starve(pos, kSectionBytes);
    return false;
  }
  const std::byte* const block = w.base + pos;
  const auto magic = load<uint32_t>(block + 8);
  if (magic != kByteOrderMagic && magic != swap_bytes(kByteOrderMagic)) {
    w.corrupt(pos, "section header without a byte-order magic number");
    return false;
  }
  const bool swap = magic != kByteOrderMagic;
  const auto total = load<uint32_t>(block + 4, swap);
  const auto major = load<uint16_t>(block + 12, swap);
  if (major != 1) {
    w.corrupt(pos, "section of pcapng version " + std::to_string(major) + "." +
                       std::to_string(load<uint16_t>(block + 14, swap)) + ", which is not known (1.x is)");
    return false;
  }
  if (!(swap ? whole<true>(w, pos, total, kSectionBytes) : whole<false>(w, pos, total, kSectionBytes))) return false;
  // The section's own length is advice for skipping it and often -1: blocks say where they end.
  order_changed_ |= swap != swapped_;
  swapped_ = swap;
  interfaces_.clear();
  twins_.clear();
  TraceBlock kept{.type = kSection};
  keep_options(Owner::kSection, {block + 24, total - kSectionBytes}, swap, kMostInterfaceOptions, kept.body);
  if (!kept.body.empty()) keep_within(blocks_, kept_bytes_, std::move(kept));
  pos += total;
  return true;
}

/// An interface that packets come from. @returns its number, or none where there are too many
uint32_t PcapngReader::tell(std::string interface) {
  if (told_ == kMostInterfaces) return PacketOrigin::kNone;
  TraceBlock kept{.type = kInterface, .body = std::move(interface)};
  // WHY by a hash alone: two that are taken for twins are two interfaces all the same.
  kept.twin = twins_[std::hash<std::string>()(kept.body)]++;
  return keep_within(blocks_, kept_bytes_, std::move(kept)) ? told_++ : PacketOrigin::kNone;
}

template <bool kSwap>
bool PcapngReader::add_interface(Walk& w, uint64_t pos, uint32_t total) {
  const std::byte* const block = w.base + pos;
  uint8_t resolution = 6;
  int64_t offset = 0;
  bool sound = true;
  const bool complete = for_each_option<kSwap>(block + 16, block + total - 4,
                                               [&](uint16_t code, const std::byte* value, uint16_t length) {
                                                 if (code == kInterfaceResolution) {
                                                   sound = sound && length == 1;
                                                   resolution = load<uint8_t>(value);
                                                 } else if (code == kInterfaceOffset) {
                                                   sound = sound && length == 8;
                                                   if (length == 8)
                                                     offset = static_cast<int64_t>(load<uint64_t, kSwap>(value));
                                                 }
                                               });
  if (!complete || !sound) {
    w.corrupt(pos, "interface description with an option of an impossible length");
    return false;
  }
  if (!TickClock::make(resolution, offset)) {
    w.corrupt(pos, "interface with time units of " + std::string((resolution & 0x80) != 0 ? "2^-" : "10^-") +
                       std::to_string(resolution & 0x7f) + " s, finer than 64 bits can count");
    return false;
  }
  const auto link_type = load<uint16_t, kSwap>(block + 8);
  const auto snaplen = load<uint32_t, kSwap>(block + 12);
  interfaces_.push_back({.active = nullptr,
                         .offset = offset,
                         .snaplen = snaplen,
                         .link_type = link_type,
                         .resolution = resolution,
                         .number = tell(kept_interface(block, total, kSwap, resolution))});
  if (!link_type_) {
    link_type_ = link_type;
    snaplen_ = snaplen == 0 ? max_caplen(link_type) : std::min(snaplen, max_caplen(link_type));
  }
  return true;
}

}  // namespace

bool is_pcapng(std::span<const std::byte> head) noexcept {
  if (load<uint32_t>(head.data()) != kSection) return false;
  const auto magic = load<uint32_t>(&head[8]);
  return magic == kByteOrderMagic || magic == swap_bytes(kByteOrderMagic);
}

Result<std::unique_ptr<RecordReader>> open_pcapng(std::span<const std::byte> head) {
  const bool swapped = load<uint32_t>(&head[8]) != kByteOrderMagic;
  return std::unique_ptr<RecordReader>(std::make_unique<PcapngReader>(swapped));
}

}  // namespace ringtap
