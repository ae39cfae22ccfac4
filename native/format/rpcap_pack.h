// Packets for the data connection of a remote capture: the other way round than rpcap.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "format/rpcap.h"

namespace ringtap::rpcap {

/// What a message has around a packet.
inline constexpr size_t kAroundPacket = kMessageBytes + kPacketBytes;
/// The longest datagram that IPv4 can carry.
inline constexpr uint32_t kMostDatagram = 65507;
/// Of udpstr: a shorter one would be all headers.
inline constexpr uint32_t kLeastDatagram = 128;

/// A message with one packet. `at` has room for kAroundPacket and the packet; what comes back is the byte after it.
std::byte* put_message(std::byte* at, const Packet& packet) noexcept;

/// A datagram that is complete.
struct Datagram {
  uint32_t at = 0;  // in the packer's memory
  uint32_t bytes = 0;
  uint32_t first = 0;  // the numbers of the packets that it has a piece of
  uint32_t last = 0;
};

/// Packets into datagrams, which lie one after the other in one piece of memory: ordinary messages, or udpstr.
class DatagramPacker {
 public:
  /// `most`: how long a datagram of udpstr may be; 0: each packet is a message of its own.
  explicit DatagramPacker(uint32_t most);

  /// For a packet of so many bytes. In memory that holds nothing there is room for one of kMaxSnaplen.
  bool has_room(uint32_t caplen) const noexcept;
  /// False: no room, the packet was not taken. Of messages what is too long for a datagram is cut.
  bool add(const Packet& packet) noexcept;
  /// The datagram that was begun is complete as it is.
  void finish() noexcept;
  /// Whether one was begun.
  bool has_begun() const noexcept { return begun_ != 0; }

  /// Those that are complete and were not taken, and where they lie. Valid until the next call of any other function.
  std::span<const Datagram> complete() const noexcept { return std::span(datagrams_).subspan(taken_); }
  const std::byte* memory() const noexcept { return memory_.get(); }
  /// The first so many of them are done with.
  void take(size_t count) noexcept;

 private:
  void begin(uint32_t number) noexcept;
  bool add_message(const Packet& packet) noexcept;

  const uint32_t most_;
  std::unique_ptr<std::byte[]> memory_;
  uint32_t used_ = 0;
  uint32_t begun_ = 0;     // bytes of the datagram that was begun; 0: none
  uint16_t header_ = 0;    // in it, where the first packet begins
  uint32_t sequence_ = 0;  // of the next datagram
  std::vector<Datagram> datagrams_;
  size_t taken_ = 0;
  Datagram open_;
};

}  // namespace ringtap::rpcap
