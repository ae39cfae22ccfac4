#include "serve/trains.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/byte_order.h"
#include "format/rpcap_wire.h"

namespace ringtap {
namespace {

/// More are not looked at for one.
constexpr size_t kMostTogether = 512;

}  // namespace

Result<Trains> Trains::make(uint32_t most) {
  auto writer = TrainWriter::make(most - rpcap::kStretchBytes);
  if (!writer) return std::move(writer).error();
  return Trains(most, *std::move(writer));
}

size_t Trains::fill(const std::byte* memory, std::span<const rpcap::Datagram> datagrams) noexcept {
  std::array<std::span<const std::byte>, kMostTogether> together;
  const size_t most = std::min(datagrams.size(), kMostTogether);
  for (size_t i = 0; i < most; i++) together[i] = {memory + datagrams[i].at, datagrams[i].bytes};
  const size_t count = writer_->write(std::span(together).first(most));
  const size_t taken = std::max<size_t>(count, 1);
  ready_.packets = {.at = 0, .bytes = 0, .first = datagrams[0].first, .last = datagrams[taken - 1].last};
  is_empty_ = false;
  if (count == 0) {
    ready_.bytes.assign(together[0].begin(), together[0].end());
    return taken;
  }
  const auto packed = writer_->bytes();
  ready_.bytes.resize(rpcap::kStretchBytes);
  std::byte* at = ready_.bytes.data();
  at =
      store_big(at, uint32_t{rpcap::kVersion} << 24 | uint32_t{rpcap::kTrainType} << 16 | static_cast<uint32_t>(count));
  std::memcpy(at, &together[0][4], sizeof(uint32_t));  // the number of the first
  ready_.bytes.insert(ready_.bytes.end(), packed.begin(), packed.end());
  return taken;
}

}  // namespace ringtap
