// Datagrams that a client lacks are sent again, where that was agreed on with him.
#pragma once

#include <cstdint>
#include <span>

#include "format/rpcap_window.h"
#include "io/datagram_output.h"

namespace ringtap {

class Resending {
 public:
  /// `most`: how long a datagram is.
  Resending(uint64_t bytes, uint32_t most, const rpcap::Token& token) : window_(bytes, most), token_(token) {}

  /// It was sent, or ought to have been.
  void keep(std::span<const std::byte> datagram) noexcept;
  /// Hears what the client lacks, sends it, and tells him how far we are. False: he has everything, or does not answer.
  bool attend(DatagramOutput& output) noexcept;

  /// Datagrams that were sent again.
  uint64_t again() const noexcept { return again_; }

 private:
  bool hear(DatagramOutput& output, uint64_t now) noexcept;
  bool send_again(DatagramOutput& output, const rpcap::Ask& ask, uint64_t now) noexcept;

  rpcap::SentWindow window_;
  const rpcap::Token token_;
  uint64_t again_ = 0;
  uint64_t heard_ms_ = 0;  // from him, or that there was something new for him
  uint64_t told_ms_ = 0;
  uint64_t pause_ms_ = 0;
  bool is_new_ = false;
};

}  // namespace ringtap
