#include "filter/opcodes.h"
#include "filter/share_program.h"

namespace ringtap {
namespace {

using namespace bpf;
using namespace share_hash;

/// SKF_NET_OFF: loads from here count from the network header.
constexpr uint32_t kNetwork = 0xfff00000;

// In scratch memory.
constexpr uint32_t kSourceEnd = 0, kDestinationEnd = 1, kAt = 2, kSoFar = 3, kOther = 4;

/// Classic instructions with labels. Jumps lead forwards.
class Classic {
 public:
  using Label = size_t;

  Label label() {
    bound_.push_back(0);
    return bound_.size() - 1;
  }
  void bind(Label label) { bound_[label] = program_.size(); }
  void add(unsigned code, uint32_t k = 0) { program_.push_back({.code = static_cast<uint16_t>(code), .k = k}); }
  void jump(Label to) {
    jumps_.push_back({program_.size(), to});
    add(kJmp | kJa);
  }
  void jump(unsigned when, uint32_t k, Label to) {
    jumps_.push_back({program_.size(), to});
    add(kJmp | when | kK, k);
  }
  Program finish() {
    for (const auto& [at, label] : jumps_) {
      const auto distance = static_cast<uint32_t>(bound_[label] - at - 1);
      if (program_[at].code == (kJmp | kJa)) {
        program_[at].k = distance;
      } else {
        program_[at].jt = static_cast<uint8_t>(distance);
      }
    }
    return std::move(program_);
  }

 private:
  struct Jump {
    size_t at;
    Label to;
  };
  Program program_;
  std::vector<size_t> bound_;
  std::vector<Jump> jumps_;
};

class Emitter {
 public:
  explicit Emitter(ShareHash how) : how_(how) {}

  Program emit() {
    to_.add(kLdx | kImm, 0);
    to_.add(kStx, kAt);
    to_.add(kLd | kW | kAbs, kKernelMetadata);  // the ethertype
    skip_tags();
    const auto ipv6 = to_.label();
    to_.jump(kJeq, 0x86dd, ipv6);
    const auto ipv4 = to_.label();
    to_.jump(kJeq, 0x0800, ipv4);
    to_.add(kRet | kK, 0);
    to_.bind(ipv4);
    read4();
    to_.bind(ipv6);
    read6();
    to_.bind(hash_);
    hash();
    return to_.finish();
  }

 private:
  /// X stays where the headers begin.
  void load(unsigned size, uint32_t offset) { to_.add(kLd | size | kInd, kNetwork + offset); }

  /// A has how far.
  void go_on() {
    to_.add(kAlu | kAdd | kX);
    to_.add(kMisc | kTax);
    to_.add(kStx, kAt);
  }

  void skip_tags() {
    const auto network = to_.label();
    for (uint32_t i = 0; i < kMostTags; i++) {
      const auto tagged = to_.label();
      for (const uint32_t type : {0x8100u, 0x88a8u, 0x9100u, 0x9200u}) to_.jump(kJeq, type, tagged);
      to_.jump(network);
      to_.bind(tagged);
      load(kH, 2);
      to_.add(kSt, kSoFar);
      to_.add(kLd | kImm, 4);
      go_on();
      to_.add(kLd | kMem, kSoFar);
    }
    to_.bind(network);
  }

  void addresses4(uint32_t offset) {
    load(kW, offset + 12);
    to_.add(kSt, kSourceEnd);
    load(kW, offset + 16);
    to_.add(kSt, kDestinationEnd);
  }

  void read4() {
    addresses4(0);
    if (uses_quotes(how_)) {
      const auto icmp = to_.label(), error = to_.label();
      load(kB, 9);
      to_.jump(kJeq, 1, icmp);
      to_.jump(hash_);
      to_.bind(icmp);
      load(kH, 6);
      const auto whole = to_.label();
      const auto later = to_.label();
      to_.jump(kJset, 0x1fff, later);
      to_.jump(whole);
      to_.bind(later);
      to_.jump(hash_);
      to_.bind(whole);
      load(kB, 0);
      to_.add(kAlu | kAnd | kK, 15);
      to_.add(kAlu | kLsh | kK, 2);
      go_on();
      load(kB, 0);
      for (const uint32_t type : {3u, 4u, 5u, 11u, 12u}) to_.jump(kJeq, type, error);
      to_.jump(hash_);
      to_.bind(error);
      addresses4(8);
    }
    to_.jump(hash_);
  }

  void address6(uint32_t offset, uint32_t into) {
    load(kW, offset);
    for (uint32_t word = 1; word < 4; word++) {
      to_.add(kAlu | kMul | kK, kSpread);
      to_.add(kSt, kSoFar);
      load(kW, offset + word * 4);
      to_.add(kLdx | kMem, kSoFar);
      to_.add(kAlu | kAdd | kX);
      to_.add(kLdx | kMem, kAt);
    }
    to_.add(kSt, into);
  }

  void addresses6(uint32_t offset) {
    address6(offset + 8, kSourceEnd);
    address6(offset + 24, kDestinationEnd);
  }

  void read6() {
    addresses6(0);
    if (!uses_quotes(how_)) return;
    const auto icmp = to_.label(), error = to_.label();
    load(kB, 6);
    to_.jump(kJeq, 58, icmp);
    to_.jump(hash_);
    to_.bind(icmp);
    load(kB, 40);
    for (const uint32_t type : {1u, 2u, 3u, 4u}) to_.jump(kJeq, type, error);
    to_.jump(hash_);
    to_.bind(error);
    addresses6(48);
  }

  void hash() {
    for (const uint32_t end : {kSourceEnd, kDestinationEnd}) {
      to_.add(kLd | kMem, end);
      to_.add(kAlu | kMul | kK, kSpread);
      to_.add(kSt, end);
    }
    switch (how_) {
      case ShareHash::kSource:
      case ShareHash::kDestination:
        to_.add(kLd | kImm, 0);
        to_.add(kSt, kOther);
        to_.add(kLd | kMem, how_ == ShareHash::kSource ? kSourceEnd : kDestinationEnd);
        break;
      default:
        to_.add(kLd | kMem, kSourceEnd);
        to_.add(kLdx | kMem, kDestinationEnd);
        to_.add(kAlu | kAdd | kX);
        to_.add(kSt, kOther);
        to_.add(kLd | kMem, kSourceEnd);
        to_.add(kAlu | kXor | kX);
    }
    fold_down(16);
    to_.add(kAlu | kMul | kK, kMixFirst);
    to_.add(kLdx | kMem, kOther);
    to_.add(kAlu | kAdd | kX);
    fold_down(13);
    to_.add(kAlu | kMul | kK, kMixSecond);
    fold_down(16);
    to_.add(kRet | kA);
  }

  void fold_down(uint32_t bits) {
    to_.add(kMisc | kTax);
    to_.add(kAlu | kRsh | kK, bits);
    to_.add(kAlu | kXor | kX);
  }

  const ShareHash how_;
  Classic to_;
  const Classic::Label hash_ = to_.label();
};

}  // namespace

Program classic_share_program(ShareHash how) { return Emitter(how).emit(); }

}  // namespace ringtap
