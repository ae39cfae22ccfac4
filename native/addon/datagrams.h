// Messages of an exporter on their way to a collector by UDP.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "export/encoder.h"
#ifdef __linux__
#include "io/datagram_output.h"
#endif

namespace ringtap::addon {

/// Sends what an encoder has made, without waiting.
class Datagrams {
 public:
  struct Counts {
    uint64_t messages = 0;  // that were sent
    uint64_t octets = 0;
    uint64_t records = 0;
    uint64_t refused_records = 0;  // by the kernel, with last_errno
    uint64_t dropped_records = 0;  // because there was no room, or no time
    uint64_t lost_packets = 0;     // of those not sent
    uint64_t lost_octets = 0;
    uint64_t refusals = 0;  // how often the other host said that nobody listens
    int last_errno = 0;
  };

#ifdef __linux__
  explicit Datagrams(DatagramOutput output) : output_(std::move(output)) {}
#endif

  /// Messages that wait; the encoder must not make others before there are none.
  size_t waiting(const ipfix::Encoder& encoder) const noexcept { return encoder.messages().size() - sent_; }
  uint64_t waiting_records(const ipfix::Encoder& encoder) const noexcept;
  /// The encoder has made others.
  void begin() noexcept { sent_ = 0; }
  /// Sends until the socket takes no more.
  void flush(const ipfix::Encoder& encoder) noexcept;
  /// Gives up what waits.
  void drop(ipfix::Encoder& encoder) noexcept;
  /// That, and lets the socket go: not when garbage is collected, which may be late.
  void close(ipfix::Encoder& encoder) noexcept;
  const Counts& counts() const noexcept { return counts_; }

 private:
  void listen() noexcept;
  void lost(const ipfix::Message& message) noexcept;

#ifdef __linux__
  std::optional<DatagramOutput> output_;
#endif
  size_t sent_ = 0;
  Counts counts_;
};

}  // namespace ringtap::addon
