// Traces that are being written, one after the other: every packet comes once, whatever happens to names and files.
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "traces.h"

using namespace traces;
using namespace std::chrono_literals;

namespace {

namespace fs = std::filesystem;

uint32_t number_of(const Packet& packet) {
  uint32_t number = 0;
  std::memcpy(&number, packet.data.data(), 4);
  return number;
}

Bytes record(uint32_t number) {
  Bytes data = payload(number, 60 + number % 100);
  std::memcpy(data.data(), &number, 4);
  return pcap_record(false, 1'700'000'000 + number, 0, data, static_cast<uint32_t>(data.size()));
}

/// A pcap trace of packets with these numbers.
Bytes trace_of(uint32_t first, uint32_t count) {
  Bytes bytes = pcap_header(false);
  for (uint32_t i = 0; i < count; i++) bytes += record(first + i);
  return bytes;
}

void append(const std::string& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::app).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// Reads on until there are so many packets, or nothing comes for long.
class Follower {
 public:
  explicit Follower(const std::string& target) {
    OpenRequest request = request_for(target);
    request.options.set("follow", true);
    auto opened = open_file(request);
    INFO((opened ? "" : opened.error().message));
    REQUIRE(opened);
    source_ = *std::move(opened);
  }
  ~Follower() { source_->close(); }

  /// The numbers of packets that came, once so many have.
  const std::vector<uint32_t>& wait_for(size_t count, std::chrono::milliseconds patience = 5s) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (numbers_.size() < count && std::chrono::steady_clock::now() < deadline) {
      DescBlock block(64);
      const RxBatch rx = source_->receive(block, 64);
      if (rx.rx == Rx::kOk) {
        std::vector<Packet> packets;
        take(*source_, block, rx, packets);
        for (const Packet& packet : packets) numbers_.push_back(number_of(packet));
        source_->release(rx.lease);
      } else if (rx.rx == Rx::kNotice) {
        notices.push_back(source_->error());
      } else {
        REQUIRE(rx.rx == Rx::kAgain);
        std::this_thread::sleep_for(1ms);
      }
    }
    return numbers_;
  }

  std::vector<Error> notices;

 private:
  std::unique_ptr<Source> source_;
  std::vector<uint32_t> numbers_;
};

std::vector<uint32_t> up_to(uint32_t count) {
  std::vector<uint32_t> numbers(count);
  for (uint32_t i = 0; i < count; i++) numbers[i] = i;
  return numbers;
}

}  // namespace

TEST_CASE("the rest of a record is waited for, wherever it was cut") {
  const TempDir dir;
  const std::string path = dir.file("a.pcap");
  const Bytes whole = trace_of(0, 20);
  save(path, whole.substr(0, 10));  // not even the header
  std::thread writer([&] {
    for (size_t at = 10; at < whole.size(); at += 37) {
      std::this_thread::sleep_for(1ms);
      append(path, whole.substr(at, 37));
    }
  });
  Follower follower(path);
  CHECK(follower.wait_for(20) == up_to(20));
  writer.join();
  CHECK(follower.wait_for(21, 300ms) == up_to(20));
  append(path, record(20));
  CHECK(follower.wait_for(21) == up_to(21));
  CHECK(follower.notices.empty());
}

TEST_CASE("a file that is replaced, cut, or given its final name goes on without a packet twice") {
  const TempDir dir;
  const std::string path = dir.file("a.pcap");
  save(path + ".part", trace_of(0, 3));
  Follower follower(path);
  CHECK(follower.wait_for(3) == up_to(3));
  append(path + ".part", record(3));
  fs::rename(path + ".part", path);
  CHECK(follower.wait_for(4) == up_to(4));
  // Moved away, as logrotate does: what is written to it until there is another one still comes.
  fs::rename(path, dir.file("old"));
  append(dir.file("old"), record(4));
  CHECK(follower.wait_for(5) == up_to(5));
  save(path, trace_of(5, 2));
  CHECK(follower.wait_for(7) == up_to(7));
  // Cut and begun anew.
  std::this_thread::sleep_for(20ms);
  save(path, trace_of(7, 1));
  CHECK(follower.wait_for(8) == up_to(8));
  append(path, record(8));
  CHECK(follower.wait_for(9) == up_to(9));
  CHECK(follower.notices.empty());
}

TEST_CASE("a rotation is followed from file to file, by number or time, in a ring, and into a folder") {
  const TempDir dir;
  const std::string names[] = {dir.file("x*"), dir.file("x%H%M"), dir.path()};
  for (const std::string& target : names) {
    INFO(target);
    for (const auto& entry : fs::directory_iterator(dir.path())) fs::remove(entry);
    // tcpdump's ring of three, without zeros: x0 is cut and written again.
    uint32_t written = 0;
    const auto next = [&](uint32_t file) {
      save(dir.file("x" + std::to_string(file)), trace_of(written, 1));
      for (uint32_t i = 1; i < 4; i++) append(dir.file("x" + std::to_string(file)), record(written + i));
      written += 4;
      std::this_thread::sleep_for(15ms);  // times of files are not exact
    };
    next(9);
    next(10);
    Follower follower(target);
    CHECK(follower.wait_for(8) == up_to(8));
    for (const uint32_t file : {11u, 9u, 10u, 11u, 9u}) {
      next(file);
      CHECK(follower.wait_for(written) == up_to(written));
    }
    // What was read and is touched comes no second time.
    fs::last_write_time(dir.file("x10"), fs::file_time_type::clock::now());
    CHECK(follower.wait_for(written + 1, 300ms) == up_to(written));
    CHECK(follower.notices.empty());
  }
}

TEST_CASE("a file of a rotation that ends in the middle of a record is told of, and the next one is read") {
  const TempDir dir;
  save(dir.file("x1"), trace_of(0, 3) + record(99).substr(0, 30));
  Follower follower(dir.file("x*"));
  CHECK(follower.wait_for(3) == up_to(3));
  save(dir.file("x2"), trace_of(3, 2));
  CHECK(follower.wait_for(5) == up_to(5));
  REQUIRE(follower.notices.size() == 1);
  CHECK(follower.notices[0].code == Code::kFileTruncated);
  CHECK(follower.notices[0].message.find("x1") != Bytes::npos);
}

TEST_CASE("files beside the traces are passed over, and a compressed one is followed as it is written") {
  const TempDir dir;
  save(dir.file("notes.txt"), "no trace at all, however long one looks at it");
  save(dir.file("empty"), "");
  save(dir.file("plain"), trace_of(0, 500));
  for (const char* pack : {"zstd -q -c", "lz4 -q -c", "gzip -c"}) {
    const TempDir one;
    const Bytes packed = run(std::string(pack) + " " + dir.file("plain"));
    save(one.file("a"), packed.substr(0, packed.size() / 2));
    std::thread writer([&] {
      std::this_thread::sleep_for(50ms);
      append(one.file("a"), packed.substr(packed.size() / 2));
    });
    Follower follower(one.path());
    CHECK(follower.wait_for(500) == up_to(500));
    writer.join();
  }
  Follower follower(dir.path());
  CHECK(follower.wait_for(500) == up_to(500));
}

TEST_CASE("waiting for a file, for its rest, and for the next one ends at once when it is closed or given up") {
  const TempDir dir;
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  OpenRequest request = request_for(dir.file("none"));
  request.options.set("follow", true);
  request.cancelled = cancelled;
  std::thread opening([&] {
    const auto opened = open_file(request);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code == Code::kClosed);
  });
  std::this_thread::sleep_for(50ms);
  const auto begin = std::chrono::steady_clock::now();
  cancelled->store(true);
  opening.join();
  save(dir.file("x1"), trace_of(0, 3));
  {
    Follower follower(dir.file("x*"));
    follower.wait_for(4, 50ms);
  }
  CHECK(std::chrono::steady_clock::now() - begin < 1s);
}

TEST_CASE("what cannot be followed is a typed error that says so") {
  const TempDir dir;
  OpenRequest request = request_for(dir.file("a") + "," + dir.file("b"));
  request.options.set("follow", true);
  auto list = open_file(request);
  REQUIRE_FALSE(list);
  CHECK(list.error().code == Code::kBadOption);
  CHECK(list.error().message.find("no list") != Bytes::npos);
  request.target = dir.file("no/such.pcap");
  auto folder = open_file(request);
  REQUIRE_FALSE(folder);
  CHECK(folder.error().code == Code::kFileOpen);
  CHECK(folder.error().message.find("no such folder") != Bytes::npos);
  save(dir.file("text"), Bytes(2000, 'x'));
  request.target = dir.file("text");
  auto text = open_file(request);
  REQUIRE_FALSE(text);
  CHECK(text.error().code == Code::kFileFormat);
}
