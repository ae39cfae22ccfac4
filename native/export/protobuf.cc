#include "export/protobuf.h"

#include <bit>
#include <cstring>

#include "core/byte_order.h"
#include "export/elements.h"

namespace ringtap::wire {

namespace {

using flow::Columns;
using ipfix::whole;

enum Type : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2 };

constexpr uint32_t kFlowsField = 8;
constexpr size_t kLongLength = 128;  // lengths from here on take two bytes

std::byte* varint(std::byte* at, uint64_t value) noexcept {
  for (; value >= 0x80; value >>= 7) *at++ = static_cast<std::byte>(value | 0x80);
  *at++ = static_cast<std::byte>(value);
  return at;
}

template <uint32_t kField, Type kType>
std::byte* tag(std::byte* at) noexcept {
  return varint(at, kField << 3 | kType);  // the compiler knows which bytes
}

/// One that is 0 is left out. WHY its length without a branch: a processor guesses whether a field is 0 right most of
/// the time, but not how long others are. Up to 10 bytes behind `at` are written, whatever comes of it.
template <uint32_t kField>
std::byte* number(std::byte* at, uint64_t value) noexcept {
  constexpr uint64_t kMoreFollows = 0x80'8080'8080;
  if (value == 0) return at;
  at = tag<kField, kVarint>(at);
  if (value < 0x80) {
    *at = static_cast<std::byte>(value);
    return at + 1;
  }
  if (value >> 35 != 0) [[unlikely]]
    return varint(at, value);
  const uint64_t groups = (value & 0x7f) | (value & 0x7f << 7) << 1 | (value & 0x7f << 14) << 2 |
                          (value & 0x7f << 21) << 3 | (value & uint64_t{0x7f} << 28) << 4;
  const auto bytes = static_cast<unsigned>(std::bit_width(value) * 9 + 64) >> 6;
  store_little(at, groups | (kMoreFollows & ((uint64_t{1} << 8 * (bytes - 1)) - 1)));
  return at + bytes;
}

/// Fields for what each end has sent.
template <uint32_t kField, class T>
std::byte* pair(std::byte* at, T* const (&columns)[2], uint32_t i) noexcept {
  const auto value = [&](size_t side) -> uint64_t {
    if constexpr (std::is_same_v<T, double>)
      return whole(columns[side][i]);
    else
      return columns[side][i];
  };
  return number<kField + 1>(number<kField>(at, value(0)), value(1));
}

/// Left out where it is the least, too.
template <uint32_t kField>
std::byte* most(std::byte* at, uint32_t least, uint32_t value) noexcept {
  return number<kField>(at, value == least ? 0 : value);
}

template <uint32_t kField>
std::byte* address(std::byte* at, bool is_six, uint32_t four, const decode::Address6& six) noexcept {
  at = tag<kField, kBytes>(at);
  *at++ = static_cast<std::byte>(is_six ? sizeof six : sizeof four);
  if (!is_six) return store_big(at, four);
  std::memcpy(at, &six, sizeof six);
  return at + sizeof six;
}

std::byte* put_place(std::byte* at, const Columns& r, uint32_t i) noexcept {
  at = number<22>(at, r.outer_vlan[i]);
  at = number<23>(at, r.inner_vlan[i]);
  at = number<24>(at, r.tunnel_kind[i]);
  return number<25>(at, r.tunnel_id[i]);
}

std::byte* put_trouble(std::byte* at, const Columns& r, uint32_t i) noexcept {
  at = pair<28>(at, r.retransmissions, i);
  at = pair<30>(at, r.out_of_order, i);
  return pair<32>(at, r.zero_windows, i);
}

std::byte* put_icmp(std::byte* at, const Columns& r, uint32_t i) noexcept {
  at = number<42>(at, r.icmp_type[i]);
  at = number<43>(at, r.icmp_code[i]);
  return number<44>(at, r.icmp_errors[i]);
}

/// Whether any of these is not 0: most records have none of some groups of fields.
uint32_t any(auto... values) noexcept { return (static_cast<uint32_t>(values) | ...); }

template <class T, class U, class V>
uint32_t any_of_pairs(T* const (&a)[2], U* const (&b)[2], V* const (&c)[2], uint32_t i) noexcept {
  return any(a[0][i], a[1][i], b[0][i], b[1][i], c[0][i], c[1][i]);
}

std::byte* put(std::byte* at, const Columns& r, uint32_t i, int64_t epoch_ns) noexcept {
  const bool is_six = r.ip_version[i] == 6;
  at = number<1>(at, whole(r.id[i]));
  at = store_little(tag<2, kFixed64>(at), static_cast<uint64_t>(ipfix::time_ns(r.start[i], epoch_ns)));
  at = number<3>(at, whole(r.end[i] - r.start[i]));
  at = address<4>(at, is_six, r.src4[i], r.src6[i]);
  at = address<5>(at, is_six, r.dst4[i], r.dst6[i]);
  at = number<6>(at, r.src_port[i]);
  at = number<7>(at, r.dst_port[i]);
  at = number<8>(at, r.protocol[i]);
  at = pair<9>(at, r.packets, i);
  at = pair<11>(at, r.ip_bytes, i);
  at = pair<13>(at, r.frame_bytes, i);
  at = pair<15>(at, r.tcp_flags, i);
  at = number<17>(at, r.ended[i]);
  at = number<18>(at, r.state[i]);
  at = number<19>(at, r.part[i]);
  at = number<20>(at, r.initiator_known[i] != 0 ? 1 : 0);
  at = number<21>(at, r.sampling[i] > 1 ? r.sampling[i] : 0);
  if (any(r.outer_vlan[i], r.inner_vlan[i], r.tunnel_kind[i], r.tunnel_id[i]) != 0) at = put_place(at, r, i);
  at = number<26>(at, r.server_rtt_us[i]);
  at = number<27>(at, r.client_rtt_us[i]);
  if (any_of_pairs(r.retransmissions, r.out_of_order, r.zero_windows, i) != 0) at = put_trouble(at, r, i);
  at = pair<34>(at, r.least_ttl, i);
  at = pair<36>(at, r.least_bytes, i);
  at = most<38>(at, r.least_bytes[0][i], r.most_bytes[0][i]);
  at = most<39>(at, r.least_bytes[1][i], r.most_bytes[1][i]);
  at = pair<40>(at, r.mean_gap_ns, i);
  return any(r.icmp_type[i], r.icmp_code[i], r.icmp_errors[i]) == 0 ? at : put_icmp(at, r, i);
}

}  // namespace

size_t write_flows(const Columns& records, uint32_t from, uint32_t count, int64_t epoch_ns,
                   std::span<std::byte> into) noexcept {
  // WHY a copy: bytes may be anything, so that each store would have members read again.
  const Columns columns = records;
  std::byte* at = into.data();
  const std::byte* end = into.data() + into.size();
  for (uint32_t i = from; i < from + count && static_cast<size_t>(end - at) >= kLongestFlow; i++) {
    std::byte* head = tag<kFlowsField, kBytes>(at);
    std::byte* body = head + 1;
    at = put(body, columns, i, epoch_ns);
    const auto bytes = static_cast<size_t>(at - body);
    if (bytes >= kLongLength) {
      std::memmove(body + 1, body, bytes);
      at++;
    }
    varint(head, bytes);
  }
  return static_cast<size_t>(at - into.data());
}

}  // namespace ringtap::wire
