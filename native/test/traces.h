// Builds trace files in memory, byte by byte, and reads traces back through the file: backend.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "backends/file/file.h"
#include "core/byte_order.h"

namespace traces {

using namespace ringtap;

/// A directory that goes away with the test.
class TempDir {
 public:
  TempDir() {
    char pattern[] = "/tmp/ringtap-test-XXXXXX";
    REQUIRE(mkdtemp(pattern) != nullptr);
    path_ = pattern;
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

using Bytes = std::string;

inline void save(const std::string& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline Bytes load_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

/// Runs a command that has to succeed, and gives back what it printed.
inline std::string run(const std::string& command) {
  FILE* pipe = popen(("(" + command + ") 2>/dev/null").c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  char buffer[65536];
  size_t n = 0;
  while ((n = fread(buffer, 1, sizeof buffer, pipe)) > 0) text.append(buffer, n);
  INFO(command);
  REQUIRE(pclose(pipe) == 0);
  return text;
}

/// Appends integers in one byte order.
class Builder {
 public:
  explicit Builder(bool big = false) : big_(big) {}
  Builder& u8(uint8_t v) { return raw(v); }
  Builder& u16(uint16_t v) { return raw(order(v)); }
  Builder& u32(uint32_t v) { return raw(order(v)); }
  Builder& u64(uint64_t v) { return raw(order(v)); }
  Builder& add(const Bytes& b) {
    bytes += b;
    return *this;
  }
  Builder& pad() {
    while (bytes.size() % 4 != 0) bytes.push_back(0);
    return *this;
  }
  Bytes bytes;

 private:
  template <class T>
  T order(T v) const {
    return big_ != kHostIsBig ? swap_bytes(v) : v;
  }
  template <class T>
  Builder& raw(T v) {
    bytes.append(reinterpret_cast<const char*>(&v), sizeof v);
    return *this;
  }
  bool big_;
};

/// Bytes that tell a packet from its neighbours.
inline Bytes payload(uint32_t seed, size_t size) {
  Bytes b(size, 0);
  for (size_t i = 0; i < size; i++) b[i] = static_cast<char>((seed * 2654435761u + i * 40503u) >> 7);
  if (size >= 14) {
    b[12] = static_cast<char>(seed % 3 == 0 ? 0x08 : 0x86);
    b[13] = static_cast<char>(seed % 3 == 0 ? 0x00 : 0xdd);
  }
  return b;
}

inline Bytes pcap_header(bool big, uint32_t magic = 0xa1b23c4d, uint32_t snaplen = 65535, uint32_t network = 1,
                         uint16_t major = 2, uint16_t minor = 4) {
  return Builder(big).u32(magic).u16(major).u16(minor).u32(0).u32(0).u32(snaplen).u32(network).bytes;
}

inline Bytes pcap_record(bool big, uint32_t seconds, uint32_t fraction, const Bytes& data, uint32_t wirelen) {
  return Builder(big).u32(seconds).u32(fraction).u32(static_cast<uint32_t>(data.size())).u32(wirelen).add(data).bytes;
}

inline Bytes block(bool big, uint32_t type, Bytes body) {
  while (body.size() % 4 != 0) body.push_back(0);
  const auto total = static_cast<uint32_t>(body.size() + 12);
  return Builder(big).u32(type).u32(total).add(body).u32(total).bytes;
}

inline Bytes option(bool big, uint16_t code, const Bytes& value) {
  return Builder(big).u16(code).u16(static_cast<uint16_t>(value.size())).add(value).pad().bytes;
}

inline Bytes section(bool big, uint64_t length = UINT64_MAX) {
  return block(big, 0x0a0d0d0a, Builder(big).u32(0x1a2b3c4d).u16(1).u16(0).u64(length).bytes);
}

inline Bytes interface(bool big, uint16_t link_type, uint32_t snaplen = 0, const Bytes& options = {}) {
  return block(big, 1, Builder(big).u16(link_type).u16(0).u32(snaplen).add(options).bytes);
}

inline Bytes resolution(bool big, uint8_t value) { return option(big, 9, Bytes(1, static_cast<char>(value))); }
inline Bytes time_offset(bool big, int64_t seconds) {
  return option(big, 14, Builder(big).u64(static_cast<uint64_t>(seconds)).bytes);
}

inline Bytes enhanced(bool big, uint32_t id, uint64_t ticks, const Bytes& data, uint32_t wirelen,
                      const Bytes& options = {}) {
  return block(big, 6,
               Builder(big)
                   .u32(id)
                   .u32(static_cast<uint32_t>(ticks >> 32))
                   .u32(static_cast<uint32_t>(ticks))
                   .u32(static_cast<uint32_t>(data.size()))
                   .u32(wirelen)
                   .add(data)
                   .pad()
                   .add(options)
                   .bytes);
}

inline Bytes simple(bool big, const Bytes& data, uint32_t wirelen) {
  return block(big, 3, Builder(big).u32(wirelen).add(data).bytes);
}

inline Bytes obsolete(bool big, uint16_t id, uint64_t ticks, const Bytes& data, uint32_t wirelen) {
  return block(big, 2,
               Builder(big)
                   .u16(id)
                   .u16(0)
                   .u32(static_cast<uint32_t>(ticks >> 32))
                   .u32(static_cast<uint32_t>(ticks))
                   .u32(static_cast<uint32_t>(data.size()))
                   .u32(wirelen)
                   .add(data)
                   .bytes);
}

/// An ERF record; `extensions` is a multiple of 8 bytes.
inline Bytes erf(uint8_t type, uint8_t flags, uint64_t time, const Bytes& data, uint16_t wirelen,
                 const Bytes& extensions = {}) {
  const bool eth = (type & 0x7f) == 2 || (type & 0x7f) == 11 || (type & 0x7f) == 16 || (type & 0x7f) == 20;
  const Bytes head = Builder(false).u64(time).u8(type).u8(flags).bytes;
  const auto length = static_cast<uint16_t>(16 + extensions.size() + (eth ? 2 : 0) + data.size());
  return head + Builder(true).u16(length).u16(0).u16(wirelen).bytes + extensions + Bytes(eth ? 2 : 0, 0) + data;
}

/// A packet as the source lent it.
struct Packet {
  int64_t unix_ns = 0;
  uint32_t caplen = 0;
  uint32_t wirelen = 0;
  uint32_t flags = 0;
  uint32_t link_type = 0;
  uint16_t queue = 0;
  Bytes data;

  bool operator==(const Packet&) const = default;
};

struct Reading {
  std::vector<Packet> packets;
  bool opened = false;
  bool failed = false;
  Error error;
  Stats stats;
  SourceInfo info;
};

inline OpenRequest request_for(const std::string& path, double buffer_bytes = 0) {
  OpenRequest request;
  request.uri = "file:" + path;
  request.target = path;
  if (buffer_bytes > 0) request.options.set("bufferBytes", buffer_bytes);
  return request;
}

/// Unix time of a packet; INT64_MAX where damage has made it one that 64 bits do not hold.
inline int64_t unix_time(const SourceInfo& info, const DescBlock& block, uint32_t i) {
  const double time = block.time[i];
  if (!(time > -4.6e18 && time < 4.6e18) || info.epoch_ns > (int64_t{1} << 62)) return INT64_MAX;
  const bool inexact = (block.flags[i] & kFlagTimeInexact) != 0;
  return info.epoch_ns + static_cast<int64_t>(time) + static_cast<int64_t>(inexact ? block.rest[i] : 0);
}

inline void take(const Source& source, const DescBlock& block, const RxBatch& rx, std::vector<Packet>& into) {
  const Segment& segment = source.info().segments[rx.segment];
  for (uint32_t i = 0; i < rx.count; i++) {
    REQUIRE(uint64_t{block.offset[i]} + block.caplen[i] <= segment.bytes);
    into.push_back({.unix_ns = unix_time(source.info(), block, i),
                    .caplen = block.caplen[i],
                    .wirelen = block.wirelen[i],
                    .flags = block.flags[i],
                    .link_type = rx.link_type,
                    .queue = block.queue[i],
                    .data = Bytes(reinterpret_cast<const char*>(segment.base + block.offset[i]), block.caplen[i])});
  }
}

inline void drain(Source& source, Reading& reading, uint32_t batch = 64) {
  DescBlock block(batch);
  for (;;) {
    const RxBatch rx = source.receive(block, batch);
    if (rx.rx == Rx::kOk) {
      take(source, block, rx, reading.packets);
      REQUIRE(source.release(rx.lease));
    } else if (rx.rx == Rx::kError) {
      reading.failed = true;
      reading.error = source.error();
      break;
    } else if (rx.rx == Rx::kEof) {
      break;
    } else {
      REQUIRE(rx.rx == Rx::kAgain);
    }
  }
  reading.stats = source.stats();
  reading.info = source.info();
}

inline Reading read_request(const OpenRequest& request, uint32_t batch = 64, std::shared_ptr<Filter> filter = nullptr) {
  Reading reading;
  auto source = open_file(request);
  if (!source) {
    reading.failed = true;
    reading.error = source.error();
    return reading;
  }
  reading.opened = true;
  if (filter != nullptr) REQUIRE((*source)->set_filter(std::move(filter)));
  REQUIRE((*source)->start());
  drain(**source, reading, batch);
  return reading;
}

inline Reading read_trace(const std::string& path, double buffer_bytes = 0, uint32_t batch = 64) {
  return read_request(request_for(path, buffer_bytes), batch);
}

inline Reading read_bytes(const TempDir& dir, const Bytes& bytes, double buffer_bytes = 0) {
  const std::string path = dir.file("trace");
  save(path, bytes);
  return read_trace(path, buffer_bytes);
}

}  // namespace traces
