#include <doctest/doctest.h>
#include <poll.h>
#include <rte_mbuf.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <mutex>
#include <random>
#include <thread>

#include "backends/dpdk/module/eal.h"
#include "backends/dpdk/module/filter.h"
#include "backends/dpdk/module/patience.h"
#include "backends/dpdk/module/source.h"
#include "filter/text.h"
#include "filter/validate.h"
#include "libpcap/compile.h"
#include "test/ebpf_frames.h"
#include "test/ebpf_programs.h"
#include "test/expressions.h"

namespace ringtap {

namespace {

using namespace dpdk;
using test::Bytes;

/// A packet of DPDK's, in one piece or several.
class Mbuf {
 public:
  Mbuf(const Bytes& bytes, size_t piece) {
    static rte_mempool* const pool =
        rte_pktmbuf_pool_create("test", 256, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    REQUIRE(pool != nullptr);
    for (size_t at = 0; at < bytes.size(); at += piece) {
      const size_t size = std::min(piece, bytes.size() - at);
      rte_mbuf* part = rte_pktmbuf_alloc(pool);
      REQUIRE(part != nullptr);
      std::memcpy(rte_pktmbuf_append(part, static_cast<uint16_t>(size)), bytes.data() + at, size);
      if (head_ == nullptr) {
        head_ = part;
      } else {
        REQUIRE(rte_pktmbuf_chain(head_, part) == 0);
      }
    }
  }
  ~Mbuf() { rte_pktmbuf_free(head_); }
  Mbuf(const Mbuf&) = delete;
  Mbuf& operator=(const Mbuf&) = delete;
  rte_mbuf* get() const { return head_; }

 private:
  rte_mbuf* head_ = nullptr;
};

void need_eal() {
  const auto started = start_eal({.uri = "test", .pci = "", .huge = EalRequest::Huge::kOff, .arguments = "-m 256"});
  INFO((started ? std::string() : started.error().message));
  REQUIRE(started);
}

std::vector<Bytes> frames(uint64_t seed, size_t count) {
  test::Frames random(seed);
  std::vector<Bytes> result(count);
  for (Bytes& frame : result) frame = random.next();
  return result;
}

void check_alike(const Program& program, const MbufFilter& filter, const Bytes& packet, uint32_t size, size_t piece) {
  const FilterVm vm(program);
  const uint32_t expected = vm.run(packet.data(), size, size);
  const Mbuf mbuf(packet, piece);
  const uint32_t kept = filter.keep(mbuf.get());
  if (kept != expected)
    FAIL("keeps " << kept << ", not " << expected << " of " << size << " bytes\n" << disassemble(program));
}

}  // namespace

TEST_CASE("machine code by DPDK decides as our interpreter does: all expressions") {
  need_eal();
  const auto packets = frames(3, 1000);
  size_t compiled = 0;
  for (const char* expression : test::kExpressions) {
    auto program = compile_filter(expression, 1, 262144);
    if (!program || has_loop(*program)) continue;
    INFO(expression);
    const MbufFilter filter(*program);
    compiled += filter.compiled();
    for (const Bytes& packet : packets) {
      const auto size = static_cast<uint32_t>(packet.size());
      check_alike(*program, filter, packet, size, 2000);
      if (filter.compiled()) check_alike(*program, filter, packet, size, 40);
    }
  }
  CHECK(compiled > std::size(test::kExpressions) * 3 / 4);
}

TEST_CASE("machine code by DPDK decides as our interpreter does: random programs") {
  need_eal();
  const auto packets = frames(4, 1000);
  test::RandomPrograms programs(4, 200);
  std::mt19937 random(4);
  size_t compiled = 0;
  for (int i = 0; i < 20000; i++) {
    const Program program = programs.next(true);
    REQUIRE(bool(validate(program)));
    const MbufFilter filter(program);
    compiled += filter.compiled();
    for (int j = 0; j < 30; j++) {
      const Bytes& packet = packets[random() % packets.size()];
      const auto size = static_cast<uint32_t>(packet.size());
      check_alike(program, filter, packet, size, filter.compiled() && j % 2 != 0 ? 40 : 2000);
    }
  }
  CHECK(compiled > 1000);
}

TEST_CASE("max_leases is true, whatever mbufs and the size of a batch are") {
  for (const double mbufs : {1.0, 256.0, 3000.0, 16384.0}) {
    for (const uint32_t batch_size : {1u, 256u, 4096u, 65536u}) {
      CAPTURE(mbufs);
      CAPTURE(batch_size);
      OpenRequest request;
      request.uri = "dpdk:net_null0";
      request.target = "net_null0";
      request.options.set("mbufs", mbufs);
      request.options.set("batchSize", static_cast<double>(batch_size));
      request.options.set("hugePages", "off");
      request.options.set("eal", "-m 256");
      auto opened = PortSource::open(request);
      INFO((opened ? std::string() : opened.error().message));
      REQUIRE(opened);
      Source& source = **opened;
      REQUIRE(source.start());
      DescBlock block(batch_size);
      const auto next = [&] {
        RxBatch batch = source.receive(block, batch_size);
        for (int i = 0; i < 10'000 && batch.rx == Rx::kAgain; i++) {
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
          batch = source.receive(block, batch_size);
        }
        return batch;
      };
      const uint32_t most = source.info().max_leases;
      REQUIRE(most >= 4);
      std::vector<Lease> held;
      while (held.size() + 1 < most) {
        // Packets keep coming meanwhile, so that batches are as large as they get.
        std::this_thread::sleep_for(std::chrono::microseconds(200));
        const RxBatch batch = next();
        REQUIRE(batch.rx == Rx::kOk);
        held.push_back(batch.lease);
      }
      // One is left to read on with, until all of the ring lies behind what is held.
      RxBatch batch = next();
      uint32_t read = 0;
      for (; batch.rx == Rx::kOk; batch = next(), read++) REQUIRE(source.release(batch.lease));
      CHECK(read > 1);
      CHECK(batch.rx == Rx::kNoBuffer);
      for (const Lease lease : held) REQUIRE(source.release(lease));
      for (int i = 0; i < 1000; i++) {
        batch = next();
        REQUIRE(batch.rx == Rx::kOk);
        REQUIRE(source.release(batch.lease));
      }
      source.close();
      const Stats stats = source.stats();
      CHECK(stats.received == stats.delivered + stats.dropped + stats.pending);
      CHECK(stats.dropped > 0);
    }
  }
}

TEST_CASE("waiting for a lock that another thread has ends when it is given up, and after its time") {
  std::mutex mutex;
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  const std::unique_lock held(mutex);
  std::thread waiting([&] { CHECK_FALSE(lock_within(mutex, std::chrono::minutes(10), cancelled)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  cancelled->store(true);
  waiting.join();
  std::thread([&] { CHECK_FALSE(lock_within(mutex, std::chrono::milliseconds(10))); }).join();
}

TEST_CASE("a wake-up that came when the reader was awake already does not wake it again and again") {
  OpenRequest request;
  request.uri = "dpdk:net_ring0";
  request.target = "net_ring0";
  request.options.set("mbufs", 1024.0);
  request.options.set("hugePages", "off");
  request.options.set("eal", "-m 256");
  auto source = PortSource::open(request);
  INFO((source ? std::string() : source.error().message));
  REQUIRE(source);
  REQUIRE((*source)->start());
  DescBlock block(16);
  REQUIRE((*source)->receive(block, 16).rx == Rx::kAgain);
  pollfd wake{.fd = (*source)->readiness().fd, .events = POLLIN, .revents = 0};
  // As the polling thread writes it when the reader has looked again meanwhile.
  const uint64_t one = 1;
  REQUIRE(write(wake.fd, &one, sizeof one) == sizeof one);
  CHECK((*source)->receive(block, 16).rx == Rx::kAgain);
  CHECK(poll(&wake, 1, 0) == 0);
}

TEST_CASE("a packet that is passed on has two owners, and goes back to its pool with the last of them") {
  need_eal();
  Options options;
  options.set("mbufs", 512.0);
  options.set("hugePages", std::string("off"));
  // What it sends it receives.
  auto opened = PortSource::open({.uri = "dpdk:net_ring7", .target = "net_ring7", .options = options});
  REQUIRE_MESSAGE(opened, opened.error().message);
  Source& source = **opened;
  REQUIRE(source.start());
  const std::byte* base = source.info().segments[0].base;
  DescBlock block(64);
  const auto receive = [&] {
    RxBatch batch;
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (batch.rx != Rx::kOk && std::chrono::steady_clock::now() < until) batch = source.receive(block, 64);
    REQUIRE(batch.rx == Rx::kOk);
    REQUIRE(batch.count == 1);
    return batch;
  };
  Bytes frame(60);
  for (size_t i = 0; i < frame.size(); i++) frame[i] = static_cast<std::byte>(i * 5);
  const TxFrame one[] = {frame};
  REQUIRE(source.tx()->send(one));
  Lease held = 0;
  // More often than there are buffers.
  for (int round = 0; round < 3'000; round++) {
    const RxBatch batch = receive();
    const Passing packet{.index = 0, .frame = {base + block.offset[0], block.caplen[0]}};
    REQUIRE(std::equal(frame.begin(), frame.end(), packet.frame.begin(), packet.frame.end()));
    // What lies elsewhere than the lease has it is not believed.
    CHECK_FALSE(source.can_pass_on(batch.lease, {.index = 1, .frame = packet.frame}));
    CHECK_FALSE(source.can_pass_on(batch.lease, {.index = 0, .frame = {packet.frame.data() + 1, 60}}));
    CHECK_FALSE(source.can_pass_on(batch.lease + 1, packet));
    REQUIRE(source.can_pass_on(batch.lease, packet));
    const auto passed = source.pass_on(batch.lease, {&packet, 1}, nullptr);
    REQUIRE(passed);
    REQUIRE(*passed == 1);
    REQUIRE_FALSE(source.can_pass_on(batch.lease, packet));
    // Before it comes back, or after.
    if (held != 0) REQUIRE(source.release(std::exchange(held, 0)));
    if (round % 3 == 0) {
      held = batch.lease;
    } else {
      REQUIRE(source.release(batch.lease));
    }
  }
  const TxStats stats = source.tx()->stats();
  CHECK(stats.accepted == 3'001);
  CHECK(stats.zero_copy == 3'000);
  CHECK(stats.completed == 3'001);
  CHECK(source.stats().delivered == 3'000);
  source.close();
  if (held != 0) CHECK(source.release(held));
}

}  // namespace ringtap
