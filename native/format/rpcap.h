// Packets on the data connection of a remote capture: rpcap's messages on a stream and in datagrams, and udpstr, which
// runs packets through datagrams without a gap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace ringtap::rpcap {

inline constexpr size_t kMessageBytes = 8;  // the header of every message
inline constexpr size_t kPacketBytes = 20;  // that of a packet, behind it

struct Packet {
  uint32_t seconds = 0;  // since 1970
  uint32_t micros = 0;
  uint32_t caplen = 0;
  uint32_t wirelen = 0;
  uint32_t number = 0;  // by the sender: 1, 2, 3 …
  const std::byte* data = nullptr;
};

/// What stands at the start of some bytes.
struct Message {
  enum class Kind : uint8_t { kPacket, kCut, kDamaged };
  Kind kind = Kind::kCut;
  uint64_t bytes = 0;  // of the message; of what is cut, how many must be there to know more
  Packet packet = {};  // its data lies in these bytes
  const char* damage = nullptr;
  const char* hint = "";  // what mends the damage, where that is known
};

/// Reads the message that `bytes` begin with. No packet of more than `most` bytes is believed. `asked`: the snaplen, by
/// which a length that lacks its upper half is told from one that is none while there is nothing else to go by.
Message read_message(std::span<const std::byte> bytes, uint32_t most, uint32_t asked = UINT32_MAX) noexcept;

/// What did not come, by the numbers of what did. What comes late in a datagram counts as lost, and is not taken: so
/// that packets stay in order, and taken + lost is what was sent.
class Numbers {
 public:
  /// A stream brings everything, and in order: all of it is taken, also where the sender counts anew. What comes late
  /// there is not lost any more.
  enum class Way : uint8_t { kStream, kDatagrams };

  /// `last`: the number before the first one.
  Numbers(Way way, uint32_t last) : way_(way), last_(last) {}

  /// Whether what has this number is taken. WHY not everything that is later: one forged or damaged number far ahead
  /// would make all that follow late. It is believed when the next one follows it, and so is a sender that counts anew.
  bool take(uint32_t number) noexcept;
  /// The sender has said that it has sent so many, and nothing of them is on its way any more. What comes all the same
  /// is taken, and not lost.
  void told(uint32_t number) noexcept { told_ = number; }
  /// The last one that was taken.
  uint32_t last() const noexcept { return last_; }
  uint64_t lost() const noexcept {
    const auto tail = told_ ? static_cast<int32_t>(*told_ - last_) : 0;
    return lost_ + (tail > 0 ? static_cast<uint32_t>(tail) : 0);
  }

 private:
  bool take_jump(uint32_t number, int32_t step) noexcept;

  Way way_;
  uint32_t last_;
  uint64_t lost_ = 0;
  uint64_t missing_ = 0;  // of a stream: those lost since the sender began to count
  std::optional<uint32_t> doubtful_;
  std::optional<uint32_t> told_;
};

/// Takes datagrams apart, in the order in which they arrive. Which of the two ways they are written in is told by each.
class DatagramReader {
 public:
  struct Counters {
    uint64_t datagrams = 0;
    uint64_t lost = 0;  // of udpstr, by their numbers
    uint64_t late = 0;  // after a later one, or twice: not read
    uint64_t damaged = 0;
  };

  /// Packets of more than `most` bytes are damage.
  explicit DatagramReader(uint32_t most) : most_(most), joined_(std::make_unique_for_overwrite<std::byte[]>(most)) {}

  /// A datagram, which stays where it is until next() has nothing more of it.
  void begin(std::span<const std::byte> datagram) noexcept;
  /// The next packet that is whole by now. Its data is valid until the next call of either.
  bool next(Packet& packet) noexcept;

  const Counters& counters() const noexcept { return counters_; }

 private:
  void begin_stretch(std::span<const std::byte> datagram) noexcept;
  bool join(std::span<const std::byte> more) noexcept;
  bool damaged() noexcept;

  const uint32_t most_;
  Counters counters_;
  std::span<const std::byte> rest_;  // of the datagram, from where a header begins
  Packet message_;                   // of a datagram with one packet
  bool has_message_ = false;
  // udpstr: a packet that a datagram ended in.
  Numbers numbers_{Numbers::Way::kDatagrams, UINT32_MAX};  // of datagrams: 0, 1, 2 …
  uint32_t expected_ = 0;                                  // the next one
  bool is_partial_ = false;
  bool is_joined_ = false;  // it is whole, and next() has not given it yet
  Packet partial_;
  uint32_t have_ = 0;
  std::unique_ptr<std::byte[]> joined_;  // of `most` bytes; those that nobody needs are not touched
};

}  // namespace ringtap::rpcap
