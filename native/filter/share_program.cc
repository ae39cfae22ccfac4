#include "filter/share_program.h"

namespace ringtap {
namespace {

using namespace ebpf;
using namespace share_hash;

constexpr uint32_t kLookupHelper = 1, kUpdateHelper = 2, kLoadRelativeHelper = 68;
constexpr uint32_t kFromNetworkHeader = 1;  // BPF_HDR_START_NET
constexpr int16_t kSkbProtocol = 16;        // in struct __sk_buff

constexpr Reg kContext = R6;
constexpr Reg kAt = R7;  // from the network header
constexpr Reg kSourceEnd = R8;
constexpr Reg kDestinationEnd = R9;

// On the stack.
constexpr int16_t kHeader = -40;  // what was loaded
constexpr int16_t kKey = -56;
constexpr int16_t kFirst = -60;  // whether it is a first fragment
constexpr int16_t kProtocol = -64;
constexpr int16_t kHash = -68;

constexpr int16_t header(int offset) { return static_cast<int16_t>(kHeader + offset); }
constexpr int16_t key(int offset) { return static_cast<int16_t>(kKey + offset); }

/// Which headers are read: those of the packet, or those that an ICMP error quotes.
enum class Layer : uint8_t { kOuter, kQuoted };

class Emitter {
 public:
  Emitter(ShareHash how, const ShareMaps& maps) : how_(how), maps_(maps) {}

  Result<EbpfProgram> emit() {
    as_.mov64(kContext, R1);
    as_.mov64(kAt, 0);
    if (remembers()) as_.store(Size::kWord, R10, kFirst, 0);
    as_.load(Size::kWord, kSourceEnd, kContext, kSkbProtocol);
    as_.from_network(Size::kHalf, kSourceEnd);
    skip_tags();
    as_.jump32(Jump::kEqual, kSourceEnd, 0x86dd, ipv6_);
    as_.jump32(Jump::kNotEqual, kSourceEnd, 0x0800, unknown_);
    ipv4(Layer::kOuter, unknown_);
    as_.bind(ipv6_);
    ipv6(Layer::kOuter, unknown_);
    as_.bind(unknown_);
    as_.mov64(R0, 0);
    as_.exit();
    if (uses_quotes(how_)) {
      // A quote that is cut: by the addresses of the error itself, which are still there.
      as_.bind(quoted4_);
      ipv4(Layer::kQuoted, no_ports_);
      as_.bind(quoted6_);
      ipv6(Layer::kQuoted, no_ports_);
    }
    finish();
    return as_.finish();
  }

 private:
  bool remembers() const { return uses_ports(how_) && maps_.fragments >= 0; }

  /// `count` bytes to kHeader.
  void load(uint32_t count, Label missing) {
    as_.mov64(R1, kContext);
    as_.mov64(R2, kAt);
    as_.mov64(R3, R10);
    as_.alu64(Alu::kAdd, R3, kHeader);
    as_.mov64(R4, count);
    as_.mov64(R5, kFromNetworkHeader);
    as_.call(kLoadRelativeHelper);
    as_.jump64(Jump::kNotEqual, R0, 0, missing);
  }

  void read(Size size, Reg to, int offset) {
    as_.load(size, to, R10, header(offset));
    as_.from_network(size, to);
  }

  /// Tags that are in the bytes. The ethertype is in kSourceEnd.
  void skip_tags() {
    const Label network = as_.label();
    for (uint32_t i = 0; i < kMostTags; i++) {
      const Label tagged = as_.label();
      for (const uint32_t type : {0x8100u, 0x88a8u, 0x9100u, 0x9200u}) {
        as_.jump32(Jump::kEqual, kSourceEnd, type, tagged);
      }
      as_.jump(network);
      as_.bind(tagged);
      load(4, unknown_);
      read(Size::kHalf, kSourceEnd, 2);
      as_.alu64(Alu::kAdd, kAt, 4);
    }
    as_.bind(network);
  }

  void ipv4(Layer layer, Label missing) {
    const Label whole = as_.label();
    load(20, missing);
    read(Size::kByte, R1, 0);
    as_.mov32(R2, R1);
    as_.alu32(Alu::kRsh, R2, 4);
    as_.jump32(Jump::kNotEqual, R2, 4, missing);
    as_.alu32(Alu::kAnd, R1, 15);
    as_.jump32(Jump::kLess, R1, 5, missing);
    as_.alu32(Alu::kLsh, R1, 2);
    as_.alu64(Alu::kAdd, kAt, R1);
    read(Size::kWord, kSourceEnd, 12);
    read(Size::kWord, kDestinationEnd, 16);
    read(Size::kByte, R2, 9);
    as_.store(Size::kWord, R10, kProtocol, R2);
    read(Size::kHalf, R3, 6);
    as_.alu32(Alu::kAnd, R3, 0x3fff);
    as_.jump32(Jump::kEqual, R3, 0, whole);
    read(Size::kHalf, R4, 4);
    fragment(layer, 4, 0x1fff);
    as_.bind(whole);
    transport(layer, 4);
  }

  void ipv6(Layer layer, Label missing) {
    load(40, missing);
    read(Size::kByte, R1, 0);
    as_.alu32(Alu::kRsh, R1, 4);
    as_.jump32(Jump::kNotEqual, R1, 6, missing);
    address6(kSourceEnd, 8);
    address6(kDestinationEnd, 24);
    read(Size::kByte, R1, 6);
    as_.store(Size::kWord, R10, kProtocol, R1);
    as_.alu64(Alu::kAdd, kAt, 40);
    const Label end = as_.label();
    for (uint32_t i = 0; i < kMostExtensions; i++) extension(layer, end);
    as_.bind(end);
    transport(layer, 6);
  }

  void address6(Reg to, int offset) {
    read(Size::kWord, to, offset);
    for (int word = 1; word < 4; word++) {
      as_.alu32(Alu::kMul, to, kSpread);
      read(Size::kWord, R1, offset + word * 4);
      as_.alu32(Alu::kAdd, to, R1);
    }
  }

  void extension(Layer layer, Label end) {
    const Label options = as_.label(), authentication = as_.label(), piece = as_.label(), next = as_.label();
    as_.load(Size::kWord, R1, R10, kProtocol);
    as_.jump32(Jump::kEqual, R1, 44, piece);
    as_.jump32(Jump::kEqual, R1, 51, authentication);
    for (const uint32_t protocol : {0u, 43u, 60u}) as_.jump32(Jump::kEqual, R1, protocol, options);
    as_.jump(end);

    as_.bind(options);
    skip_extension(1, 3);
    as_.jump(next);
    as_.bind(authentication);
    skip_extension(2, 2);
    as_.jump(next);

    as_.bind(piece);
    load(8, no_ports_);
    as_.alu64(Alu::kAdd, kAt, 8);
    read(Size::kByte, R2, 0);
    as_.store(Size::kWord, R10, kProtocol, R2);
    read(Size::kHalf, R3, 2);
    as_.alu32(Alu::kAnd, R3, 0xfff9);
    as_.jump32(Jump::kEqual, R3, 0, next);
    read(Size::kWord, R4, 4);
    fragment(layer, 6, 0xfff8);
    as_.bind(next);
  }

  void skip_extension(uint32_t more, uint32_t shift) {
    load(2, no_ports_);
    read(Size::kByte, R1, 0);
    as_.store(Size::kWord, R10, kProtocol, R1);
    read(Size::kByte, R1, 1);
    as_.alu32(Alu::kAdd, R1, more);
    as_.alu32(Alu::kLsh, R1, shift);
    as_.alu64(Alu::kAdd, kAt, R1);
  }

  /// A piece of a datagram: R2 is its protocol, R3 its offset, of which `bits` tell a later one, R4 its id.
  void fragment(Layer layer, uint32_t version, uint32_t bits) {
    as_.alu32(Alu::kAnd, R3, bits);
    if (layer == Layer::kQuoted || !remembers()) {
      as_.jump32(Jump::kNotEqual, R3, 0, no_ports_);
      return;
    }
    as_.store(Size::kWord, R10, key(0), kSourceEnd);
    as_.store(Size::kWord, R10, key(4), kDestinationEnd);
    as_.store(Size::kWord, R10, key(8), R4);
    as_.alu32(Alu::kOr, R2, version << 8);
    as_.store(Size::kWord, R10, key(12), R2);
    as_.jump32(Jump::kNotEqual, R3, 0, later_);
    as_.store(Size::kWord, R10, kFirst, 1);
  }

  void transport(Layer layer, uint32_t version) {
    const Label ports = as_.label(), icmp = as_.label();
    const bool quotes = layer == Layer::kOuter && uses_quotes(how_);
    as_.load(Size::kWord, R1, R10, kProtocol);
    if (uses_ports(how_)) {
      for (const uint32_t protocol : {6u, 17u, 33u, 132u, 136u}) as_.jump32(Jump::kEqual, R1, protocol, ports);
    }
    if (quotes) as_.jump32(Jump::kEqual, R1, version == 4 ? 1u : 58u, icmp);
    as_.jump(no_ports_);
    if (uses_ports(how_)) {
      as_.bind(ports);
      read_ports();
    }
    if (quotes) {
      as_.bind(icmp);
      quote(version);
    }
  }

  void read_ports() {
    const Label plain = as_.label();
    load(4, no_ports_);
    read(Size::kHalf, R1, 0);
    read(Size::kHalf, R2, 2);
    as_.load(Size::kWord, R3, R10, kProtocol);
    as_.jump32(Jump::kNotEqual, R3, 17, plain);
    for (const uint32_t port : kTunnelPorts) {
      as_.jump32(Jump::kEqual, R1, port, no_ports_);
      as_.jump32(Jump::kEqual, R2, port, no_ports_);
    }
    as_.bind(plain);
    as_.alu32(Alu::kMul, kSourceEnd, kSpread);
    as_.alu32(Alu::kAdd, kSourceEnd, R1);
    as_.alu32(Alu::kMul, kDestinationEnd, kSpread);
    as_.alu32(Alu::kAdd, kDestinationEnd, R2);
    as_.jump(mix_);
  }

  /// On to what an error quotes.
  void quote(uint32_t version) {
    const Label error = as_.label();
    load(1, no_ports_);
    read(Size::kByte, R1, 0);
    if (version == 4) {
      for (const uint32_t type : {3u, 4u, 5u, 11u, 12u}) as_.jump32(Jump::kEqual, R1, type, error);
      as_.jump(no_ports_);
    } else {
      as_.jump32(Jump::kEqual, R1, 0, no_ports_);
      as_.jump32(Jump::kGreater, R1, 4, no_ports_);
    }
    as_.bind(error);
    as_.alu64(Alu::kAdd, kAt, 8);
    as_.jump(version == 4 ? quoted4_ : quoted6_);
  }

  void finish() {
    if (remembers()) recall();
    as_.bind(no_ports_);
    as_.alu32(Alu::kMul, kSourceEnd, kSpread);
    as_.alu32(Alu::kMul, kDestinationEnd, kSpread);
    as_.bind(mix_);
    mix();
    if (!remembers()) return as_.exit();
    const Label done = as_.label();
    as_.load(Size::kWord, R1, R10, kFirst);
    as_.jump32(Jump::kEqual, R1, 0, done);
    as_.store(Size::kWord, R10, kHash, R0);
    as_.load_map(R1, maps_.fragments);
    point_at(R2, kKey);
    point_at(R3, kHash);
    as_.mov64(R4, 0);
    as_.call(kUpdateHelper);
    as_.load(Size::kWord, R0, R10, kHash);
    as_.bind(done);
    as_.exit();
  }

  /// A later fragment: where the first one went.
  void recall() {
    const Label orphan = as_.label();
    as_.bind(later_);
    as_.load_map(R1, maps_.fragments);
    point_at(R2, kKey);
    as_.call(kLookupHelper);
    as_.jump64(Jump::kEqual, R0, 0, orphan);
    as_.load(Size::kWord, R0, R0, 0);
    as_.exit();
    as_.bind(orphan);
    if (maps_.orphans >= 0) {
      as_.load_map_value(R1, maps_.orphans);
      as_.mov64(R2, 1);
      as_.add_atomically(Size::kDouble, R1, 0, R2);
    }
  }

  void point_at(Reg to, int16_t offset) {
    as_.mov64(to, R10);
    as_.alu64(Alu::kAdd, to, offset);
  }

  /// The hash of both ends in R0.
  void mix() {
    switch (how_) {
      case ShareHash::kUnidirectional:
        as_.mov32(R0, kSourceEnd);
        as_.mov32(R2, kDestinationEnd);
        break;
      case ShareHash::kSource:
        as_.mov32(R0, kSourceEnd);
        as_.mov32(R2, 0);
        break;
      case ShareHash::kDestination:
        as_.mov32(R0, kDestinationEnd);
        as_.mov32(R2, 0);
        break;
      default:
        as_.mov32(R0, kSourceEnd);
        as_.alu32(Alu::kXor, R0, kDestinationEnd);
        as_.mov32(R2, kSourceEnd);
        as_.alu32(Alu::kAdd, R2, kDestinationEnd);
    }
    fold_down(16);
    as_.alu32(Alu::kMul, R0, kMixFirst);
    as_.alu32(Alu::kAdd, R0, R2);
    fold_down(13);
    as_.alu32(Alu::kMul, R0, kMixSecond);
    fold_down(16);
  }

  void fold_down(uint32_t bits) {
    as_.mov32(R3, R0);
    as_.alu32(Alu::kRsh, R3, bits);
    as_.alu32(Alu::kXor, R0, R3);
  }

  const ShareHash how_;
  const ShareMaps maps_;
  Assembler as_;
  const Label ipv6_ = as_.label(), unknown_ = as_.label(), quoted4_ = as_.label(), quoted6_ = as_.label();
  const Label later_ = as_.label(), no_ports_ = as_.label(), mix_ = as_.label();
};

}  // namespace

Result<EbpfProgram> share_program(ShareHash how, const ShareMaps& maps) { return Emitter(how, maps).emit(); }

}  // namespace ringtap
