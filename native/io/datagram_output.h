// Datagrams to one peer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "core/error.h"
#include "core/unique_fd.h"

namespace ringtap {

/// A connected UDP socket that never waits, and takes many datagrams with few calls.
class DatagramOutput {
 public:
  /// Addresses in numbers; `buffer_bytes`: what the kernel may keep of what is on its way.
  static Result<DatagramOutput> connect(const std::string& local, const std::string& peer, uint16_t port,
                                        int64_t buffer_bytes);

  /// Ours; 0 where the kernel does not say.
  uint16_t port() const noexcept;

  struct Piece {
    const std::byte* data = nullptr;
    uint32_t bytes = 0;
  };
  enum class Stopped : uint8_t { kNo, kFull, kRefused };
  struct Sent {
    size_t pieces = 0;
    Stopped stopped = Stopped::kNo;
    size_t refusals = 0;  // the host of the peer has said so often that nobody listens
    int err = 0;          // why the next one was refused: for good, another try makes no sense
  };
  /// Sends them in order. Pieces of one length that lie one after the other in memory cost little.
  Sent send(std::span<const Piece> pieces) noexcept;

  enum class Heard : uint8_t { kDatagram, kNothing, kRefused };
  /// What the peer answers, at the front of `into`, which shrinks to it. kRefused: nobody is there any more.
  Heard receive(std::span<std::byte>& into) noexcept;

 private:
  explicit DatagramOutput(UniqueFd socket) : socket_(std::move(socket)) {}

  UniqueFd socket_;
  bool in_trains_ = true;  // the kernel cuts what is sent as one into datagrams (UDP_SEGMENT)
};

}  // namespace ringtap
