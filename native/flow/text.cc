#include "flow/text.h"

#include <algorithm>
#include <array>
#include <limits>

#include "core/tunnel.h"
#include "core/untrusted.h"
#include "flow/protocol_name.h"
#include "flow/text_writer.h"

namespace ringtap::flow {

namespace {

constexpr std::string_view kEndedNames[] = {"idle", "active", "fin", "rst", "evicted", "flushed"};
constexpr std::string_view kReasons[] = {"timeout", "timeout", "timeout", "timeout", "forced", "shutdown"};
constexpr std::string_view kStates[] = {"new", "established", "closed"};

template <size_t n>
std::string_view name_of(const std::string_view (&names)[n], uint8_t which) noexcept {
  return names[which < n ? which : 0];
}

void put_protocol(TextWriter& out, uint8_t protocol) noexcept {
  const std::string_view name = protocol_name(protocol);
  if (!name.empty()) return out.put(name);
  out.put(static_cast<char>('0' + protocol / 100));
  out.put(static_cast<char>('0' + protocol / 10 % 10));
  out.put(static_cast<char>('0' + protocol % 10));
}

/// A time of a record in ns since 1970; JavaScript may have written any number.
int64_t absolute(double ns, int64_t epoch_ns) noexcept {
  constexpr double kMost = 4e18;
  if (!(ns > -kMost && ns < kMost)) return epoch_ns;
  return std::clamp<int64_t>(epoch_ns, -4'000'000'000'000'000'000, 4'000'000'000'000'000'000) +
         static_cast<int64_t>(ns);
}

/// One record, each number of which is read once.
class Line {
 public:
  Line(const Columns& records, int64_t epoch_ns, TextWriter& out) noexcept
      : r_(records), epoch_ns_(epoch_ns), out_(out) {}

  void json(uint32_t i) noexcept;
  void csv(uint32_t i) noexcept;

 private:
  void address(uint32_t i, const uint32_t* four, const decode::Address6* six) noexcept {
    if (load_once(&r_.ip_version[i]) == 4) {
      out_.ipv4(load_once(&four[i]));
    } else {
      out_.ipv6(six[i]);
    }
  }
  template <class T>
  void field(std::string_view name, T value) noexcept {
    out_.put(name);
    if constexpr (std::is_same_v<T, double>) {
      out_.number(value);
    } else {
      out_.number(uint64_t{value});
    }
  }
  void json_about(uint32_t i, uint8_t protocol) noexcept;
  void json_flow(uint32_t i) noexcept;
  void json_tcp(uint32_t i) noexcept;

  const Columns& r_;
  int64_t epoch_ns_;
  TextWriter& out_;
};

void Line::json(uint32_t i) noexcept {
  const uint8_t protocol = load_once(&r_.protocol[i]);
  out_.put("{\"timestamp\":\"");
  out_.time(absolute(load_once(&r_.end[i]), epoch_ns_));
  field("\",\"flow_id\":", load_once(&r_.id[i]));
  out_.put(",\"event_type\":\"flow\",\"src_ip\":\"");
  address(i, r_.src4, r_.src6);
  field("\",\"src_port\":", load_once(&r_.src_port[i]));
  out_.put(",\"dest_ip\":\"");
  address(i, r_.dst4, r_.dst6);
  field("\",\"dest_port\":", load_once(&r_.dst_port[i]));
  out_.put(",\"proto\":\"");
  put_protocol(out_, protocol);
  field("\",\"ip_v\":", load_once(&r_.ip_version[i]));
  json_about(i, protocol);
  json_flow(i);
  if (protocol == decode::kTcpProtocol) json_tcp(i);
  out_.put("}\n");
}

void Line::json_about(uint32_t i, uint8_t protocol) noexcept {
  const uint16_t outer = load_once(&r_.outer_vlan[i]);
  const uint16_t inner = load_once(&r_.inner_vlan[i]);
  if ((outer | inner) != 0) {
    field(",\"vlan\":[", outer);
    if (inner != 0) field(",", inner);
    out_.put(']');
  }
  const uint8_t tunnel = load_once(&r_.tunnel_kind[i]);
  if (tunnel != 0) {
    out_.put(",\"tunnel\":{\"kind\":\"");
    out_.put(name_of(kTunnelNames, tunnel));
    field("\",\"id\":", load_once(&r_.tunnel_id[i]));
    out_.put('}');
  }
  const uint16_t errors = load_once(&r_.icmp_errors[i]);
  if (protocol == 1 || protocol == 58 || errors != 0) {
    field(",\"icmp_type\":", load_once(&r_.icmp_type[i]));
    field(",\"icmp_code\":", load_once(&r_.icmp_code[i]));
    if (errors != 0) field(",\"icmp_errors\":", errors);
  }
}

void Line::json_flow(uint32_t i) noexcept {
  const int64_t start = absolute(load_once(&r_.start[i]), epoch_ns_);
  const int64_t end = absolute(load_once(&r_.end[i]), epoch_ns_);
  const uint8_t ended = load_once(&r_.ended[i]);
  field(",\"flow\":{\"pkts_toserver\":", load_once(&r_.packets[0][i]));
  field(",\"pkts_toclient\":", load_once(&r_.packets[1][i]));
  field(",\"bytes_toserver\":", load_once(&r_.frame_bytes[0][i]));
  field(",\"bytes_toclient\":", load_once(&r_.frame_bytes[1][i]));
  field(",\"ip_bytes_toserver\":", load_once(&r_.ip_bytes[0][i]));
  field(",\"ip_bytes_toclient\":", load_once(&r_.ip_bytes[1][i]));
  out_.put(",\"start\":\"");
  out_.time(start);
  out_.put("\",\"end\":\"");
  out_.time(end);
  field("\",\"age\":", static_cast<uint64_t>(end > start ? (end - start) / 1'000'000'000 : 0));
  out_.put(",\"state\":\"");
  out_.put(name_of(kStates, load_once(&r_.state[i])));
  out_.put("\",\"reason\":\"");
  out_.put(name_of(kReasons, ended));
  out_.put("\",\"ended\":\"");
  out_.put(name_of(kEndedNames, ended));
  field("\",\"part\":", load_once(&r_.part[i]));
  const uint32_t sampling = load_once(&r_.sampling[i]);
  if (sampling != 1) field(",\"sampling\":", sampling);
  out_.put('}');
}

void Line::json_tcp(uint32_t i) noexcept {
  const uint8_t to_server = load_once(&r_.tcp_flags[0][i]);
  const uint8_t to_client = load_once(&r_.tcp_flags[1][i]);
  out_.put(",\"tcp\":{\"tcp_flags\":\"");
  out_.hex(to_server | to_client);
  out_.put("\",\"tcp_flags_ts\":\"");
  out_.hex(to_server);
  out_.put("\",\"tcp_flags_tc\":\"");
  out_.hex(to_client);
  out_.put('"');
  const auto where = [&](std::string_view name, uint32_t value) {
    if (value != 0) field(name, value);
  };
  where(",\"server_rtt_us\":", load_once(&r_.server_rtt_us[i]));
  where(",\"client_rtt_us\":", load_once(&r_.client_rtt_us[i]));
  where(",\"retransmissions_toserver\":", load_once(&r_.retransmissions[0][i]));
  where(",\"retransmissions_toclient\":", load_once(&r_.retransmissions[1][i]));
  where(",\"out_of_order_toserver\":", load_once(&r_.out_of_order[0][i]));
  where(",\"out_of_order_toclient\":", load_once(&r_.out_of_order[1][i]));
  where(",\"zero_windows_toserver\":", load_once(&r_.zero_windows[0][i]));
  where(",\"zero_windows_toclient\":", load_once(&r_.zero_windows[1][i]));
  out_.put('}');
}

void Line::csv(uint32_t i) noexcept {
  out_.time(absolute(load_once(&r_.start[i]), epoch_ns_));
  out_.put(',');
  out_.time(absolute(load_once(&r_.end[i]), epoch_ns_));
  out_.put(',');
  put_protocol(out_, load_once(&r_.protocol[i]));
  out_.put(',');
  address(i, r_.src4, r_.src6);
  field(",", load_once(&r_.src_port[i]));
  out_.put(',');
  address(i, r_.dst4, r_.dst6);
  field(",", load_once(&r_.dst_port[i]));
  for (const auto side : {0, 1}) field(",", load_once(&r_.packets[side][i]));
  for (const auto side : {0, 1}) field(",", load_once(&r_.frame_bytes[side][i]));
  for (const auto side : {0, 1}) field(",", load_once(&r_.ip_bytes[side][i]));
  for (const auto side : {0, 1}) {
    out_.put(',');
    out_.hex(load_once(&r_.tcp_flags[side][i]));
  }
  field(",", load_once(&r_.outer_vlan[i]));
  field(",", load_once(&r_.inner_vlan[i]));
  out_.put(',');
  out_.put(name_of(kTunnelNames, load_once(&r_.tunnel_kind[i])));
  field(",", load_once(&r_.tunnel_id[i]));
  field(",", load_once(&r_.server_rtt_us[i]));
  field(",", load_once(&r_.client_rtt_us[i]));
  for (const auto side : {0, 1}) field(",", load_once(&r_.retransmissions[side][i]));
  for (const auto side : {0, 1}) field(",", load_once(&r_.out_of_order[side][i]));
  field(",", load_once(&r_.icmp_type[i]));
  field(",", load_once(&r_.icmp_code[i]));
  field(",", load_once(&r_.icmp_errors[i]));
  out_.put(',');
  out_.put(name_of(kStates, load_once(&r_.state[i])));
  out_.put(',');
  out_.put(name_of(kEndedNames, load_once(&r_.ended[i])));
  field(",", load_once(&r_.part[i]));
  field(",", load_once(&r_.sampling[i]));
  field(",", load_once(&r_.id[i]));
  out_.put('\n');
}

}  // namespace

std::string_view csv_head() noexcept {
  return "start,end,proto,src_ip,src_port,dest_ip,dest_port,pkts_toserver,pkts_toclient,bytes_toserver,bytes_toclient,"
         "ip_bytes_toserver,ip_bytes_toclient,tcp_flags_ts,tcp_flags_tc,outer_vlan,inner_vlan,tunnel,tunnel_id,"
         "server_rtt_us,client_rtt_us,retransmissions_toserver,retransmissions_toclient,out_of_order_toserver,"
         "out_of_order_toclient,icmp_type,icmp_code,icmp_errors,state,ended,part,sampling,flow_id\n";
}

size_t write_lines(const Columns& records, uint32_t from, uint32_t count, int64_t epoch_ns, Format format,
                   std::span<char> into) noexcept {
  TextWriter out(into.data());
  Line line(records, epoch_ns, out);
  const char* end = into.data() + into.size();
  for (uint32_t i = from; i < from + count && static_cast<size_t>(end - out.at()) >= kLongestLine; i++) {
    if (format == Format::kJson) {
      line.json(i);
    } else {
      line.csv(i);
    }
  }
  return static_cast<size_t>(out.at() - into.data());
}

}  // namespace ringtap::flow
