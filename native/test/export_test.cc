// Messages of IPFIX and NetFlow v9, read by what their templates say.
#include <doctest/doctest.h>

#include <cstdio>
#include <ctime>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "core/byte_order.h"
#include "export/encoder.h"
#include "export/layout.h"

using namespace ringtap;
using namespace ringtap::ipfix;

namespace {

constexpr int64_t kEpoch = 1'700'000'000'123'456'789;
constexpr int64_t kNowMs = 1'700'000'100'500;

/// Columns with a memory of their own.
struct Table {
  explicit Table(uint32_t count)
      : memory(std::make_unique<double[]>(flow::Columns::bytes_for(count) / sizeof(double) + 1)),
        columns(flow::Columns::over(reinterpret_cast<std::byte*>(memory.get()), count)) {}
  std::unique_ptr<double[]> memory;
  flow::Columns columns;
};

/// Records of all kinds: IPv6 one in four, ICMP one in eight, VLANs and tunnels one in ten.
Table table_of(uint32_t count) {
  Table table(count);
  std::mt19937 random(5);
  const flow::Columns& c = table.columns;
  for (uint32_t i = 0; i < count; i++) {
    c.id[i] = i + 1;
    c.start[i] = i * 1000.0 + 12'345'678;
    c.end[i] = c.start[i] + 5'000'000'000.0 + i;
    c.ip_version[i] = i % 4 == 3 ? 6 : 4;
    c.protocol[i] = i % 8 == 5 ? 1 : i % 8 == 7 ? 58 : 6;
    c.src4[i] = random();
    c.dst4[i] = random();
    for (auto& byte : c.src6[i]) byte = static_cast<std::byte>(random());
    for (auto& byte : c.dst6[i]) byte = static_cast<std::byte>(random());
    c.src_port[i] = static_cast<uint16_t>(random());
    c.dst_port[i] = static_cast<uint16_t>(random());
    for (uint32_t side = 0; side < 2; side++) {
      c.packets[side][i] = random() % 1000 + 1;
      c.ip_bytes[side][i] = c.packets[side][i] * 100.0;
      c.frame_bytes[side][i] = c.packets[side][i] * 118.0;
      c.least_bytes[side][i] = static_cast<uint16_t>(40 + side);
      c.most_bytes[side][i] = 1500;
      c.least_ttl[side][i] = static_cast<uint8_t>(60 + side);
      c.tcp_flags[side][i] = static_cast<uint8_t>(0x1b - side);
      c.retransmissions[side][i] = i + side;
      c.mean_gap_ns[side][i] = 1e6 * (side + 1);
    }
    c.outer_vlan[i] = i % 10 == 0 ? 100 : 0;
    c.tunnel_kind[i] = i % 10 == 1 ? 1 : 0;
    c.tunnel_id[i] = i % 10 == 1 ? 42 : 0;
    c.icmp_type[i] = 8;
    c.icmp_code[i] = 0;
    c.ended[i] = static_cast<uint8_t>(i % flow::kEndings);
    c.initiator_known[i] = i % 2;
    c.sampling[i] = 1;
  }
  return table;
}

using Element = std::pair<uint32_t, uint16_t>;  // whose, and which
struct Field {
  Element element;
  size_t bytes;
};
using Record = std::map<Element, std::vector<std::byte>>;

uint64_t number(const Record& record, uint16_t id, uint32_t pen = 0) {
  uint64_t value = 0;
  const auto found = record.find({pen, id});
  REQUIRE(found != record.end());
  for (const std::byte byte : found->second) value = value << 8 | std::to_integer<unsigned>(byte);
  return value;
}

/// Reads as a collector does: nothing but what the RFCs say.
struct Collector {
  explicit Collector(Protocol used) : protocol(used) {}

  Protocol protocol;
  std::map<std::pair<uint32_t, uint16_t>, std::vector<Field>> templates;
  std::vector<Record> flows;
  std::vector<Record> options;
  std::map<uint32_t, uint32_t> next;  // sequence number of each domain
  uint32_t gaps = 0;
  std::vector<uint32_t> seconds;
  std::vector<uint32_t> uptimes;

  void read(std::span<const std::byte> message) {
    const bool is_nine = protocol == Protocol::kNetflow9;
    const size_t header = is_nine ? 20 : 16;
    REQUIRE(message.size() >= header);
    const std::byte* at = message.data();
    CHECK(load_big<uint16_t>(at) == (is_nine ? 9 : 10));
    if (!is_nine) CHECK(load_big<uint16_t>(at + 2) == message.size());
    uptimes.push_back(is_nine ? load_big<uint32_t>(at + 4) : 0);
    seconds.push_back(load_big<uint32_t>(at + (is_nine ? 8 : 4)));
    const uint32_t domain = load_big<uint32_t>(at + header - 4);
    if (load_big<uint32_t>(at + header - 8) != next[domain]) gaps++;
    uint32_t data = 0;
    uint32_t all = 0;
    for (size_t set = header; set < message.size();) {
      REQUIRE(set + 4 <= message.size());
      const uint16_t id = load_big<uint16_t>(at + set);
      const uint16_t bytes = load_big<uint16_t>(at + set + 2);
      REQUIRE(bytes >= 4);
      REQUIRE(set + bytes <= message.size());
      if (is_nine) CHECK(bytes % 4 == 0);
      const auto body = message.subspan(set + 4, bytes - 4);
      if (id < 4) {
        all += read_templates(domain, body, id == set_ids(protocol).options);
      } else {
        const uint32_t read = read_data(domain, id, body);
        data += read;
        all += read;
      }
      set += bytes;
    }
    if (is_nine) CHECK(load_big<uint16_t>(at + 2) == all);
    next[domain] = load_big<uint32_t>(at + header - 8) + (is_nine ? 1 : data);
  }

  uint32_t read_templates(uint32_t domain, std::span<const std::byte> body, bool is_options) {
    const bool is_nine = protocol == Protocol::kNetflow9;
    uint32_t found = 0;
    size_t at = 0;
    while (at + 4 < body.size()) {
      const uint16_t id = load_big<uint16_t>(&body[at]);
      size_t fields = load_big<uint16_t>(&body[at + 2]);
      at += 4;
      if (is_options) {
        if (is_nine) fields = (fields + load_big<uint16_t>(&body[at])) / 4;
        at += 2;
      }
      std::vector<Field> all;
      for (size_t i = 0; i < fields; i++) {
        uint16_t element = load_big<uint16_t>(&body[at]);
        const uint16_t bytes = load_big<uint16_t>(&body[at + 2]);
        at += 4;
        uint32_t pen = 0;
        if (!is_nine && (element & 0x8000) != 0) {
          element &= 0x7fff;
          pen = load_big<uint32_t>(&body[at]);
          at += 4;
        }
        all.push_back({{pen, element}, bytes});
      }
      templates[{domain, id}] = all;
      found++;
    }
    return found;
  }

  uint32_t read_data(uint32_t domain, uint16_t id, std::span<const std::byte> body) {
    REQUIRE(templates.contains({domain, id}));
    const auto& fields = templates[{domain, id}];
    size_t bytes = 0;
    for (const Field& field : fields) bytes += field.bytes;
    uint32_t found = 0;
    for (size_t at = 0; at + bytes <= body.size(); found++) {
      Record record;
      for (const Field& field : fields) {
        record[field.element] = {&body[at], &body[at] + field.bytes};
        at += field.bytes;
      }
      (id < kFirstTemplate + kKinds ? flows : options).push_back(std::move(record));
    }
    return found;
  }

  void read(const Encoder& encoder) {
    for (const Message& message : encoder.messages()) read({encoder.memory() + message.at, message.bytes});
  }
};

std::map<uint64_t, Record> by_id(const Collector& collector) {
  std::map<uint64_t, Record> found;
  for (const Record& record : collector.flows) found[number(record, 148)] = record;
  return found;
}

}  // namespace

TEST_CASE("a collector reads of IPFIX what the columns have, in both directions") {
  const Table table = table_of(1000);
  const flow::Columns& c = table.columns;
  Encoder encoder({.enterprise = 32473, .message_bytes = 1400});
  encoder.encode({c, 1000, kEpoch}, kNowMs, Account{});
  Collector collector(Protocol::kIpfix);
  collector.read(encoder);
  CHECK(collector.gaps == 0);
  CHECK(collector.templates.size() == kKinds + 1);
  REQUIRE(collector.flows.size() == 1000);
  for (const auto& [id, record] : by_id(collector)) {
    const auto i = static_cast<uint32_t>(id - 1);
    CHECK(number(record, 4) == c.protocol[i]);
    CHECK(number(record, 152) == static_cast<uint64_t>(kEpoch + static_cast<int64_t>(c.start[i])) / 1'000'000);
    CHECK(number(record, 153) == static_cast<uint64_t>(kEpoch + static_cast<int64_t>(c.end[i])) / 1'000'000);
    CHECK(number(record, 239) == c.initiator_known[i]);
    for (uint32_t side = 0; side < 2; side++) {
      const uint32_t pen = side == 0 ? 0 : kReversePen;
      CHECK(number(record, 1, pen) == c.ip_bytes[side][i]);
      CHECK(number(record, 2, pen) == c.packets[side][i]);
      CHECK(number(record, 352, pen) == c.frame_bytes[side][i]);
      CHECK(number(record, 25, pen) == c.least_bytes[side][i]);
      CHECK(number(record, 26, pen) == c.most_bytes[side][i]);
      CHECK(number(record, 52, pen) == c.least_ttl[side][i]);
      CHECK(number(record, 6, pen) == c.tcp_flags[side][i]);
      CHECK(number(record, static_cast<uint16_t>(9 + 4 * side), 32473) == c.retransmissions[side][i]);
      CHECK(number(record, static_cast<uint16_t>(12 + 4 * side), 32473) == c.mean_gap_ns[side][i]);
    }
    if (c.ip_version[i] == 6) {
      CHECK(record.at({0, 27}) == std::vector<std::byte>(c.src6[i].begin(), c.src6[i].end()));
      CHECK(record.at({0, 28}) == std::vector<std::byte>(c.dst6[i].begin(), c.dst6[i].end()));
    } else {
      CHECK(number(record, 8) == c.src4[i]);
      CHECK(number(record, 12) == c.dst4[i]);
    }
    if (c.protocol[i] == 6)
      CHECK(number(record, 7) == c.src_port[i]);
    else
      CHECK(number(record, c.ip_version[i] == 6 ? 139 : 32) == 0x0800);
    if (i % 10 == 0) CHECK(number(record, 243) == 100);
    if (i % 10 == 1) CHECK(number(record, 351) == (uint64_t{1} << 56 | 42));
  }
}

TEST_CASE("no message is longer than it may be, and each has as many records as fit") {
  const Table table = table_of(2000);
  for (const uint32_t most : {512u, 700u, 1400u, 9000u, 65535u}) {
    Encoder encoder({.enterprise = 32473, .message_bytes = most});
    encoder.encode({table.columns, 2000, kEpoch}, kNowMs, Account{});
    Collector collector(Protocol::kIpfix);
    collector.read(encoder);
    CHECK(collector.flows.size() == 2000);
    uint32_t longest = 0;
    for (const Message& message : encoder.messages()) longest = std::max(longest, message.bytes);
    CHECK(longest <= most);
    CHECK(longest + 250 > most);
  }
}

TEST_CASE("numbers of messages go on from one call to the next, unless the caller has them") {
  const Table table = table_of(300);
  Encoder encoder({});
  Collector collector(Protocol::kIpfix);
  for (int i = 0; i < 5; i++) {
    encoder.encode({table.columns, 300, kEpoch}, kNowMs, i % 2 == 0 ? std::optional<Account>{Account{}} : std::nullopt);
    collector.read(encoder);
  }
  CHECK(collector.gaps == 0);
  CHECK(collector.next[1] == 1500);
  CHECK(collector.next[0] == 3);  // of statistics
  Encoder fresh({.numbered_by_caller = true});
  for (int i = 0; i < 2; i++) {
    fresh.encode({table.columns, 300, kEpoch}, kNowMs, std::nullopt);
    CHECK(load_big<uint32_t>(fresh.memory() + 8) == 0);
  }
}

TEST_CASE("options tell statistics, the interface and sampling") {
  Encoder encoder({.interface_index = 7,
                   .interface_name = "eth0",
                   .interface_description = std::string(500, 'x'),
                   .sample_packets = 100});
  encoder.announce(kNowMs, {.messages = 1, .octets = 2, .records = 3, .lost_records = 4, .ignored_packets = 5});
  Collector collector(Protocol::kIpfix);
  collector.read(encoder);
  REQUIRE(collector.options.size() == 3);
  const Record& interface = collector.options[0];
  CHECK(number(interface, 10) == 7);
  CHECK(interface.at({0, 82}).size() == 4);
  CHECK(interface.at({0, 83}).size() == kMostName);
  CHECK(number(collector.options[1], 306) == 99);
  const Record& statistics = collector.options[2];
  CHECK(number(statistics, 41) == 1);
  CHECK(number(statistics, 40) == 2);
  CHECK(number(statistics, 42) == 3);
  CHECK(number(statistics, 166) == 4);
  CHECK(number(statistics, 164) == 5);
}

TEST_CASE("a withdrawal names all templates and no data") {
  Encoder encoder({});
  encoder.withdraw(kNowMs);
  REQUIRE(encoder.messages().size() == 2);
  CHECK(encoder.messages()[0].bytes == 34);
  CHECK(load_big<uint16_t>(encoder.memory() + 16) == 2);
  CHECK(load_big<uint16_t>(encoder.memory() + 20) == 2);
  CHECK(load_big<uint16_t>(encoder.memory() + 22) == 0);
}

TEST_CASE("times are as fine as was asked for") {
  const Table table = table_of(1);
  const int64_t start = kEpoch + static_cast<int64_t>(table.columns.start[0]);
  for (const auto& [times, id] : {std::pair{Times::kMicroseconds, 154}, std::pair{Times::kNanoseconds, 156}}) {
    Encoder encoder({.times = times});
    encoder.encode({table.columns, 1, kEpoch}, kNowMs, Account{});
    Collector collector(Protocol::kIpfix);
    collector.read(encoder);
    const uint64_t ntp = number(collector.flows[0], static_cast<uint16_t>(id));
    const auto seconds = static_cast<int64_t>(ntp >> 32) - 2'208'988'800;
    const auto nanos = static_cast<int64_t>((ntp & 0xffffffff) * 1'000'000'000 >> 32);
    const int64_t told = seconds * 1'000'000'000 + nanos;
    if (times == Times::kNanoseconds)
      CHECK(told == start);
    else
      CHECK(told / 1000 == start / 1000);
  }
}

TEST_CASE("NetFlow v9 tells each direction in which there were packets, with times that count from a boot") {
  const Table table = table_of(200);
  const flow::Columns& c = table.columns;
  c.packets[1][3] = 0;  // nobody has answered
  c.packets[0][4] = 0;  // only answers were seen
  Encoder encoder({.protocol = Protocol::kNetflow9});
  for (const int64_t now : {kNowMs, kNowMs + int64_t{400} * 86'400'000}) {
    encoder.encode({c, 200, kEpoch}, now, Account{});
    Collector collector(Protocol::kNetflow9);
    collector.next[1] = load_big<uint32_t>(encoder.memory() + 12);
    collector.read(encoder);
    CHECK(collector.gaps == 0);
    REQUIRE(collector.flows.size() == 398);
    const int64_t boot = int64_t{collector.seconds[0]} * 1000 - collector.uptimes[0];
    for (size_t m = 0; m < collector.seconds.size(); m++) {
      CHECK(int64_t{collector.seconds[m]} * 1000 - collector.uptimes[m] == boot);
    }
    for (const Record& record : collector.flows) {
      const auto i = static_cast<uint32_t>(number(record, 148) - 1);
      const bool is_six = c.ip_version[i] == 6;
      const size_t side = number(record, 2) == c.packets[0][i] && number(record, 25) == 40 ? 0 : 1;
      CHECK(number(record, 1) == c.ip_bytes[side][i]);
      CHECK(number(record, 6) == c.tcp_flags[side][i]);
      if (!is_six) CHECK(number(record, 8) == (side == 0 ? c.src4[i] : c.dst4[i]));
      if (c.protocol[i] == 6) CHECK(number(record, 7) == (side == 0 ? c.src_port[i] : c.dst_port[i]));
      const int64_t start = (kEpoch + static_cast<int64_t>(c.start[i])) / 1'000'000;
      const int64_t end = (kEpoch + static_cast<int64_t>(c.end[i])) / 1'000'000;
      CHECK(boot + static_cast<int64_t>(number(record, 22)) == start);
      CHECK(boot + static_cast<int64_t>(number(record, 21)) == end);
    }
  }
}

TEST_CASE("NetFlow v9 tells flows of months, each from a boot that it is not too far from") {
  constexpr double kDayNs = 86'400e9;
  const Table table = table_of(70);
  const flow::Columns& c = table.columns;
  for (uint32_t i = 0; i < 70; i++) {
    c.start[i] = kDayNs * (i < 60 ? i : i % 2 == 0 ? 29'000 : 3);  // some of 2103 between those of 2023
    c.end[i] = c.start[i] + 5e9;
  }
  c.start[69] = c.end[69] - 60 * kDayNs;
  Encoder encoder({.protocol = Protocol::kNetflow9, .message_bytes = 512});
  encoder.encode({c, 70, kEpoch}, kNowMs, Account{});
  Collector collector(Protocol::kNetflow9);
  std::map<uint64_t, std::pair<int64_t, int64_t>> told;
  for (const Message& message : encoder.messages()) {
    CHECK(message.bytes <= 512);
    const size_t before = collector.flows.size();
    collector.read({encoder.memory() + message.at, message.bytes});
    const int64_t boot = int64_t{collector.seconds.back()} * 1000 - collector.uptimes.back();
    for (size_t i = before; i < collector.flows.size(); i++) {
      const Record& record = collector.flows[i];
      told[number(record, 148) - 1] = {boot + static_cast<int64_t>(number(record, 22)),
                                       boot + static_cast<int64_t>(number(record, 21))};
    }
  }
  CHECK(collector.gaps == 0);
  CHECK(told.size() == 70);
  CHECK(collector.flows.size() == 140);
  for (const auto& [i, times] : told) {
    CHECK(times.second == (kEpoch + static_cast<int64_t>(c.end[i])) / 1'000'000);
    if (i < 69) CHECK(times.first == (kEpoch + static_cast<int64_t>(c.start[i])) / 1'000'000);
  }
  // Longer than can be told.
  CHECK(told[69].second - told[69].first > int64_t{49} * 86'400'000);
  CHECK(told[69].second - told[69].first <= 0xffffffff);
}

TEST_CASE("without biflow IPFIX has a record for each direction, too") {
  const Table table = table_of(100);
  Encoder encoder({.biflow = false});
  encoder.encode({table.columns, 100, kEpoch}, kNowMs, Account{});
  Collector collector(Protocol::kIpfix);
  collector.read(encoder);
  CHECK(collector.flows.size() == 200);
  CHECK_FALSE(collector.flows[0].contains({kReversePen, 1}));
}

TEST_CASE("columns that were scribbled over do no harm") {
  const Table table = table_of(64);
  std::mt19937 random(3);
  auto* bytes = reinterpret_cast<uint8_t*>(table.memory.get());
  for (int round = 0; round < 200; round++) {
    for (size_t i = 0; i < flow::Columns::bytes_for(64); i++) bytes[i] = static_cast<uint8_t>(random());
    for (const Protocol protocol : {Protocol::kIpfix, Protocol::kNetflow9}) {
      for (const Times times : {Times::kMilliseconds, Times::kMicroseconds, Times::kNanoseconds}) {
        Encoder encoder({.protocol = protocol, .times = times, .enterprise = 1});
        encoder.encode({table.columns, 64, static_cast<int64_t>(random()) * (random() % 2 == 0 ? -1 : 1)}, kNowMs,
                       Account{});
        Collector collector(protocol);
        collector.read(encoder);
        CHECK(collector.flows.size() >= 64);
      }
    }
  }
}

TEST_CASE("how long a record takes" * doctest::skip()) {
  const Table table = table_of(4096);
  for (const uint32_t enterprise : {0u, 32473u}) {
    Encoder encoder({.enterprise = enterprise});
    for (int round = 0; round < 5; round++) {
      const std::clock_t begin = std::clock();
      for (int i = 0; i < 500; i++) encoder.encode({table.columns, 4096, kEpoch}, kNowMs, std::nullopt);
      const double taken = 1e9 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
      std::printf("enterprise %u: %.1f ns a record of %.0f bytes\n", enterprise, taken / (500.0 * 4096),
                  static_cast<double>(encoder.size()) / 4096);
    }
  }
}
