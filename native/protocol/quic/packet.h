// Packets of QUIC with long headers (RFC 9000, RFC 9369), and what protects Initial ones (RFC 9001).
#pragma once

#include <optional>
#include <vector>

#include "protocol/quic/gcm.h"

namespace ringtap::protocol::quic {

constexpr uint32_t kVersion1 = 1;
constexpr uint32_t kVersion2 = 0x6b3343cf;
constexpr bool is_known(uint32_t version) noexcept { return version == kVersion1 || version == kVersion2; }

constexpr bool is_long(std::byte first) noexcept { return (first & std::byte{0x80}) != std::byte{0}; }
constexpr bool is_fixed(std::byte first) noexcept { return (first & std::byte{0x40}) != std::byte{0}; }

/// A number of 1, 2, 4 or 8 bytes, which its first two bits say.
uint64_t read_varint(Reader& in) noexcept;

enum class Kind : uint8_t { kInitial, kZeroRtt, kHandshake, kRetry, kNegotiation, kUnknown };

/// A packet with a long header. Spans point into the datagram.
struct LongPacket {
  Kind kind = Kind::kUnknown;
  uint32_t version = 0;
  Span destination;  // connection ids
  Span source;
  Span rest;             // of a negotiation: versions
  size_t number_at = 0;  // of the packet number, from the packet's beginning on
  size_t size = 0;       // of the packet; what is behind it in the datagram is another one
  bool is_cut = false;   // there should be more of it

  /// False: it is none.
  bool read(Span bytes) noexcept;
};

/// What one end's Initial packets are protected with.
class InitialKeys {
 public:
  /// @param destination id that the client has sent first
  InitialKeys(uint32_t version, Span destination, bool of_server);
  /// Takes protection away. @param packet of the kind kInitial, whole
  /// @param expected packet number, of this end; moves on
  /// @return frames; nothing: the tag is wrong
  std::optional<std::vector<std::byte>> open(const LongPacket& header, Span packet, uint64_t& expected) const;

 private:
  struct Parts {
    Block key, header;
    Nonce nonce;
  };
  static Parts parts_of(uint32_t version, Span destination, bool of_server);
  explicit InitialKeys(const Parts& parts) noexcept;

  Gcm text_;
  Aes128 header_;
  Nonce nonce_;
};

}  // namespace ringtap::protocol::quic
