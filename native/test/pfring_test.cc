// What the module and the library may do wrong, and how that ends. Both are stand-ins (native/test/pfring).
#include "backends/pfring/pfring.h"

#include <dlfcn.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include "backends/pfring/ring.h"
#include "backends/pfring/socket.h"
#include "backends/pfring/target.h"
#include "filter/opcodes.h"
#include "test/conformance_lab.h"

namespace ringtap::test {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;
using pfring::parse_target;
using pfring::Target;

/// The stand-ins behave like this for as long as it lives.
class Behaving {
 public:
  explicit Behaving(const char* how) {
    setenv("RINGTAP_STANDIN", how, 1);
    setenv("RINGTAP_LIBPFRING", RINGTAP_PFRING_LIBRARY, 1);
  }
  ~Behaving() { unsetenv("RINGTAP_STANDIN"); }
  Behaving(const Behaving&) = delete;
  Behaving& operator=(const Behaving&) = delete;
};

Options with(std::initializer_list<std::pair<const char*, Options::Value>> values) {
  Options options;
  for (const auto& [name, value] : values) options.set(name, value);
  return options;
}
Options by(const char* path) { return with({{"path", std::string(path)}}); }

Result<std::unique_ptr<Source>> open_target(const std::string& target, Options options = {}) {
  return open_pfring({.uri = "pfring:" + target, .target = target, .options = std::move(options)});
}

Error failure(const std::string& target, Options options = {}) {
  auto opened = open_target(target, std::move(options));
  REQUIRE_FALSE(opened);
  return opened.error();
}

bool has_note(const SourceInfo& info, const std::string& text) {
  return std::ranges::any_of(info.notes, [&](const std::string& note) { return note.find(text) != std::string::npos; });
}

/// Receives until it was `wanted` packets or something else than packets; the numbers seen.
std::vector<uint64_t> take(Source& source, size_t wanted, Rx* ended_with = nullptr) {
  DescBlock block(256);
  std::vector<uint64_t> numbers;
  const auto deadline = Clock::now() + 10s;
  while (numbers.size() < wanted && Clock::now() < deadline) {
    const RxBatch batch = source.receive(block, 256);
    if (batch.rx == Rx::kAgain) {
      wait_for(source, 100);
      continue;
    }
    if (batch.rx != Rx::kOk) {
      if (ended_with != nullptr) *ended_with = batch.rx;
      break;
    }
    for (uint32_t i = 0; i < batch.count; i++) {
      const std::byte* at = source.info().segments[0].base + block.offset[i];
      const auto number = number_of({{at, block.caplen[i]}, block.wirelen[i], block.time[i]});
      REQUIRE(number);
      numbers.push_back(*number);
    }
    source.release(batch.lease);
  }
  return numbers;
}

}  // namespace

TEST_CASE("a target names interfaces, a queue, and the way") {
  const auto target = [](const char* text) { return *parse_target(text, "u"); };
  CHECK(target("eth0").names == std::vector<std::string>{"eth0"});
  CHECK_FALSE(target("eth0").queue);
  CHECK(target("eth0@3").queue == 3u);
  CHECK(target("eth0,eth1@0").names == std::vector<std::string>{"eth0", "eth1"});
  CHECK(target("any").any());
  CHECK(target("stack:eth0").kind == Target::Kind::kStack);
  CHECK(target("zc:eth0@0").kind == Target::Kind::kZeroCopy);
  CHECK(target("zc:eth0@0").names == std::vector<std::string>{"eth0"});
  CHECK(target("zc:eth0@0").text == "zc:eth0@0");
  for (const char* bad : {"", "eth0@", "eth0@x", "eth0@-1", "eth0@64", "eth0@1,2", ",eth0", "eth0,", "@1", "any,eth0",
                          "stack:", "zc:eth0,eth1"}) {
    CAPTURE(bad);
    const auto parsed = parse_target(bad, "u");
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == Code::kBadUri);
  }
  CHECK(parse_target("aninterfacewithalongname", "u").error().code == Code::kNoInterface);
}

TEST_CASE("what can be no interface is never given to the library, which would open files") {
  for (const char* target : {"pcap:/tmp/x", "sysdig:", "stack:pcap:x", "zc:a/b", "eth0,pcap:x"}) {
    CAPTURE(target);
    CHECK(parse_target(target, "uri").error().code == Code::kNoInterface);
  }
}

TEST_CASE("the library brings no libpcap into the process, and no descriptor that children inherit") {
  if (!in_lab()) return;
  const Behaving standin("slots=256");
  for (const char* target : {"rt1", "zc:rt1"}) {
    auto source = open_target(target, by(target == kCaptureHere ? "library" : "auto"));
    REQUIRE(source);
    REQUIRE((*source)->start());
    CHECK(dlsym(RTLD_DEFAULT, "pcap_freecode") == nullptr);
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      const int fd = std::stoi(entry.path().filename());
      std::error_code gone;
      const std::string leads_to = std::filesystem::read_symlink(entry, gone);
      if (!leads_to.starts_with("socket:") && !leads_to.starts_with("anon_inode:")) continue;
      CAPTURE(leads_to);
      if (fd > 2) CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    }
  }
}

TEST_CASE("a missing module, right or library is named, each with its fix") {
  {
    const Behaving missing("socket=97");
    for (const char* target : {"lo", "stack:lo", "zc:lo", "nosuch0"}) {
      const Error error = failure(target);
      CHECK(error.code == Code::kBackendMissing);
      CHECK(error.message.find("kernel module pf_ring is not loaded") != std::string::npos);
      CHECK(error.hint.find("modprobe pf_ring") != std::string::npos);
    }
    CHECK_FALSE(probe_pfring().available);
    CHECK(devices_pfring().empty());
  }
  const Behaving forbidden("socket=1");
  CHECK(failure("lo").code == Code::kNoPermission);
}

TEST_CASE("zero copy without huge pages, driver or licence is named, each with its fix") {
  const auto refusal = [](const char* how) {
    const Behaving behaving(how);
    return failure("zc:lo");
  };
  CHECK(refusal("zcCluster=12").code == Code::kNoMemory);
  CHECK(refusal("zcCluster=12").hint.find("hugepages") != std::string::npos);
  CHECK(refusal("zcCluster=105").code == Code::kNoMemory);
  CHECK(refusal("zcCluster=105").message.find("no huge pages") != std::string::npos);
  CHECK(refusal("zcDevice=105").hint.find("hugepages") != std::string::npos);
  CHECK(refusal("zcDevice=16").code == Code::kBusy);
  CHECK(refusal("zcDevice=1").code == Code::kUnsupported);
  CHECK(refusal("zcDevice=1").err == EPERM);
  CHECK(refusal("zcDevice=1").hint.find("licence") != std::string::npos);
  const Behaving well("");
  CHECK(failure("zc:nosuch0").code == Code::kNoInterface);
  CHECK(failure("zc:lo", by("ring")).code == Code::kBadOption);
}

TEST_CASE("the option queues names a target's queue as @ does, and neither contradicts the other") {
  const auto named = [](const char* text, const std::vector<double>& queues) {
    auto target = *parse_target(text, "u");
    const auto result = pfring::name_queue(target, queues, "u");
    return result ? target.text : "refused: " + result.error().message;
  };
  CHECK(named("eth0", {}) == "eth0");
  CHECK(named("eth0@3", {}) == "eth0@3");
  CHECK(named("eth0", {3.0}) == "eth0@3");
  CHECK(named("zc:eth0", {0.0}) == "zc:eth0@0");
  CHECK(named("eth0@3", {3.0}) == "eth0@3");
  CHECK(named("eth0@3", {2.0}) == "refused: u: queues: the target names queue 3");
  CHECK(named("eth0", {0.0, 1.0}) == "refused: u: queues: PF_RING opens one queue of an interface, or all");
  CHECK(named("eth0", {64.0}) == "refused: u: queues: a queue is a number from 0 to 63");
  CHECK(named("any", {0.0}) == "refused: u: queues: \"any\" has none");
  const Behaving well("");
  CHECK(failure("lo", with({{"queues", std::vector<double>{7.0}}})).code == Code::kBadOption);
  CHECK(open_target("lo", with({{"queues", std::vector<double>{0.0}}})));
}

TEST_CASE("an interface or queue that does not exist is an error on every way") {
  const Behaving well("");
  for (const char* path : {"ring", "library"}) {
    CAPTURE(path);
    const Error unknown = failure("nosuch0", by(path));
    CHECK(unknown.code == Code::kNoInterface);
    CHECK(unknown.err == EINVAL);
    const Error silent = failure("lo@7", by(path));
    CHECK(silent.code == Code::kBadOption);
    CHECK(silent.message.find("does not exist") != std::string::npos);
    CHECK(open_target("lo@0", by(path)));
  }
}

TEST_CASE("options that PF_RING cannot follow are refused") {
  const Behaving well("");
  CHECK(failure("lo", with({{"appName", std::string(32, 'a')}})).code == Code::kBadOption);
  CHECK(failure("lo", with({{"share", 3.0}, {"shareMode", std::string("none")}})).code == Code::kBadOption);
  CHECK(failure("any", with({{"share", 3.0}})).code == Code::kBadOption);
}

TEST_CASE("a ring of another version is read through the library, which the plan says, or not at all") {
  const Behaving newer("version=22");
  const auto opened = open_target("lo");
  REQUIRE(opened);
  CHECK((*opened)->info().mode == "copy");
  CHECK(has_note((*opened)->info(), "version 22"));
  const Error strict = failure("lo", by("ring"));
  CHECK(strict.code == Code::kUnsupported);
  CHECK(strict.message.find("version 22") != std::string::npos);
}

TEST_CASE("a ring that makes no sense is refused") {
  for (const char* how : {"version=0", "header=209", "header=0", "grow=1", "bytes=0", "bytes=8192", "bytes=123456789",
                          "slotLength=0", "slotLength=64", "slotLength=2147483640"}) {
    CAPTURE(how);
    const Behaving behaving(how);
    CHECK(failure("lo").code == Code::kRingCorrupt);
  }
  // A size beyond what is there cannot be mapped.
  const Behaving behaving("bytes=1073741824");
  CHECK(failure("lo").code == Code::kNoMemory);
  const Behaving large("bytes=4294967296");
  CHECK(failure("lo", by("ring")).code == Code::kUnsupported);
}

TEST_CASE("a slot that cannot be one ends the capture behind the last packet before it") {
  if (!in_lab()) return;
  const Behaving behaving("corrupt=100");
  Sender sender(kSendHere);
  auto opened = open_target(kCaptureHere, by("ring"));
  REQUIRE(opened);
  Source& source = **opened;
  REQUIRE(source.start());
  sender.send_numbered(0, 150);
  Rx end = Rx::kAgain;
  const std::vector<uint64_t> numbers = take(source, 150, &end);
  CHECK(numbers.size() == 100);
  CHECK(end == Rx::kError);
  CHECK(source.error().code == Code::kRingCorrupt);
  DescBlock block(16);
  CHECK(source.receive(block, 16).rx == Rx::kError);
  const Stats stats = source.stats();
  CHECK(stats.received == stats.delivered + stats.pending);
}

TEST_CASE("the socket is readable from the watermark on, and not before") {
  if (!in_lab()) return;
  const Behaving well("");
  Sender sender(kSendHere);
  pfring::Settings settings{.target = *parse_target(kCaptureHere, "u"), .watermark = 10, .uri = "u"};
  auto socket = pfring::RingSocket::open(settings, 256);
  REQUIRE(socket);
  const pfring::Ring ring(socket->region());
  REQUIRE(socket->activate());
  sender.send_numbered(0, 9);
  const auto deadline = Clock::now() + 10s;
  while (ring.inserted() < 9 && Clock::now() < deadline) std::this_thread::sleep_for(1ms);
  REQUIRE(ring.inserted() == 9);
  pollfd request{.fd = socket->fd(), .events = POLLIN, .revents = 0};
  CHECK(poll(&request, 1, 100) == 0);
  sender.send_numbered(9, 1);
  CHECK(poll(&request, 1, 10'000) == 1);
}

TEST_CASE("the capture asks for a watermark of 1: one packet makes it ready") {
  if (!in_lab()) return;
  const Behaving well("");
  Sender sender(kSendHere);
  for (const char* path : {"ring", "library"}) {
    auto opened = open_target(kCaptureHere, by(path));
    REQUIRE(opened);
    REQUIRE((*opened)->start());
    sender.send_numbered(0, 1);
    CHECK(take(**opened, 1) == std::vector<uint64_t>{0});
  }
}

TEST_CASE("a full ring loses packets and counts each, a held batch keeps it full, its release ends that") {
  if (!in_lab()) return;
  const Behaving small("slots=64");
  Sender sender(kSendHere);
  auto opened = open_target(kCaptureHere, with({{"path", std::string("ring")}, {"snaplen", 300.0}}));
  REQUIRE(opened);
  Source& source = **opened;
  REQUIRE(source.start());
  DescBlock block(16);
  sender.send_numbered(0, 1);
  REQUIRE(wait_for(source));
  RxBatch held = source.receive(block, 16);
  for (const auto end = Clock::now() + 10s; held.rx == Rx::kAgain && Clock::now() < end;)
    held = source.receive(block, 16);
  REQUIRE(held.rx == Rx::kOk);
  sender.send_numbered(1, 500);
  const auto deadline = Clock::now() + 10s;
  while (source.stats().received < 501 && Clock::now() < deadline) std::this_thread::sleep_for(1ms);
  const Stats full = source.stats();
  CHECK(full.received == 501);
  CHECK(full.dropped > 300);
  CHECK(full.delivered + full.dropped + full.pending == 501);
  Rx end = Rx::kAgain;
  const std::vector<uint64_t> kept = take(source, 500, &end);
  CHECK(end == Rx::kNoBuffer);
  CHECK(kept.size() == full.pending);
  for (size_t i = 0; i < kept.size(); i++) CHECK(kept[i] == i + 1);
  REQUIRE(source.release(held.lease));
  sender.send_numbered(501, 40);
  const std::vector<uint64_t> after = take(source, 40);
  CHECK(after.size() == 40);
  CHECK(after.front() == 501);
  const Stats last = source.stats();
  CHECK(last.delivered + last.dropped == 541);
}

TEST_CASE("a program that the module refuses runs in user space, and one of a single instruction does, too") {
  if (!in_lab()) return;
  Sender sender(kSendHere);
  const auto all = std::make_shared<FixedFilter>(Program{{.code = bpf::kRet | bpf::kK, .k = 262144}});
  const auto none = std::make_shared<FixedFilter>(Program{{.code = bpf::kRet | bpf::kK, .k = 0}});
  for (const char* how : {"", "filter=12"}) {
    const Behaving behaving(how);
    auto opened = open_target(kCaptureHere, by("ring"));
    auto deaf = open_target(kCaptureHere, by("ring"));
    REQUIRE(opened);
    REQUIRE(deaf);
    const auto placed = (*opened)->set_filter(all);
    REQUIRE(placed);
    CHECK(placed->where == (*how == '\0' ? FilterPlace::kKernel : FilterPlace::kUser));
    REQUIRE((*deaf)->set_filter(none));
    REQUIRE((*opened)->start());
    REQUIRE((*deaf)->start());
    sender.send_numbered(0, 20);
    CHECK(take(**opened, 20).size() == 20);
    CHECK(take(**deaf, 0).empty());
    DescBlock block(16);
    CHECK((*deaf)->receive(block, 16).rx == Rx::kAgain);
    CHECK((*deaf)->stats().delivered == 0);
  }
}

TEST_CASE("a time that is not the kernel's is used only when the NIC was asked, and says so") {
  if (!in_lab()) return;
  const Behaving shifted("nicClock=5000000000");
  Sender sender(kSendHere);
  for (const char* path : {"ring", "library"}) {
    for (const bool hardware : {false, true}) {
      CAPTURE(path);
      CAPTURE(hardware);
      auto opened =
          open_target(kCaptureHere,
                      with({{"path", std::string(path)}, {"timestamp", std::string(hardware ? "hardware" : "auto")}}));
      REQUIRE(opened);
      Source& source = **opened;
      REQUIRE(source.start());
      sender.send_numbered(0, 1);
      DescBlock block(4);
      RxBatch batch;
      for (const auto end = Clock::now() + 10s; batch.rx != Rx::kOk && Clock::now() < end;) {
        wait_for(source, 100);
        batch = source.receive(block, 4);
      }
      REQUIRE(batch.rx == Rx::kOk);
      // A veth stamps nothing, which the plan says; what the module claims is still told apart packet by packet.
      CHECK((block.flags[0] & kFlagHardwareTime) == (hardware ? uint32_t{kFlagHardwareTime} : 0));
      const auto now = std::chrono::system_clock::now().time_since_epoch();
      const double age =
          static_cast<double>(std::chrono::nanoseconds(now).count() - source.info().epoch_ns) - block.time[0];
      // The stand-in's NIC is five seconds ahead.
      if (!hardware) CHECK(age >= 0);
      source.release(batch.lease);
    }
  }
}

TEST_CASE("what the library's functions answer becomes a typed error") {
  if (!in_lab()) return;
  Sender sender(kSendHere);
  const auto start_error = [](const char* how) {
    const Behaving behaving(how);
    auto opened = open_target(kCaptureHere, by("library"));
    REQUIRE(opened);
    auto started = (*opened)->start();
    REQUIRE_FALSE(started);
    return started.error().code;
  };
  CHECK(start_error("enable=-1") == Code::kSystem);
  CHECK(start_error("enable=-7") == Code::kUnsupported);
  CHECK(start_error("enable=-13") == Code::kNoInterface);
  CHECK(start_error("enable=-14") == Code::kBackendMissing);
  for (const char* how : {"recv=-1", "recv=-2", "recv=-12"}) {
    const Behaving behaving(how);
    auto opened = open_target(kCaptureHere, by("library"));
    REQUIRE(opened);
    REQUIRE((*opened)->start());
    Rx end = Rx::kAgain;
    CHECK(take(**opened, 1, &end).empty());
    CHECK(end == Rx::kError);
    CHECK((*opened)->error().syscall == "pfring_recv");
    CHECK((*opened)->error().message.find(how + 5) != std::string::npos);
  }
}

TEST_CASE("the end of an unlicensed trial of zero copy is an error, behind the last packet") {
  if (!in_lab()) return;
  const Behaving trial("zcTrial=30");
  Sender sender(kSendHere);
  auto opened = open_target("zc:" + kCaptureHere);
  REQUIRE(opened);
  Source& source = **opened;
  CHECK(has_note(source.info(), "no licence"));
  REQUIRE(source.start());
  sender.send_numbered(0, 30);
  CHECK(take(source, 30).size() == 30);
  Rx end = Rx::kAgain;
  sender.send_numbered(30, 1);
  CHECK(take(source, 1, &end).empty());
  CHECK(end == Rx::kError);
  CHECK(source.error().code == Code::kUnsupported);
  CHECK(source.error().message.find("trial") != std::string::npos);
}

}  // namespace ringtap::test
