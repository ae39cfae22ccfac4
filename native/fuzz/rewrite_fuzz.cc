// Hostile frames that are edited: nothing is read or written beyond them, a header whose checksum was right stays so,
// and what only passes on stays as long as it was.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "core/checksum.h"
#include "decode/decode.h"
#include "rewrite/edits.h"

using namespace ringtap;
using namespace ringtap::rewrite;

namespace {

Network network(bool v6, uint8_t bits, uint8_t byte) {
  Network made{.is_v6 = v6, .bits = bits};
  made.address.fill(static_cast<std::byte>(byte));
  return made;
}

/// By bits of two bytes.
Edits edits_of(uint8_t which, uint8_t value) {
  Edits edits;
  if ((which & 1) != 0) edits.src_mac = Mac{};
  if ((which & 2) != 0) edits.addresses = {{network(false, 0, 0), network(false, value % 33, value)}};
  if ((which & 4) != 0) edits.addresses.push_back({network(true, value % 9, 0xfe), network(true, value % 129, value)});
  if ((which & 8) != 0) edits.src_port = edits.dst_port = static_cast<uint16_t>(value * 257);
  if ((which & 16) != 0) edits.decrement_ttl = true;
  if ((which & 32) != 0) edits.ttl = value;
  if ((which & 64) != 0) edits.dscp = value & 63;
  edits.vlan = (which & 128) != 0 ? static_cast<Vlan>(value & 3) : Vlan::kKeep;
  edits.vlan_tci = value;
  return edits;
}

/// Nothing where the frame has no IPv4 header.
std::optional<bool> has_right_header(std::span<const std::byte> frame, uint32_t wirelen) {
  const auto headers = decode::decode_packet(frame, wirelen, 1);
  if (headers.ip_version != 4 || headers.ip_header_length < 20) return std::nullopt;
  const size_t end = size_t{headers.network_offset} + headers.ip_header_length;
  if (end > frame.size()) return std::nullopt;
  return checksum::of(checksum::sum(frame.subspan(headers.network_offset, headers.ip_header_length))) == 0;
}

}  // namespace

/// Which edits, with what, how many bytes were left out of the trace, and the frame.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const Edits edits = edits_of(data[0], data[1]);
  const auto bytes = std::as_bytes(std::span(data + 3, size - 3));
  const auto wirelen = static_cast<uint32_t>(bytes.size() + data[2]);
  // WHY of its own: what is read beyond it is heard of.
  std::vector<std::byte> room(kHeadroom + bytes.size());
  std::copy(bytes.begin(), bytes.end(), room.begin() + kHeadroom);
  const auto before = has_right_header(bytes, wirelen);
  const auto after = apply(edits, room, wirelen);
  if (after.empty()) {
    if (!bytes.empty() && !edits.decrement_ttl) abort();
    if (!std::equal(bytes.begin(), bytes.end(), room.begin() + kHeadroom)) abort();
    return 0;
  }
  if (after.data() < room.data() || after.data() + after.size() != room.data() + room.size()) abort();
  if (edits.vlan == Vlan::kKeep && after.size() != bytes.size()) abort();
  const bool moves = edits.vlan == Vlan::kPush || edits.vlan == Vlan::kPop;
  if (before == true && !moves && has_right_header(after, wirelen) != true) abort();
  return 0;
}
