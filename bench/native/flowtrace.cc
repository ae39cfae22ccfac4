// ringtap-flowtrace FLOWS PACKETS [TRUTH]: a pcap trace of so many flows on stdout, the same for the same numbers: TCP
// with handshake and end, and datagrams with answers, a fifth of it IPv6. PACKETS is the mean of what a TCP flow
// carries besides. Flows begin within 30 s, and none pauses for longer than 6 s. Into the file TRUTH goes what a meter
// must say, a line each: the client's address (in IPv6 the last word of it) and port, packets, bytes of IP and of
// frames, each of the client and of the server; first and last in µs, and all TCP flags.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <queue>
#include <random>
#include <vector>

#include "core/byte_order.h"

namespace {

using namespace ringtap;

constexpr uint64_t kBeginUs = 1'700'000'000'000'000;
constexpr uint32_t kLongestGapUs = 6'000'000;
constexpr uint32_t kLifeUs = 20'000'000;

struct Flow {
  uint32_t left;  // packets that are to come
  uint32_t total;
  bool is_tcp;
  uint32_t sequence[2] = {1, 1};
  uint32_t packets[2] = {};
  uint64_t frame_bytes[2] = {};
  uint64_t first_us = 0;
  uint64_t last_us = 0;
  uint32_t flags = 0;
};

struct Next {
  uint64_t us;
  uint32_t flow;
  bool operator>(const Next& other) const { return us != other.us ? us > other.us : flow > other.flow; }
};

std::byte* u8(std::byte* at, uint32_t value) {
  *at = static_cast<std::byte>(value);
  return at + 1;
}
std::byte* u16(std::byte* at, uint32_t value) { return store_big(at, static_cast<uint16_t>(value)); }

/// Frame of flow `id`, from its client or its server. Gives its length. Checksums are 0: no meter looks at them.
size_t frame(std::byte* at, uint32_t id, bool is_tcp, bool by_server, uint32_t flags, uint32_t sequence, size_t bytes) {
  std::byte* const begin = at;
  const bool is_six = id % 5 == 0;
  const size_t header = is_tcp ? 20 : 8;
  std::memset(at, 0, 14 + 40 + header + bytes);
  at = u16(at + 12, is_six ? 0x86dd : 0x0800);
  const uint32_t client = 0x0a000000 + id;
  const uint32_t server = 0xc6120000 + id * 7 % 4096;
  const auto address = [&](bool of_server) {
    if (is_six) at = store_big(at, uint32_t{0x20010db8}) + 8;
    at = store_big(at, of_server ? server : client);
  };
  if (is_six) {
    at = u16(store_big(at, uint32_t{0x60000000}), static_cast<uint32_t>(header + bytes));
    at = u8(u8(at, is_tcp ? 6 : 17), 64);
  } else {
    at = u16(u8(u8(at, 0x45), 0), static_cast<uint32_t>(20 + header + bytes));
    at = u16(u8(u8(at + 4, 64), is_tcp ? 6 : 17), 0);
  }
  address(by_server);
  address(!by_server);
  const uint32_t client_port = 1024 + id % 60000;
  const uint32_t server_port = is_tcp ? 443 : 53;
  at = u16(u16(at, by_server ? server_port : client_port), by_server ? client_port : server_port);
  if (is_tcp) {
    at = store_big(store_big(at, sequence), uint32_t{0});
    at = u16(u8(u8(at, 0x50), flags), 500) + 4;
  } else {
    at = u16(at, static_cast<uint32_t>(header + bytes)) + 2;
  }
  return static_cast<size_t>(at + bytes - begin);
}

bool write_truth(const char* path, const std::vector<Flow>& flows) {
  FILE* file = std::fopen(path, "w");
  if (file == nullptr) return false;
  for (uint32_t id = 0; id < flows.size(); id++) {
    const Flow& flow = flows[id];
    const auto ip = [&](int side) { return flow.frame_bytes[side] - uint64_t{14} * flow.packets[side]; };
    std::fprintf(file, "%u %u %u %u %llu %llu %llu %llu %llu %llu %u\n", 0x0a000000 + id, 1024 + id % 60000,
                 flow.packets[0], flow.packets[1], static_cast<unsigned long long>(ip(0)),
                 static_cast<unsigned long long>(ip(1)), static_cast<unsigned long long>(flow.frame_bytes[0]),
                 static_cast<unsigned long long>(flow.frame_bytes[1]), static_cast<unsigned long long>(flow.first_us),
                 static_cast<unsigned long long>(flow.last_us), flow.flags);
  }
  return std::fclose(file) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  const long flows = argc >= 3 ? std::atol(argv[1]) : 0;
  const long mean = argc >= 3 ? std::atol(argv[2]) : 0;
  if (flows < 1 || flows > 16'000'000 || mean < 1 || mean > 100'000) {
    std::fprintf(stderr, "usage: ringtap-flowtrace FLOWS PACKETS [TRUTH] > FILE\n");
    return 2;
  }
  std::mt19937 random(42);
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  std::vector<Flow> all;
  std::priority_queue<Next, std::vector<Next>, std::greater<>> due;
  for (uint32_t id = 0; id < static_cast<uint32_t>(flows); id++) {
    const bool is_tcp = below(2) == 0;
    const uint32_t total = is_tcp ? 6 + below(static_cast<uint32_t>(2 * mean)) : 1 + below(4);
    all.push_back({.left = total, .total = total, .is_tcp = is_tcp});
    due.push({kBeginUs + below(30'000'000), id});
  }
  std::array<std::byte, 24> head{};
  store(store(store(head.data(), uint32_t{0xa1b2c3d4}), uint16_t{2}), uint16_t{4});
  store(store(head.data() + 16, uint32_t{65535}), uint32_t{1});
  std::fwrite(head.data(), 1, head.size(), stdout);
  std::array<std::byte, 16 + 2048> record;
  while (!due.empty()) {
    const auto [us, id] = due.top();
    due.pop();
    Flow& flow = all[id];
    const bool is_tcp = flow.is_tcp;
    const uint32_t done = flow.total - flow.left;
    const bool opens = is_tcp && done < 3;
    const bool ends = is_tcp && flow.left <= 3;
    const bool by_server = opens ? done == 1 : ends ? flow.left == 2 : is_tcp ? below(2) == 0 : done % 2 == 1;
    uint32_t flags = 0x10;
    if (opens && done < 2) flags = done == 0 ? 0x02 : 0x12;
    if (ends && flow.left > 1) flags = 0x11;
    const size_t bytes = opens || ends ? 0 : is_tcp ? (by_server ? below(1400) : below(200)) : 30 + below(200);
    std::byte* const at = record.data();
    uint32_t& sequence = flow.sequence[by_server];
    const auto length = static_cast<uint32_t>(frame(at + 16, id, is_tcp, by_server, flags, sequence, bytes));
    sequence += static_cast<uint32_t>(bytes) + ((flags & 3) != 0 ? 1 : 0);
    store(store(at, static_cast<uint32_t>(us / 1'000'000)), static_cast<uint32_t>(us % 1'000'000));
    store(store(at + 8, length), length);
    if (std::fwrite(at, 1, 16 + length, stdout) != 16 + length) return 1;
    flow.packets[by_server]++;
    flow.frame_bytes[by_server] += length;
    if (flow.first_us == 0) flow.first_us = us;
    flow.last_us = us;
    if (is_tcp) flow.flags |= flags;
    if (--flow.left == 0) continue;
    const uint32_t gap = std::min(kLongestGapUs, 2 * kLifeUs / std::max(flow.total, 8u));
    due.push({us + 1 + below(gap), id});
  }
  const bool is_told = argc < 4 || write_truth(argv[3], all);
  return std::fflush(stdout) == 0 && is_told ? 0 : 1;
}
