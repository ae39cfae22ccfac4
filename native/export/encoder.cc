#include "export/encoder.h"

#include <algorithm>
#include <array>
#include <limits>

#include "export/layout.h"

namespace ringtap::ipfix {

namespace {

constexpr int64_t kSecondMs = 1000;
/// Whole seconds, as the header's time is one.
constexpr int64_t kMostUptimeMs = std::numeric_limits<uint32_t>::max() / kSecondMs * kSecondMs;

/// Records whose columns stay near: they are looked at once for each kind that is among them.
constexpr uint32_t kBlock = 256;

constexpr int64_t floor_second(int64_t ms) noexcept { return ms - ms % kSecondMs; }
constexpr int64_t ceil_second(int64_t ms) noexcept { return floor_second(ms + kSecondMs - 1); }

constexpr int64_t boot_before(int64_t ms) noexcept { return std::max<int64_t>(floor_second(ms) - kSecondMs, 0); }

/// Directions of a record that are exported as records of their own; what nobody sent anything in is one all the same.
constexpr uint32_t directions(uint32_t to_server, uint32_t to_client) noexcept {
  return to_client == 0 ? 1u : to_server == 0 ? 2u : 3u;
}

}  // namespace

Encoder::Encoder(Settings settings)
    : settings_(std::move(settings)),
      messages_(settings_.protocol, std::clamp(settings_.message_bytes, kLeastMessage, kMostMessage),
                settings_.numbered_by_caller) {
  for (uint8_t kind = 0; kind < kKinds; kind++) {
    for (const Spec& spec : specs_of(settings_, kind)) record_bytes_[kind] += spec.bytes;
  }
}

/// A boot from which the times of records from `first` on are numbers of 32 bits; it stays as it was where it can. Not
/// the time of the first flow itself: 0 stands for no time. Gives for how many records it is one: others need another.
/// A single record longer than that is one, too: its start is as early as can be told.
uint32_t Encoder::set_boot(const Batch& batch, uint32_t first) noexcept {
  int64_t earliest = std::numeric_limits<int64_t>::max();
  int64_t latest = 0;
  uint32_t count = 0;
  for (uint32_t i = first; i < batch.count; i++, count++) {
    const int64_t start = time_ns(batch.columns.start[i], batch.epoch_ns) / 1'000'000;
    const int64_t end = time_ns(batch.columns.end[i], batch.epoch_ns) / 1'000'000;
    const int64_t least = std::min({earliest, start, end});
    const int64_t most = std::max({latest, start, end});
    if (count > 0 && most - boot_before(least) > kMostUptimeMs) break;
    earliest = least;
    latest = most;
  }
  if (!boot_ms_ || earliest <= *boot_ms_ || latest - *boot_ms_ > kMostUptimeMs) {
    boot_ms_ = std::max(boot_before(earliest), ceil_second(latest - kMostUptimeMs));
  }
  latest_ms_ = std::max(latest, *boot_ms_);
  return count;
}

void Encoder::begin_at(int64_t now_ms) noexcept {
  if (!boot_ms_) boot_ms_ = latest_ms_ = floor_second(now_ms);
}

HeaderTime Encoder::header_time(int64_t now_ms) const noexcept {
  if (settings_.protocol == Protocol::kIpfix) return {.seconds = static_cast<uint32_t>(now_ms / kSecondMs)};
  // WHY not now in any case: of flows of long ago the time since boot would not be a number of 32 bits.
  const bool is_near = now_ms >= latest_ms_ && now_ms - *boot_ms_ <= kMostUptimeMs;
  const int64_t at = is_near ? floor_second(now_ms) : ceil_second(latest_ms_);
  const int64_t shown = std::max(at, *boot_ms_);
  return {.seconds = static_cast<uint32_t>(shown / kSecondMs), .uptime_ms = static_cast<uint32_t>(shown - *boot_ms_)};
}

void Encoder::encode(const Batch& batch, int64_t now_ms, const std::optional<Account>& account) {
  messages_.clear();
  uint32_t first = 0;
  do {
    uint32_t fitting = batch.count - first;
    if (fitting == 0)
      begin_at(now_ms);
    else if (settings_.protocol == Protocol::kNetflow9)
      fitting = set_boot(batch, first);
    messages_.set_time(header_time(now_ms));
    if (account && first == 0) ipfix::announce(settings_, *account, messages_);
    for (const uint32_t end = first + fitting; first < end;) {
      const uint32_t count = std::min(kBlock, end - first);
      put_block(batch, first, count);
      first += count;
    }
    messages_.finish();
  } while (first < batch.count);
}

/// Records by their kind, so that a set has many.
void Encoder::put_block(const Batch& batch, uint32_t first, uint32_t count) {
  const bool is_biflow = (shape_of(settings_, 0) & kBiflow) != 0;
  std::array<std::array<uint32_t, size_t{2} * kBlock>, kKinds> entries;
  std::array<uint32_t, kKinds> counts{};
  for (uint32_t i = first; i < first + count; i++) {
    const uint8_t kind = kind_of(batch.columns, i);
    const uint32_t ways = is_biflow ? 1 : directions(batch.columns.packets[0][i], batch.columns.packets[1][i]);
    if ((ways & 1) != 0) entries[kind][counts[kind]++] = i << 1;
    if ((ways & 2) != 0) entries[kind][counts[kind]++] = i << 1 | 1;
  }
  for (uint8_t kind = 0; kind < kKinds; kind++) put_records(batch, kind, std::span(entries[kind]).first(counts[kind]));
}

void Encoder::put_records(const Batch& batch, uint8_t kind, std::span<const uint32_t> entries) {
  if (entries.empty()) return;
  const uint16_t id = template_of(kind);
  const Settings settings = {.protocol = settings_.protocol,
                             .times = settings_.times,
                             .interface_index = settings_.interface_index,
                             .sample_packets = settings_.sample_packets,
                             .sample_flows = settings_.sample_flows};
  with_shape(shape_of(settings_, kind), [&]<uint8_t kShape>(std::integral_constant<uint8_t, kShape>) {
    // WHY copies: bytes may be anything, so that each store would have members read again.
    const flow::Columns columns = batch.columns;
    Row row{columns, 0, 0, batch.epoch_ns, boot_ms_.value_or(0), settings_.interface_index};
    while (!entries.empty()) {
      const auto room = messages_.room(settings_.domain, id, record_bytes_[kind], entries.size());
      std::byte* at = room.at;
      uint64_t packets = 0;
      double octets = 0;
      for (const uint32_t entry : entries.first(room.records)) {
        row.i = entry >> 1;
        row.side = entry & 1;
        for_each_group<kShape>(settings, [&at, &row]<class G>(G) { at = G::put(at, row); });
        packets += columns.packets[row.side][row.i];
        octets += columns.ip_bytes[row.side][row.i];
        if constexpr ((kShape & kBiflow) != 0) {
          packets += columns.packets[1][row.i];
          octets += columns.ip_bytes[1][row.i];
        }
      }
      messages_.wrote_flows(at, static_cast<uint32_t>(room.records), packets, whole(octets));
      entries = entries.subspan(room.records);
    }
  });
}

void Encoder::announce(int64_t now_ms, const Account& account) {
  messages_.clear();
  begin_at(now_ms);
  messages_.set_time(header_time(now_ms));
  ipfix::announce(settings_, account, messages_);
}

void Encoder::withdraw(int64_t now_ms) {
  messages_.clear();
  messages_.set_time(header_time(now_ms));
  ipfix::withdraw(settings_, messages_);
}

}  // namespace ringtap::ipfix
