#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

#include "filter/opcodes.h"
#include "test/conformance.h"

namespace ringtap::test {

namespace {

constexpr uint32_t kNumberAt = 14;
constexpr uint32_t kPatternAt = kNumberAt + 8;

}  // namespace

Bytes numbered_frame(uint64_t number) {
  Bytes frame(60 + number * 37 % 240);
  for (size_t i = kPatternAt; i < frame.size(); i++) frame[i] = static_cast<std::byte>(number * 7 + i * 13);
  static constexpr uint8_t kHeader[kNumberAt] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};
  std::memcpy(frame.data(), kHeader, sizeof kHeader);
  std::memcpy(frame.data() + kNumberAt, &number, sizeof number);
  return frame;
}

std::optional<uint64_t> number_of(const Packet& packet) {
  if (packet.bytes.size() < kPatternAt) return std::nullopt;
  uint64_t number = 0;
  std::memcpy(&number, packet.bytes.data() + kNumberAt, sizeof number);
  const Bytes sent = numbered_frame(number);
  if (sent.size() != packet.wirelen || packet.bytes.size() > sent.size()) return std::nullopt;
  if (!std::equal(packet.bytes.begin(), packet.bytes.end(), sent.begin())) return std::nullopt;
  return number;
}

std::shared_ptr<Filter> odd_filter(uint32_t offset, uint32_t accepted) {
  using namespace bpf;
  return std::make_shared<FixedFilter>(Program{{.code = kLd | kB | kAbs, .k = offset},
                                               {.code = kJmp | kJset | kK, .jt = 0, .jf = 1, .k = 1},
                                               {.code = kRet | kK, .k = accepted},
                                               {.code = kRet | kK, .k = 0}});
}

bool kept_from_children(const void* address) {
  // SAFETY: only compared with the bounds of mappings.
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  std::ifstream mappings("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(mappings, line);) {
    uintptr_t from = 0;
    uintptr_t to = 0;
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) here = wanted >= from && wanted < to;
    if (here && line.starts_with("VmFlags:")) return line.find(" dc ") != std::string::npos;
  }
  return false;
}

bool wait_for(const Source& source, int patience_ms) {
  const Readiness readiness = source.readiness();
  if (readiness.kind == Readiness::Kind::kFd) {
    pollfd request{.fd = readiness.fd, .events = POLLIN, .revents = 0};
    return poll(&request, 1, patience_ms) > 0;
  }
  if (readiness.kind == Readiness::Kind::kAlways) return true;
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::milliseconds(patience_ms);
  while (!source.pending()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(readiness.max_sleep_us));
  }
  return true;
}

}  // namespace ringtap::test
