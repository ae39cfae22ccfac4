// Parts of afxdp by themselves: clocks, type information, sending.
#include "backends/afxdp/afxdp.h"

#include <doctest/doctest.h>
#include <linux/btf.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>
#include <numeric>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "backends/afxdp/btf.h"
#include "backends/afxdp/clock.h"
#include "backends/afxdp/frames.h"
#include "backends/afxdp/inline_nic.h"
#include "backends/afxdp/source.h"
#include "backends/afxdp/xsk.h"
#include "core/byte_order.h"
#include "core/checksum.h"
#include "filter/opcodes.h"
#include "test/conformance_lab.h"

namespace ringtap::test {

namespace {

using namespace std::chrono_literals;
using afxdp::ClockOffset;
using Clock = std::chrono::steady_clock;

std::unique_ptr<Source> opened(const std::string& interface, Options options = {}) {
  auto source = open_afxdp({.uri = "afxdp:" + interface, .target = interface, .options = std::move(options)});
  REQUIRE_MESSAGE(bool(source), source.error().message);
  return *std::move(source);
}

/// Sends what reserve() has room for, numbered from `first`; the next number.
uint64_t send_some(Tx& tx, uint64_t first, uint64_t most) {
  uint64_t number = first;
  for (; number < first + most; number++) {
    const auto room = tx.reserve();
    if (room.empty()) break;
    const Bytes frame = numbered_frame(number);
    REQUIRE(frame.size() <= room.size());
    std::memcpy(room.data(), frame.data(), frame.size());
    tx.submit(static_cast<uint32_t>(frame.size()));
  }
  return number;
}

/// Receives until `wanted` have come, each in its place, from `first` on.
uint64_t receive_numbered(Source& source, uint64_t first, uint64_t wanted) {
  DescBlock block(256);
  uint64_t next = first;
  const auto deadline = Clock::now() + 10s;
  while (next < first + wanted && Clock::now() < deadline) {
    const RxBatch batch = source.receive(block, 256);
    if (batch.rx == Rx::kAgain) {
      wait_for(source, 100);
      continue;
    }
    REQUIRE(batch.rx == Rx::kOk);
    for (uint32_t i = 0; i < batch.count; i++) {
      const std::byte* at = source.info().segments[0].base + block.offset[i];
      REQUIRE(number_of({{at, block.caplen[i]}, block.wirelen[i], block.time[i]}) == next);
      next++;
    }
    source.release(batch.lease);
  }
  return next - first;
}

void flush_all(Tx& tx) {
  const auto deadline = Clock::now() + 10s;
  do {
    const auto flushed = tx.flush();
    REQUIRE_MESSAGE(bool(flushed), flushed.error().message);
  } while (tx.stats().queued > 0 && Clock::now() < deadline);
}

}  // namespace

TEST_CASE("of all looks at the clocks the sharpest counts, until one contradicts it") {
  ClockOffset clock;
  clock.observe(1'000, 501'100, 1'200);
  CHECK(clock.ns() == 500'000);
  // Interrupted between the clocks: as true, but blunt.
  clock.observe(2'000, 502'000, 52'000);
  CHECK(clock.ns() == 500'000);
  clock.observe(60'000, 560'060, 60'020);
  CHECK(clock.ns() == 500'050);
  // Within what both looks leave open.
  clock.observe(70'000, 570'220, 70'200);
  CHECK(clock.ns() == 500'050);
  // Somebody set the clock: back by 2 µs, then a day ahead, at first seen badly.
  clock.observe(80'000, 578'110, 80'100);
  CHECK(clock.ns() == 498'060);
  constexpr int64_t kDay = 86'400'000'000'000;
  clock.observe(90'000, kDay + 598'000, 110'000);
  CHECK(clock.ns() == kDay + 498'000);
  clock.observe(120'000, kDay + 618'060, 120'020);
  CHECK(clock.ns() == kDay + 498'050);
}

TEST_CASE("kernel functions are found by name in type information") {
  std::ifstream file("/sys/kernel/btf/vmlinux", std::ios::binary);
  const std::vector<char> btf{std::istreambuf_iterator<char>(file), {}};
  if (btf.empty()) return;
  const auto bytes = std::as_bytes(std::span(btf));
  const auto id = afxdp::find_function(bytes, "vfs_read");
  REQUIRE(id);
  CHECK(*afxdp::kernel_function("vfs_read") == *id);
  CHECK_FALSE(afxdp::find_function(bytes, "vfs_rea"));
  CHECK_FALSE(afxdp::find_function(bytes, "vfs_read_of_another_kernel"));
  CHECK(afxdp::kernel_function("no_such_function").error().code == Code::kUnsupported);
  // Without its end it has no names; with a wild header nothing beyond it is read.
  CHECK_FALSE(afxdp::find_function(bytes.first(bytes.size() / 2), "vfs_read"));
  std::vector<std::byte> damaged(bytes.begin(), bytes.end());
  for (size_t i = 0; i < sizeof(btf_header); i++) {
    const std::byte was = std::exchange(damaged[i], ~damaged[i]);
    afxdp::find_function(damaged, "vfs_read");
    damaged[i] = was;
  }
  CHECK(afxdp::find_function(damaged, "vfs_read") == id);
}

TEST_CASE("of what leases may pin each one finds its share, whatever the others took") {
  std::mt19937 random(3);
  for (const auto& [pieces, leases] : {std::pair{8192u, 32u}, {2048u, 32u}, {64u, 1u}, {8u, 8u}, {256u, 200u}}) {
    afxdp::Quota quota(pieces, leases);
    std::vector<uint32_t> taken;
    for (int step = 0; step < 2'000; step++) {
      if (taken.size() < leases && random() % 3 != 0) {
        REQUIRE(quota.most() >= 1);
        taken.push_back(random() % 4 == 0 ? 1 : quota.most());
        quota.take(taken.back());
      } else if (!taken.empty()) {
        std::swap(taken[random() % taken.size()], taken.back());
        quota.give(taken.back());
        taken.pop_back();
      }
      REQUIRE(std::accumulate(taken.begin(), taken.end(), 0u) <= pieces);
    }
  }
}

TEST_CASE("opening that waits for a queue ends when nobody waits for it, and leaves nothing behind") {
  if (!in_lab()) return;
  const auto holder = opened(kCaptureHere);
  REQUIRE(holder->start_tx());
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  for (const bool transmit : {false, true}) {
    *cancelled = false;
    auto waiting =
        open_afxdp({.uri = "afxdp:" + kCaptureHere, .target = kCaptureHere, .options = {}, .cancelled = cancelled});
    REQUIRE(waiting);
    std::thread canceller([&] {
      std::this_thread::sleep_for(50ms);
      *cancelled = true;
    });
    const auto asked = Clock::now();
    const auto started = transmit ? (*waiting)->start_tx() : (*waiting)->start();
    canceller.join();
    REQUIRE_FALSE(started);
    CHECK(started.error().code == Code::kClosed);
    CHECK(Clock::now() - asked < 1s);  // and not the two seconds of its patience
  }
  holder->close();
  // The interface has neither its program nor its socket.
  CHECK(opened(kCaptureHere)->start());
}

TEST_CASE("the sockets of a namespace are counted until they are closed") {
  if (!in_lab()) return;
  const uint32_t before = afxdp::living_sockets().value();
  const UniqueFd one(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  {
    const UniqueFd other(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
    REQUIRE((one && other));
    CHECK(afxdp::living_sockets().value() == before + 2);
  }
  CHECK(afxdp::living_sockets().value() == before + 1);
}

TEST_CASE("a held batch pins what it shows: what a filter in user space rejects goes on being received") {
  if (!in_lab()) return;
  using namespace bpf;
  // Odd numbers only. The others are rejected by a step back, which XDP does not take.
  const Program program{{.code = kJmp | kJa, .k = 1},
                        {.code = kRet | kK, .k = 0},
                        {.code = kLd | kB | kAbs, .k = 14},
                        {.code = kJmp | kJset | kK, .jt = 2, .jf = 0, .k = 1},
                        {.code = kJmp | kJeq | kK, .jt = 0, .jf = 0, .k = 0},
                        {.code = kJmp | kJa, .k = static_cast<uint32_t>(-5)},
                        {.code = kRet | kK, .k = 65535}};
  Options options;
  options.set("frames", 1024.0);
  options.set("batchSize", 64.0);
  const auto receiver = opened(kCaptureHere, options);
  const auto placed = receiver->set_filter(std::make_shared<FixedFilter>(program));
  REQUIRE(placed);
  REQUIRE(placed->where == FilterPlace::kUser);
  REQUIRE(receiver->start());
  Sender sender(kSendHere);
  DescBlock block(256);
  const auto take = [&] {
    uint64_t packets = 0;
    for (RxBatch batch = receiver->receive(block, 256); batch.rx == Rx::kOk; batch = receiver->receive(block, 256)) {
      packets += batch.count;
      receiver->release(batch.lease);
    }
    return packets;
  };
  const auto until_received = [&](uint64_t packets) {
    const auto deadline = Clock::now() + 10s;
    while (receiver->stats().received < packets && Clock::now() < deadline) std::this_thread::sleep_for(1ms);
  };
  for (int i = 0; i < 450; i++) sender.send(numbered_frame(0));
  sender.send(numbered_frame(1));
  until_received(451);
  const RxBatch held = receiver->receive(block, 256);
  REQUIRE(held.rx == Rx::kOk);
  CHECK(held.count == 1);
  for (int i = 0; i < 900; i++) sender.send(numbered_frame(3));
  until_received(451 + 900);
  CHECK(take() == 900);
  const Stats stats = receiver->stats();
  CHECK(stats.dropped == 0);
  CHECK(stats.filtered == 450);
  CHECK(receiver->release(held.lease));
}

TEST_CASE("each frame that was submitted arrives once and in order, however often the ring is full") {
  if (!in_lab()) return;
  const auto receiver = opened(kCaptureHere);
  REQUIRE(receiver->start());
  const auto sender = opened(kSendHere);
  REQUIRE(sender->start_tx());
  Tx& tx = *sender->tx();
  uint64_t sent = 0;
  bool full = false;
  while (sent < 5'000) {
    const uint64_t next = send_some(tx, sent, 5'000 - sent);
    full |= next < 5'000;
    // Nothing goes out before flush().
    if (sent == 0) CHECK(tx.stats().queued == next);
    flush_all(tx);
    REQUIRE(receive_numbered(*receiver, sent, next - sent) == next - sent);
    sent = next;
  }
  CHECK(full);
  const TxStats stats = tx.stats();
  CHECK(stats.accepted == 5'000);
  CHECK(stats.completed == 5'000);
  CHECK(stats.queued == 0);
  CHECK(stats.all_failed() == 0);
}

TEST_CASE("what is cancelled, or too long, is not sent, and its room is used again") {
  if (!in_lab()) return;
  const auto receiver = opened(kCaptureHere);
  REQUIRE(receiver->start());
  const auto sender = opened(kSendHere);
  REQUIRE(sender->start_tx());
  Tx& tx = *sender->tx();
  for (int i = 0; i < 3'000; i++) {
    const auto room = tx.reserve();
    REQUIRE_FALSE(room.empty());
    REQUIRE(tx.reserve().data() == room.data());  // the same until it is submitted
    tx.submit(static_cast<uint32_t>(room.size()) + 1);
    tx.cancel();
    tx.cancel();
    tx.submit(60);  // nothing is reserved
  }
  CHECK(tx.stats().queued == 0);
  CHECK(send_some(tx, 0, 10) == 10);
  flush_all(tx);
  CHECK(receive_numbered(*receiver, 0, 10) == 10);
  CHECK(tx.stats().completed == 10);
}

TEST_CASE("a capture sends while it receives, and its counts add up all along") {
  if (!in_lab()) return;
  const auto left = opened(kSendHere);
  const auto right = opened(kCaptureHere);
  REQUIRE(left->start());
  REQUIRE(right->start());
  const auto look = [&] {
    for (const Source* source : {left.get(), right.get()}) {
      const Stats now = source->stats();
      CHECK(now.received == now.delivered + now.filtered + now.dropped + now.pending);
    }
  };
  uint64_t to_right = 0;
  uint64_t to_left = 0;
  for (int round = 0; round < 40; round++) {
    const uint64_t right_next = send_some(*left->tx(), to_right, 50);
    const uint64_t left_next = send_some(*right->tx(), to_left, 50);
    look();
    flush_all(*left->tx());
    flush_all(*right->tx());
    look();
    CHECK(receive_numbered(*right, to_right, right_next - to_right) == right_next - to_right);
    look();
    CHECK(receive_numbered(*left, to_left, left_next - to_left) == left_next - to_left);
    to_right = right_next;
    to_left = left_next;
  }
  CHECK(to_right == 2'000);
  CHECK(left->tx()->stats().completed == 2'000);
  CHECK(right->tx()->stats().completed == 2'000);
  CHECK(left->stats().delivered == 2'000);
  CHECK(right->stats().delivered == 2'000);
}

namespace {

/// Nothing is changed but the last byte, and packets of every seventh number have no time left.
class LastByte final : public FrameEdit {
 public:
  std::span<std::byte> apply(std::span<std::byte> room) noexcept override {
    if (calls_++ % 7 == 6) return {};
    room.back() = std::byte{0xee};
    return room.subspan(kEditRoom);
  }

 private:
  uint32_t calls_ = 0;
};

}  // namespace

TEST_CASE("frames that were sent come back from the thread that sends to the one that receives, each once") {
  constexpr uint32_t kFrames = 64, kRounds = 50'000;
  afxdp::SentFrames sent(kFrames);
  std::atomic<uint32_t> room{kFrames};
  std::thread sender([&] {
    for (uint64_t next = 0; next < kRounds; next++) {
      while (room.load(std::memory_order_acquire) == 0) std::this_thread::yield();
      room.fetch_sub(1, std::memory_order_relaxed);
      sent.push(next * 2048 + 256);
    }
  });
  uint64_t wrong = 0;
  for (uint64_t next = 0; next < kRounds;) {
    const auto address = sent.pop();
    if (!address) {
      std::this_thread::yield();
      continue;
    }
    wrong += *address != next++ * 2048 + 256;
    room.fetch_add(1, std::memory_order_release);
  }
  sender.join();
  CHECK(wrong == 0);
  CHECK_FALSE(sent.pop());
  // A frame is free when it was sent and its batch is back, in either order, and once.
  afxdp::PassedOn passed(2);
  passed.pass(0);
  passed.pass(1);
  CHECK_FALSE(passed.sent(0));
  CHECK(passed.is_sent(0));
  CHECK(passed.released(0));
  CHECK_FALSE(passed.released(1));
  CHECK(passed.sent(1));
}

TEST_CASE("a frame that is passed on goes out from where it came in, and each frame is always in one place") {
  if (!in_lab()) return;
  Options options;
  options.set("frames", 128.0);
  options.set("batchSize", 8.0);
  const auto left = opened(kSendHere);
  const auto right = opened(kCaptureHere, options);
  REQUIRE(left->start());
  REQUIRE(right->start());
  auto& through = dynamic_cast<afxdp::AfXdp&>(*right);
  const auto balanced = [&] { REQUIRE(through.frame_count().all() == through.frames()); };
  balanced();
  DescBlock block(64);
  std::mt19937 random(11);
  std::vector<Lease> held;
  uint64_t passed = 0;
  uint64_t sent = 0;
  for (int round = 0; round < 400; round++) {
    const uint64_t next = send_some(*left->tx(), sent, 8);
    flush_all(*left->tx());
    for (uint64_t had = sent; had < next;) {
      const RxBatch batch = right->receive(block, 64);
      if (batch.rx == Rx::kNoBuffer) {
        REQUIRE(right->release(held.front()));
        held.erase(held.begin());
        continue;
      }
      if (batch.rx == Rx::kAgain) continue;
      REQUIRE(batch.rx == Rx::kOk);
      balanced();
      had += batch.count;
      std::vector<Passing> packets;
      for (uint32_t i = 0; i < batch.count; i++) {
        packets.push_back({.index = i, .frame = {right->info().segments[0].base + block.offset[i], block.caplen[i]}});
      }
      // What lies elsewhere than the lease has it is not believed.
      Passing wrong = packets[0];
      wrong.frame = {wrong.frame.data() + 2048, wrong.frame.size()};
      CHECK_FALSE(right->can_pass_on(batch.lease, wrong));
      CHECK_FALSE(right->can_pass_on(batch.lease + 1, packets[0]));
      CHECK_FALSE(right->can_pass_on(batch.lease, {.index = 64, .frame = packets[0].frame}));
      wrong.frame = {packets[0].frame.data(), 2048};
      CHECK_FALSE(right->can_pass_on(batch.lease, wrong));
      const auto taken = right->pass_on(batch.lease, packets, nullptr);
      REQUIRE(taken);
      REQUIRE(*taken == batch.count);
      passed += *taken;
      balanced();
      // It went once, and stays as it is until the batch is back.
      CHECK_FALSE(right->can_pass_on(batch.lease, packets[0]));
      const auto again = right->pass_on(batch.lease, packets, nullptr);
      CHECK((again && *again == 0));
      CHECK(number_of({packets[0].frame, block.wirelen[0], block.time[0]}) == had - batch.count);
      if (random() % 2 == 0) {
        held.push_back(batch.lease);
      } else {
        REQUIRE(right->release(batch.lease));
      }
      balanced();
    }
    CHECK(receive_numbered(*left, sent, next - sent) == next - sent);
    sent = next;
  }
  for (const Lease lease : held) REQUIRE(right->release(lease));
  balanced();
  CHECK(passed == 3'200);
  const TxStats stats = right->tx()->stats();
  CHECK(stats.zero_copy == passed);
  CHECK(stats.accepted == passed);
  CHECK(stats.completed == stats.accepted);
  CHECK(stats.all_failed() == 0);
  CHECK(right->stats().dropped == 0);
  const auto count = through.frame_count();
  CHECK(count.kernel == 128);
  CHECK(count.to_send == count.all() - 128);
}

TEST_CASE("what is changed on its way is changed once, and what must not go on is counted") {
  if (!in_lab()) return;
  const auto left = opened(kSendHere);
  const auto right = opened(kCaptureHere);
  REQUIRE(left->start());
  REQUIRE(right->start());
  REQUIRE(send_some(*left->tx(), 0, 70) == 70);
  flush_all(*left->tx());
  DescBlock block(256);
  RxBatch batch;
  for (const auto until = Clock::now() + 10s; batch.rx != Rx::kOk && Clock::now() < until;) {
    if (right->stats().pending == 70) batch = right->receive(block, 256);
  }
  REQUIRE(batch.count == 70);
  std::vector<Passing> packets;
  for (uint32_t i = 0; i < 70; i++) {
    packets.push_back({.index = i, .frame = {right->info().segments[0].base + block.offset[i], block.caplen[i]}});
  }
  LastByte edit;
  const auto taken = right->pass_on(batch.lease, packets, &edit);
  REQUIRE(taken);
  REQUIRE(*taken == 70);
  const TxStats stats = right->tx()->stats();
  CHECK(stats.accepted == 70);
  CHECK(stats.failed[static_cast<size_t>(TxFailure::kTtl)] == 10);
  CHECK(stats.zero_copy == 60);
  CHECK(stats.completed == 60);
  for (uint32_t i = 0; i < 70; i++) CHECK((packets[i].frame.back() == std::byte{0xee}) == (i % 7 != 6));
  CHECK(right->can_pass_on(batch.lease, packets[6]));  // it did not go
  const auto& through = dynamic_cast<const afxdp::AfXdp&>(*right);
  CHECK(through.frame_count().lent == 70);
  right->close();
  CHECK(right->release(batch.lease));
  CHECK_FALSE(right->can_pass_on(batch.lease, packets[6]));
}

namespace {

/// To 10.0.0.`to`, with a number, behind so many VLAN tags.
Bytes packet_to(uint8_t to, uint32_t number, uint32_t tags = 0) {
  const size_t ip = 14 + size_t{4} * tags;
  Bytes frame(ip + 60);
  for (uint32_t i = 0; i < tags; i++) store_big(frame.data() + 12 + size_t{4} * i, uint32_t{0x81000005});
  store_big(frame.data() + ip - 2, uint16_t{0x0800});
  frame[ip] = std::byte{0x45};
  frame[ip + 9] = std::byte{253};
  store_big(frame.data() + ip + 16, uint32_t{0x0a000000} + to);
  store_big(frame.data() + ip + 20, number);
  return frame;
}

forward::Address address_of(uint8_t last) {
  forward::Address made;
  made.bytes = {std::byte{10}, {}, {}, static_cast<std::byte>(last)};
  return made;
}

}  // namespace

TEST_CASE("interfaces of a forwarder share their frames: what came in goes out from there, and none is lost") {
  if (!in_lab()) return;
  auto opened = afxdp::open_inline_nics({kSendHere, kCaptureHere});
  REQUIRE_MESSAGE(opened, opened.error().message);
  forward::Nic& left = *(*opened)[0];
  forward::Nic& right = *(*opened)[1];
  REQUIRE(left.guard({address_of(1)}));
  REQUIRE(right.guard({address_of(2)}));
  // Somebody else may not have them at the same time.
  CHECK(afxdp::open_inline_nics({kSendHere}).error().code == Code::kBusy);

  uint64_t sent = 0;
  uint64_t refused = 0;
  const forward::Nic::Done count = [&](const forward::Frame&, forward::Ledger*, std::optional<forward::Drop> why) {
    (why ? refused : sent)++;
  };
  const auto take = [](forward::Nic& from) {
    std::span<forward::Frame> frames;
    for (const auto until = Clock::now() + 5s; frames.empty() && Clock::now() < until;) frames = from.receive();
    return frames;
  };
  const auto number_in = [](const forward::Frame& frame) {
    return load_big<uint32_t>(frame.data + frame.length - 60 + 20);
  };
  uint32_t next = 0;
  // More often than there are frames.
  for (int round = 0; round < 700; round++) {
    std::vector<Bytes> mine;
    for (uint32_t i = 0; i < 16; i++) mine.push_back(packet_to(2, next + i, i % 3));
    for (Bytes& one : mine) left.queue({.data = one.data(), .length = static_cast<uint32_t>(one.size())}, nullptr);
    left.flush(count);
    for (uint32_t back = 0; back < 16;) {
      const auto frames = take(right);
      REQUIRE_FALSE(frames.empty());
      for (forward::Frame& frame : frames) {
        REQUIRE(number_in(frame) == next + back);
        back++;
        if (back % 5 == 0) continue;  // it is dropped
        store_big(frame.data + frame.length - 60 + 16, uint32_t{0x0a000001});
        right.queue(frame, nullptr);
        if (back % 7 == 0) right.queue(frame, nullptr);  // once more: a copy
      }
      right.flush(count);
    }
    for (uint32_t back = 0; back < 16 - 3 + 2;) back += static_cast<uint32_t>(take(left).size());
    next += 16;
  }
  CHECK(sent == 700u * (16 + 15));
  CHECK(refused == 0);
  CHECK(left.missed() + right.missed() == 0);

  // What is for nobody here is the host's.
  Bytes other = packet_to(3, 0);
  left.queue({.data = other.data(), .length = static_cast<uint32_t>(other.size())}, nullptr);
  left.flush(count);
  CHECK(right.receive().empty());
  // No frame is so long, and the others go.
  Bytes lengthy(9000);
  left.queue({.data = lengthy.data(), .length = 9000}, nullptr);
  left.queue({.data = other.data(), .length = static_cast<uint32_t>(other.size())}, nullptr);
  sent = 0;
  left.flush([&](const forward::Frame& frame, forward::Ledger*, std::optional<forward::Drop> why) {
    CHECK((why == forward::Drop::kTooBig) == (frame.length == 9000));
    sent++;
  });
  CHECK(sent == 2);
}

TEST_CASE("a checksum that was left to the card is told by what it looks like") {
  Bytes frame(14 + 20 + 20 + 5);
  store_big(frame.data() + 12, uint16_t{0x0800});
  frame[14] = std::byte{0x45};
  store_big(frame.data() + 16, uint16_t{45});
  frame[23] = std::byte{6};
  store_big(frame.data() + 26, uint32_t{0x0a000001});
  store_big(frame.data() + 30, uint32_t{0x0a000002});
  const uint64_t pseudo = checksum::pseudo_header(std::span(frame).subspan(26, 8), 6, 25);
  store_big(frame.data() + 34 + 16, checksum::fold(pseudo));
  forward::Frame seen{.data = frame.data(), .length = static_cast<uint32_t>(frame.size())};
  forward::find_partial_sum(seen);
  CHECK(seen.offload.is_partial());
  CHECK(seen.offload.sum_start == 34);
  CHECK(seen.offload.sum_offset == 16);
  forward::complete_sum(seen);
  CHECK(checksum::of(pseudo + checksum::sum(std::span(frame).subspan(34))) == 0);
  forward::Frame whole{.data = frame.data(), .length = seen.length};
  forward::find_partial_sum(whole);
  CHECK_FALSE(whole.offload.is_partial());
}

}  // namespace ringtap::test
