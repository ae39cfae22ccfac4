// Datagrams of udpstr that leave compressed, several in one, where that was agreed on with the client.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "format/rpcap_pack.h"
#include "io/compression/train.h"

namespace ringtap {

class Trains {
 public:
  /// What is ready to be sent.
  struct Ready {
    std::vector<std::byte> bytes;
    rpcap::Datagram packets;  // the numbers of those that it has a piece of
  };

  /// `most`: how long a datagram may be.
  static Result<Trains> make(uint32_t most);

  /// Takes from the first of the datagrams on as many as become one, and answers how many these are: one at least. The
  /// one before is gone by then.
  size_t fill(const std::byte* memory, std::span<const rpcap::Datagram> datagrams) noexcept;
  bool empty() const noexcept { return is_empty_; }
  const Ready& front() const noexcept { return ready_; }
  void pop() noexcept { is_empty_ = true; }

 private:
  Trains(uint32_t most, std::unique_ptr<TrainWriter> writer) : writer_(std::move(writer)) {
    ready_.bytes.reserve(most);
  }

  std::unique_ptr<TrainWriter> writer_;
  Ready ready_;  // has memory for the longest one
  bool is_empty_ = true;
};

}  // namespace ringtap
