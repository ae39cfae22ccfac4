// Meters arbitrary packets at arbitrary times: nothing is read outside them, and the sums are right whatever comes.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "core/desc.h"
#include "core/link_type.h"
#include "flow/meter.h"
#include "flow/text.h"

using namespace ringtap;
using namespace ringtap::flow;

namespace {

constexpr uint32_t kLinkTypes[] = {kLinkEthernet, kLinkRaw, kLinkLinuxSll, kLinkNull};
constexpr uint32_t kMost = 64;

void require(bool holds) {
  if (!holds) std::abort();
}

/// Packets as they lie in the input: what is added to the time, how long each is, its bytes.
struct Input {
  const uint8_t* data;
  size_t size;

  uint8_t byte() {
    if (size == 0) return 0;
    size--;
    return *data++;
  }
};

void require_balance(const Meter& meter) {
  const flow::Stats& stats = meter.stats();
  uint64_t placed = stats.in_flows + stats.sampled_out + stats.without_memory;
  for (const uint64_t each : stats.without_flow) placed += each;
  require(placed == stats.packets);
  const Table::Counts& counts = meter.table().counts();
  uint64_t ended = counts.quiet;
  for (size_t i = 0; i < kEndings; i++) {
    if (static_cast<Ended>(i) != Ended::kActive) ended += counts.records[i];
  }
  require(counts.created == ended + meter.table().active());
}

/// All that waits: each packet is in one record.
uint64_t drained(Meter& meter) {
  const auto memory = std::make_unique<double[]>(Columns::bytes_for(kMost) / 8 + 1);
  // SAFETY: bytes are bytes.
  const Columns columns = Columns::over(reinterpret_cast<std::byte*>(memory.get()), kMost);
  std::vector<char> text(kMost * kLongestLine);
  uint64_t packets = 0;
  const size_t each = meter.table().records().beginning_bytes();
  const auto beginnings = std::make_unique<std::byte[]>(kMost * size_t{2} * each);
  while (const uint32_t count = meter.table().records().drain(columns, kMost, each == 0 ? nullptr : beginnings.get())) {
    for (size_t i = 0; each > 0 && i < size_t{2} * count; i++)
      require(std::to_integer<size_t>(beginnings[i * each]) < each);
    for (uint32_t i = 0; i < count; i++) {
      packets += uint64_t{columns.packets[0][i]} + columns.packets[1][i];
      require(columns.start[i] <= columns.end[i]);
    }
    for (const Format format : {Format::kJson, Format::kCsv}) {
      const size_t bytes = write_lines(columns, 0, count, meter.table().epoch(), format, text);
      require(std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(bytes), '\n') == count);
    }
  }
  return packets;
}

}  // namespace

/// The first byte says how it is metered.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input{data, size};
  const uint8_t how = input.byte();
  Options options;
  options.hash_key = {1, 2, 3, 4, 5, 6, 7, 8};
  options.limits = {.active_ns = 4'000'000'000, .idle_ns = 2'000'000'000, .linger_ns = 1'000'000'000, .most_flows = 8};
  if ((how & 16) != 0) options.limits.payload_bytes = 7;
  if ((how & 32) != 0) options.limits.most_records = 16;
  options.keyed = {.vlan = (how & 1) != 0, .tunnel = (how & 2) != 0};
  options.decap = (how & 4) != 0;
  if ((how & 8) != 0) {
    options.sample_packets = 3;
    options.sample_interfaces = {{0, 1}, {2, 2}};
  }
  const auto meter = *Meter::make(options);
  std::vector<uint32_t> offset, caplen, wirelen, flags;
  std::vector<uint16_t> vlan;
  std::vector<double> time;
  std::vector<std::byte> bytes;
  double now = 0;
  while (input.size > 0 && offset.size() < kMost) {
    const uint8_t step = input.byte();
    now += (step < 250 ? step * 4e7 : step == 255 ? 1e18 : -3e9);
    const size_t length = std::min<size_t>(input.byte(), input.size);
    offset.push_back(static_cast<uint32_t>(bytes.size()));
    caplen.push_back(static_cast<uint32_t>(length));
    wirelen.push_back(static_cast<uint32_t>(length) + (step & 1) * 200);
    flags.push_back((step & 2) != 0 ? kFlagVlan : 0);
    vlan.push_back(step);
    time.push_back(now);
    for (size_t i = 0; i < length; i++) bytes.push_back(static_cast<std::byte>(input.byte()));
  }
  // An allocation of exactly the bytes: reading beyond them is seen.
  const auto segment = std::make_unique<std::byte[]>(bytes.size());
  if (!bytes.empty()) std::memcpy(segment.get(), bytes.data(), bytes.size());
  const std::vector<double> rest(offset.size());
  std::vector<Placed> placed(offset.size());
  const Batch batch{.packets = {.offset = offset.data(),
                                .caplen = caplen.data(),
                                .wirelen = wirelen.data(),
                                .flags = flags.data(),
                                .vlan = vlan.data(),
                                .count = static_cast<uint32_t>(offset.size()),
                                .segment = segment.get(),
                                .segment_bytes = bytes.size(),
                                .link_type = kLinkTypes[how >> 6]},
                    .time = time.data(),
                    .rest = rest.data(),
                    .interface = vlan.data()};
  meter->add(batch, placed);
  for (uint32_t i = 0; i < batch.packets.count; i++) {
    if (placed[i].payload_at == decode::kAbsent) continue;
    require(placed[i].payload_at >= offset[i]);
    require(placed[i].payload_at + placed[i].payload_caplen <= offset[i] + caplen[i]);
  }
  require_balance(*meter);
  meter->flush();
  require(meter->table().active() == 0);
  require_balance(*meter);
  const uint64_t told = drained(*meter);
  require(meter->table().records().lost() > 0 ? told < meter->stats().in_flows : told == meter->stats().in_flows);
  return 0;
}
