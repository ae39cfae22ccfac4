#include "forward/geneve.h"

#include "core/byte_order.h"

namespace ringtap::forward {

namespace {

constexpr uint32_t kUdpBytes = 8, kHeaderBytes = 8, kOptionBytes = 4;

/// Whether options fill their room, and no more.
bool has_good_options(std::span<const std::byte> options) noexcept {
  while (!options.empty()) {
    if (options.size() < kOptionBytes) return false;
    const size_t bytes = kOptionBytes + (std::to_integer<size_t>(options[3]) & 31) * 4;
    if (bytes > options.size()) return false;
    options = options.subspan(bytes);
  }
  return true;
}

}  // namespace

bool is_geneve(std::span<const std::byte> frame, const Network& ip) noexcept {
  return ip.protocol == protocol::kUdp && ip.is_first && ip.transport + kUdpBytes <= ip.end &&
         load_big<uint16_t>(frame.data() + ip.transport + 2) == kGenevePort;
}

std::optional<Geneve> read_geneve(std::span<const std::byte> frame, const Network& ip) noexcept {
  constexpr unsigned kControl = 0x80;
  const uint32_t bytes = load_big<uint16_t>(frame.data() + ip.transport + 4);
  if (bytes < kUdpBytes + kHeaderBytes || ip.transport + bytes > ip.end) return std::nullopt;
  const uint32_t start = ip.transport + kUdpBytes;
  const auto first = std::to_integer<unsigned>(frame[start]);
  if (first >> 6 != 0 || (std::to_integer<unsigned>(frame[start + 1]) & kControl) != 0) return std::nullopt;
  Geneve told{.type = load_big<uint16_t>(frame.data() + start + 2),
              .inner = start + kHeaderBytes + (first & 63) * 4,
              .end = ip.transport + bytes};
  if (told.inner > told.end) return std::nullopt;
  if (!has_good_options(frame.subspan(start + kHeaderBytes, told.inner - start - kHeaderBytes))) return std::nullopt;
  switch (told.type) {
    case kEtherIpv4:
    case kEtherIpv6:
      if (!read_network(frame.first(told.end), told.inner, told.type == kEtherIpv6)) return std::nullopt;
      return told;
    case kGeneveEthernet:
      if (told.end - told.inner < kEthernetBytes) return std::nullopt;
      return told;
    default:
      return std::nullopt;
  }
}

}  // namespace ringtap::forward
