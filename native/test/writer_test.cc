#include "format/writer.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <thread>

#include "traces.h"

using namespace traces;

namespace {

constexpr int64_t kEpoch = 1'700'000'000'000'000'000;

/// A batch of packets in memory of its own.
struct Batch {
  explicit Batch(uint32_t count, uint32_t link = 1, uint32_t most = 200, uint32_t seed = 0)
      : block(count), n(count), link_type(link) {
    for (uint32_t i = 0; i < count; i++) {
      const Bytes data = payload(seed + i, (seed + i) * 37 % (most + 1));
      block.set_basic(i, static_cast<uint32_t>(segment.size()), static_cast<uint32_t>(data.size()),
                      static_cast<uint32_t>(data.size()) + i % 5, int64_t{1234} * (seed + i),
                      i % 3 == 0 ? uint32_t{kFlagOutgoing} : 0);
      segment += data;
    }
  }
  BatchView view() const {
    return BatchView::of(block, n, reinterpret_cast<const std::byte*>(segment.data()), segment.size(), kEpoch,
                         link_type);
  }
  DescBlock block;
  uint32_t n;
  uint32_t link_type;
  Bytes segment;
};

std::unique_ptr<TraceWriter> create(const std::string& path, TraceFormat format = TraceFormat::kPcap,
                                    bool nanosecond = true) {
  auto writer = TraceWriter::create(
      {.path = path, .format = format, .nanosecond = nanosecond, .application = "ringtap test", .comment = "what for"});
  REQUIRE(writer);
  return *std::move(writer);
}

Result<Ok> write_all(TraceWriter& writer, const BatchView& view) {
  uint32_t next = 0;
  for (;;) {
    auto taken = writer.append(view, next);
    if (!taken) return taken.error();
    next = *taken;
    if (next == view.count) return Ok{};
    CHECK(writer.must_wait());
    if (auto drained = writer.drain(); !drained) return drained;
  }
}

void expect_packets(const std::vector<Packet>& packets, const Batch& batch, size_t from, int64_t unit = 1,
                    bool flags = false) {
  REQUIRE(packets.size() >= from + batch.n);
  for (uint32_t i = 0; i < batch.n; i++) {
    const Packet& packet = packets[from + i];
    CHECK(packet.unix_ns == kEpoch + static_cast<int64_t>(batch.block.time[i]) / unit * unit);
    CHECK(packet.data == batch.segment.substr(batch.block.offset[i], batch.block.caplen[i]));
    CHECK(packet.wirelen == batch.block.wirelen[i]);
    CHECK(packet.link_type == batch.link_type);
    if (flags) CHECK(packet.flags == batch.block.flags[i]);
  }
}

/// Takes a mount away again, whatever the test came to.
struct Mounted {
  std::string path;
  ~Mounted() { umount2(path.c_str(), MNT_DETACH); }
};

int in_child(const std::function<bool()>& body) {
  fflush(stdout);  // sanitizers flush it again in the child
  const pid_t child = fork();
  if (child == 0) _exit(body() ? 0 : 1);
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

}  // namespace

TEST_CASE("pcap that was written reads back, here and in tcpdump, tshark and capinfos") {
  const TempDir dir;
  for (const bool nanosecond : {true, false}) {
    const std::string path = dir.file("out.pcap");
    const Batch batch(500);
    auto writer = create(path, TraceFormat::kPcap, nanosecond);
    REQUIRE(write_all(*writer, batch.view()));
    REQUIRE(writer->close());
    REQUIRE(writer->close());
    CHECK(writer->packets_written() == 500);
    CHECK(writer->bytes_written() == std::filesystem::file_size(path));
    const Reading back = read_trace(path);
    CHECK_FALSE(back.failed);
    CHECK(back.packets.size() == 500);
    expect_packets(back.packets, batch, 0, nanosecond ? 1 : 1000);
    CHECK(run("capinfos -Trc " + path).find("\t500\n") != std::string::npos);
    CHECK(run("capinfos -Trt " + path).find(nanosecond ? "nsecpcap" : "pcap") != std::string::npos);
    const std::string dump = run("tcpdump --nano -tt -n -r " + path);
    CHECK(std::count(dump.begin(), dump.end(), '\n') >= 500);
    CHECK(dump.find(nanosecond ? "1700000000.000001234" : "1700000000.000001000") != std::string::npos);
    const std::string lengths = run("tshark -r " + path + " -T fields -e frame.cap_len");
    std::string expected;
    for (uint32_t i = 0; i < batch.n; i++) expected += std::to_string(batch.block.caplen[i]) + "\n";
    CHECK(lengths == expected);
  }
}

TEST_CASE("pcapng holds several link types, directions and the counts of the capture") {
  const TempDir dir;
  const std::string path = dir.file("out.pcapng");
  const Batch ethernet(100);
  const Batch raw(50, 101, 100, 1000);
  auto writer = create(path, TraceFormat::kPcapng);
  REQUIRE(write_all(*writer, ethernet.view()));
  REQUIRE(write_all(*writer, raw.view()));
  REQUIRE(write_all(*writer, ethernet.view()));
  writer->set_drop_counts(260, 10);
  REQUIRE(writer->close());
  CHECK(writer->bytes_written() == std::filesystem::file_size(path));
  const Reading back = read_trace(path);
  CHECK_FALSE(back.failed);
  REQUIRE(back.packets.size() == 250);
  expect_packets(back.packets, ethernet, 0, 1, true);
  expect_packets(back.packets, raw, 100, 1, true);
  expect_packets(back.packets, ethernet, 150, 1, true);
  const std::string info = run("capinfos " + path);
  CHECK(info.find("ringtap test") != std::string::npos);
  CHECK(info.find("what for") != std::string::npos);
  CHECK(info.find("Number of packets:   250") != std::string::npos);
  CHECK(info.find("Number of interfaces in file: 2") != std::string::npos);
  CHECK(run("tshark -r " + path + " -T fields -e frame.packet_flags_direction -c 1").find('2') != std::string::npos);
  CHECK(run("tshark -r " + path + " -T fields -e frame.time_epoch -c 2").find("1700000000.000001234") !=
        std::string::npos);
  CHECK(load_file(path).find(Builder().u16(4).u16(8).u64(260).u16(5).u16(8).u64(10).bytes) != std::string::npos);
}

TEST_CASE("pcap refuses a second link type and goes on with the first") {
  const TempDir dir;
  auto writer = create(dir.file("a"));
  const auto refused = writer->append(Batch(3, 101).view());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kBadOption);
  CHECK(refused.error().hint.find("pcapng:") != std::string::npos);
  CHECK(*writer->append(Batch(3).view()) == 3);
  REQUIRE(writer->close());
  CHECK(read_trace(dir.file("a")).packets.size() == 3);
}

TEST_CASE("offsets, lengths and times that JS made up are refused, and nothing outside is read") {
  const TempDir dir;
  for (const TraceFormat format : {TraceFormat::kPcap, TraceFormat::kPcapng}) {
    auto writer = create(dir.file("a"), format);
    const auto refuse = [&](const std::function<void(Batch&)>& spoil, Code code, int64_t epoch = kEpoch) {
      Batch batch(5);
      spoil(batch);
      BatchView view = batch.view();
      view.epoch_ns = epoch;
      const auto taken = writer->append(view);
      REQUIRE_FALSE(taken);
      CHECK(taken.error().code == code);
      CHECK(taken.error().message.find(dir.path()) == 0);
    };
    refuse([](Batch& b) { b.block.poison(2, 5); }, Code::kReleased);
    refuse([](Batch& b) { b.block.offset[2] = 0xffffffff; }, Code::kBadOption);
    refuse([](Batch& b) { b.block.offset[2] = static_cast<uint32_t>(b.segment.size()) + 1; }, Code::kBadOption);
    refuse([](Batch& b) { b.block.caplen[2] = 0xffffffff; }, Code::kBadOption);
    refuse([](Batch& b) { b.block.caplen[4] = b.block.caplen[4] + 1; }, Code::kBadOption);
    for (const double time : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                              -std::numeric_limits<double>::infinity(), 1e300, -1e300, -1.8e18, 9.3e18}) {
      refuse([time](Batch& b) { b.block.time[2] = time; }, Code::kUnsupported);
    }
    refuse([](Batch&) {}, Code::kBadOption, INT64_MAX);
    refuse([](Batch&) {}, Code::kBadOption, INT64_MIN);
    if (format == TraceFormat::kPcap) {
      refuse([](Batch&) {}, Code::kUnsupported, int64_t{4'294'967'296} * 1'000'000'000);
      Batch last(1);
      BatchView view = last.view();
      view.epoch_ns = int64_t{4'294'967'295} * 1'000'000'000;
      CHECK(writer->append(view));
    }
    REQUIRE(writer->close());
    const Reading back = read_trace(dir.file("a"));
    CHECK_FALSE(back.failed);
    CHECK(back.packets.size() >= 2 * 10);  // those before each bad one
  }
}

TEST_CASE("packets are cut to the snaplen of the file") {
  const TempDir dir;
  auto writer = TraceWriter::create({.path = dir.file("a"), .snaplen = 50});
  REQUIRE(writer);
  const Batch batch(100);
  REQUIRE(write_all(**writer, batch.view()));
  REQUIRE((*writer)->close());
  const Reading back = read_trace(dir.file("a"));
  CHECK(back.info.snaplen == 50);
  for (uint32_t i = 0; i < batch.n; i++) {
    CHECK(back.packets[i].caplen == std::min(50u, batch.block.caplen[i]));
    CHECK(back.packets[i].wirelen == batch.block.wirelen[i]);
  }
}

TEST_CASE("full buffers make append wait, and what it has taken is written once") {
  const TempDir dir;
  for (const TraceFormat format : {TraceFormat::kPcap, TraceFormat::kPcapng}) {
    auto writer = create(dir.file("a"), format);
    const Batch batch(4096, 1, 9000);
    uint32_t next = *writer->append(batch.view());
    CHECK(next < batch.n);
    CHECK(writer->must_wait());
    CHECK(writer->ready());
    CHECK(*writer->append(batch.view(), next) == next);
    REQUIRE(writer->drain());
    CHECK_FALSE(writer->must_wait());
    CHECK_FALSE(writer->ready());
    while (next < batch.n) {
      next = *writer->append(batch.view(), next);
      REQUIRE(writer->drain());
    }
    REQUIRE(writer->close());
    const Reading back = read_trace(dir.file("a"));
    CHECK(back.packets.size() == batch.n);
    expect_packets(back.packets, batch, 0);
  }
}

TEST_CASE("draining on another thread loses nothing and changes no order") {
  const TempDir dir;
  auto writer = create(dir.file("a"), TraceFormat::kPcapng);
  std::atomic<bool> stop{false};
  std::thread drainer([&] {
    while (!stop) {
      CHECK(writer->drain());
      std::this_thread::yield();
    }
  });
  const Batch batch(256, 1, 1500);
  for (int round = 0; round < 100; round++) {
    uint32_t next = 0;
    while (next < batch.n) {
      next = *writer->append(batch.view(), next);
      if (writer->must_wait()) std::this_thread::yield();
    }
    if (round % 7 == 0) writer->flush();
  }
  stop = true;
  drainer.join();
  REQUIRE(writer->close());
  const Reading back = read_trace(dir.file("a"));
  CHECK_FALSE(back.failed);
  REQUIRE(back.packets.size() == 25600);
  for (size_t round = 0; round < 100; round += 33) expect_packets(back.packets, batch, round * 256);
}

TEST_CASE("append adds to a trace of the same kind and refuses any other") {
  const TempDir dir;
  const Batch batch(10);
  for (const TraceFormat format : {TraceFormat::kPcap, TraceFormat::kPcapng}) {
    const std::string path = dir.file(format == TraceFormat::kPcap ? "a.pcap" : "a.pcapng");
    for (int round = 0; round < 3; round++) {
      auto writer = TraceWriter::create({.path = path, .format = format, .append = true});
      REQUIRE(writer);
      REQUIRE(write_all(**writer, batch.view()));
      REQUIRE((*writer)->close());
    }
    const Reading back = read_trace(path);
    CHECK_FALSE(back.failed);
    REQUIRE(back.packets.size() == 30);
    expect_packets(back.packets, batch, 20);
  }
  const auto other = TraceWriter::create({.path = dir.file("a.pcap"), .format = TraceFormat::kPcapng, .append = true});
  REQUIRE_FALSE(other);
  CHECK(other.error().code == Code::kFileFormat);
  CHECK_FALSE(TraceWriter::create({.path = dir.file("a.pcap"), .link_type = 101, .append = true}));
  CHECK_FALSE(TraceWriter::create({.path = dir.file("a.pcap"), .nanosecond = false, .append = true}));
  CHECK(read_trace(dir.file("a.pcap")).packets.size() == 30);
}

TEST_CASE("a file that cannot be created says which and why") {
  const auto writer = TraceWriter::create({.path = "/nowhere/out.pcap"});
  REQUIRE_FALSE(writer);
  CHECK(writer.error().code == Code::kFileWrite);
  CHECK(writer.error().message.find("/nowhere/out.pcap") == 0);
  CHECK(writer.error().err == ENOENT);
  const TempDir dir;
  CHECK(TraceWriter::create({.path = dir.path()}).error().err == EISDIR);
  CHECK_FALSE(TraceWriter::create({.path = dir.file("a"), .link_type = 70000}));
}

TEST_CASE("a full device is an error that stays, and close still returns") {
  auto writer = create("/dev/full");
  const Batch batch(100);
  REQUIRE(write_all(*writer, batch.view()));
  writer->flush();
  const auto failed = writer->drain();
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Code::kFileWrite);
  CHECK(failed.error().err == ENOSPC);
  CHECK(failed.error().syscall == "write");
  CHECK(writer->append(batch.view()).error().err == ENOSPC);
  CHECK(writer->close().error().err == ENOSPC);
  CHECK(writer->close().error().err == ENOSPC);
  CHECK(writer->packets_written() == 0);
}

TEST_CASE("beyond the file size limit, whole records are kept and no signal kills") {
  const TempDir dir;
  for (const TraceFormat format : {TraceFormat::kPcap, TraceFormat::kPcapng}) {
    for (const rlim_t limit : {rlim_t{10}, rlim_t{24}, rlim_t{100}, rlim_t{4000}, rlim_t{1048576 + 777}}) {
      const std::string path = dir.file("a");
      uint64_t reported = 0;
      const int status = in_child([&] {
        const rlimit most{limit, limit};
        setrlimit(RLIMIT_FSIZE, &most);
        auto writer = TraceWriter::create({.path = path, .format = format});
        const Batch batch(4096, 1, 500);
        Result<Ok> outcome = Ok{};
        for (int i = 0; i < 3 && outcome; i++) outcome = write_all(**writer, batch.view());
        (*writer)->flush();
        if (outcome) outcome = (*writer)->drain();
        const bool right = !outcome && outcome.error().err == EFBIG && outcome.error().code == Code::kFileWrite &&
                           outcome.error().message.find("kept") != std::string::npos &&
                           static_cast<uint64_t>(outcome.error().position) == (*writer)->bytes_written() &&
                           std::filesystem::file_size(path) == (*writer)->bytes_written();
        save(dir.file("count"), std::to_string((*writer)->packets_written()));
        return right;
      });
      CHECK(status == 0);
      reported = limit > 10 ? std::stoull(load_file(dir.file("count"))) : 0;
      if (limit >= 4000) {
        const Reading back = read_trace(path);
        CHECK_FALSE(back.failed);
        CHECK(back.packets.size() == reported);
        CHECK(reported > 0);
      }
    }
  }
}

TEST_CASE("on a full disk the trace ends with its last whole record") {
  const TempDir dir;
  if (geteuid() != 0 || mount("none", dir.path().c_str(), "tmpfs", 0, "size=256k") != 0) {
    FAIL("needs root, for a small tmpfs");
    return;
  }
  const Mounted mounted{dir.path()};
  for (const TraceFormat format : {TraceFormat::kPcap, TraceFormat::kPcapng}) {
    const std::string path = dir.file("a");
    auto writer = create(path, format);
    const Batch batch(2000, 1, 700);
    auto outcome = write_all(*writer, batch.view());
    writer->flush();
    if (outcome) outcome = writer->drain();
    REQUIRE_FALSE(outcome);
    CHECK(outcome.error().err == ENOSPC);
    const Reading back = read_trace(path);
    CHECK_FALSE(back.failed);
    CHECK(back.packets.size() == writer->packets_written());
    CHECK(back.packets.size() > 100);
    for (size_t i = 0; i < back.packets.size(); i++)
      CHECK(back.packets[i].data == batch.segment.substr(batch.block.offset[i], batch.block.caplen[i]));
    CHECK_FALSE(writer->close());
  }
}

TEST_CASE("a reader that goes away is EPIPE, not SIGPIPE") {
  const int status = in_child([] {
    int ends[2];
    if (pipe(ends) != 0) return false;
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    auto writer = TraceWriter::create({.path = "-"});
    if (!writer || !(*writer)->append(Batch(10).view())) return false;
    const auto closed = (*writer)->close();
    return !closed && closed.error().err == EPIPE && closed.error().message.find("standard output") == 0;
  });
  CHECK(status == 0);
}

TEST_CASE("a slow reader of a non-blocking standard output gets everything") {
  const TempDir dir;
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK);
    auto writer = TraceWriter::create({.path = "-"});
    const Batch batch(4096, 1, 1000);
    const bool ok =
        writer && write_all(**writer, batch.view()) && (*writer)->close() && fcntl(STDOUT_FILENO, F_GETFD) >= 0;
    _exit(ok ? 0 : 1);
  }
  close(ends[1]);
  std::ofstream out(dir.file("a"), std::ios::binary);
  char buffer[30000];
  ssize_t n = 0;
  while ((n = read(ends[0], buffer, sizeof buffer)) > 0) {
    out.write(buffer, n);
    std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
  out.close();
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(status == 0);
  CHECK(read_trace(dir.file("a")).packets.size() == 4096);
}

TEST_CASE("a closed writer takes nothing more") {
  const TempDir dir;
  auto writer = create(dir.file("a"));
  REQUIRE(writer->close());
  CHECK(writer->append(Batch(1).view()).error().code == Code::kClosed);
  CHECK(read_trace(dir.file("a")).packets.empty());
}

TEST_CASE("every file that was read is the same when it is written and read again") {
  const TempDir dir;
  Bytes file = section(true) + interface(true, 1, 0, resolution(true, 9)) + interface(true, 113);
  for (uint32_t i = 0; i < 300; i++)
    file += enhanced(true, i % 7 == 0, i % 7 == 0 ? kEpoch / 1000 + i : kEpoch + i, payload(i, 60 + i), 400);
  save(dir.file("a"), file);
  auto source = open_file(request_for(dir.file("a")));
  auto writer = create(dir.file("b"), TraceFormat::kPcapng);
  DescBlock block(16);
  for (RxBatch rx = (*source)->receive(block, 16); rx.rx == Rx::kOk; rx = (*source)->receive(block, 16)) {
    const SourceInfo& info = (*source)->info();
    REQUIRE(write_all(*writer, BatchView::of(block, rx.count, info.segments[0].base, info.segments[0].bytes,
                                             info.epoch_ns, rx.link_type)));
    (*source)->release(rx.lease);
  }
  REQUIRE(writer->close());
  CHECK(read_trace(dir.file("b")).packets == read_trace(dir.file("a")).packets);
}
