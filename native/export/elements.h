// Information elements, each with the column that it is written from: what a template says and what a record holds come
// from one list. Numbers are those of IANA's registry.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/byte_order.h"
#include "flow/records.h"

namespace ringtap::ipfix {

/// Elements of who sent the answers (RFC 5103).
constexpr uint32_t kReversePen = 29305;
/// Stands for the number that the settings say.
constexpr uint32_t kOwnPen = 0xffffffff;

/// An element as a template has it.
struct Spec {
  uint16_t id;
  uint16_t bytes;
  uint32_t pen;  // 0: IANA's
};

/// A record that is written, or one direction of it: 1 is what the destination has sent.
struct Row {
  const flow::Columns& columns;
  uint32_t i;
  size_t side;
  int64_t epoch_ns;
  int64_t boot_ms;  // of NetFlow v9
  uint32_t interface_index;
};

/// A whole number that JavaScript may have written: what is none is 0.
inline uint64_t whole(double value) noexcept {
  constexpr double kMost = 9'223'372'036'854'774'784.0;
  // WHY by a signed one: it is what processors convert to.
  return value > 0 && value <= kMost ? static_cast<uint64_t>(static_cast<int64_t>(value)) : 0;
}

/// ns since 1970; what is no time is the epoch, or the nearest that there is.
inline int64_t time_ns(double since_epoch, int64_t epoch_ns) noexcept {
  constexpr double kMost = 4e18;
  const int64_t since = since_epoch >= -kMost && since_epoch <= kMost ? static_cast<int64_t>(since_epoch) : 0;
  const int64_t at = epoch_ns + since;
  return at > 0 ? at : 0;
}

/// Elements one after the other.
template <class... Elements>
struct Group {
  static std::byte* put(std::byte* at, const Row& row) noexcept {
    ((at = store_big(at, Elements::value(row))), ...);
    return at;
  }
  static void describe(std::vector<Spec>& specs) { (specs.push_back(Elements::kSpec), ...); }
};

/// An element of a column. `Wire`: how it is sent, which may be shorter than the element is (RFC 7011, 6.2).
template <uint16_t Id, class Wire, auto Column, uint32_t Pen = 0>
struct Of {
  static constexpr Spec kSpec{Id, sizeof(Wire), Pen};
  static Wire value(const Row& row) noexcept { return static_cast<Wire>((row.columns.*Column)[row.i]); }
};

/// The same of columns that hold numbers of JavaScript.
template <uint16_t Id, class Wire, auto Column, uint32_t Pen = 0>
struct OfWhole {
  static constexpr Spec kSpec{Id, sizeof(Wire), Pen};
  static Wire value(const Row& row) noexcept { return static_cast<Wire>(whole((row.columns.*Column)[row.i])); }
};

/// An element of a pair of columns: what the one end has sent, or with `Answers` what the other one has.
template <uint16_t Id, class Wire, auto Pair, bool Answers = false, uint32_t Pen = Answers ? kReversePen : 0>
struct OfEnd {
  static constexpr Spec kSpec{Id, sizeof(Wire), Pen};
  static Wire value(const Row& row) noexcept {
    const auto value = (row.columns.*Pair)[row.side ^ size_t{Answers}][row.i];
    if constexpr (std::is_same_v<decltype(value), const double>)
      return static_cast<Wire>(whole(value));
    else
      return static_cast<Wire>(value);
  }
};

/// An element that is found out.
template <uint16_t Id, auto Find, uint32_t Pen = 0>
struct Found {
  using Wire = decltype(Find(std::declval<const Row&>()));
  static constexpr Spec kSpec{Id, sizeof(Wire), Pen};
  static Wire value(const Row& row) noexcept { return Find(row); }
};

/// Source and destination of IPv6, which are bytes.
struct Addresses6 {
  static std::byte* put(std::byte* at, const Row& row) noexcept {
    const decode::Address6& src = (row.side == 0 ? row.columns.src6 : row.columns.dst6)[row.i];
    const decode::Address6& dst = (row.side == 0 ? row.columns.dst6 : row.columns.src6)[row.i];
    std::memcpy(at, src.data(), src.size());
    std::memcpy(at + src.size(), dst.data(), dst.size());
    return at + src.size() + dst.size();
  }
  static void describe(std::vector<Spec>& specs) {
    specs.push_back({27, 16, 0});  // sourceIPv6Address
    specs.push_back({28, 16, 0});  // destinationIPv6Address
  }
};

namespace find {

inline uint32_t src4(const Row& row) noexcept { return (row.side == 0 ? row.columns.src4 : row.columns.dst4)[row.i]; }
inline uint32_t dst4(const Row& row) noexcept { return (row.side == 0 ? row.columns.dst4 : row.columns.src4)[row.i]; }
inline uint16_t src_port(const Row& row) noexcept {
  return (row.side == 0 ? row.columns.src_port : row.columns.dst_port)[row.i];
}
inline uint16_t dst_port(const Row& row) noexcept {
  return (row.side == 0 ? row.columns.dst_port : row.columns.src_port)[row.i];
}
inline uint16_t icmp(const Row& row) noexcept {
  return static_cast<uint16_t>(row.columns.icmp_type[row.i] << 8 | row.columns.icmp_code[row.i]);
}

inline int64_t start_ns(const Row& row) noexcept { return time_ns(row.columns.start[row.i], row.epoch_ns); }
inline int64_t end_ns(const Row& row) noexcept { return time_ns(row.columns.end[row.i], row.epoch_ns); }

constexpr uint64_t milliseconds(int64_t ns) noexcept { return static_cast<uint64_t>(ns / 1'000'000); }
/// As NTP has times: seconds since 1900, and 2^-32 s. @param kept bits of the latter
constexpr uint64_t ntp(int64_t ns, uint32_t kept) noexcept {
  constexpr uint64_t kSince1900 = 2'208'988'800;
  const uint64_t second = static_cast<uint64_t>(ns / 1'000'000'000) + kSince1900;
  // Rounded up, so that whoever rounds down has the same number again.
  const uint64_t fraction = ((static_cast<uint64_t>(ns % 1'000'000'000) << 32) + 999'999'999) / 1'000'000'000;
  return second << 32 | (fraction & kept);
}
constexpr uint64_t microseconds(int64_t ns) noexcept {
  return ntp(ns - ns % 1000, 0xfffff800) + (ns % 1'000'000'000 >= 1000 ? 0x800 : 0);
}

inline uint64_t start_ms(const Row& row) noexcept { return milliseconds(start_ns(row)); }
inline uint64_t end_ms(const Row& row) noexcept { return milliseconds(end_ns(row)); }
inline uint64_t start_us(const Row& row) noexcept { return microseconds(start_ns(row)); }
inline uint64_t end_us(const Row& row) noexcept { return microseconds(end_ns(row)); }
inline uint64_t start_ntp(const Row& row) noexcept { return ntp(start_ns(row), 0xffffffff); }
inline uint64_t end_ntp(const Row& row) noexcept { return ntp(end_ns(row), 0xffffffff); }
/// ms since the boot that a header of NetFlow v9 tells; of before it the nearest, which is not 0: that is no time.
inline uint32_t since_boot(const Row& row, int64_t ns) noexcept {
  constexpr int64_t kMost = 0xffffffff;
  return static_cast<uint32_t>(std::clamp<int64_t>(ns / 1'000'000 - row.boot_ms, 1, kMost));
}
inline uint32_t first_switched(const Row& row) noexcept { return since_boot(row, start_ns(row)); }
inline uint32_t last_switched(const Row& row) noexcept { return since_boot(row, end_ns(row)); }

/// flowEndReason.
inline uint8_t reason(const Row& row) noexcept {
  constexpr uint8_t kOf[flow::kEndings] = {1, 2, 3, 3, 5, 4};
  const uint8_t ended = row.columns.ended[row.i];
  return ended < flow::kEndings ? kOf[ended] : uint8_t{4};
}
/// biflowDirection: that of who began, or any.
inline uint8_t direction(const Row& row) noexcept { return row.columns.initiator_known[row.i] == 0 ? 0 : 1; }

/// layer2SegmentId: 1 in the first byte is VXLAN. Others have no number there.
inline uint64_t segment(const Row& row) noexcept {
  constexpr uint8_t kVxlan = 1;
  const bool is_vxlan = row.columns.tunnel_kind[row.i] == kVxlan;
  return is_vxlan ? uint64_t{kVxlan} << 56 | row.columns.tunnel_id[row.i] : 0;
}

inline uint32_t interface(const Row& row) noexcept { return row.interface_index; }
inline uint16_t selector(const Row&) noexcept { return 1; }

}  // namespace find

using Columns = flow::Columns;

using Head = Group<OfWhole<148, uint64_t, &Columns::id>,  // flowId
                   Of<4, uint8_t, &Columns::protocol>,    // protocolIdentifier
                   Found<136, find::reason>>;             // flowEndReason
using Direction = Group<Found<239, find::direction>>;     // biflowDirection
using Milliseconds = Group<Found<152, find::start_ms>, Found<153, find::end_ms>>;
using Microseconds = Group<Found<154, find::start_us>, Found<155, find::end_us>>;
using Nanoseconds = Group<Found<156, find::start_ntp>, Found<157, find::end_ntp>>;
using Switched = Group<Found<22, find::first_switched>, Found<21, find::last_switched>>;
using Addresses4 = Group<Found<8, find::src4>, Found<12, find::dst4>>;
using Ports = Group<Found<7, find::src_port>, Found<11, find::dst_port>>;
using Icmp4 = Group<Found<32, find::icmp>>;   // icmpTypeCodeIPv4
using Icmp6 = Group<Found<139, find::icmp>>;  // icmpTypeCodeIPv6

template <bool Answers>
using Counts = Group<OfEnd<1, uint64_t, &Columns::ip_bytes, Answers>,       // octetDeltaCount
                     OfEnd<2, uint32_t, &Columns::packets, Answers>,        // packetDeltaCount
                     OfEnd<352, uint64_t, &Columns::frame_bytes, Answers>,  // layer2OctetDeltaCount
                     OfEnd<25, uint16_t, &Columns::least_bytes, Answers>,   // minimumIpTotalLength
                     OfEnd<26, uint16_t, &Columns::most_bytes, Answers>,    // maximumIpTotalLength
                     OfEnd<52, uint8_t, &Columns::least_ttl, Answers>,      // minimumTTL
                     OfEnd<6, uint16_t, &Columns::tcp_flags, Answers>>;     // tcpControlBits
/// NetFlow v9 has flags of one byte.
using Counts9 = Group<OfEnd<1, uint64_t, &Columns::ip_bytes>, OfEnd<2, uint32_t, &Columns::packets>,
                      OfEnd<25, uint16_t, &Columns::least_bytes>, OfEnd<26, uint16_t, &Columns::most_bytes>,
                      OfEnd<52, uint8_t, &Columns::least_ttl>, OfEnd<6, uint8_t, &Columns::tcp_flags>>;

using Vlans = Group<Of<58, uint16_t, &Columns::outer_vlan>,   // vlanId
                    Of<243, uint16_t, &Columns::outer_vlan>,  // dot1qVlanId
                    Of<245, uint16_t, &Columns::inner_vlan>,  // dot1qCustomerVlanId
                    Found<351, find::segment>>;               // layer2SegmentId
using Vlans9 = Group<Of<58, uint16_t, &Columns::outer_vlan>, Of<245, uint16_t, &Columns::inner_vlan>>;
using Interface = Group<Found<10, find::interface>>;  // ingressInterface
using Selector = Group<Found<302, find::selector>>;   // selectorId

/// What IANA has no elements for: docs/export.md lists them.
using OwnTunnel = Group<Of<1, uint8_t, &Columns::tunnel_kind, kOwnPen>, Of<2, uint32_t, &Columns::tunnel_id, kOwnPen>>;
using Own = Group<Of<3, uint16_t, &Columns::part, kOwnPen>, Of<4, uint8_t, &Columns::state, kOwnPen>,
                  Of<5, uint32_t, &Columns::sampling, kOwnPen>, Of<6, uint32_t, &Columns::server_rtt_us, kOwnPen>,
                  Of<7, uint32_t, &Columns::client_rtt_us, kOwnPen>, Of<8, uint16_t, &Columns::icmp_errors, kOwnPen>>;
template <bool Answers, uint16_t First>
using OwnCounts = Group<OfEnd<First, uint32_t, &Columns::retransmissions, Answers, kOwnPen>,
                        OfEnd<First + 1, uint32_t, &Columns::out_of_order, Answers, kOwnPen>,
                        OfEnd<First + 2, uint16_t, &Columns::zero_windows, Answers, kOwnPen>,
                        OfEnd<First + 3, uint64_t, &Columns::mean_gap_ns, Answers, kOwnPen>>;

}  // namespace ringtap::ipfix
