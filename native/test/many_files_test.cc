// Several traces as one: what stands in them comes once, and in order.
#include <pcap/pcap.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <random>
#include <thread>

#include "libpcap/compile.h"
#include "traces.h"

using namespace traces;

namespace {

constexpr int64_t kBegin = 1'700'000'000;

/// Of all traces of a test: packet `number` is nobody else's.
Bytes numbered(uint32_t number, size_t size = 64) {
  Bytes data = payload(number, size);
  std::memcpy(data.data(), &number, 4);
  return data;
}

uint32_t number_of(const Packet& packet) {
  uint32_t number = 0;
  std::memcpy(&number, packet.data.data(), 4);
  return number;
}

std::vector<uint32_t> numbers(const Reading& reading) {
  std::vector<uint32_t> all;
  for (const Packet& packet : reading.packets) all.push_back(number_of(packet));
  return all;
}

/// A pcap trace with packets at these times, in ns after kBegin.
Bytes pcap_at(const std::vector<int64_t>& times, uint32_t first_number, uint32_t link_type = 1) {
  Bytes file = pcap_header(false, 0xa1b23c4d, 262144, link_type);
  for (const int64_t time : times) {
    file += pcap_record(false, static_cast<uint32_t>(kBegin + time / 1'000'000'000),
                        static_cast<uint32_t>(time % 1'000'000'000), numbered(first_number), 64);
    first_number++;
  }
  return file;
}

struct Many {
  Reading reading;
  std::vector<Error> notices;
};

/// As drain(), and keeps the last `held` batches.
Many read_many(const std::string& target, const std::function<void(OpenRequest&)>& change = {}, uint32_t batch = 64,
               size_t held = 0, const std::function<void()>& look = {}, std::shared_ptr<Filter> filter = nullptr) {
  Many many;
  OpenRequest request = request_for(target);
  if (change) change(request);
  auto source = open_file(request);
  if (!source) {
    many.reading.failed = true;
    many.reading.error = source.error();
    return many;
  }
  many.reading.opened = true;
  if (filter != nullptr) REQUIRE((*source)->set_filter(std::move(filter)));
  struct Held {
    DescBlock block;
    RxBatch rx;
  };
  std::vector<Held> holding;
  const auto let_go = [&](size_t keep) {
    while (holding.size() > keep) {
      // What is held is read only now: nobody may have written there meanwhile.
      take(**source, holding.front().block, holding.front().rx, many.reading.packets);
      REQUIRE((*source)->release(holding.front().rx.lease));
      REQUIRE_FALSE((*source)->release(holding.front().rx.lease));
      holding.erase(holding.begin());
    }
  };
  for (;;) {
    DescBlock block(batch);
    const RxBatch rx = (*source)->receive(block, batch);
    if (look) look();
    if (rx.rx == Rx::kOk) {
      REQUIRE(rx.count > 0);
      holding.push_back({.block = std::move(block), .rx = rx});
      let_go(held);
    } else if (rx.rx == Rx::kNotice) {
      many.notices.push_back((*source)->error());
    } else if (rx.rx == Rx::kAgain) {
      while (!(*source)->pending()) std::this_thread::sleep_for(std::chrono::microseconds(50));
    } else {
      REQUIRE((rx.rx == Rx::kEof || rx.rx == Rx::kError));
      many.reading.failed = rx.rx == Rx::kError;
      if (many.reading.failed) many.reading.error = (*source)->error();
      break;
    }
  }
  let_go(0);
  many.reading.stats = (*source)->stats();
  many.reading.info = (*source)->info();
  return many;
}

void in_given_order(OpenRequest& request) { request.options.set("order", std::string("given")); }

size_t open_descriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) count++;
  return count;
}

}  // namespace

TEST_CASE("a merge delivers what mergecap does, packet by packet, whatever the formats and however many are held") {
  const TempDir dir;
  std::mt19937_64 random(7);
  for (const size_t files : {2, 3, 8, 17, 40}) {
    CAPTURE(files);
    // Times that nobody has twice: mergecap takes the last file first where they are equal.
    std::vector<std::vector<int64_t>> times(files);
    int64_t now = 0;
    for (uint32_t i = 0; i < 20'000; i++)
      times[random() % files].push_back(now += 1 + static_cast<int64_t>(random() % 2'000'000));
    std::string target;
    std::string names;
    uint32_t number = 0;
    for (size_t file = 0; file < files; file++) {
      const std::string path = dir.file("in" + std::to_string(file) + ".trace");
      save(path, pcap_at(times[file], number));
      number += static_cast<uint32_t>(times[file].size());
      if (file % 3 == 1) run("editcap -F pcapng " + path + " " + path + ".ng && mv " + path + ".ng " + path);
      target += (file > 0 ? "," : "") + path;
      names += " " + path;
    }
    const std::string merged = dir.file("merged.pcap");
    run("mergecap -F nsecpcap -w " + merged + names);
    const Reading theirs = read_trace(merged);
    for (const uint32_t batch : {1u, 64u, 1024u, 4096u}) {
      for (const size_t held : {0, 3}) {
        CAPTURE(batch);
        CAPTURE(held);
        const Many ours = read_many(target, {}, batch, held);
        REQUIRE_FALSE(ours.reading.failed);
        CHECK(ours.notices.empty());
        REQUIRE(ours.reading.packets.size() == 20'000);
        CHECK(ours.reading.stats.delivered == 20'000);
        CHECK(ours.reading.stats.received == 20'000);
        CHECK(ours.reading.stats.delivered_bytes == 20'000 * 64);
        for (size_t i = 0; i < theirs.packets.size(); i++) {
          CAPTURE(i);
          REQUIRE(ours.reading.packets[i].unix_ns == theirs.packets[i].unix_ns);
          REQUIRE(ours.reading.packets[i].data == theirs.packets[i].data);
        }
      }
    }
  }
}

TEST_CASE("of equal times those of the first trace come first, each trace in its own order") {
  const TempDir dir;
  save(dir.file("a"), pcap_at({0, 5, 5, 9}, 0));
  save(dir.file("b"), pcap_at({0, 0, 5, 9}, 10));
  save(dir.file("c"), pcap_at({5, 9}, 20));
  const auto in = [&](const std::string& order) {
    std::string target;
    for (const char name : order) target += (target.empty() ? "" : ",") + dir.file(std::string(1, name));
    return numbers(read_many(target).reading);
  };
  CHECK(in("abc") == std::vector<uint32_t>{0, 10, 11, 1, 2, 12, 20, 3, 13, 21});
  CHECK(in("cba") == std::vector<uint32_t>{10, 11, 0, 20, 12, 1, 2, 21, 13, 3});
}

TEST_CASE("however many traces there are, and however many of their times are equal, their packets come in order") {
  std::mt19937 random(5);
  for (uint32_t traces = 1; traces <= 9; traces++) {
    const TempDir dir;
    std::vector<std::pair<int64_t, uint32_t>> expected;
    std::string target;
    for (uint32_t trace = 0; trace < traces; trace++) {
      std::vector<int64_t> times(random() % 700);
      for (int64_t& time : times) time = random() % 100;
      std::ranges::sort(times);
      for (uint32_t i = 0; i < times.size(); i++) expected.emplace_back(times[i], trace * 1000 + i);
      const std::string path = dir.file(std::string(1, static_cast<char>('a' + trace)));
      save(path, pcap_at(times, trace * 1000));
      if (trace > 0) target += ',';
      target += path;
    }
    std::ranges::sort(expected);
    std::vector<uint32_t> order;
    for (const auto& [time, number] : expected) order.push_back(number);
    INFO(traces);
    CHECK(numbers(read_many(target).reading) == order);
  }
}

TEST_CASE("order=given reads one trace after the other, also where they are later ones") {
  const TempDir dir;
  save(dir.file("a"), pcap_at({1'000'000'000, 5'000'000'000}, 0));
  save(dir.file("b"), pcap_at({0, 2'000'000'000}, 10));
  const std::string target = dir.file("a") + "," + dir.file("b");
  CHECK(numbers(read_many(target).reading) == std::vector<uint32_t>{10, 0, 11, 1});
  const Many given = read_many(target, in_given_order);
  CHECK(numbers(given.reading) == std::vector<uint32_t>{0, 1, 10, 11});
  CHECK(given.notices.empty());
  CHECK(given.reading.packets[2].unix_ns == kBegin * 1'000'000'000);
}

TEST_CASE("traces of differing link types and time resolutions are merged, each batch with one link type") {
  const TempDir dir;
  save(dir.file("ns"), pcap_at({1'000, 3'000'000}, 0));
  save(dir.file("sll"), pcap_at({2'000, 2'500'000}, 10, 113));
  save(dir.file("us"), pcap_header(true, 0xa1b2c3d4) + pcap_record(true, kBegin, 1'500, numbered(20), 64));
  Bytes ng =
      section(true) + interface(true, 101, 0, resolution(true, 3)) + interface(true, 1, 0, resolution(true, 0x94));
  ng += enhanced(true, 0, kBegin * 1000 + 2, numbered(30), 64);
  ng += enhanced(true, 1, (uint64_t{kBegin} << 20) + (1 << 18), numbered(31), 64);  // a quarter of a second
  save(dir.file("ng"), ng);
  const Many many = read_many(dir.file("ns") + "," + dir.file("sll") + "," + dir.file("us") + "," + dir.file("ng"));
  CHECK(numbers(many.reading) == std::vector<uint32_t>{0, 10, 20, 30, 11, 1, 31});
  std::vector<uint32_t> link_types;
  std::vector<int64_t> times;
  for (const Packet& packet : many.reading.packets) {
    link_types.push_back(packet.link_type);
    times.push_back(packet.unix_ns - kBegin * 1'000'000'000);
  }
  CHECK(link_types == std::vector<uint32_t>{1, 113, 1, 101, 113, 1, 1});
  CHECK(times == std::vector<int64_t>{1'000, 2'000, 1'500'000, 2'000'000, 2'500'000, 3'000'000, 250'000'000});
  CHECK(many.reading.info.link_type == 1);
}

TEST_CASE("of a folder of rotated traces few are open at a time, and their memory is used again") {
  const TempDir dir;
  constexpr uint32_t kFiles = 300;
  for (uint32_t file = 0; file < kFiles; file++) {
    std::vector<int64_t> times(200);
    std::iota(times.begin(), times.end(), int64_t{file} * 2'000'000'000);
    // By name the last ones come first.
    save(dir.file("t" + std::to_string(1000 - file)), pcap_at(times, file * 200));
  }
  save(dir.file(".hidden"), "no trace");
  save(dir.file("notes.txt"), "no trace either, but in the folder, and long enough to tell so");
  std::filesystem::create_directory(dir.file("below"));
  const size_t before = open_descriptors();
  size_t most = 0;
  const Many many = read_many(dir.path(), {}, 256, 2, [&] { most = std::max(most, open_descriptors()); });
  REQUIRE_FALSE(many.reading.failed);
  std::vector<uint32_t> expected(kFiles * 200);
  std::iota(expected.begin(), expected.end(), 0);
  CHECK(numbers(many.reading) == expected);
  CHECK(most <= before + 12);
  CHECK(many.reading.info.notes[0] == "300 traces, in order of time, beside 1 files that are none");
}

TEST_CASE("a damaged trace ends with its last good packet, the others go on, and the error names it") {
  const TempDir dir;
  save(dir.file("a"), pcap_at({0, 10, 20, 30}, 0));
  const Bytes cut = pcap_at({5, 15, 25, 35}, 10);
  save(dir.file("cut"), cut.substr(0, 24 + 2 * 80 + 30));
  for (const bool given : {false, true}) {
    const Many many = read_many(dir.file("cut") + "," + dir.file("a"), given ? in_given_order : nullptr);
    const std::vector<uint32_t> by_time{0, 10, 1, 11, 2, 3};
    CHECK(numbers(many.reading) == (given ? std::vector<uint32_t>{10, 11, 0, 1, 2, 3} : by_time));
    REQUIRE(many.reading.failed);
    CHECK(many.reading.error.code == Code::kFileTruncated);
    CHECK(many.reading.error.message ==
          dir.file("cut") + ": the file ends 30 bytes into the record at byte 184, which takes at least 80");
    CHECK(many.reading.error.position == 184);
  }
  Bytes corrupt = pcap_at({1, 2}, 20);
  corrupt.replace(24 + 80 + 8, 4, Bytes(4, '\xff'));
  save(dir.file("corrupt"), corrupt);
  const Many many = read_many(dir.file("corrupt") + "," + dir.file("a") + "," + dir.file("cut"));
  CHECK(numbers(many.reading) == std::vector<uint32_t>{0, 20, 10, 1, 11, 2, 3});
  CHECK(many.reading.error.code == Code::kFileCorrupt);
  CHECK(many.reading.error.message.find(dir.file("corrupt") + ": damaged at byte 104") == 0);
  CHECK(many.reading.error.message.find("(and 1 more of the traces are damaged)") != Bytes::npos);
}

TEST_CASE("a packet that is out of order comes when its turn comes, and that is told once") {
  const TempDir dir;
  save(dir.file("a"), pcap_at({0, 2'000'000'000, 1'000'000'000, 500'000'000, 4'000'000'000}, 0));
  save(dir.file("b"), pcap_at({1'500'000'000, 3'000'000'000}, 10));
  const Many many = read_many(dir.file("a") + "," + dir.file("b"), {}, 1);
  CHECK(numbers(many.reading) == std::vector<uint32_t>{0, 10, 1, 2, 3, 11, 4});
  REQUIRE(many.notices.size() == 1);
  CHECK(many.notices[0].code == Code::kFileDisorder);
  CHECK(many.notices[0].message == dir.file("a") +
                                       ": time goes back by 1.000000 s at packet 3: it comes when its turn "
                                       "comes, behind later ones");
}

TEST_CASE("a filter is compiled for each trace, and the ledger counts what it rejects") {
  const TempDir dir;
  const auto ether = [](uint16_t type, uint32_t number) {
    Bytes data = numbered(number);
    data[12] = static_cast<char>(type >> 8);
    data[13] = static_cast<char>(type);
    return data;
  };
  std::string target;
  for (uint32_t file = 0; file < 20; file++) {
    Bytes bytes = pcap_header(false);
    for (uint32_t i = 0; i < 100; i++) {
      bytes += pcap_record(false, kBegin + i, file, ether(i % 2 == 0 ? 0x0806 : 0x0800, file * 100 + i), 64);
    }
    save(dir.file(std::to_string(file)), bytes);
    target += dir.file(std::to_string(file)) + ",";
  }
  save(dir.file("sccp"), pcap_at({0, 1}, 5000, 142));  // a link type that knows no ARP
  target += dir.file("sccp");
  const Many many = read_many(target, {}, 64, 0, {}, make_filter("arp", 65535, nullptr));
  REQUIRE_FALSE(many.reading.failed);
  CHECK(many.reading.packets.size() == 1000);
  CHECK(many.reading.stats.delivered == 1000);
  CHECK(many.reading.stats.filtered == 1002);
  auto source = open_file(request_for(dir.file("sccp") + "," + dir.file("sccp")));
  REQUIRE(source);
  const auto refused = (*source)->set_filter(make_filter("arp", 65535, nullptr));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kBadFilter);
}

TEST_CASE("records that are longer than a chunk are merged, too") {
  const TempDir dir;
  Bytes a = pcap_header(false, 0xa1b23c4d, 0);
  Bytes b = a;
  for (uint32_t i = 0; i < 40; i++) {
    (i % 2 == 0 ? a : b) += pcap_record(false, kBegin + i, 0, numbered(i, i % 5 == 0 ? 262'144 : 64), 262'144);
  }
  save(dir.file("a"), a);
  save(dir.file("b"), b);
  for (const size_t held : {0, 3}) {
    const Many many = read_many(dir.file("a") + "," + dir.file("b"), {}, 64, held);
    REQUIRE_FALSE(many.reading.failed);
    REQUIRE(many.reading.packets.size() == 40);
    for (uint32_t i = 0; i < 40; i++) {
      CHECK(many.reading.packets[i].data == numbered(i, i % 5 == 0 ? 262'144 : 64));
    }
  }
}

TEST_CASE("lists, patterns, folders and escapes name what is there, and errors say what is not") {
  const TempDir dir;
  const Bytes one = pcap_at({0}, 1);
  for (const char* name : {"a.pcap", "b.pcap", "with,comma", "star*", "[1]"}) save(dir.file(name), one);
  std::filesystem::create_directory(dir.file("sub"));
  save(dir.file("sub/c.pcap"), one);
  std::filesystem::create_directory(dir.file("empty"));
  std::filesystem::create_directory(dir.file("texts"));
  save(dir.file("texts/a.txt"), Bytes(100, 'x'));
  const auto count = [&](const std::string& target) { return read_many(target).reading.packets.size(); };
  const auto error = [&](const std::string& target) {
    const Reading reading = read_many(target).reading;
    REQUIRE(reading.failed);
    REQUIRE_FALSE(reading.opened);
    return reading.error;
  };
  CHECK(count(dir.file("*.pcap")) == 2);
  CHECK(count(dir.file("?.pcap") + "," + dir.file("sub")) == 3);
  CHECK(count(dir.file("sub/")) == 1);
  CHECK(count(dir.file("with,comma")) == 1);
  CHECK(count(dir.file("a.pcap") + "," + dir.file("with,comma")) == 2);
  CHECK(count(dir.file("with\\,comma") + "," + dir.file("a.pcap")) == 2);
  CHECK(count(dir.file("star*")) == 1);
  CHECK(count(dir.file("star\\*") + "," + dir.file("[1]")) == 2);
  CHECK(count(dir.file("a.pcap") + "," + dir.file("a.pcap")) == 2);

  CHECK(error(dir.file("*.erf")).code == Code::kFileOpen);
  CHECK(error(dir.file("*.erf")).message == dir.file("*.erf") + ": matches no file");
  CHECK(error(dir.file("empty")).message == dir.file("empty") + ": no file is in this folder");
  CHECK(error(dir.file("texts")).code == Code::kFileOpen);
  CHECK(error(dir.file("texts")).message ==
        dir.file("texts") + ": no trace is in this folder: none of its 1 files is one");
  CHECK(error(dir.file("texts") + "," + dir.file("a.pcap")).code == Code::kFileOpen);
  CHECK(error(dir.file("a.pcap") + ",").code == Code::kBadUri);
  CHECK(error(dir.file("a.pcap") + ",," + dir.file("b.pcap")).message.find("there is a comma too many") != Bytes::npos);
  CHECK(error(dir.file("a.pcap") + "," + dir.file("missing")).code == Code::kFileOpen);
  CHECK(error(dir.file("a.pcap") + "," + dir.file("missing")).message.find(dir.file("missing") + ": cannot open") == 0);
  CHECK(error(dir.file("a.pcap") + "," + dir.file("texts/a.txt")).code == Code::kFileFormat);
}

TEST_CASE("a pipe among the traces is waited for, and read once") {
  const TempDir dir;
  save(dir.file("a"), pcap_at({1, 3, 5}, 0));
  const std::string pipe = dir.file("pipe");
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  std::thread writer([&] {
    std::ofstream out(pipe, std::ios::binary);
    const Bytes bytes = pcap_at({2, 4, 6}, 10);
    for (size_t at = 0; at < bytes.size(); at += 50) {
      out.write(bytes.data() + at, static_cast<std::streamsize>(std::min<size_t>(50, bytes.size() - at)));
      out.flush();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  const Many many = read_many(dir.file("a") + "," + pipe);
  writer.join();
  REQUIRE_FALSE(many.reading.failed);
  CHECK(many.reading.info.mode == "stream");
  CHECK(numbers(many.reading) == std::vector<uint32_t>{0, 10, 1, 11, 2, 12});
}

TEST_CASE("more traces than may be open, all at the same time, are an error that says how to mend it") {
  const TempDir dir;
  for (uint32_t file = 0; file < 60; file++)
    save(dir.file(std::to_string(file)), pcap_at({file, 1'000'000'000}, file * 2));
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit few{.rlim_cur = open_descriptors() + 20, .rlim_max = before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &few) == 0);
  const Reading by_time = read_many(dir.path()).reading;
  const Reading given = read_many(dir.path(), in_given_order).reading;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(by_time.failed);
  CHECK(by_time.error.err == EMFILE);
  CHECK(by_time.error.hint.find("ulimit -n") != Bytes::npos);
  REQUIRE_FALSE(given.failed);
  CHECK(given.packets.size() == 120);
}

TEST_CASE("a merge that is closed in the middle lets go of everything, whatever is held or being opened") {
  const TempDir dir;
  for (uint32_t file = 0; file < 30; file++) save(dir.file(std::to_string(file)), pcap_at({file, 50}, file * 2));
  const size_t before = open_descriptors();
  for (uint32_t steps = 0; steps < 8; steps++) {
    auto source = open_file(request_for(dir.path()));
    REQUIRE(source);
    DescBlock block(4);
    RxBatch rx;
    for (uint32_t step = 0; step < steps; step++) rx = (*source)->receive(block, 4);
    (*source)->close();
    CHECK_FALSE((*source)->release(rx.lease == 0 ? 99 : rx.lease));
    CHECK((*source)->receive(block, 4).rx == Rx::kEof);
  }
  // One that is being opened ends by itself.
  for (int i = 0; i < 200 && open_descriptors() > before; i++)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(open_descriptors() == before);
}
