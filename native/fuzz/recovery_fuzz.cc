// Random bytes as what the other end of a recovery says: datagrams of any number, what is told and asked for, and
// trains. Whatever they say, what is given lies in memory that is there, is given once and in order.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "core/byte_order.h"
#include "format/rpcap_window.h"
#include "io/compression/train.h"

using namespace ringtap;
using namespace ringtap::rpcap;

namespace {

constexpr uint32_t kMost = 48;
constexpr Token kToken{};

void require(bool holds) {
  if (!holds) std::abort();
}

uint64_t touch(std::span<const std::byte> bytes) {
  uint64_t sum = 0;
  for (const std::byte b : bytes) sum += std::to_integer<uint64_t>(b);
  return sum;
}

/// Each step is told by five bytes: what, and a number.
uint64_t windows(std::span<const std::byte> bytes) {
  ArrivedWindow arrived(kMost * 64, kMost, 50);
  SentWindow sent(kMost * 64, kMost);
  uint64_t sum = 0;
  uint64_t now = 0;
  uint32_t kept = 0;
  for (; bytes.size() >= 5; bytes = bytes.subspan(5)) {
    const auto what = std::to_integer<uint8_t>(bytes[0]);
    const auto number = load_big<uint32_t>(&bytes[1]);
    // Near to where it is, mostly: else nothing but jumps would be seen.
    const uint32_t near = what & 8 ? number : arrived.base() + number % 100 - 10;
    const std::vector<std::byte> datagram(what % 61, std::byte{what});
    const uint32_t before = arrived.base();
    switch (what % 4) {
      case 0:
        arrived.take(near, datagram, now);
        break;
      case 1:
        arrived.told({.next = near, .oldest = near - what}, now);
        break;
      case 2:
        now += number % 64;
        break;
      default:
        if (datagram.size() >= 8) sent.keep(kept++, datagram);
        sent.acknowledge(number % 2 == 0 ? near : kept - number % 8);
        sum += touch(sent.again(near, now)) + touch(sent.again(kept - number % 70, now));
        require(sent.state().next - sent.state().oldest <= 64);
    }
    while (const auto next = arrived.next(now)) {
      require(next->size() <= kMost);
      sum += touch(*next);
    }
    require(static_cast<int32_t>(arrived.base() - before) >= 0);
    const Ask ask = arrived.ask(now);
    require(ask.count <= kMostRanges && (ask.count == 0 || arrived.is_missing_any()));
    for (size_t i = 0; i < ask.count; i++) require(ask.ranges[i].count > 0 && ask.ranges[i].count <= 64);
  }
  if (arrived.give_up()) {
    while (arrived.next(now)) sum++;
  }
  return sum;
}

uint64_t messages(std::span<const std::byte> bytes) {
  uint64_t sum = 0;
  if (const auto sent = read_sent(bytes, kToken)) sum += sent->next;
  if (const auto ask = read_ask(bytes, kToken)) {
    require(ask->count <= kMostRanges);
    std::array<std::byte, kMostAskBytes> into{};
    const auto again = put_ask(*ask, kToken, into);
    require(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
  }
  return sum;
}

uint64_t trains(std::span<const std::byte> bytes) {
  auto reader = TrainReader::make();
  require(static_cast<bool>(reader));
  uint64_t sum = 0;
  // As a train, and as what a train is made of.
  for (const auto& given : {bytes, [&] {
                              static Packed packed;
                              packed.clear();
                              auto compressor = make_compressor({.compression = Compression::kZstd});
                              require(compressor && (*compressor)->run(bytes, After::kEnd, packed));
                              return packed.bytes();
                            }()}) {
    if (!(*reader)->begin(given)) continue;
    while (const auto datagram = (*reader)->next()) sum += touch(*datagram);
  }
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  std::vector<std::byte> bytes(size - 1);
  std::transform(data + 1, data + size, bytes.begin(), [](uint8_t b) { return std::byte{b}; });
  const uint64_t sum = data[0] % 3 == 0 ? windows(bytes) : data[0] % 3 == 1 ? messages(bytes) : trains(bytes);
  return sum == UINT64_MAX ? 1 : 0;
}
