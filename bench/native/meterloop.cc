// ringtap-meterloop FLOWS RUNS: what the meter by itself costs a packet, on batches that lie in memory: frames of 60
// bytes of so many flows, in any order. Prints a line of JSON: CPU ns a packet of each run.
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "core/byte_order.h"
#include "flow/meter.h"

namespace {

using namespace ringtap;
using namespace ringtap::flow;

constexpr uint32_t kBatch = 4096;
constexpr uint32_t kFrame = 64;  // bytes from one to the next
constexpr size_t kLength = 60;

double cpu_ns() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

void datagram(std::byte* at, uint32_t flow, bool is_answer) {
  const uint32_t client = 0x0a000000 + flow;
  const uint32_t server = 0xc6120000 + flow * 7 % 4096;
  store_big(at + 12, uint16_t{0x0800});
  at[14] = std::byte{0x45};
  store_big(at + 16, uint16_t{46});
  at[22] = std::byte{64};
  at[23] = std::byte{17};
  store_big(store_big(at + 26, is_answer ? server : client), is_answer ? client : server);
  const auto port = static_cast<uint16_t>(1024 + flow % 60000);
  store_big(store_big(at + 34, is_answer ? uint16_t{53} : port), is_answer ? port : uint16_t{53});
  store_big(at + 38, uint16_t{26});
}

}  // namespace

int main(int argc, char** argv) {
  const long flows = argc == 3 ? std::atol(argv[1]) : 0;
  const long runs = argc == 3 ? std::atol(argv[2]) : 0;
  if (flows < 1 || flows > 1 << 26 || runs < 1) {
    std::fprintf(stderr, "usage: ringtap-meterloop FLOWS RUNS\n");
    return 2;
  }
  // Each flow some times over; few flows are in a cache, and so are their packets then.
  const auto count = static_cast<uint32_t>(flows < 50'000 ? long{kBatch} * 4 : std::min(flows * 2, 16'000'000l));
  const uint32_t rounds = flows < 50'000 ? 256 : 2;
  std::vector<std::byte> memory(size_t{count} * kFrame);
  std::mt19937 random(42);
  for (uint32_t i = 0; i < count; i++)
    datagram(&memory[size_t{i} * kFrame], static_cast<uint32_t>(random() % static_cast<uint32_t>(flows)),
             random() % 2 == 0);
  std::vector<uint32_t> offset, length(kBatch, kLength), flags(kBatch);
  for (uint32_t i = 0; i < kBatch; i++) offset.push_back(i * kFrame);
  const std::vector<uint16_t> vlan(kBatch);
  const std::vector<double> time(kBatch), rest(kBatch);
  std::printf("{\"flows\":%ld,\"ns\":[", flows);
  for (long run = -1; run < runs; run++) {
    const auto meter = *Meter::make({.limits = {.most_flows = static_cast<uint32_t>(flows) * 2}});
    const auto pass = [&] {
      for (uint32_t from = 0; from < count; from += kBatch) {
        const uint32_t packets = std::min(kBatch, count - from);
        meter->add({.packets = {.offset = offset.data(),
                                .caplen = length.data(),
                                .wirelen = length.data(),
                                .flags = flags.data(),
                                .vlan = vlan.data(),
                                .count = packets,
                                .segment = &memory[size_t{from} * kFrame],
                                .segment_bytes = size_t{packets} * kFrame,
                                .link_type = 1},
                    .time = time.data(),
                    .rest = rest.data()});
      }
    };
    pass();  // all flows are there
    const double begin = cpu_ns();
    for (uint32_t round = 0; round < rounds; round++) pass();
    const double took = (cpu_ns() - begin) / (static_cast<double>(count) * rounds);
    if (run >= 0) std::printf("%s%.2f", run > 0 ? "," : "", took);
  }
  std::printf("]}\n");
}
