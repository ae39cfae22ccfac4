#include <fcntl.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "backends/file/file_source.h"
#include "core/unique_fd.h"
#include "pieces.h"
#include "traces.h"

using namespace traces;

namespace {

struct Theirs {
  std::vector<Packet> packets;
  std::string error;
  int link_type = -1;
};

/// The oracle.
Theirs libpcap_reads(const std::string& path) {
  Theirs theirs;
  char text[PCAP_ERRBUF_SIZE] = "";
  pcap_t* pcap = pcap_open_offline_with_tstamp_precision(path.c_str(), PCAP_TSTAMP_PRECISION_NANO, text);
  if (pcap == nullptr) {
    theirs.error = text;
    return theirs;
  }
  theirs.link_type = pcap_datalink(pcap);
  pcap_pkthdr* header = nullptr;
  const u_char* data = nullptr;
  int status = 0;
  while ((status = pcap_next_ex(pcap, &header, &data)) == 1) {
    theirs.packets.push_back({.unix_ns = int64_t{header->ts.tv_sec} * 1'000'000'000 + header->ts.tv_usec,
                              .caplen = header->caplen,
                              .wirelen = header->len,
                              .link_type = static_cast<uint32_t>(theirs.link_type),
                              .data = Bytes(reinterpret_cast<const char*>(data), header->caplen)});
  }
  if (status == PCAP_ERROR) theirs.error = pcap_geterr(pcap);
  pcap_close(pcap);
  return theirs;
}

void same_packets(const std::vector<Packet>& ours, const std::vector<Packet>& theirs) {
  REQUIRE(ours.size() == theirs.size());
  for (size_t i = 0; i < ours.size(); i++) {
    CAPTURE(i);
    CHECK(ours[i].unix_ns == theirs[i].unix_ns);
    CHECK(ours[i].caplen == theirs[i].caplen);
    CHECK(ours[i].wirelen == theirs[i].wirelen);
    CHECK(ours[i].data == theirs[i].data);
  }
}

void same_as_libpcap(const std::string& path, std::initializer_list<double> buffers = {0.0, 1.0 * (1 << 20)}) {
  CAPTURE(path);
  const Theirs theirs = libpcap_reads(path);
  CHECK(theirs.error == "");
  for (const double buffer : buffers) {
    const Reading ours = read_trace(path, buffer);
    CHECK_FALSE(ours.failed);
    CHECK(ours.info.link_type == static_cast<uint32_t>(theirs.link_type));
    same_packets(ours.packets, theirs.packets);
    CHECK(ours.stats.received == theirs.packets.size());
    CHECK(ours.stats.delivered == theirs.packets.size());
  }
}

/// A few packets of assorted sizes.
Bytes sample_pcap(bool big, uint32_t magic, uint16_t major = 2, uint16_t minor = 4, bool swapped_lengths = false,
                  size_t record_extra = 0, size_t header_extra = 0) {
  const bool nano = magic == 0xa1b23c4d || magic == 0x1c0001ac;
  Bytes file = pcap_header(big, magic, 65535, 1, major, minor) + Bytes(header_extra, 1);
  const size_t sizes[] = {60, 0, 1, 1514, 64, 9000, 61, 62, 63};
  uint32_t i = 0;
  for (const size_t size : sizes) {
    const Bytes data = payload(i, size);
    const uint32_t wirelen = static_cast<uint32_t>(size) + (i % 2) * 100;
    const uint32_t fraction = nano ? 999'999'990 + i : 999'990 + i;
    Builder record(big);
    record.u32(1'700'000'000 - i * 10).u32(fraction);
    if (swapped_lengths) {
      record.u32(wirelen).u32(static_cast<uint32_t>(size));
    } else {
      record.u32(static_cast<uint32_t>(size)).u32(wirelen);
    }
    file += record.bytes + Bytes(record_extra, 2) + data;
    i++;
  }
  return file;
}

std::vector<std::vector<std::string>> table(const std::string& text) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::vector<std::string> row;
    std::istringstream cells(line + "\t");
    for (std::string cell; std::getline(cells, cell, '\t');) row.push_back(cell);
    rows.push_back(row);
  }
  return rows;
}

/// "1700000000.123456789" as ns.
int64_t parse_time(const std::string& text) {
  const size_t dot = text.find('.');
  std::string fraction = dot == std::string::npos ? "" : text.substr(dot + 1);
  fraction.resize(9, '0');
  const int64_t seconds = std::stoll(text.substr(0, dot));
  return seconds * 1'000'000'000 + (text[0] == '-' ? -1 : 1) * std::stoll(fraction);
}

Bytes sample_pcapng(bool big) {
  Bytes file = section(big) + interface(big, 1, 0, resolution(big, 9)) + block(big, 0x0bad, Bytes(20, 'x'));
  for (uint32_t i = 0; i < 6; i++) {
    file += enhanced(big, 0, 1'700'000'000'000'000'000 + i * 1'000'000'007, payload(i, 60 + i), 60 + i * 2);
    if (i == 2) file += block(big, 5, Builder(big).u32(0).u64(0).bytes);
  }
  return file;
}

Bytes sample_erf() {
  Bytes file;
  for (uint32_t i = 0; i < 6; i++) {
    const uint64_t time = (uint64_t{1'700'000'000 + i} << 32) | (0x12345678u * (i + 1));
    file += erf(i == 3 ? 0x82 : 2, static_cast<uint8_t>(4 + i % 4), time, payload(i, 60 + i * 8),
                static_cast<uint16_t>(64 + i * 8), i == 3 ? Bytes("\x84XXXXXXX\x04YYYYYYY", 16) : Bytes());
  }
  return file;
}

/// Cuts a trace at every byte: the packets before the cut, then the right end.
void truncated_everywhere(const Bytes& whole, size_t header, const std::vector<size_t>& starts) {
  const TempDir dir;
  const std::vector<Packet> all = read_bytes(dir, whole).packets;
  for (size_t cut = header; cut < whole.size(); cut++) {
    CAPTURE(cut);
    const Reading reading = read_bytes(dir, whole.substr(0, cut));
    size_t good = 0;
    REQUIRE(reading.opened);
    while (good < reading.packets.size()) {
      REQUIRE(reading.packets[good] == all[good]);
      good++;
    }
    const auto after = std::upper_bound(starts.begin(), starts.end(), cut);
    const size_t last = *std::prev(after);
    if (last == cut) {
      REQUIRE_FALSE(reading.failed);
    } else {
      REQUIRE(reading.failed);
      REQUIRE(reading.error.code == Code::kFileTruncated);
      REQUIRE(reading.error.position == static_cast<int64_t>(last));
      REQUIRE(reading.error.message.find(std::to_string(last)) != std::string::npos);
    }
  }
}

/// Where blocks start, with the end of the file.
std::vector<size_t> block_starts(const Bytes& file, bool big) {
  std::vector<size_t> starts;
  size_t at = 0;
  while (at < file.size()) {
    starts.push_back(at);
    at += load<uint32_t>(reinterpret_cast<const std::byte*>(&file[at + 4]), big != kHostIsBig);
  }
  starts.push_back(file.size());
  return starts;
}

class EtherType final : public Filter {
 public:
  explicit EtherType(uint32_t type)
      : program_{{0x28, 0, 0, 12}, {0x15, 0, 1, type}, {0x6, 0, 0, 262144}, {0x6, 0, 0, 0}} {}
  Result<const Program*> program(const FilterTarget& target) override {
    asked.push_back(target.link_type);
    if (refused.count(target.link_type) != 0) return Error{.code = Code::kBadFilter, .message = refusal};
    return &program_;
  }
  Result<const Program*> program_soon(const FilterTarget& target) override {
    if (slowness > 0 && slowness-- > 0) return nullptr;
    return program(target);
  }
  std::vector<int> asked;
  std::set<int> refused;
  std::string refusal = "not for this link type";
  int slowness = 0;

 private:
  Program program_;
};

}  // namespace

TEST_CASE("every variant of pcap reads as libpcap reads it") {
  const TempDir dir;
  const std::string path = dir.file("a.pcap");
  for (const bool big : {false, true}) {
    CAPTURE(big);
    for (const uint32_t magic : {0xa1b2c3d4u, 0xa1b23c4du}) {
      for (const uint16_t minor : {0, 1, 2, 3, 4}) {
        CAPTURE(minor);
        save(path, sample_pcap(big, magic, 2, minor, minor < 3));
        same_as_libpcap(path);
      }
      save(path, sample_pcap(big, magic, 2, 3, true));
      same_as_libpcap(path);
      save(path, sample_pcap(big, magic, 543, 0, true));
      same_as_libpcap(path);
    }
    save(path, sample_pcap(big, 0xa1b2cd34, 2, 4, false, 8));
    same_as_libpcap(path);
  }
}

TEST_CASE("IXIA's variants read as the plain file with the same records") {
  const TempDir dir;
  for (const bool big : {false, true}) {
    const Reading nano = read_bytes(dir, sample_pcap(big, 0x1c0001ac, 2, 4, false, 0, 4));
    CHECK(nano.packets == read_bytes(dir, sample_pcap(big, 0xa1b23c4d)).packets);
    const Reading micro = read_bytes(dir, sample_pcap(big, 0x1c0001ab, 2, 4, false, 0, 4));
    CHECK(micro.packets == read_bytes(dir, sample_pcap(big, 0xa1b2c3d4)).packets);
    CHECK(micro.packets.size() == 9);
  }
}

TEST_CASE("upper bits of the link type, and a snaplen of 0 or of 2^31, change nothing") {
  const TempDir dir;
  const std::string path = dir.file("a.pcap");
  for (const uint32_t snaplen : {0u, 0x80000000u, 0xffffffffu, 65535u}) {
    save(path, pcap_header(false, 0xa1b23c4d, snaplen, 0x24000001) + pcap_record(false, 1, 2, payload(1, 100), 100));
    same_as_libpcap(path);
    CHECK(read_trace(path).info.snaplen <= 262144);
  }
  CHECK(read_trace(path).info.notes.at(0).find("check sequence of 4 bytes") != std::string::npos);
}

TEST_CASE("packets longer than the snaplen of the file are given whole") {
  const TempDir dir;
  const Reading reading =
      read_bytes(dir, pcap_header(false, 0xa1b23c4d, 64) + pcap_record(false, 1, 2, payload(1, 1000), 1500));
  REQUIRE(reading.packets.size() == 1);
  CHECK(reading.packets[0].data == payload(1, 1000));
  CHECK(reading.info.snaplen == 64);
}

TEST_CASE("versions of pcap that nobody wrote are refused") {
  const TempDir dir;
  for (const auto& [major, minor] : {std::pair<int, int>{1, 0}, {2, 5}, {3, 0}, {543, 1}}) {
    const Reading reading = read_bytes(
        dir, pcap_header(false, 0xa1b2c3d4, 65535, 1, static_cast<uint16_t>(major), static_cast<uint16_t>(minor)));
    CHECK(reading.failed);
    CHECK(reading.error.code == Code::kFileFormat);
  }
}

TEST_CASE("pcapng of one link type reads as libpcap reads it") {
  const TempDir dir;
  const std::string path = dir.file("a.pcapng");
  for (const bool big : {false, true}) {
    for (const int r :
         {0, 3, 6, 9, 10, 12, 15, 19, 0x80, 0x8a, 0x94, 0x9e, 0xa0, 0xa2}) {  // libpcap overflows from 2^-35 on
      CAPTURE(r);
      const auto resolve = static_cast<uint8_t>(r);
      double per_second = 1;
      for (int i = 0; i < (r & 0x7f); i++) per_second *= (r & 0x80) != 0 ? 2 : 10;
      const double seconds = std::min(1.7e9, 1.8e19 / per_second - 10);
      Bytes file = section(big, 0) +
                   interface(big, 1, 0, resolution(big, resolve) + time_offset(big, 1000) + option(big, 2, "eth0"));
      for (uint32_t i = 0; i < 20; i++) {
        const auto ticks = static_cast<uint64_t>(std::clamp((seconds + i / 7.0) * per_second, 0.0, 1.8e19));
        const Bytes data = payload(i, i * 13);
        if (i % 5 == 4) {
          file += obsolete(big, 0, ticks, data, 1000);
        } else {
          file += enhanced(big, 0, ticks, data, static_cast<uint32_t>(data.size()), option(big, 1, "a comment"));
        }
        if (i % 6 == 0)
          file += block(big, 4, Bytes(4, 0)) + block(big, 5, Bytes(12, 0)) + block(big, 0x80000001, Bytes(40, 'z'));
      }
      save(path, file);
      same_as_libpcap(path);
    }
  }
}

TEST_CASE("simple packets take what the snaplen of the first interface leaves") {
  const TempDir dir;
  const std::string path = dir.file("a.pcapng");
  save(path, section(false) + interface(false, 1, 100) + simple(false, payload(1, 60), 60) +
                 simple(false, payload(2, 100), 1500));
  same_as_libpcap(path);
}

TEST_CASE("pcapng with several interfaces, sections and byte orders reads as tshark reads it") {
  const TempDir dir;
  const std::string path = dir.file("a.pcapng");
  Bytes file;
  uint32_t seed = 0;
  for (const bool big : {false, true, false}) {
    file += section(big) + interface(big, 1, 0, resolution(big, 9)) + interface(big, 101, 0, resolution(big, 0x9e)) +
            interface(big, 113, 0, time_offset(big, 86400));
    for (uint32_t i = 0; i < 30; i++) {
      const uint32_t id = (i / 3) % 3;
      const uint64_t base = id == 0 ? 1'000'000'000 : id == 1 ? 1u << 30 : 1'000'000;
      const Bytes data = payload(seed, 40 + seed % 50);
      const uint32_t direction = i % 3;
      file += enhanced(big, id, 1'700'000'000 * base + seed * 12345, data, static_cast<uint32_t>(data.size()) + 7,
                       i % 2 == 0 ? option(big, 2, Builder(big).u32(direction).bytes) + option(big, 0, "") : Bytes());
      seed++;
    }
  }
  save(path, file);
  const Reading ours = read_trace(path);
  CHECK_FALSE(ours.failed);
  const auto rows = table(run("tshark -r " + path +
                              " -T fields -e frame.time_epoch -e frame.cap_len -e frame.len -e frame.encap_type"
                              " -e frame.interface_id -e frame.packet_flags_direction"));
  REQUIRE(ours.packets.size() == rows.size());
  for (size_t i = 0; i < rows.size(); i++) {
    CAPTURE(i);
    const Packet& packet = ours.packets[i];
    CHECK(packet.unix_ns == parse_time(rows[i][0]));
    CHECK(packet.caplen == std::stoul(rows[i][1]));
    CHECK(packet.wirelen == std::stoul(rows[i][2]));
    const int encapsulation = std::stoi(rows[i][3]);  // Wireshark's own numbers
    CHECK(packet.link_type == (encapsulation == 1 ? 1u : encapsulation == 7 ? 101u : 113u));
    CHECK(packet.queue == (i % 30) / 3 % 3);
    CHECK(packet.queue == std::stoul(rows[i][4]));
    const bool outgoing = rows[i].size() > 5 && !rows[i][5].empty() && std::stoul(rows[i][5], nullptr, 0) == 2;
    CHECK(((packet.flags & kFlagOutgoing) != 0) == outgoing);
    CHECK(packet.data == payload(static_cast<uint32_t>(i), 40 + i % 50));
  }
  CHECK(std::count_if(ours.packets.begin(), ours.packets.end(),
                      [](const Packet& p) { return (p.flags & kFlagOutgoing) != 0; }) == 15);
}

TEST_CASE("files made by text2pcap, editcap and mergecap read as libpcap and tshark read them") {
  const TempDir dir;
  std::string hex;
  for (int i = 0; i < 50; i++) {
    hex +=
        "2023-11-14 22:13:" + std::to_string(10 + i) + ".123456\n0000 ff ff ff ff ff ff 02 00 00 00 00 01 08 00 45 00";
    for (int j = 0; j < i; j++) hex += " 0" + std::to_string(j % 10);
    hex += "\n";
  }
  save(dir.file("in.txt"), hex);
  run("cd " + dir.path() +
      " && text2pcap -t '%Y-%m-%d %H:%M:%S.%f' in.txt a.pcapng && editcap -F pcap a.pcapng a.pcap && "
      "editcap -F nsecpcap -s 40 a.pcapng b.pcap && editcap -F modpcap a.pcapng c.pcap && editcap -T rawip a.pcapng "
      "raw.pcapng && "
      "mergecap -F pcapng -w merged.pcapng a.pcapng raw.pcapng && tcpdump -r a.pcap -w d.pcap && "
      "cat a.pcapng raw.pcapng a.pcapng > sections.pcapng");
  for (const char* name : {"a.pcap", "b.pcap", "c.pcap", "d.pcap", "a.pcapng"}) {
    const Theirs theirs = libpcap_reads(dir.file(name));
    CHECK(theirs.packets.size() == 50);
    same_as_libpcap(dir.file(name));
  }
  for (const char* name : {"merged.pcapng", "sections.pcapng"}) {
    const Reading ours = read_trace(dir.file(name));
    CHECK_FALSE(ours.failed);
    const auto rows = table(
        run("tshark -r " + dir.file(name) + " -T fields -e frame.time_epoch -e frame.cap_len -e frame.interface_id"));
    REQUIRE(ours.packets.size() == rows.size());
    for (size_t i = 0; i < rows.size(); i++) {
      CHECK(ours.packets[i].unix_ns == parse_time(rows[i][0]));
      CHECK(ours.packets[i].caplen == std::stoul(rows[i][1]));
    }
  }
}

TEST_CASE("ERF reads as tshark reads it") {
  const TempDir dir;
  const std::string path = dir.file("a.erf");
  std::mt19937_64 random(9);
  Bytes file;
  for (uint32_t i = 0; i < 200; i++) {
    const uint64_t time = (uint64_t{1'700'000'000 + i} << 32) | (random() & 0xffffffff);
    const auto size = static_cast<uint16_t>(20 + random() % 1500);
    const uint8_t types[] = {2, 11, 16, 20, 0x82};
    const uint8_t type = types[i % 5];
    file += erf(type, static_cast<uint8_t>(4 + i % 4), time, payload(i, size), static_cast<uint16_t>(size - 3 + i % 7),
                type == 0x82 ? Bytes(8, 3) : Bytes());
  }
  save(path, file);
  const Reading ours = read_trace(path);
  CHECK_FALSE(ours.failed);
  const auto rows = table(run("tshark -r " + path + " -T fields -e frame.time_epoch -e frame.cap_len -e frame.len"));
  REQUIRE(ours.packets.size() == 200);
  REQUIRE(rows.size() == 200);
  for (size_t i = 0; i < rows.size(); i++) {
    CAPTURE(i);
    CHECK(ours.packets[i].unix_ns == parse_time(rows[i][0]));
    CHECK(ours.packets[i].caplen == std::stoul(rows[i][1]));
    CHECK(ours.packets[i].wirelen == std::stoul(rows[i][2]));
    CHECK(ours.packets[i].queue == i % 4);
  }
}

TEST_CASE("ERF records become packets of the link type that belongs to them") {
  const TempDir dir;
  const std::string path = dir.file("a.erf");
  const auto time = [](uint32_t i) { return (uint64_t{1'700'000'000} << 32) + (uint64_t{i} << 24); };
  Bytes file = erf(2, 4, time(0), payload(0, 62), 60);  // aligned: 2 bytes more than were on the wire
  file += erf(48, 0, 0, Bytes(16, 0), 0);               // padding
  file += erf(1, 5, time(1), payload(1, 40), 40);       // HDLC
  file += erf(22, 6, time(2), payload(2, 50), 50);      // IPv4
  file += erf(3, 7, time(3), payload(3, 56), 53);       // ATM
  file += erf(0x8b, 4, time(4), payload(4, 100), 100, Bytes("\x05XXXXXXX", 8));  // coloured Ethernet, one extension
  save(path, file);
  const Reading reading = read_trace(path);
  CHECK_FALSE(reading.failed);
  REQUIRE(reading.packets.size() == 5);
  const auto& p = reading.packets;
  CHECK(p[0].data == payload(0, 62).substr(0, 60));
  CHECK(p[0].link_type == 1);
  CHECK(p[1].link_type == 104);
  CHECK(p[1].queue == 1);
  CHECK(p[1].data == payload(1, 40));
  CHECK(p[2].link_type == 101);
  CHECK(p[3].link_type == 197);
  CHECK(p[3].caplen == 16 + 56);
  CHECK(p[4].link_type == 1);
  CHECK(p[4].data == payload(4, 100));
  const auto rows = table(run("tshark -r " + path + " -T fields -e frame.time_epoch -e frame.cap_len -e frame.len"));
  REQUIRE(rows.size() == 5);
  for (size_t i = 0; i < 5; i++) CHECK(p[i].unix_ns == parse_time(rows[i][0]));
  CHECK(std::to_string(p[4].caplen) == rows[4][1]);
}

TEST_CASE("what is said to be ERF is read as ERF, though it may not look so") {
  const TempDir dir;
  const auto read_as = [&](const char* format, const Bytes& file) {
    save(dir.file("a"), file);
    OpenRequest request = request_for(dir.file("a"));
    request.options.set("format", std::string(format));
    return read_request(request);
  };
  const auto at = [](uint64_t seconds) { return seconds << 32; };
  const Bytes data = payload(1, 60);
  const Bytes backwards = erf(2, 4, at(1000), data, 60) + erf(2, 4, at(990), data, 60) + erf(2, 4, at(1001), data, 60);
  const Bytes gap = erf(2, 4, at(1000), data, 60) + erf(2, 4, at(1000 + 400 * 86400), data, 60);
  const Bytes legacy = erf(0, 4, at(1000), data, 60) + erf(0, 4, at(1001), data, 60);
  for (const auto& [file, packets] : {std::pair{backwards, 3u}, {gap, 2u}, {legacy, 2u}}) {
    CHECK(read_as("auto", file).error.code == Code::kFileFormat);
    const Reading reading = read_as("erf", file);
    CHECK_FALSE(reading.failed);
    CHECK(reading.packets.size() == packets);
  }
  Bytes bad = erf(2, 4, at(1002), data, 60);
  bad[11] = 8;
  const Reading damaged = read_as("erf", backwards + bad);
  CHECK(damaged.packets.size() == 3);
  CHECK(damaged.error.code == Code::kFileCorrupt);
  CHECK(damaged.error.position == static_cast<int64_t>(backwards.size()));
  CHECK(read_as("erf", "").error.code == Code::kFileFormat);
}

TEST_CASE("a trace that is not what it is said to be is refused") {
  const TempDir dir;
  const Bytes pcap = sample_pcap(false, 0xa1b2c3d4);
  for (const auto& [file, format] :
       {std::pair{pcap, "pcapng"}, {sample_pcapng(false), "pcap"}, {sample_erf(), "pcap"}}) {
    save(dir.file("a"), file);
    OpenRequest request = request_for(dir.file("a"));
    request.options.set("format", std::string(format));
    const Reading reading = read_request(request);
    CHECK_FALSE(reading.opened);
    CHECK(reading.error.code == Code::kFileFormat);
    CHECK(reading.error.message.find(format) != std::string::npos);
  }
  OpenRequest request = request_for(dir.file("a"));
  save(dir.file("a"), pcap);
  request.options.set("format", std::string("pcap"));
  CHECK(read_request(request).packets.size() == 9);
}

TEST_CASE("a file cut at any byte gives the packets before the cut, then the right end") {
  for (const bool big : {false, true}) {
    const Bytes pcap = sample_pcap(big, 0xa1b23c4d).substr(0, 24 + 16 * 4 + 60 + 1 + 1514);
    std::vector<size_t> starts = {24, 24 + 76, 24 + 92, 24 + 109, 24 + 109 + 1530, pcap.size()};
    truncated_everywhere(pcap, 24, starts);
    const Bytes pcapng = sample_pcapng(big);
    truncated_everywhere(pcapng, 12, block_starts(pcapng, big));
  }
  const Bytes file = sample_erf();
  std::vector<size_t> starts;
  for (size_t at = 0; at < file.size();) {
    starts.push_back(at);
    at += load_big<uint16_t>(reinterpret_cast<const std::byte*>(&file[at + 10]));
  }
  starts.push_back(file.size());
  truncated_everywhere(file, starts[1], starts);
}

TEST_CASE("a file that ends inside its header says so at open") {
  const TempDir dir;
  const Bytes pcap = sample_pcap(false, 0xa1b2c3d4);
  for (size_t cut = 4; cut < 24; cut++) {
    const Reading reading = read_bytes(dir, pcap.substr(0, cut));
    CHECK_FALSE(reading.opened);
    CHECK(reading.error.code == Code::kFileTruncated);
  }
  for (size_t cut = 0; cut < 4; cut++) CHECK(read_bytes(dir, pcap.substr(0, cut)).error.code == Code::kFileFormat);
  const Bytes records = sample_erf();
  for (size_t cut = 0; cut < 16 + 2 + 60; cut++)
    CHECK(read_bytes(dir, records.substr(0, cut)).error.code == Code::kFileFormat);
}

TEST_CASE("damage ends in RINGTAP_FILE_CORRUPT at the byte of the bad record") {
  const TempDir dir;
  const Bytes good = section(false) + interface(false, 1) + enhanced(false, 0, 1, payload(1, 60), 60);
  const auto at_good = static_cast<int64_t>(good.size());
  Bytes trailer = enhanced(false, 0, 1, payload(1, 60), 60);
  trailer[trailer.size() - 4]++;
  Bytes odd = enhanced(false, 0, 1, payload(1, 60), 60);
  odd[4]++;
  Bytes small = enhanced(false, 0, 1, payload(1, 60), 60);
  small[4] = 28;
  Bytes caplen = enhanced(false, 0, 1, payload(1, 60), 60);
  caplen[20] = 61 + 8;
  Bytes huge = enhanced(false, 0, 1, payload(1, 60), 60);
  huge[7] = 0x7f;
  Bytes zero = block(false, 99, "");
  zero[4] = 0;
  for (const Bytes& bad :
       {trailer, odd, small, caplen, huge, zero, enhanced(false, 1, 1, payload(1, 60), 60),
        interface(false, 1, 0, resolution(false, 40)), interface(false, 1, 0, option(false, 9, "xx")),
        interface(false, 1, 0, Builder().u16(9).u16(100).bytes), block(false, 0x0a0d0d0a, Bytes(16, 1))}) {
    const Reading reading = read_bytes(dir, good + bad + good);
    CHECK(reading.packets.size() == 1);
    REQUIRE(reading.failed);
    CHECK(reading.error.code == Code::kFileCorrupt);
    CHECK(reading.error.position == at_good);
    CHECK(reading.error.message.find(dir.path()) == 0);
    CHECK(reading.error.message.find(std::to_string(at_good)) != std::string::npos);
  }
  const Bytes pcap = pcap_header(false) + pcap_record(false, 1, 1, payload(1, 60), 60);
  const Reading reading =
      read_bytes(dir, pcap + Builder().u32(1).u32(1).u32(262145).u32(262145).bytes + Bytes(400000, 0));
  CHECK(reading.packets.size() == 1);
  CHECK(reading.error.code == Code::kFileCorrupt);
  CHECK(reading.error.position == static_cast<int64_t>(pcap.size()));
}

TEST_CASE("any byte of any header may be anything") {
  const TempDir dir;
  std::mt19937 random(3);
  for (const Bytes& whole : {sample_pcap(false, 0xa1b23c4d).substr(0, 200), sample_pcapng(true), sample_erf()}) {
    for (size_t at = 0; at < whole.size(); at++) {
      for (const int value : {0, 255, 128, static_cast<int>(random() & 0xff)}) {
        Bytes damaged = whole;
        damaged[at] = static_cast<char>(value);
        const Reading reading = read_bytes(dir, damaged, 16384);
        CHECK(reading.packets.size() <= 200);
      }
    }
  }
}

TEST_CASE("records span chunks at every alignment") {
  const TempDir dir;
  const std::string path = dir.file("a.pcap");
  for (size_t shift = 0; shift < 130; shift++) {
    Bytes file = pcap_header(false) + pcap_record(false, 1'700'000'000, 0, payload(99, shift), 2000);
    Bytes pcapng = section(false) + interface(false, 1) + block(false, 77, Bytes(shift * 4, 'q'));
    for (uint32_t i = 0; i < 120; i++) {
      file += pcap_record(false, 1'700'000'000 + i, i, payload(i, 100 + i % 7), 2000);
      pcapng += enhanced(false, 0, 1'700'000'000'000'000 + i, payload(i, 100 + i % 7), 2000);
    }
    save(path, file);
    const Reading ours = read_trace(path, 16384);
    REQUIRE_FALSE(ours.failed);
    same_packets(ours.packets, libpcap_reads(path).packets);
    save(path, pcapng);
    same_packets(read_trace(path, 16384).packets, libpcap_reads(path).packets);
  }
}

TEST_CASE("blocks of no interest may be longer than all the memory") {
  const TempDir dir;
  const std::string path = dir.file("a.pcapng");
  Bytes file = section(false) + interface(false, 1) + block(false, 0xbad, Bytes(1'000'000, 'x'));
  for (uint32_t i = 0; i < 5; i++)
    file += enhanced(false, 0, i, payload(i, 60), 60) + block(false, 0xbad, Bytes(20000 + i, 'x'));
  save(path, file);
  const Reading ours = read_trace(path, 16384);
  CHECK_FALSE(ours.failed);
  same_packets(ours.packets, libpcap_reads(path).packets);
  const size_t start = file.size() - 20016;
  for (const size_t cut : {file.size() - 1, file.size() - 4, file.size() - 5, start + 13}) {
    const Reading reading = read_bytes(dir, file.substr(0, cut), 16384);
    CHECK(reading.packets.size() == 5);
    CHECK(reading.error.code == Code::kFileTruncated);
    CHECK(reading.error.position == static_cast<int64_t>(start));
  }
  file.back()++;
  CHECK(read_bytes(dir, file, 16384).error.code == Code::kFileCorrupt);
}

TEST_CASE("a packet longer than a chunk names bufferBytes as the fix") {
  const TempDir dir;
  const Bytes file = pcap_header(false) + pcap_record(false, 1, 1, payload(1, 60), 60) +
                     pcap_record(false, 1, 1, payload(2, 5000), 5000);
  const Reading reading = read_bytes(dir, file, 16384);
  CHECK(reading.packets.size() == 1);
  REQUIRE(reading.failed);
  CHECK(reading.error.code == Code::kBadOption);
  CHECK(reading.error.position == 24 + 76);
  CHECK(reading.error.hint.find("bufferBytes") != std::string::npos);
  CHECK_FALSE(read_bytes(dir, file, 5016 * 4 + 4096 * 4).failed);
}

TEST_CASE("a record that is longer than a chunk gets the memory that it takes, while others are held") {
  const TempDir dir;
  constexpr uint32_t kDbus = 231;
  const std::vector<size_t> sizes = {60, 2u << 20, 61, 1u << 20, 5u << 20, 62, (2u << 20) - 1, 5u << 20, 63};
  Bytes file = pcap_header(false, 0xa1b23c4d, 128u << 20, kDbus);
  for (uint32_t i = 0; i < sizes.size(); i++)
    file += pcap_record(false, 1, i, payload(i, sizes[i]), static_cast<uint32_t>(sizes[i]));
  save(dir.file("a"), file);
  auto source = open_file(request_for(dir.file("a")));
  REQUIRE(source);
  REQUIRE((*source)->start());
  // Each record is a batch of its own; as many are held as there may be.
  DescBlock block(1);
  std::vector<std::pair<Lease, std::span<const std::byte>>> held;
  uint32_t next = 0;
  const auto give_back = [&] {
    for (size_t i = 0; i < held.size(); i++) {
      const Bytes expected = payload(next - static_cast<uint32_t>(held.size() - i), held[i].second.size());
      CHECK(std::memcmp(held[i].second.data(), expected.data(), expected.size()) == 0);
      CHECK((*source)->release(held[i].first));
    }
    held.clear();
  };
  for (;;) {
    const RxBatch rx = (*source)->receive(block, 1);
    if (rx.rx == Rx::kEof) break;
    if (rx.rx == Rx::kNoBuffer) {
      CHECK(held.size() == (*source)->info().max_leases);
      give_back();
      continue;
    }
    if (rx.rx != Rx::kOk) {
      REQUIRE(rx.rx == Rx::kAgain);
      continue;
    }
    const Segment& segment = (*source)->info().segments.at(rx.segment);
    REQUIRE(uint64_t{block.offset[0]} + block.caplen[0] <= segment.bytes);
    CHECK(block.caplen[0] == sizes[next]);
    held.push_back({rx.lease, {segment.base + block.offset[0], block.caplen[0]}});
    next++;
  }
  give_back();
  CHECK(next == sizes.size());
  CHECK((*source)->info().segments.size() > 1);
}

TEST_CASE(
    "the longest packets that formats allow, and long descriptions of interfaces, are read as libpcap reads them") {
  const TempDir dir;
  const std::string path = dir.file("a");
  save(path, pcap_header(false, 0xa1b2c3d4, 1u << 20, 249) + pcap_record(false, 1, 2, payload(1, 1u << 20), 1u << 20));
  same_as_libpcap(path, {0.0});
  Bytes comments;
  for (int i = 0; i < 40; i++) comments += option(false, 1, Bytes(65000, 'c'));
  save(path, section(false) + interface(false, 1, 0, comments) + enhanced(false, 0, 1'700'000'000'000'000, "abcd", 4));
  same_as_libpcap(path, {0.0});
}

/// Bytes of this process that are in memory.
size_t resident() {
  std::istringstream statm(load_file("/proc/self/statm"));
  size_t total = 0;
  size_t pages = 0;
  statm >> total >> pages;
  return pages * 4096;
}

TEST_CASE("where no thread can be started, a file that may make one wait is a typed error") {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit none{0, 0};
    const bool limited = (getuid() != 0 || setuid(65534) == 0) && setrlimit(RLIMIT_NPROC, &none) == 0;
    // Nothing is known of the page cache of procfs.
    const auto source = open_file(request_for("/proc/self/status"));
    const bool typed = !source && source.error().code == Code::kSystem && source.error().syscall == "pthread_create" &&
                       source.error().err == EAGAIN && source.error().hint.find("ulimit -u") != std::string::npos;
    _exit(limited && typed ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

/// Standard input is the reading end of a pipe for as long as this lives.
struct PipedInput {
  explicit PipedInput(bool socket = false) {
    int ends[2];
    REQUIRE((socket ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) : pipe2(ends, O_CLOEXEC)) == 0);
    out = UniqueFd(ends[0]);
    in = UniqueFd(ends[1]);
    REQUIRE(dup2(out.get(), STDIN_FILENO) == STDIN_FILENO);
  }
  ~PipedInput() { dup2(before.get(), STDIN_FILENO); }
  UniqueFd before{dup(STDIN_FILENO)};
  UniqueFd out;
  UniqueFd in;
};

TEST_CASE("standard input that others read from, too, is never waited for, nor changed for them") {
  const PipedInput pipe;
  const Bytes head = pcap_header(false) + pcap_record(false, 1, 1, Bytes(262144, 'x'), 262144).substr(0, 20);
  REQUIRE(write(pipe.in.get(), head.data(), head.size()) == static_cast<ssize_t>(head.size()));
  auto source = open_file(request_for("-"));
  REQUIRE(source);
  REQUIRE((*source)->start());
  const int ours = (*source)->readiness().fd;
  CHECK((fcntl(ours, F_GETFL) & O_NONBLOCK) != 0);
  CHECK((fcntl(ours, F_GETFD) & FD_CLOEXEC) != 0);
  CHECK((fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK) == 0);
  // A thief takes bytes between our being told of them and our reading: then nothing comes until we have gone on.
  using namespace std::chrono_literals;
  std::atomic<bool> done{false};
  std::atomic<bool> stood{false};
  std::atomic<uint64_t> turns{0};
  std::thread thief([&] {
    char byte = 0;
    iovec piece{&byte, 1};
    while (!done) [[maybe_unused]] const ssize_t n = preadv2(pipe.out.get(), &piece, 1, -1, RWF_NOWAIT);
  });
  std::thread writer([&] {
    const auto end = std::chrono::steady_clock::now() + 1s;
    while (!stood && std::chrono::steady_clock::now() < end) {
      if (write(pipe.in.get(), "x", 1) != 1) break;
      const auto patience = std::chrono::steady_clock::now() + 5s;
      for (const uint64_t from = turns; turns < from + 20 && !stood; std::this_thread::yield())
        stood = std::chrono::steady_clock::now() > patience;
    }
    done = true;
    [[maybe_unused]] const ssize_t n = write(pipe.in.get(), "xx", 2);
  });
  DescBlock block(1);
  for (; !done; turns++) REQUIRE((*source)->receive(block, 1).rx == Rx::kAgain);
  writer.join();
  thief.join();
  CHECK_FALSE(stood);
}

TEST_CASE("a trace comes through a socket as standard input: a thread waits for it, and ends with the source") {
  const auto threads = [] {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return std::distance(begin(tasks), end(tasks));
  };
  // One that was joined may be listed for a moment longer.
  const auto settles_at = [&](auto number) {
    for (int i = 0; i < 1000 && threads() != number; i++) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return threads() == number;
  };
  const TempDir dir;
  const Bytes file = sample_pcap(false, 0xa1b23c4d);
  const std::vector<Packet> expected = read_bytes(dir, file).packets;
  const auto before = threads();
  const PipedInput socket(true);
  std::thread writer([&] {
    for (size_t at = 0; at < file.size(); at += 500) {
      const Bytes piece = file.substr(at, 500);
      if (write(socket.in.get(), piece.data(), piece.size()) != static_cast<ssize_t>(piece.size())) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  auto source = open_file(request_for("-"));
  REQUIRE(source);
  REQUIRE((*source)->start());
  DescBlock block(64);
  std::vector<Packet> packets;
  for (int waits = 0; packets.size() < expected.size() && waits < 10'000;) {
    const RxBatch rx = (*source)->receive(block, 64);
    if (rx.rx == Rx::kOk) {
      take(**source, block, rx, packets);
      REQUIRE((*source)->release(rx.lease));
    } else {
      REQUIRE(rx.rx == Rx::kAgain);
      pollfd ready{.fd = (*source)->readiness().fd, .events = POLLIN, .revents = 0};
      poll(&ready, 1, 1000);
      waits++;
    }
  }
  CHECK(packets == expected);
  writer.join();
  CHECK((*source)->receive(block, 64).rx == Rx::kAgain);
  CHECK(settles_at(before + 1));
  (*source)->close();
  CHECK(settles_at(before));
}

TEST_CASE("what a file claims costs no memory: lengths that it does not have, interfaces without packets") {
  const TempDir dir;
  const auto read = [&](const Bytes& file, uint64_t most) {
    save(dir.file("a"), file);
    const size_t before = resident();
    auto source = open_file(request_for(dir.file("a")));
    REQUIRE(source);
    Reading reading;
    drain(**source, reading);
#ifdef __SANITIZE_THREAD__
    most *= 8;  // it keeps notes beside all memory that is touched
#endif
    CHECK(resident() < before + most);
    return reading;
  };
  constexpr uint32_t kDbus = 231;
  const Bytes record = Builder(false).u32(1).u32(1).u32(128u << 20).u32(128u << 20).bytes;
  const Bytes claim = pcap_header(false, 0xa1b23c4d, 0, kDbus) + record + Bytes(1u << 20, 'x');
  CHECK(read(claim, 16u << 20).error.code == Code::kFileTruncated);
  const Bytes head = section(false) + Builder(false).u32(1).u32(256u << 20).bytes + Bytes(1u << 20, 'x');
  CHECK(read(head, 16u << 20).error.code == Code::kFileTruncated);
  Bytes interfaces = section(false);
  for (uint32_t i = 0; i < 300'000; i++) interfaces += interface(false, 1);
  CHECK_FALSE(read(interfaces, 4 * interfaces.size() + (4u << 20)).failed);
}

TEST_CASE("times count from the second of the first packet, and may lie before it") {
  const TempDir dir;
  const Bytes file = pcap_header(false) + pcap_record(false, 1000, 500, "abcd", 4) +
                     pcap_record(false, 999, 1, "abcd", 4) + pcap_record(false, 4'294'967'295, 999'999'999, "abcd", 4);
  const Reading reading = read_bytes(dir, file);
  CHECK(reading.info.epoch_ns == 1000 * int64_t{1'000'000'000});
  REQUIRE(reading.packets.size() == 3);
  CHECK(reading.packets[0].unix_ns == 1'000'000'000'500);
  CHECK(reading.packets[1].unix_ns == 999'000'000'001);
  CHECK(reading.packets[1].flags == 0);
  CHECK(reading.packets[2].unix_ns == 4'294'967'295'999'999'999);
  CHECK(reading.packets[2].flags == kFlagTimeInexact);
  CHECK(read_bytes(dir, pcap_header(false)).info.epoch_ns == 0);
}

TEST_CASE("snaplen shortens packets and leaves their length on the wire") {
  const TempDir dir;
  save(dir.file("a"), sample_pcap(false, 0xa1b23c4d));
  OpenRequest request = request_for(dir.file("a"));
  request.options.set("snaplen", 20.0);
  const Reading reading = read_request(request);
  REQUIRE(reading.packets.size() == 9);
  CHECK(reading.packets[3].caplen == 20);
  CHECK(reading.packets[3].wirelen == 1614);
  CHECK(reading.packets[2].caplen == 1);
  CHECK(reading.info.snaplen == 20);
}

TEST_CASE("a filter is asked for each link type, and what it rejects is counted") {
  const TempDir dir;
  Bytes file = section(false) + interface(false, 1) + interface(false, 113);
  size_t wanted = 0;
  for (uint32_t i = 0; i < 1000; i++) {
    file += enhanced(false, i / 10 % 2, i, payload(i, 60), 60);
    wanted += i % 3 == 0 ? 1 : 0;
  }
  save(dir.file("a"), file);
  auto filter = std::make_shared<EtherType>(0x0800);
  const Reading reading = read_request(request_for(dir.file("a")), 7, filter);
  CHECK(reading.packets.size() == wanted);
  CHECK(reading.stats.received == 1000);
  CHECK(reading.stats.filtered == 1000 - wanted);
  CHECK(filter->asked == std::vector<int>{1, 113});
  for (const Packet& packet : reading.packets) CHECK(packet.data.substr(12, 2) == Bytes("\x08\0", 2));
}

TEST_CASE("packets of a link type that the filter does not speak of do not match, wherever they come") {
  const TempDir dir;
  Bytes file = section(false) + interface(false, 1) + interface(false, 113);
  for (uint32_t i = 0; i < 6; i++) file += enhanced(false, i % 2, i, payload(0, 60), 60);
  file += interface(false, 147);
  for (uint32_t i = 0; i < 2; i++) file += enhanced(false, i == 0 ? 2 : 0, i, payload(0, 60), 60);
  save(dir.file("a"), file);
  auto filter = std::make_shared<EtherType>(0x0800);
  filter->refused = {113, 147};
  const Reading reading = read_request(request_for(dir.file("a")), 64, filter);
  CHECK_FALSE(reading.failed);
  CHECK(reading.packets.size() == 4);
  CHECK(reading.stats.filtered == 4);

  filter = std::make_shared<EtherType>(0x0800);
  filter->refused = {1};
  CHECK(read_request(request_for(dir.file("a")), 64, filter).packets.size() == 4);
}

TEST_CASE("a filter that speaks of no link type that is announced is refused at open") {
  const TempDir dir;
  save(dir.file("a"),
       section(false) + interface(false, 1) + interface(false, 113) + enhanced(false, 0, 0, payload(0, 60), 60));
  auto filter = std::make_shared<EtherType>(0x0800);
  filter->refused = {1, 113};
  auto source = open_file(request_for(dir.file("a")));
  CHECK((*source)->set_filter(filter).error().code == Code::kBadFilter);
}

TEST_CASE("a name that cannot be looked up for a second link type ends the capture instead of hiding packets") {
  const TempDir dir;
  save(dir.file("a"), section(false) + interface(false, 1) + enhanced(false, 0, 0, payload(0, 60), 60) +
                          interface(false, 113) + enhanced(false, 1, 0, payload(0, 60), 60));
  auto filter = std::make_shared<EtherType>(0x0800);
  filter->refused = {113};
  filter->refusal = "unknown host 'slow.example'";
  const Reading reading = read_request(request_for(dir.file("a")), 64, filter);
  CHECK(reading.packets.size() == 1);
  CHECK(reading.error.code == Code::kBadFilter);
}

TEST_CASE("while a filter is compiled for a second link type nothing is received and nothing is lost") {
  const TempDir dir;
  save(dir.file("a"), section(false) + interface(false, 1) + enhanced(false, 0, 0, payload(0, 60), 60) +
                          interface(false, 113) + enhanced(false, 1, 0, payload(0, 60), 60));
  auto filter = std::make_shared<EtherType>(0x0800);
  filter->slowness = 3;
  auto source = open_file(request_for(dir.file("a")));
  REQUIRE((*source)->set_filter(filter));
  DescBlock block(64);
  std::vector<Rx> seen;
  for (;;) {
    const RxBatch rx = (*source)->receive(block, 64);
    seen.push_back(rx.rx);
    if (rx.rx == Rx::kOk) (*source)->release(rx.lease);
    if (rx.rx == Rx::kEof) break;
  }
  CHECK(seen == std::vector<Rx>{Rx::kOk, Rx::kAgain, Rx::kAgain, Rx::kAgain, Rx::kAgain, Rx::kOk, Rx::kEof});
  CHECK((*source)->stats().delivered == 2);
}

TEST_CASE("the filter says that it runs in user space") {
  const TempDir dir;
  save(dir.file("a"), sample_pcap(false, 0xa1b23c4d));
  auto source = open_file(request_for(dir.file("a")));
  const auto placement = (*source)->set_filter(std::make_shared<EtherType>(0x0800));
  REQUIRE(placement);
  CHECK(placement->where == FilterPlace::kUser);
}

TEST_CASE("with every lease out there is no buffer, and held bytes stay as they are") {
  const TempDir dir;
  const std::string path = dir.file("a.pcap");
  Bytes file = pcap_header(false);
  for (uint32_t i = 0; i < 4000; i++) file += pcap_record(false, 1'700'000'000, i, payload(i, 90 + i % 60), 2000);
  save(path, file);
  const std::vector<Packet> all = read_trace(path).packets;
  std::mt19937 random(11);
  for (int round = 0; round < 30; round++) {
    auto source = open_file(request_for(path, 16384));
    REQUIRE(source);
    struct Held {
      RxBatch rx;
      std::vector<Packet> packets;
      std::vector<uint32_t> offsets;
    };
    std::vector<Held> held;
    size_t seen = 0;
    DescBlock block(64);
    bool ended = false;
    while (!ended || !held.empty()) {
      const bool full = held.size() == (*source)->info().max_leases;
      const RxBatch rx = ended ? RxBatch{.rx = Rx::kEof} : (*source)->receive(block, 1 + random() % 64);
      if (full && !ended) {
        REQUIRE(rx.rx == Rx::kNoBuffer);
      } else if (rx.rx == Rx::kOk) {
        Held h{rx, {}, {}};
        take(**source, block, rx, h.packets);
        for (uint32_t i = 0; i < rx.count; i++) h.offsets.push_back(block.offset[i]);
        for (const Packet& packet : h.packets) REQUIRE(packet == all[seen++]);
        held.push_back(std::move(h));
      } else {
        REQUIRE(rx.rx == Rx::kEof);
        ended = true;
      }
      const std::byte* base = (*source)->info().segments[0].base;
      for (const Held& h : held) {
        for (size_t i = 0; i < h.packets.size(); i++) {
          REQUIRE(h.packets[i].data == Bytes(reinterpret_cast<const char*>(base + h.offsets[i]), h.packets[i].caplen));
        }
      }
      if (ended || full || (!held.empty() && random() % 3 == 0)) {
        const size_t which = random() % held.size();
        REQUIRE((*source)->release(held[which].rx.lease));
        REQUIRE_FALSE((*source)->release(held[which].rx.lease));
        held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
      }
    }
    CHECK(seen == all.size());
  }
}

TEST_CASE("a FIFO in dribbles of 1 to 7 bytes gives the same packets") {
  const TempDir dir;
  const std::string path = dir.file("fifo");
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  for (const Bytes& whole : {sample_pcap(true, 0xa1b23c4d).substr(0, 2000), sample_pcapng(false), sample_erf()}) {
    const Reading expected = read_bytes(dir, whole);
    std::thread writer([&] {
      std::mt19937 random(5);
      FILE* out = fopen(path.c_str(), "wb");
      for (size_t at = 0; at < whole.size();) {
        const size_t n = std::min<size_t>(1 + random() % 7, whole.size() - at);
        fwrite(&whole[at], 1, n, out);
        fflush(out);
        at += n;
        if (random() % 8 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
      }
      fclose(out);
    });
    auto source = open_file(request_for(path, 65536));
    REQUIRE(source);
    CHECK((*source)->readiness().kind == Readiness::Kind::kFd);
    Reading reading;
    drain(**source, reading);
    writer.join();
    CHECK(reading.packets == expected.packets);
    CHECK(reading.failed == expected.failed);
  }
}

TEST_CASE("a quiet pipe keeps nobody waiting once its header is there") {
  const TempDir dir;
  const std::string path = dir.file("fifo");
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  FILE* out = nullptr;
  std::thread opener([&] {
    out = fopen(path.c_str(), "wb");
    const Bytes header = pcap_header(false);
    fwrite(header.data(), 1, header.size(), out);
    fflush(out);
  });
  auto source = open_file(request_for(path));
  opener.join();
  REQUIRE(source);
  DescBlock block(4);
  CHECK((*source)->receive(block, 4).rx == Rx::kAgain);
  const auto now = static_cast<uint32_t>(std::time(nullptr));
  const Bytes record = pcap_record(false, now, 5, payload(1, 60), 60);
  fwrite(record.data(), 1, record.size(), out);
  fflush(out);
  const RxBatch rx = (*source)->receive(block, 4);
  CHECK(rx.rx == Rx::kOk);
  CHECK((*source)->info().epoch_ns + static_cast<int64_t>(block.time[0]) == int64_t{now} * 1'000'000'000 + 5);
  CHECK(block.flags[0] == 0);
  CHECK((*source)->receive(block, 4).rx == Rx::kAgain);
  fwrite(record.data(), 1, 20, out);
  fclose(out);
  CHECK((*source)->receive(block, 4).rx == Rx::kError);
  CHECK((*source)->error().code == Code::kFileTruncated);
}

TEST_CASE("standard input is read, and left open and blocking") {
  const TempDir dir;
  save(dir.file("a"), sample_pcap(false, 0xa1b23c4d));
  const int saved = dup(0);
  for (const bool regular : {true, false}) {
    FILE* in = regular ? fopen(dir.file("a").c_str(), "rb") : popen(("cat " + dir.file("a")).c_str(), "r");
    dup2(fileno(in), 0);
    const Reading reading = read_trace("-");
    CHECK(reading.packets.size() == 9);
    CHECK(reading.error.message == "");
    CHECK(reading.info.mode == (regular ? "read" : "stream"));
    CHECK((fcntl(0, F_GETFL) & O_NONBLOCK) == 0);
    if (regular) {
      fclose(in);
    } else {
      pclose(in);
    }
  }
  dup2(saved, 0);
  close(saved);
}

TEST_CASE("what cannot be opened says what, where and why") {
  const TempDir dir;
  const std::string missing = dir.file("nothing.pcap");
  auto source = open_file(request_for(missing));
  REQUIRE_FALSE(source);
  CHECK(source.error().code == Code::kFileOpen);
  CHECK(source.error().message.find(missing) == 0);
  CHECK(source.error().err == ENOENT);
  CHECK(source.error().syscall == "open");
  source = open_file(request_for(dir.path()));
  REQUIRE_FALSE(source);
  CHECK(source.error().code == Code::kFileOpen);
  CHECK(source.error().message == dir.path() + ": no file is in this folder");
  const Reading empty = read_bytes(dir, "");
  CHECK(empty.error.code == Code::kFileFormat);
  CHECK(empty.error.message.find("empty") != std::string::npos);
  if (geteuid() == 0) {  // root reads everything: ask as nobody
    save(dir.file("secret"), sample_pcap(false, 0xa1b23c4d));
    chmod(dir.file("secret").c_str(), 0);
    const pid_t child = fork();
    if (child == 0) {
      const bool switched = setuid(65534) == 0;
      auto refused = open_file(request_for(dir.file("secret")));
      _exit(switched && !refused && refused.error().err == EACCES && refused.error().code == Code::kFileOpen ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(status == 0);
  }
}

TEST_CASE("close ends everything, twice does no harm, and leases come back behind it") {
  const TempDir dir;
  save(dir.file("a"), sample_pcap(false, 0xa1b23c4d));
  auto source = open_file(request_for(dir.file("a")));
  DescBlock block(4);
  const RxBatch rx = (*source)->receive(block, 4);
  CHECK(rx.rx == Rx::kOk);
  const std::shared_ptr<Region> region = (*source)->info().segments[0].region;
  (*source)->close();
  (*source)->close();
  CHECK((*source)->receive(block, 4).rx == Rx::kEof);
  CHECK((*source)->release(rx.lease));
  CHECK(region.use_count() == 1);
}

TEST_CASE("opening and closing leaks no descriptor") {
  const TempDir dir;
  save(dir.file("a"), sample_pcap(false, 0xa1b23c4d));
  const auto open_files = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator{});
  };
  const auto before = open_files();
  for (int i = 0; i < 50; i++) read_trace(dir.file("a"));
  CHECK(open_files() == before);
}

TEST_CASE("packets come out whole however their bytes arrive") {
  const TempDir dir;
  Bytes trace = pcap_header(false);
  for (uint32_t i = 0; i < 300; i++) trace += pcap_record(false, 1000 + i, i, payload(i, i * 37 % 1500), 1500);
  save(dir.file("a"), trace);
  const Reading whole = read_trace(dir.file("a"));
  REQUIRE(whole.packets.size() == 300);
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{1000}, size_t{100000}}) {
    const auto region = Region::allocate(4 * 4096);
    file::FileSource source(
        "trickle", std::make_unique<Pieces>(trace, piece),
        file::Chunks::Layout{.region = *region, .count = 4, .bytes = 4096, .first = 0, .stride = 4096},
        {.grows = true, .snaplen = UINT32_MAX});
    REQUIRE(source.prepare(request_for("trickle")));
    Reading reading;
    drain(source, reading);
    CHECK_FALSE(reading.failed);
    CHECK(reading.packets == whole.packets);
  }
}
