#include "format/rpcap.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/byte_order.h"
#include "format/rpcap_wire.h"

namespace ringtap::rpcap {
namespace {

uint8_t octet(std::span<const std::byte> bytes, size_t at) noexcept { return std::to_integer<uint8_t>(bytes[at]); }

/// `at` has kPacketBytes.
Packet packet_header(const std::byte* at) noexcept {
  return {.seconds = load_big<uint32_t>(at),
          .micros = load_big<uint32_t>(at + 4),
          .caplen = load_big<uint32_t>(at + 8),
          .wirelen = load_big<uint32_t>(at + 12),
          .number = load_big<uint32_t>(at + 16)};
}

Message damage(const char* what, const char* hint = "") noexcept {
  return {.kind = Message::Kind::kDamaged, .damage = what, .hint = hint};
}

/// What is wrong with the two lengths of a packet's message, the first of which is mended; nullptr: nothing.
const char* fault_of(uint32_t& length, uint32_t caplen, uint32_t most) noexcept {
  if (caplen > most) return "a packet is longer than was asked for";
  const uint32_t needs = kPacketBytes + caplen;
  // WHY: every rpcapd writes 16 bits of the length of a message, so that it lies about a packet of 64 KiB.
  if (length < needs && length == (needs & 0xffff)) length = needs;
  if (length < needs) return "a message ends in the middle of its packet";
  if (length > kPacketBytes + most) return "a message is longer than its packet can be";
  return nullptr;
}

}  // namespace

Message read_message(std::span<const std::byte> bytes, uint32_t most, uint32_t asked) noexcept {
  if (bytes.size() < kMessageBytes) return {.bytes = kMessageBytes};
  if (octet(bytes, 0) != kVersion) return damage("a message is of another version of the protocol");
  if (octet(bytes, 1) == kStretchType) {
    return damage("packets come as udpstr, which a stream cannot carry",
                  "Ask for them over UDP (transport=udp), or start the daemon with -t 0.");
  }
  if (octet(bytes, 1) != kPacketType) return damage("a message is no packet");
  uint32_t length = load_big<uint32_t>(&bytes[4]);
  constexpr size_t kLengths = kMessageBytes + 12;  // to the end of caplen
  if (bytes.size() < kLengths) {
    // Too short for a packet, unless that is what 16 bits hold of one of 64 KiB.
    const bool lies = (1u << 16) + length <= kPacketBytes + std::min(asked, most);
    if (length < kPacketBytes && !lies) return damage("a message is too short for a packet");
    return {.bytes = kLengths};
  }
  if (const char* fault = fault_of(length, load_big<uint32_t>(&bytes[kMessageBytes + 8]), most)) return damage(fault);
  constexpr size_t kHeaders = kMessageBytes + kPacketBytes;
  if (bytes.size() < kHeaders) return {.bytes = kHeaders};
  Packet packet = packet_header(&bytes[kMessageBytes]);
  const uint64_t whole = kMessageBytes + uint64_t{length};
  if (bytes.size() < whole) return {.bytes = whole};
  packet.data = &bytes[0] + kHeaders;
  return {.kind = Message::Kind::kPacket, .bytes = whole, .packet = packet};
}

bool Numbers::take(uint32_t number) noexcept {
  constexpr int32_t kNear = 1 << 16;
  const auto step = static_cast<int32_t>(number - last_);
  if (way_ == Way::kDatagrams) {
    if (step <= 0 && step > -kNear) return false;
    if (step <= 0 || step > kNear) return take_jump(number, step);
  }
  doubtful_.reset();
  // 3 after 6 is one of those that were counted as lost; where none is missing, the sender counts anew.
  if (step < 0 && step > -kNear && missing_ > 0) {
    missing_--;
    lost_--;
    return true;
  }
  if (step > 0) {
    missing_ += static_cast<uint32_t>(step) - 1;
    lost_ += static_cast<uint32_t>(step) - 1;
  } else if (step < 0) {
    missing_ = 0;
  }
  last_ = number;
  return true;
}

/// What was doubted is not taken any more: it is lost.
bool Numbers::take_jump(uint32_t number, int32_t step) noexcept {
  if (std::exchange(doubtful_, number) != number - 1) return false;
  doubtful_.reset();
  lost_ += step > 0 ? static_cast<uint32_t>(step) - 1 : 1;
  last_ = number;
  return true;
}

void DatagramReader::begin(std::span<const std::byte> datagram) noexcept {
  rest_ = {};
  has_message_ = is_joined_ = false;
  counters_.datagrams++;
  if (datagram.size() > kStretchBytes && octet(datagram, 0) == kVersion && octet(datagram, 1) == kStretchType)
    return begin_stretch(datagram);
  const Message message = read_message(datagram, most_);
  if (message.kind != Message::Kind::kPacket) {
    counters_.damaged++;
    return;
  }
  message_ = message.packet;
  has_message_ = true;
}

void DatagramReader::begin_stretch(std::span<const std::byte> datagram) noexcept {
  const auto first = load_big<uint16_t>(&datagram[2]);
  const auto number = load_big<uint32_t>(&datagram[4]);
  const bool begins = first != kNoneBegins;
  if (begins && (first < kStretchBytes || size_t{first} + kPacketBytes > datagram.size())) {
    damaged();
    return;
  }
  if (!numbers_.take(number)) {
    counters_.late++;
    return;
  }
  counters_.lost = numbers_.lost();
  if (number != expected_) is_partial_ = false;
  expected_ = number + 1;
  const std::span<const std::byte> begun =
      datagram.subspan(kStretchBytes, (begins ? first : datagram.size()) - kStretchBytes);
  if (is_partial_ && !join(begun)) return;
  // Where the packet does not go on that was cut, the two do not fit together.
  if (is_partial_ && begins) damaged();
  if (begins) rest_ = datagram.subspan(first);
}

/// The packet that was cut goes on with these bytes, all of which are its own. False: nothing of the datagram is to be
/// trusted.
bool DatagramReader::join(std::span<const std::byte> more) noexcept {
  const uint32_t missing = partial_.caplen - have_;
  if (more.size() > missing) return damaged();
  std::copy(more.begin(), more.end(), joined_.get() + have_);
  have_ += static_cast<uint32_t>(more.size());
  if (have_ < partial_.caplen) return true;
  partial_.data = joined_.get();
  is_partial_ = false;
  is_joined_ = true;
  return true;
}

/// What is left cannot be told apart: it goes on with the next header that a datagram points to.
bool DatagramReader::damaged() noexcept {
  counters_.damaged++;
  is_partial_ = false;
  rest_ = {};
  return false;
}

bool DatagramReader::next(Packet& packet) noexcept {
  if (has_message_) {
    has_message_ = false;
    packet = message_;
    return true;
  }
  if (is_joined_) {
    is_joined_ = false;
    packet = partial_;
    return true;
  }
  if (rest_.empty()) return false;
  if (rest_.size() < kPacketBytes) return damaged();
  Packet begun = packet_header(rest_.data());
  if (begun.caplen > most_) return damaged();
  rest_ = rest_.subspan(kPacketBytes);
  if (rest_.size() >= begun.caplen) {
    begun.data = rest_.data();
    packet = begun;
    rest_ = rest_.subspan(begun.caplen);
    return true;
  }
  std::copy(rest_.begin(), rest_.end(), joined_.get());
  have_ = static_cast<uint32_t>(rest_.size());
  partial_ = begun;
  is_partial_ = true;
  rest_ = {};
  return false;
}

}  // namespace ringtap::rpcap
