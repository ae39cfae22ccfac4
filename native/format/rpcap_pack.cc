#include "format/rpcap_pack.h"

#include <algorithm>
#include <cstring>

#include "core/byte_order.h"
#include "format/rpcap_wire.h"

namespace ringtap::rpcap {
namespace {

/// Room for the longest packet as the shortest datagrams, and for what gathers while a socket takes nothing.
constexpr uint32_t kMemoryBytes = 1 << 20;
constexpr size_t kMostDatagrams = 8192;
/// What a datagram may lack: so close to its end no other packet begins in it.
constexpr uint32_t kSlack = 28;

template <class T>
std::byte* put_big(std::byte* at, T value) noexcept {
  return store(at, kHostIsBig ? value : swap_bytes(value));
}

std::byte* put_header(std::byte* at, const Packet& packet) noexcept {
  for (const uint32_t field : {packet.seconds, packet.micros, packet.caplen, packet.wirelen, packet.number})
    at = put_big(at, field);
  return at;
}

}  // namespace

std::byte* put_message(std::byte* at, const Packet& packet) noexcept {
  at = put_big<uint32_t>(at, uint32_t{kVersion} << 24 | uint32_t{kPacketType} << 16);
  at = put_big<uint32_t>(at, static_cast<uint32_t>(kPacketBytes) + packet.caplen);
  at = put_header(at, packet);
  std::memcpy(at, packet.data, packet.caplen);
  return at + packet.caplen;
}

DatagramPacker::DatagramPacker(uint32_t most)
    : most_(most == 0 ? 0 : std::clamp(most, kLeastDatagram, kMostDatagram)),
      memory_(std::make_unique<std::byte[]>(kMemoryBytes)) {
  datagrams_.reserve(kMostDatagrams);
}

bool DatagramPacker::has_room(uint32_t caplen) const noexcept {
  const size_t bytes = kPacketBytes + caplen;
  // As datagrams of udpstr it is cut, and each piece gets a header of its own.
  const size_t pieces = most_ == 0 ? 1 : bytes / (most_ - kStretchBytes) + 2;
  return used_ + bytes + pieces * kStretchBytes <= kMemoryBytes && datagrams_.size() + pieces <= kMostDatagrams;
}

bool DatagramPacker::add(const Packet& packet) noexcept {
  if (most_ == 0) return add_message(packet);
  if (!has_room(packet.caplen)) return false;
  if (begun_ == 0) begin(packet.number);
  if (header_ == kNoneBegins) header_ = static_cast<uint16_t>(begun_);
  open_.last = packet.number;
  put_header(memory_.get() + used_, packet);
  used_ += kPacketBytes;
  begun_ += kPacketBytes;
  for (uint32_t done = 0; done < packet.caplen;) {
    if (begun_ == 0) begin(packet.number);
    const uint32_t piece = std::min(packet.caplen - done, most_ - begun_);
    std::memcpy(memory_.get() + used_, packet.data + done, piece);
    used_ += piece;
    begun_ += piece;
    done += piece;
    if (begun_ == most_) finish();
  }
  if (begun_ + kSlack >= most_) finish();
  return true;
}

bool DatagramPacker::add_message(const Packet& packet) noexcept {
  Packet cut = packet;
  cut.caplen = std::min(cut.caplen, kMostDatagram - static_cast<uint32_t>(kAroundPacket));
  const uint32_t bytes = static_cast<uint32_t>(kAroundPacket) + cut.caplen;
  if (!has_room(cut.caplen)) return false;
  put_message(memory_.get() + used_, cut);
  datagrams_.push_back({.at = used_, .bytes = bytes, .first = cut.number, .last = cut.number});
  used_ += bytes;
  return true;
}

void DatagramPacker::begin(uint32_t number) noexcept {
  open_ = {.at = used_, .bytes = 0, .first = number, .last = number};
  begun_ = kStretchBytes;
  used_ += kStretchBytes;
  header_ = kNoneBegins;
}

void DatagramPacker::finish() noexcept {
  if (begun_ == 0) return;
  std::byte* at = memory_.get() + open_.at;
  at = put_big<uint32_t>(at, uint32_t{kVersion} << 24 | uint32_t{kStretchType} << 16 | header_);
  put_big(at, sequence_++);
  open_.bytes = begun_;
  datagrams_.push_back(open_);
  begun_ = 0;
}

void DatagramPacker::take(size_t count) noexcept {
  taken_ += count;
  if (taken_ < datagrams_.size()) return;
  datagrams_.clear();
  taken_ = 0;
  // What was begun goes to the front: it is shorter than a datagram.
  if (begun_ != 0 && open_.at != 0) std::memmove(memory_.get(), memory_.get() + open_.at, begun_);
  open_.at = 0;
  used_ = begun_;
}

}  // namespace ringtap::rpcap
