// What two ringtaps say to each other about datagrams of udpstr that are lost, in datagrams of their own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace ringtap::rpcap {

/// A number that the two have from their control connection: who does not know it is not listened to.
using Token = std::array<std::byte, 8>;

/// From the daemon: how far it is.
struct Sent {
  uint32_t next = 0;    // the number of the datagram that it sends next
  uint32_t oldest = 0;  // the first that it still has
};

inline constexpr size_t kSentBytes = 20;
using SentMessage = std::array<std::byte, kSentBytes>;
SentMessage put_sent(const Sent& sent, const Token& token) noexcept;
/// Nothing: it is something else, or somebody else's.
std::optional<Sent> read_sent(std::span<const std::byte> bytes, const Token& token) noexcept;

/// Datagrams that follow each other.
struct Range {
  uint32_t first = 0;
  uint32_t count = 0;
};

inline constexpr size_t kMostRanges = 64;
inline constexpr size_t kAskBytes = 16;
inline constexpr size_t kMostAskBytes = kAskBytes + kMostRanges * 8;

/// From the client: what is to be sent again.
struct Ask {
  uint32_t next = 0;  // it waits for no datagram before this one
  std::array<Range, kMostRanges> ranges{};
  size_t count = 0;
};
/// Its bytes, at the front of `into`.
std::span<const std::byte> put_ask(const Ask& ask, const Token& token,
                                   std::span<std::byte, kMostAskBytes> into) noexcept;
std::optional<Ask> read_ask(std::span<const std::byte> bytes, const Token& token) noexcept;

}  // namespace ringtap::rpcap
