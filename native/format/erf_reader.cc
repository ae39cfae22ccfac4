#include "format/erf_reader.h"

#include <algorithm>
#include <string>

#include "core/byte_order.h"
#include "format/erf_record.h"
#include "format/link_type.h"
#include "format/trace_time.h"

namespace ringtap {
namespace {

using namespace erf;

struct TypeInfo {
  uint32_t link_type;
  uint32_t pad;  // bytes between the headers and the packet
};

/// Types that have no link type of their own are given out whole, as LINKTYPE_ERF.
constexpr TypeInfo info_of(uint8_t type) noexcept {
  switch (type) {
    case kEth:
    case kColorEth:
    case kDsmColorEth:
    case kColorHashEth:
      return {kLinkEthernet, kEthernetPad};
    case kHdlcPos:
    case kColorHdlcPos:
    case kDsmColorHdlcPos:
    case kColorHashPos:
      return {kLinkCiscoHdlc, 0};
    case kIpv4:
    case kIpv6:
      return {kLinkRaw, 0};
    default:
      return {kLinkErf, 0};
  }
}

struct Record {
  uint64_t time;
  uint8_t type;
  uint8_t interface;
  uint32_t length;
  uint32_t wirelen;
};

Record read_record(const std::byte* at) noexcept {
  return {
      .time = load_little<uint64_t>(at),
      .type = static_cast<uint8_t>(load<uint8_t>(at + 8) & 0x7f),
      .interface = static_cast<uint8_t>(load<uint8_t>(at + 9) & 3),
      .length = load_big<uint16_t>(at + 10),
      .wirelen = load_big<uint16_t>(at + 14),
  };
}

class ErfReader final : public RecordReader {
 public:
  explicit ErfReader(bool whole) : whole_(whole) {
    snaplen_ = UINT16_MAX;
    description_ = "ERF";
  }

  std::optional<uint32_t> link_type() const noexcept override { return link_type_; }

  void walk(Walk& w, DescBlock& out, uint32_t max) noexcept override;

 private:
  const bool whole_;  // records are given out as they are, headers and all
  std::optional<uint32_t> link_type_;
};

void ErfReader::walk(Walk& w, DescBlock& out, uint32_t max) noexcept {
  const std::byte* const base = w.base;
  uint64_t pos = w.pos;
  uint32_t n = 0;
  w.filtered = 0;
  w.wire_bytes = 0;
  w.stop = Stop::kFull;
  while (n < max || max == 0) {
    if (w.paused()) {
      w.stop = Stop::kPause;
      break;
    }
    if (pos + kHeaderBytes > w.end) {
      w.starve(pos, pos == w.end ? 0 : kHeaderBytes);
      break;
    }
    const Record record = read_record(base + pos);
    if (record.length < kHeaderBytes) [[unlikely]] {
      w.corrupt(pos, "record length " + std::to_string(record.length) + " is below 16");
      break;
    }
    if (pos + record.length > w.end) {
      w.starve(pos, record.length);
      break;
    }
    if (record.type == kPad) {
      pos += record.length;
      continue;
    }
    const TypeInfo info = whole_ ? TypeInfo{kLinkErf, info_of(record.type).pad} : info_of(record.type);
    const uint32_t headers = after_extensions(base + pos, record.length) + info.pad;
    if (headers > record.length) [[unlikely]] {
      w.corrupt(pos, "record length " + std::to_string(record.length) + " is too short for its headers");
      break;
    }
    const auto seconds = static_cast<int64_t>(record.time >> 32);
    if (!epoch_) epoch_ = seconds;
    if (!link_type_) link_type_ = info.link_type;
    if (max == 0) break;
    if (info.link_type != w.link_type) {
      w.stop = Stop::kLinkType;
      w.next_link_type = info.link_type;
      break;
    }
    const bool raw = info.link_type == kLinkErf;
    const uint64_t data = pos + (raw ? 0 : headers);
    const uint32_t caplen = raw ? record.length : std::min(record.wirelen, record.length - headers);
    uint32_t wirelen = raw ? std::max(record.length, headers + record.wirelen) : record.wirelen;
    // Where nothing of the FCS is there, the length is told as of any other trace: without it.
    if (info.link_type == kLinkEthernet && caplen + kFcsBytes <= wirelen) wirelen -= kFcsBytes;
    pos += record.length;
    prefetch(base + pos + 128);
    uint32_t keep = std::min(caplen, w.snaplen);
    if (w.filter != nullptr) {
      const uint32_t wanted = w.filter->keep(base + data, wirelen, caplen);
      if (wanted == 0) {
        w.filtered++;
        continue;
      }
      keep = std::min(keep, wanted);
    }
    const int64_t time = (seconds - *epoch_) * kSecond + nanoseconds(record.time & 0xffffffff);
    out.set_basic(n, static_cast<uint32_t>(data), keep, wirelen, time, 0);
    out.queue[n] = record.interface;
    n++;
    w.wire_bytes += wirelen;
  }
  w.pos = static_cast<uint32_t>(pos);
  w.count = n;
}

/// Could the 16 bytes here, after a record of time `before`, begin an ERF record?
bool plausible(const Record& record, const std::byte* at, uint64_t before) noexcept {
  if (record.type == kPad) return record.length >= kHeaderBytes;
  if (record.type == 0 || record.type > kLastKnown || record.length < kHeaderBytes + 1) return false;
  constexpr uint64_t kYear = uint64_t{365} * 24 * 3600 << 32;
  constexpr uint64_t kSlack = uint64_t{2} << 32;  // ports of one card are not in strict order
  if (before != 0 && (record.time + kSlack < before || record.time > before + kYear)) return false;
  const TypeInfo info = info_of(record.type);
  const bool extended = (at[8] & kMoreExtensions) != std::byte{0};
  if (info.link_type == kLinkErf || extended) return true;
  // The packet is no longer than it was on the wire, but for alignment.
  return record.length >= kHeaderBytes + info.pad && record.length <= kHeaderBytes + info.pad + record.wirelen + 16;
}

}  // namespace

Likeness looks_like_erf(std::span<const std::byte> head, bool whole) noexcept {
  constexpr int kEnough = 3;
  constexpr int kMost = 20;
  uint64_t at = 0;
  uint64_t before = 0;
  int good = 0;
  while (good < kMost && at + kHeaderBytes <= head.size()) {
    const Record record = read_record(&head[at]);
    if (!plausible(record, &head[at], before)) return Likeness::kNo;
    if (at + record.length > head.size()) break;
    if (record.type != kPad) {
      if (after_extensions(&head[at], record.length) > record.length) return Likeness::kNo;
      before = record.time;
      good++;
    }
    at += record.length;
  }
  if (good >= kEnough) return Likeness::kYes;
  if (!whole) return Likeness::kUnsure;
  return good > 0 ? Likeness::kYes : Likeness::kNo;
}

std::unique_ptr<RecordReader> open_erf(bool whole) { return std::make_unique<ErfReader>(whole); }

}  // namespace ringtap
