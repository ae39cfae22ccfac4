#include "write/writer.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <future>
#include <limits>
#include <random>
#include <thread>

#include "io/file_output.h"
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

/// Waits for what one of the writer's calls answers.
Result<Ok> wait_for(const std::function<void(TraceWriter::Done)>& call) {
  const auto answer = std::make_shared<std::promise<Result<Ok>>>();
  auto outcome = answer->get_future();
  call([answer](const Result<Ok>& result) { answer->set_value(result); });
  return outcome.get();
}
Result<Ok> room(TraceWriter& writer) {
  return wait_for([&](TraceWriter::Done done) { writer.when_room(std::move(done)); });
}
Result<Ok> flush(TraceWriter& writer) {
  return wait_for([&](TraceWriter::Done done) { writer.flush(std::move(done)); });
}
Result<Ok> close(TraceWriter& writer) {
  return wait_for([&](TraceWriter::Done done) { writer.close(std::move(done)); });
}

/// A writer whose file is open.
Result<std::shared_ptr<TraceWriter>> open_writer(WriterRequest request) {
  auto writer = TraceWriter::create(std::move(request));
  if (!writer) return writer;
  const auto opened = wait_for([&](TraceWriter::Done done) { (*writer)->when_tried(std::move(done)); });
  if (!opened) return opened.error();
  return writer;
}

std::shared_ptr<TraceWriter> create(const std::string& path, TraceFormat format = TraceFormat::kPcap,
                                    bool nanosecond = true) {
  auto writer = open_writer({.to = to_file(path),
                             .format = format,
                             .nanosecond = nanosecond,
                             .application = "ringtap test",
                             .comment = "what for"});
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
    if (auto is_room = room(writer); !is_room) return is_room;
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

/// A named pipe that somebody has open and does not read, until told to.
struct Pipe {
  explicit Pipe(const TempDir& dir) : path(dir.file("pipe-" + std::to_string(next++))) {
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
    fd = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  }
  ~Pipe() { ::close(fd); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  size_t waiting() const {
    int bytes = 0;
    ioctl(fd, FIONREAD, &bytes);
    return static_cast<size_t>(bytes);
  }
  void read_into(const std::string& file) const {
    fcntl(fd, F_SETFL, 0);
    std::ofstream out(file, std::ios::binary);
    char buffer[30000];
    for (ssize_t n = 0; (n = read(fd, buffer, sizeof buffer)) > 0;) out.write(buffer, n);
  }

  std::string path;
  int fd = -1;
  static inline int next = 0;
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
    REQUIRE(close(*writer));
    REQUIRE(close(*writer));
    CHECK(writer->counts().packets == 500);
    CHECK(writer->counts().bytes == std::filesystem::file_size(path));
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
  writer->set_drop_counts(0, {.received = 260, .dropped = 10});
  REQUIRE(close(*writer));
  CHECK(writer->counts().bytes == std::filesystem::file_size(path));
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

TEST_CASE("packets of other traces keep interfaces and options, and origins that lie read nothing outside") {
  const TempDir dir;
  const std::string path = dir.file("kept.pcapng");
  auto writer = open_writer(
      {.to = to_file(path), .format = TraceFormat::kPcapng, .link_type = 1, .keeps = true, .keeps_resolution = true});
  REQUIRE(writer);
  Batch batch(500);
  const std::string little = Builder().u16(1).u16(6).bytes + "remark" + Bytes(2, 0) + Builder().u32(0).bytes;
  const uint32_t at = static_cast<uint32_t>(batch.segment.size());
  batch.segment += little;
  batch.block.tell_origins();
  const auto bytes = static_cast<uint32_t>(little.size());
  const PacketOrigin origins[] = {
      {.interface = 0, .options = at, .option_bytes = bytes},
      {.interface = 1, .options = at, .option_bytes = bytes + 1},  // beyond the segment
      {.interface = 1, .options = UINT32_MAX, .option_bytes = UINT32_MAX},
      {.interface = 2, .options = at, .option_bytes = bytes},  // there is none
      {.interface = 0, .options = at, .option_bytes = bytes, .swapped = true},
      {.interface = 3, .options = at + 3, .option_bytes = 7},  // its number is that of none
      {},
  };
  for (uint32_t i = 0; i < batch.n; i++) batch.block.origin[i] = origins[i % std::size(origins)];
  const auto interface = [](const std::string& name) {
    std::string body = Builder().u16(1).bytes + "\x09" + Bytes(1, 0) + Builder().u32(100).bytes;
    body += Builder().u16(2).u16(static_cast<uint16_t>(name.size())).bytes + name;
    return TraceBlock{.type = 1, .body = body};
  };
  const auto first = (*writer)->interface(interface("eth0"));
  const auto second = (*writer)->interface(interface("eth1"));
  const auto again = (*writer)->interface(interface("eth0"));
  REQUIRE((first && second && again));
  CHECK((*first == 0 && *second == 1 && *again == 0));
  const uint32_t numbers[] = {*first, *second, 1000, 77};
  BatchView view = batch.view();
  view.interfaces = numbers;
  view.interface_count = 2;
  REQUIRE(write_all(**writer, view));
  view.interface_count = 4;
  REQUIRE(write_all(**writer, view));
  REQUIRE(close(**writer));
  const Reading back = read_trace(path);
  CHECK_FALSE(back.failed);
  CHECK(back.packets.size() == 1000);
  CHECK(run("capinfos -I " + path).find("Number of interfaces in file: 3") != std::string::npos);
  const std::string names =
      run("tshark -r " + path + " -c 7 -T fields -e frame.interface_name -e frame.comment 2>/dev/null");
  CHECK(names == "eth0\tremark\neth1\t\neth1\t\nunknown\t\neth0\t\nunknown\t\nunknown\t\n");
}

TEST_CASE("pcap refuses a second link type and goes on with the first") {
  const TempDir dir;
  auto opened = open_writer({.to = to_file(dir.file("a")), .link_type = 1});
  REQUIRE(opened);
  const auto& writer = *opened;
  const auto refused = writer->append(Batch(3, 101).view());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kBadOption);
  CHECK(refused.error().hint.find("pcapng:") != std::string::npos);
  CHECK(*writer->append(Batch(3).view()) == 3);
  REQUIRE(close(*writer));
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
    REQUIRE(close(*writer));
    const Reading back = read_trace(dir.file("a"));
    CHECK_FALSE(back.failed);
    CHECK(back.packets.size() >= 2 * 10);  // those before each bad one
  }
}

TEST_CASE("packets are cut to the snaplen of the file") {
  const TempDir dir;
  auto writer = open_writer({.to = to_file(dir.file("a")), .snaplen = 50});
  REQUIRE(writer);
  const Batch batch(100);
  REQUIRE(write_all(**writer, batch.view()));
  REQUIRE(close(**writer));
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
    const Pipe pipe(dir);
    auto writer = create(pipe.path, format);
    const Batch batch(4096, 1, 9000);
    uint32_t next = *writer->append(batch.view());
    CHECK(next < batch.n);
    bool is_room = false;
    std::thread reader([&] { pipe.read_into(dir.file("a")); });
    while (next < batch.n) {
      REQUIRE(room(*writer));
      const uint32_t taken = *writer->append(batch.view(), next);
      is_room |= taken > next;
      next = taken;
    }
    CHECK(is_room);
    REQUIRE(close(*writer));
    reader.join();
    const Reading back = read_trace(dir.file("a"));
    CHECK(back.packets.size() == batch.n);
    CHECK(writer->counts().bytes == std::filesystem::file_size(dir.file("a")));
    expect_packets(back.packets, batch, 0);
  }
}

TEST_CASE("threads that append, flush, ask and close at once lose nothing and tear nothing") {
  const TempDir dir;
  for (int round = 0; round < 10; round++) {
    const TraceFormat format = round % 2 == 0 ? TraceFormat::kPcap : TraceFormat::kPcapng;
    auto writer = create(dir.file("a"), format);
    std::atomic<uint64_t> taken{0};
    const auto append = [&] {
      const Batch batch(200, 1, 1500);
      for (int i = 0; i < 200; i++) {
        for (uint32_t next = 0; next < batch.n;) {
          const auto now = writer->append(batch.view(), next);
          if (!now) {
            CHECK(now.error().code == Code::kClosed);
            return;
          }
          taken += *now - next;
          next = *now;
          if (next < batch.n) (void)room(*writer);
        }
      }
    };
    std::atomic<bool> stop{false};
    std::thread one(append);
    std::thread other(append);
    std::thread flusher([&] {
      while (!stop) {
        CHECK(flush(*writer));
        const uint64_t written = writer->counts().packets;  // first, as `taken` grows
        CHECK(written <= taken + 400);
      }
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(3 * round));
    std::thread impatient([&] {
      while (!stop) {
        const auto ticket = writer->when_room([](const Result<Ok>&) {});
        const auto other = writer->flush([](const Result<Ok>&) {});
        writer->forget(ticket);
        writer->forget(other);
        const auto counts = writer->counts();
        CHECK(counts.packets + counts.queued <= 2 * 200 * 200);
      }
    });
    std::thread closer([&] {
      writer->set_drop_counts(0, {.received = 1, .dropped = 2});
      CHECK(close(*writer));
    });
    CHECK(close(*writer));
    for (std::thread* thread : {&one, &other, &closer}) thread->join();
    stop = true;
    flusher.join();
    impatient.join();
    const Reading back = read_trace(dir.file("a"));
    CHECK_FALSE(back.failed);
    CHECK(back.packets.size() == taken);
    CHECK(writer->counts().packets == taken);
  }
}

TEST_CASE("the header is in the file when it is open, and a packet within a second, without a flush") {
  const TempDir dir;
  const Pipe pipe(dir);
  for (const std::string& path : {dir.file("a"), pipe.path}) {
    const bool is_pipe = path == pipe.path;
    auto opened = open_writer({.to = to_file(path), .link_type = 1});
    REQUIRE(opened);
    const auto size = [&] { return is_pipe ? pipe.waiting() : std::filesystem::file_size(path); };
    CHECK(size() == 24);
    const auto begin = std::chrono::steady_clock::now();
    CHECK(*(*opened)->append(Batch(10).view()) == 10);
    while (size() == 24) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const auto waited = std::chrono::steady_clock::now() - begin;
    CHECK(waited > std::chrono::milliseconds(400));
    WARN(waited < std::chrono::milliseconds(1000));
    CHECK((*opened)->counts().packets == 10);
  }
  auto hasty = open_writer({.to = to_file(dir.file("b")), .link_type = 1, .delay = std::chrono::milliseconds(0)});
  REQUIRE(hasty);
  CHECK(*(*hasty)->append(Batch(10).view()) == 10);
  while ((*hasty)->counts().packets < 10) std::this_thread::yield();
  CHECK(read_trace(dir.file("b")).packets.size() == 10);
}

TEST_CASE("to leave does not wait for a reader that stands still, who then finds whole records") {
  const TempDir dir;
  for (const TraceFormat format : {TraceFormat::kPcap, TraceFormat::kPcapng}) {
    const Pipe pipe(dir);
    auto writer = create(pipe.path, format);
    const Batch batch(4096, 1, 1500);
    CHECK(*writer->append(batch.view()) > 1000);
    while (pipe.waiting() < 60'000)
      std::this_thread::yield();  // it is full, and what waits for room in it is of the batch
    // Until there is no room: the buffer that had the header may come back only now.
    enum class Told : uint8_t { kNothing, kRoom, kGone };
    std::atomic<Told> told{Told::kRoom};
    while (told == Told::kRoom) {
      while (*writer->append(batch.view()) > 0) continue;
      told = Told::kNothing;
      writer->when_room([&](const Result<Ok>& outcome) { told = outcome ? Told::kRoom : Told::kGone; });
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    const auto begin = std::chrono::steady_clock::now();
    writer->leave(std::chrono::seconds(20));
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
    const auto ended = wait_for([&](TraceWriter::Done done) { writer->when_ended(std::move(done)); });
    CHECK(told == Told::kGone);
    CHECK(ended.error().err == ECANCELED);
    CHECK(ended.error().message.find("which are kept") != std::string::npos);
    CHECK(writer->append(batch.view()).error().err == ECANCELED);
    pipe.read_into(dir.file("a"));
    const Reading back = read_trace(dir.file("a"));
    CHECK_FALSE(back.failed);
    CHECK(back.packets.size() == writer->counts().packets);
    CHECK(back.packets.size() > 10);
  }
}

TEST_CASE("to leave writes all that was taken into a file") {
  const TempDir dir;
  auto writer = create(dir.file("a"));
  REQUIRE(write_all(*writer, Batch(2000, 1, 1500).view()));
  writer->leave(std::chrono::seconds(20));
  CHECK(read_trace(dir.file("a")).packets.size() == 2000);
}

TEST_CASE("a writer that is dropped writes what it took, and closes its file") {
  const TempDir dir;
  REQUIRE(write_all(*create(dir.file("a")), Batch(2000, 1, 1500).view()));
  while (read_trace(dir.file("a")).packets.size() < 2000) std::this_thread::yield();
  const std::string path = "/proc/self/fd";
  const auto is_open = [&] {
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      std::error_code gone;
      if (std::filesystem::read_symlink(entry, gone) == dir.file("a")) return true;
    }
    return false;
  };
  while (is_open()) std::this_thread::yield();
}

TEST_CASE("a named pipe waits for its reader, until the writer is closed") {
  const TempDir dir;
  const std::string path = dir.file("pipe");
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  auto unread = open_writer({.to = to_file(path), .link_type = 1});
  REQUIRE(unread);
  CHECK_FALSE((*unread)->is_open());
  CHECK(*(*unread)->append(Batch(10).view()) == 0);
  CHECK(close(**unread).error().err == ENXIO);
  CHECK((*unread)->append(Batch(10).view()).error().err == ENXIO);
  (*unread)->leave(std::chrono::seconds(1));

  auto writer = open_writer({.to = to_file(path)});
  REQUIRE(writer);
  std::thread reader([&] { run("cat " + path + " > " + dir.file("a")); });
  REQUIRE(write_all(**writer, Batch(10).view()));
  CHECK((*writer)->is_open());
  REQUIRE(close(**writer));
  reader.join();
  CHECK(read_trace(dir.file("a")).packets.size() == 10);
}

TEST_CASE("a file is written by one writer at a time, and no other process inherits it") {
  const TempDir dir;
  auto first = create(dir.file("a"));
  REQUIRE(write_all(*first, Batch(10).view()));
  REQUIRE(flush(*first));
  const auto second = open_writer({.to = to_file(dir.file("a"))});
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Code::kBusy);
  CHECK(second.error().message.find(dir.file("a")) == 0);
  CHECK(run("ls -l /proc/self/fd").find(dir.file("a")) == std::string::npos);
  REQUIRE(write_all(*first, Batch(10).view()));
  REQUIRE(close(*first));
  CHECK(read_trace(dir.file("a")).packets.size() == 20);
  auto third = create(dir.file("a"));
  REQUIRE(close(*third));
  CHECK(read_trace(dir.file("a")).packets.empty());
}

TEST_CASE("tcpdump, tshark and capinfos read what is there while more is being written") {
  const TempDir dir;
  for (const TraceFormat format : {TraceFormat::kPcap, TraceFormat::kPcapng}) {
    const std::string path = dir.file("a");
    auto writer = create(path, format);
    for (uint32_t part = 1; part <= 3; part++) {
      REQUIRE(write_all(*writer, Batch(700, 1, 1500).view()));
      REQUIRE(flush(*writer));
      CHECK(writer->counts().packets == 700 * part);
      const std::string packets = std::to_string(700 * part);
      CHECK(run("tcpdump -nr " + path + " --count").find(packets + " packet") == 0);
      CHECK(run("capinfos -Trc " + path).find("\t" + packets + "\n") != std::string::npos);
      const std::string lines = run("tshark -r " + path + " -T fields -e frame.number");
      CHECK(lines.find("\n" + packets + "\n") != std::string::npos);
    }
    REQUIRE(close(*writer));
  }
}

TEST_CASE("a file that cannot be created says which and why") {
  const auto writer = open_writer({.to = to_file("/nowhere/out.pcap")});
  REQUIRE_FALSE(writer);
  CHECK(writer.error().code == Code::kFileWrite);
  CHECK(writer.error().message.find("/nowhere/out.pcap") == 0);
  CHECK(writer.error().err == ENOENT);
  const TempDir dir;
  CHECK(open_writer({.to = to_file(dir.path())}).error().err == EISDIR);
  CHECK_FALSE(open_writer({.to = to_file(dir.file("a")), .link_type = 70000}));
}

TEST_CASE("a full device is an error that stays, and close still returns") {
  auto writer = create("/dev/full");
  const Batch batch(100);
  REQUIRE(write_all(*writer, batch.view()));
  const auto failed = flush(*writer);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Code::kFileWrite);
  CHECK(failed.error().err == ENOSPC);
  CHECK(failed.error().syscall == "write");
  CHECK(writer->append(batch.view()).error().err == ENOSPC);
  CHECK(close(*writer).error().err == ENOSPC);
  CHECK(close(*writer).error().err == ENOSPC);
  CHECK(writer->counts().packets == 0);
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
        auto writer = open_writer({.to = to_file(path), .format = format});
        const Batch batch(4096, 1, 500);
        Result<Ok> outcome = Ok{};
        for (int i = 0; i < 3 && outcome; i++) outcome = write_all(**writer, batch.view());
        if (outcome) outcome = flush(**writer);
        const bool right = !outcome && outcome.error().err == EFBIG && outcome.error().code == Code::kFileWrite &&
                           outcome.error().message.find("kept") != std::string::npos &&
                           static_cast<uint64_t>(outcome.error().position) == (*writer)->counts().bytes &&
                           std::filesystem::file_size(path) == (*writer)->counts().bytes;
        save(dir.file("count"), std::to_string((*writer)->counts().packets));
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
    if (outcome) outcome = flush(*writer);
    REQUIRE_FALSE(outcome);
    CHECK(outcome.error().err == ENOSPC);
    const Reading back = read_trace(path);
    CHECK_FALSE(back.failed);
    CHECK(back.packets.size() == writer->counts().packets);
    CHECK(back.packets.size() > 100);
    for (size_t i = 0; i < back.packets.size(); i++)
      CHECK(back.packets[i].data == batch.segment.substr(batch.block.offset[i], batch.block.caplen[i]));
    CHECK_FALSE(close(*writer));
  }
}

TEST_CASE("a reader that goes away is EPIPE, not SIGPIPE") {
  const int status = in_child([] {
    int ends[2];
    if (pipe(ends) != 0) return false;
    dup2(ends[1], STDOUT_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    auto writer = open_writer({.to = to_file("-")});
    if (!writer || !(*writer)->append(Batch(10).view())) return false;
    const auto closed = close(**writer);
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
    ::close(ends[0]);
    ::close(ends[1]);
    fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK);
    auto writer = open_writer({.to = to_file("-")});
    const Batch batch(4096, 1, 1000);
    const bool ok =
        writer && write_all(**writer, batch.view()) && close(**writer) && fcntl(STDOUT_FILENO, F_GETFD) >= 0;
    _exit(ok ? 0 : 1);
  }
  ::close(ends[1]);
  std::ofstream out(dir.file("a"), std::ios::binary);
  char buffer[30000];
  ssize_t n = 0;
  while ((n = read(ends[0], buffer, sizeof buffer)) > 0) {
    out.write(buffer, n);
    std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
  out.close();
  ::close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(status == 0);
  CHECK(read_trace(dir.file("a")).packets.size() == 4096);
}

TEST_CASE("a closed writer takes nothing more") {
  const TempDir dir;
  auto writer = create(dir.file("a"));
  REQUIRE(close(*writer));
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
  auto opened = open_writer({.to = to_file(dir.file("b")), .format = TraceFormat::kPcapng, .link_type = 1});
  REQUIRE(opened);
  const auto& writer = *opened;
  DescBlock block(16);
  for (RxBatch rx = (*source)->receive(block, 16); rx.rx == Rx::kOk; rx = (*source)->receive(block, 16)) {
    const SourceInfo& info = (*source)->info();
    REQUIRE(write_all(*writer, BatchView::of(block, rx.count, info.segments[0].base, info.segments[0].bytes,
                                             info.epoch_ns, rx.link_type)));
    (*source)->release(rx.lease);
  }
  REQUIRE(close(*writer));
  CHECK(read_trace(dir.file("b")).packets == read_trace(dir.file("a")).packets);
}

namespace {

/// An output that a test looks into: it takes so many bytes at once, and nobody is there at first.
struct Memory {
  Bytes bytes;
  size_t at_once = 0;
  int asked = 0;
  int closed = 0;

  class Out final : public Output {
   public:
    explicit Out(Memory& memory) : memory_(memory) {}
    size_t bytes_at_once(const std::atomic<bool>&) noexcept override { return memory_.at_once; }
    size_t write(std::span<const std::byte> bytes, const std::atomic<bool>&) noexcept override {
      memory_.bytes.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return bytes.size();
    }
    bool take_back(size_t) noexcept override { return false; }
    int close() noexcept override {
      memory_.closed++;
      return 0;
    }

   private:
    Memory& memory_;
  };

  Destination destination() {
    return {.name = "memory", .open = [this]() -> Result<std::unique_ptr<Output>> {
              if (++asked < 3) return std::unique_ptr<Output>();
              return std::unique_ptr<Output>(std::make_unique<Out>(*this));
            }};
  }
};

}  // namespace

TEST_CASE("a trace goes wherever a destination leads, once somebody is there") {
  const TempDir dir;
  for (const size_t at_once : {size_t{0}, size_t{64}, size_t{4096}}) {
    Memory memory{.at_once = at_once};
    auto writer = open_writer({.to = memory.destination(), .link_type = 1});
    REQUIRE(writer);
    CHECK_FALSE((*writer)->is_open());
    REQUIRE(room(**writer));
    const Batch batch(500, 1, 1500);
    REQUIRE(write_all(**writer, batch.view()));
    REQUIRE(close(**writer));
    CHECK(memory.asked == 3);
    CHECK(memory.closed == 1);
    save(dir.file("a"), memory.bytes);
    expect_packets(read_trace(dir.file("a")).packets, batch, 0);
  }
  Memory nobody{.asked = -1000};
  auto writer = open_writer({.to = nobody.destination()});
  REQUIRE(writer);
  const auto closed = close(**writer);
  REQUIRE_FALSE(closed);
  CHECK(closed.error().message.find("memory: nobody has opened it for reading") == 0);
}

TEST_CASE("packets that are selected are written in their order, and one that is not there is refused") {
  const TempDir dir;
  for (const TraceFormat format : {TraceFormat::kPcap, TraceFormat::kPcapng}) {
    auto writer = create(dir.file("a"), format);
    const Batch batch(3000, 1, 9000);
    BatchView view = batch.view();
    std::vector<uint32_t> order;
    for (uint32_t i = 0; i < 2000; i++) order.push_back(i * 7919 % batch.n);
    order.push_back(order[0]);
    view.select = order.data();
    view.selected = static_cast<uint32_t>(order.size());
    uint32_t next = 0;
    while (next < order.size()) {
      const auto taken = writer->append(view, next);
      REQUIRE(taken);
      next = *taken;
      if (next < order.size()) REQUIRE(room(*writer));
    }
    view.selected = 0;
    CHECK(*writer->append(view) == 0);
    const std::vector<uint32_t> beyond{5, batch.n, 6};
    view.select = beyond.data();
    view.selected = 3;
    const auto refused = writer->append(view);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::kBadOption);
    CHECK(refused.error().message.find("there is no packet 3000 in a batch of 3000") != std::string::npos);
    order.push_back(5);
    REQUIRE(close(*writer));
    CHECK(writer->counts().packets == order.size());
    CHECK(writer->counts().queued == 0);
    const Reading back = read_trace(dir.file("a"));
    REQUIRE(back.packets.size() == order.size());
    for (size_t i = 0; i < order.size(); i++) {
      CHECK(back.packets[i].data == batch.segment.substr(batch.block.offset[order[i]], batch.block.caplen[order[i]]));
    }
  }
}

TEST_CASE("who does not wait any more is not called, and what was taken is written nevertheless") {
  const TempDir dir;
  const Pipe pipe(dir);
  auto writer = create(pipe.path);
  const Batch batch(4096, 1, 9000);
  const uint32_t taken = *writer->append(batch.view());
  REQUIRE(taken < batch.n);
  std::atomic<int> calls{0};
  const auto count = [&](const Result<Ok>&) { calls++; };
  std::vector<TraceWriter::Ticket> tickets;
  for (int i = 0; i < 100; i++) tickets.push_back(i % 2 == 0 ? writer->when_room(count) : writer->flush(count));
  const auto last = writer->flush(count);
  for (const auto ticket : tickets) CHECK(writer->forget(ticket));
  for (const auto ticket : tickets) CHECK_FALSE(writer->forget(ticket));
  CHECK(writer->counts().packets + writer->counts().queued == taken);
  std::thread reader([&] { pipe.read_into(dir.file("a")); });
  REQUIRE(close(*writer));
  reader.join();
  CHECK(calls == 1);
  CHECK_FALSE(writer->forget(last));
  CHECK(writer->counts().packets == taken);
  CHECK(read_trace(dir.file("a")).packets.size() == taken);
}

TEST_CASE("what finds no room is dropped by a writer that is told to, and every packet is accounted for") {
  const TempDir dir;
  const Pipe pipe(dir);
  auto opened = open_writer({.to = to_file(pipe.path),
                             .format = TraceFormat::kPcapng,
                             .link_type = 1,
                             .queue_bytes = 8u << 20,
                             .drops = true});
  REQUIRE(opened);
  const auto& writer = *opened;
  const Batch batch(512, 1, 9000);
  constexpr uint32_t kBatches = 40;
  for (uint32_t i = 0; i < kBatches; i++) CHECK(*writer->append(batch.view()) == batch.n);
  const auto before = writer->counts();
  CHECK(before.dropped > 0);
  CHECK(before.packets + before.queued + before.dropped == kBatches * batch.n);
  std::thread reader([&] { pipe.read_into(dir.file("a")); });
  // Another thread makes room meanwhile.
  for (uint32_t i = 0; i < kBatches; i++) CHECK(*writer->append(batch.view()) == batch.n);
  REQUIRE(close(*writer));
  reader.join();
  const auto counts = writer->counts();
  CHECK(counts.queued == 0);
  CHECK(counts.packets + counts.dropped == 2 * kBatches * batch.n);
  CHECK(read_trace(dir.file("a")).packets.size() == counts.packets);
}

TEST_CASE("what a failure keeps out of the file is counted as dropped") {
  const TempDir dir;
  const std::string path = dir.file("a");
  CHECK(in_child([&] {
          signal(SIGXFSZ, SIG_IGN);
          const rlimit limit{.rlim_cur = 2000000, .rlim_max = 2000000};
          setrlimit(RLIMIT_FSIZE, &limit);
          auto opened = open_writer({.to = to_file(path), .link_type = 1});
          const Batch batch(512, 1, 9000);
          uint64_t given = 0;
          for (int i = 0; i < 20; i++) {
            for (uint32_t next = 0; next < batch.n;) {
              const auto taken = (*opened)->append(batch.view(), next);
              if (!taken) break;
              next = *taken;
              if (next < batch.n) (void)room(**opened);
            }
            given += batch.n;
          }
          const bool is_failed = !close(**opened);
          const auto counts = (*opened)->counts();
          return is_failed && counts.packets > 0 && counts.queued == 0 && counts.packets + counts.dropped == given;
        }) == 0);
}

namespace {

/// Times of packets that are `step` ns apart, from `from` on.
void space(Batch& batch, int64_t from, int64_t step) {
  for (uint32_t i = 0; i < batch.n; i++) batch.block.time[i] = static_cast<double>(from + step * i);
}

BatchView from_source(const Batch& batch, uint32_t source) {
  BatchView view = batch.view();
  view.source = source;
  return view;
}

WriterRequest of_two(const std::string& path, TraceFormat format, int64_t lateness_ms) {
  return {.to = to_file(path),
          .format = format,
          .interfaces = {{.name = "a", .link_type = 1}, {.name = "b", .link_type = 1}},
          .lateness = std::chrono::milliseconds(lateness_ms)};
}

}  // namespace

TEST_CASE("packets of several sources are put in order, and those of equal times stay as they came") {
  const TempDir dir;
  for (const TraceFormat format : {TraceFormat::kPcap, TraceFormat::kPcapng}) {
    const std::string path = dir.file("out");
    auto writer = open_writer(of_two(path, format, 60'000));
    REQUIRE(writer);
    Batch one(5000, 1, 200, 1);
    Batch two(3000, 1, 200, 9000);
    space(one, 1000, 6);
    space(two, 1000, 10);
    REQUIRE(write_all(**writer, from_source(two, 1)));
    REQUIRE(write_all(**writer, from_source(one, 0)));
    CHECK((*writer)->counts().queued == 8000);
    REQUIRE(flush(**writer));
    CHECK((*writer)->counts().packets == 8000);
    REQUIRE(close(**writer));
    CHECK((*writer)->counts().late == 0);
    const Reading back = read_trace(path);
    REQUIRE(back.packets.size() == 8000);
    uint32_t at[2] = {0, 0};
    for (size_t i = 0; i < back.packets.size(); i++) {
      if (i > 0) CHECK(back.packets[i].unix_ns >= back.packets[i - 1].unix_ns);
      // The second was written first, so it is first of equal ones.
      const bool is_second = at[1] < two.n && (at[0] == one.n || two.block.time[at[1]] <= one.block.time[at[0]]);
      const Batch& from = is_second ? two : one;
      const uint32_t n = at[is_second ? 1 : 0]++;
      CHECK(back.packets[i].data == from.segment.substr(from.block.offset[n], from.block.caplen[n]));
      CHECK(back.packets[i].wirelen == from.block.wirelen[n]);
    }
    std::filesystem::remove(path);
  }
}

TEST_CASE("sources that write at once lose nothing, with little memory and a slow disk, nor when files rotate") {
  const TempDir dir;
  auto request = of_two(dir.file("out.pcapng"), TraceFormat::kPcapng, 5);
  request.order_bytes = 2 << 20;
  request.queue_bytes = 2 << 20;
  auto writer = open_writer(std::move(request));
  REQUIRE(writer);
  constexpr uint32_t kRounds = 60;
  std::vector<std::thread> threads;
  std::mutex turn;  // as JS does: one write after the other
  for (uint32_t source = 0; source < 2; source++) {
    threads.emplace_back([&, source] {
      for (uint32_t round = 0; round < kRounds; round++) {
        Batch batch(400, 1, 1400, round * 400);
        space(batch, int64_t{1000} * 400 * round + source, 1000);
        const std::scoped_lock lock(turn);
        CHECK(write_all(**writer, from_source(batch, source)));
        if (round % 16 == 7) CHECK(flush(**writer));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(close(**writer));
  const auto counts = (*writer)->counts();
  CHECK(counts.packets == 2 * kRounds * 400);
  CHECK(counts.queued == 0);
  CHECK(read_trace(dir.file("out.pcapng")).packets.size() == counts.packets);
}

TEST_CASE("what is missing before a packet is told with it, in order or not") {
  const TempDir dir;
  for (const int64_t lateness : {0, 60'000}) {
    const std::string path = dir.file("lost" + std::to_string(lateness));
    auto writer = open_writer(of_two(path, TraceFormat::kPcapng, lateness));
    REQUIRE(writer);
    Batch one(3);
    Batch two(3);
    space(one, 1000, 10);
    space(two, 1005, 10);
    BatchView first = from_source(one, 0);
    first.lost = 7;
    BatchView second = from_source(two, 1);
    second.lost = 9;
    REQUIRE(write_all(**writer, second));
    REQUIRE(write_all(**writer, first));
    REQUIRE(close(**writer));
    const std::string lines = traces::run("tshark -r " + path + " -T fields -e frame.interface_id -e frame.drop_count");
    CHECK(lines == (lateness > 0 ? "0\t7\n1\t9\n0\t\n1\t\n0\t\n1\t\n" : "1\t9\n1\t\n1\t\n0\t7\n0\t\n0\t\n"));
  }
}

TEST_CASE("a source that is none, and another link type in pcap, are refused and nothing of them is kept") {
  const TempDir dir;
  auto writer = open_writer(of_two(dir.file("out.pcap"), TraceFormat::kPcap, 1000));
  REQUIRE(writer);
  const Batch good(10);
  const Batch raw(10, 101);
  CHECK((*writer)->append(from_source(good, 2)).error().code == Code::kBadOption);
  REQUIRE(write_all(**writer, from_source(good, 1)));
  CHECK((*writer)->append(from_source(raw, 0)).error().code == Code::kBadOption);
  Batch bad(10);
  bad.block.caplen[5] = UINT32_MAX;
  CHECK((*writer)->append(from_source(bad, 0)).error().code == Code::kBadOption);
  REQUIRE(close(**writer));
  CHECK((*writer)->counts().packets == 15);
}
