// The stage that opens tunnels, over a source whose batches are made by hand.
#include "stages/decap.h"

#include <doctest/doctest.h>

#include <cstring>
#include <deque>
#include <random>

#include "core/region.h"
#include "decode/tunnel.h"
#include "decode_frames.h"
#include "libpcap/compile.h"

using namespace ringtap;
using decode::ethernet;
using decode::Frame;
using decode::hex;
using decode::ipv4;
using decode::kUdpDatagram;
using decode::operator+;  // NOLINT(misc-unused-using-decls): found by no argument, whose type is of std

namespace {

Frame vxlan(uint8_t vni, const Frame& inside) {
  const Frame payload = hex("08000000 0000") + Frame{static_cast<std::byte>(vni), std::byte{0}} + inside;
  return ethernet("0800", ipv4(17, hex("c001 12b5") + decode::u16(8 + payload.size()) + hex("0000") + payload));
}

Frame gre(const Frame& inside) { return ethernet("0800", ipv4(47, hex("0000 0800") + inside)); }

const Frame kPlain = ethernet("0800", ipv4(17, kUdpDatagram));

/// Lends batches of frames; how many are out is seen from outside.
class Made final : public Source {
 public:
  explicit Made(std::deque<std::vector<Frame>> batches, uint32_t* out) : batches_(std::move(batches)), out_(out) {
    region_ = *Region::allocate(1 << 16);
    info_.max_leases = 2;
    info_.segments = {{region_, region_->base(), region_->bytes()}};
  }
  const SourceInfo& info() const noexcept override { return info_; }
  Result<FilterPlacement> set_filter(std::shared_ptr<Filter>) override {
    return Error{.code = Code::kInternal, .message = "the filter is the stage's"};
  }
  Result<Ok> start() override { return Ok{}; }
  RxBatch receive(DescBlock& block, uint32_t max) noexcept override {
    if (batches_.empty()) return {.rx = Rx::kEof};
    if (leases_.full()) return {.rx = Rx::kNoBuffer};
    const std::vector<Frame> frames = std::move(batches_.front());
    batches_.pop_front();
    REQUIRE(frames.size() <= max);
    uint32_t n = 0;
    for (const Frame& frame : frames) {
      std::memcpy(region_->base() + at_, frame.data(), frame.size());
      const auto size = static_cast<uint32_t>(frame.size());
      // Every third has lost a tag to the card.
      const bool is_tagged = sent_ % 3 == 2;
      block.set(n, {.offset = at_,
                    .caplen = size,
                    .wirelen = size,
                    .time_ns = sent_++,
                    .flags = is_tagged ? uint32_t{kFlagVlan} : 0u,
                    .queue = 3,
                    .vlan = is_tagged ? uint16_t{7} : uint16_t{0}});
      n++;
      at_ += size;
    }
    ++*out_;
    return {.rx = Rx::kOk, .count = n, .link_type = 1, .lease = *leases_.acquire(0)};
  }
  bool release(Lease lease) noexcept override {
    const bool was_out = leases_.release(lease).has_value();
    if (was_out) --*out_;
    return was_out;
  }
  Readiness readiness() const noexcept override { return {}; }
  Stats stats() const noexcept override {
    Stats stats;
    stats.received = stats.delivered = static_cast<uint64_t>(sent_);
    return stats;
  }
  const Error& error() const noexcept override { return error_; }
  void close() noexcept override {}

 private:
  std::deque<std::vector<Frame>> batches_;
  uint32_t* out_;
  std::shared_ptr<Region> region_;
  SourceInfo info_;
  LeaseTable leases_{2};
  uint32_t at_ = 0;
  int64_t sent_ = 0;
  Error error_;
};

struct Lab {
  uint32_t out = 0;
  std::unique_ptr<Source> source;
  DescBlock block{16, DescBlock::Tunnels::kTold};

  explicit Lab(std::deque<std::vector<Frame>> batches, DecapSetup setup = {}) {
    setup.batch_size = 16;
    source = make_decap(std::make_unique<Made>(std::move(batches), &out), setup);
  }
  RxBatch receive() { return source->receive(block, 16); }
};

void check_sum(const Source& source) {
  const Stats stats = source.stats();
  CHECK(stats.received == stats.delivered + stats.filtered + stats.dropped + stats.pending);
}

}  // namespace

TEST_CASE("descriptors move to the inner frame, and what is no tunnel passes as it is") {
  Lab lab({{vxlan(5, kPlain), kPlain}});
  const RxBatch batch = lab.receive();
  REQUIRE(batch.rx == Rx::kOk);
  REQUIRE(batch.count == 2);
  CHECK(batch.link_type == 1);
  CHECK(lab.block.offset[0] == 50);
  CHECK(lab.block.caplen[0] == kPlain.size());
  CHECK(lab.block.wirelen[0] == kPlain.size());
  CHECK(lab.block.tunnel[0].id == 5);
  CHECK(lab.block.tunnel[1].about == 0);
  CHECK(lab.block.caplen[1] == kPlain.size());
  CHECK(lab.block.queue[1] == 3);
  CHECK(lab.source->release(batch.lease));
  CHECK_FALSE(lab.source->release(batch.lease));
  CHECK(lab.out == 0);
  check_sum(*lab.source);
}

TEST_CASE("a batch of several link types comes in parts, in order, and its memory goes back with the last of them") {
  const Frame ip = ipv4(17, kUdpDatagram);
  Lab lab({{vxlan(1, kPlain), gre(ip), gre(ip), kPlain}});
  const RxBatch first = lab.receive();
  REQUIRE(first.count == 1);
  CHECK(first.link_type == 1);
  CHECK(lab.source->stats().pending == 3);
  check_sum(*lab.source);
  const RxBatch second = lab.receive();
  REQUIRE(second.count == 2);
  CHECK(second.link_type == 101);
  CHECK(lab.block.time[0] == 1);
  CHECK(lab.block.time[1] == 2);
  CHECK(lab.block.tunnel[1].kind() == TunnelKind::kGre);
  CHECK(lab.source->release(first.lease));
  CHECK(lab.out == 1);
  CHECK(lab.source->release(second.lease));
  CHECK(lab.out == 1);
  const RxBatch third = lab.receive();
  REQUIRE(third.count == 1);
  CHECK(third.link_type == 1);
  CHECK(lab.source->release(third.lease));
  CHECK(lab.out == 0);
  CHECK(lab.receive().rx == Rx::kEof);
  check_sum(*lab.source);
}

TEST_CASE("what is no tunnel is dropped where that is asked for, and counted as filtered") {
  Lab lab({{kPlain, kPlain}, {kPlain, vxlan(9, kPlain), kPlain}}, {.drop_others = true});
  const RxBatch batch = lab.receive();
  REQUIRE(batch.rx == Rx::kOk);
  CHECK(batch.count == 1);
  CHECK(lab.block.tunnel[0].id == 9);
  CHECK(lab.block.time[0] == 3);
  CHECK(lab.source->stats().filtered == 4);
  CHECK(lab.out == 1);
  check_sum(*lab.source);
}

TEST_CASE("the filter sees the inner packet and its tunnel, never the outer one") {
  const auto delivered = [](const std::string& expression) {
    const Frame ip = ipv4(6, decode::kTcpSegment);
    Lab lab({{vxlan(7, kPlain), vxlan(8, kPlain), gre(ip), kPlain}});
    auto placed = lab.source->set_filter(make_filter(expression, kMaxSnaplen));
    REQUIRE_MESSAGE(placed, (placed ? "" : placed.error().message));
    CHECK(placed->where == FilterPlace::kUser);
    std::string times;
    for (RxBatch batch = lab.receive(); batch.rx != Rx::kEof; batch = lab.receive()) {
      for (uint32_t i = 0; i < batch.count; i++) times += std::to_string(static_cast<int>(lab.block.time[i]));
      if (batch.rx == Rx::kOk) lab.source->release(batch.lease);
    }
    CHECK(lab.out == 0);
    check_sum(*lab.source);
    return times;
  };
  CHECK(delivered("udp port 53") == "013");
  CHECK(delivered("udp port 4789") == "");
  CHECK(delivered("tunnel") == "012");
  CHECK(delivered("not tunnel") == "3");
  CHECK(delivered("tunnel vni 8") == "1");
  CHECK(delivered("tunnel vxlan and not tunnel id 0x8") == "0");
  CHECK(delivered("tcp or (udp and tunnel session 7)") == "02");
  CHECK(delivered("tunnel src 10.0.0.1 and tcp") == "2");
  CHECK(delivered("tunnel src 10.0.0.2 or tunnel src 2001:db8::1") == "");
  CHECK(delivered("ether host 02:00:00:00:00:01") == "013");
}

TEST_CASE("in any mixture each packet is what it is by itself, whatever is before it") {
  std::mt19937 random(11);
  const Frame tcp = ethernet("0800", ipv4(6, decode::kTcpSegment));
  const Frame six = ethernet("86dd", hex("60000000 0000 3b 40") + Frame(32));
  const std::vector<Frame> seeds = {vxlan(1, kPlain), vxlan(2, tcp), vxlan(3, vxlan(4, kPlain)),  vxlan(5, six),
                                    kPlain,           tcp,           gre(ipv4(17, kUdpDatagram)), six};
  for (int round = 0; round < 2000; round++) {
    const DecapSetup setup{.drop_others = round % 2 != 0, .snaplen = round % 3 == 0 ? 40 : kMaxSnaplen};
    std::vector<Frame> frames;
    // Mostly what is ordinary, so that there are stretches of it.
    for (uint32_t i = 0; i < 16; i++) frames.push_back(seeds[random() % (random() % 3 == 0 ? seeds.size() : 2)]);
    Lab lab({frames}, setup);
    uint32_t next = 0;
    for (RxBatch batch = lab.receive(); batch.rx == Rx::kOk; batch = lab.receive()) {
      for (uint32_t i = 0; i < batch.count; i++, next++) {
        decode::Inner inner;
        TunnelRow row;
        const auto find = [&] {
          const Frame& frame = frames[next];
          const auto size = static_cast<uint32_t>(frame.size());
          inner = {.at = 0, .caplen = size, .wirelen = size, .link_type = 1};
          row = {};
          return decode::find_inner({frame.data(), size}, size, 1, kAllTunnels, inner, row);
        };
        bool is_opened = find();
        while (!is_opened && setup.drop_others) {
          next++;
          REQUIRE(next < frames.size());
          is_opened = find();
        }
        const DescBlock& block = lab.block;
        const bool is_tagged = next % 3 == 2 && !is_opened;
        REQUIRE(block.time[i] == next);
        REQUIRE(block.queue[i] == 3);
        REQUIRE(batch.link_type == inner.link_type);
        REQUIRE(block.caplen[i] == std::min(inner.caplen, setup.snaplen));
        REQUIRE(block.wirelen[i] == inner.wirelen);
        REQUIRE(block.flags[i] == (is_tagged ? uint32_t{kFlagVlan} : 0u));
        REQUIRE(block.vlan[i] == (is_tagged ? 7 : 0));
        REQUIRE(std::memcmp(&block.tunnel[i], &row, sizeof row) == 0);
      }
      REQUIRE(lab.source->release(batch.lease));
    }
    REQUIRE(lab.out == 0);
    check_sum(*lab.source);
  }
}

TEST_CASE("what `tunnel` lacks is told, with its place") {
  const auto refused = [](const std::string& expression) {
    Lab lab({});
    auto placed = lab.source->set_filter(make_filter(expression, kMaxSnaplen));
    REQUIRE_FALSE(placed);
    CHECK(placed.error().code == Code::kBadFilter);
    return placed.error().position;
  };
  CHECK(refused("udp and tunnel vni") == 18);
  CHECK(refused("tunnel vni x") == 11);
  CHECK(refused("tunnel vni 4294967296") == 11);
  CHECK(refused("tunnel src example") == 11);
  const auto elsewhere = make_filter("tunnel vni 5", kMaxSnaplen)->program({1, FilterTarget::Place::kPacketSocket});
  REQUIRE_FALSE(elsewhere);
  CHECK(elsewhere.error().hint.find("decap") != std::string::npos);
}

TEST_CASE("a snaplen counts from where the inner packet begins") {
  Lab lab({{vxlan(5, kPlain)}}, {.snaplen = 20});
  const RxBatch batch = lab.receive();
  REQUIRE(batch.count == 1);
  CHECK(lab.block.caplen[0] == 20);
  CHECK(lab.block.wirelen[0] == kPlain.size());
}

TEST_CASE("names of tunnels are read, and others are refused") {
  CHECK(*tunnel_kinds("auto") == kAllTunnels);
  CHECK(*tunnel_kinds("vxlan,gtp-u") == (set_of(TunnelKind::kVxlan) | set_of(TunnelKind::kGtpU)));
  CHECK_FALSE(tunnel_kinds("vxlan,"));
  CHECK_FALSE(tunnel_kinds("l2tp"));
}
