// Random bytes as what a daemon sends: messages of a stream, and datagrams of either kind. Whatever they say, what is
// given as a packet lies in memory that is there.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "format/rpcap.h"

using namespace ringtap;

namespace {

constexpr uint32_t kMost = 4096;

uint64_t touch(const rpcap::Packet& packet) {
  if (packet.caplen > kMost) __builtin_trap();
  uint64_t sum = packet.seconds + packet.micros;
  for (uint32_t i = 0; i < packet.caplen; i++) sum += std::to_integer<uint64_t>(packet.data[i]);
  return sum;
}

uint64_t read_stream(std::span<const std::byte> bytes) {
  uint64_t sum = 0;
  rpcap::Numbers numbers(rpcap::Numbers::Way::kDatagrams, 0);
  while (!bytes.empty()) {
    const rpcap::Message message = rpcap::read_message(bytes, kMost);
    if (message.kind == rpcap::Message::Kind::kDamaged && message.damage == nullptr) __builtin_trap();
    if (message.kind == rpcap::Message::Kind::kCut && message.bytes <= bytes.size()) __builtin_trap();
    if (message.kind != rpcap::Message::Kind::kPacket) break;
    if (message.bytes > bytes.size()) __builtin_trap();
    sum += touch(message.packet) + (numbers.take(message.packet.number) ? 1 : 0);
    bytes = bytes.subspan(message.bytes);
  }
  return sum + numbers.lost();
}

/// Each datagram begins with its length.
uint64_t read_datagrams(std::span<const std::byte> bytes) {
  uint64_t sum = 0;
  rpcap::DatagramReader reader(kMost);
  while (bytes.size() >= 2) {
    const size_t length =
        std::min(bytes.size() - 2, std::to_integer<size_t>(bytes[0]) << 4 | std::to_integer<size_t>(bytes[1]));
    // Of exactly this size, so that a step beyond is seen.
    const std::vector<std::byte> datagram(bytes.begin() + 2, bytes.begin() + 2 + static_cast<ptrdiff_t>(length));
    bytes = bytes.subspan(2 + length);
    reader.begin(datagram);
    rpcap::Packet packet;
    while (reader.next(packet)) sum += touch(packet);
  }
  return sum + reader.counters().lost;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  std::vector<std::byte> bytes(size - 1);
  std::memcpy(bytes.data(), data + 1, size - 1);
  const uint64_t sum = data[0] % 2 == 0 ? read_stream(bytes) : read_datagrams(bytes);
  return sum == 1 ? 1 : 0;
}
