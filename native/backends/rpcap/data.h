// The connection that a remote capture's packets come on.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/remote.h"
#include "core/stats.h"
#include "core/unique_fd.h"
#include "format/rpcap.h"

namespace ringtap::rpcap {

/// Gives packets one after the other, and never waits.
class Data {
 public:
  enum class Got : uint8_t { kPacket, kNothing, kEnd, kFailed };

  virtual ~Data() = default;

  /// A packet's data is valid until the next call.
  virtual Got next(Packet& packet) noexcept = 0;
  virtual int fd() const noexcept = 0;
  /// Bytes that were received so far: what a receive() may take of them is bounded.
  virtual uint64_t bytes() const noexcept = 0;
  /// What next() failed with.
  virtual const Error& error() const noexcept = 0;
  virtual std::vector<DropCause> details() const { return {}; }

  /// Before the first next(). `bytes`, `patience`: what may wait for a datagram that is missing, and how long.
  virtual Result<Ok> recover(const RemoteAgreement&, uint64_t /*bytes*/, std::chrono::milliseconds /*patience*/) {
    return Ok{};
  }
  /// Readable when next() has to look again though nothing has come; -1: never.
  virtual int timer() const noexcept { return -1; }
  /// Something that has come waits for what has not.
  virtual bool is_waiting() const noexcept { return false; }
  /// Nothing comes any more. Whether next() has something that waited for that.
  virtual bool give_up() noexcept { return false; }
};

/// Messages on a TCP connection, which is made already. `most` and `asked` as for read_message().
std::unique_ptr<Data> stream_data(UniqueFd connection, uint32_t most, uint32_t asked);

/// A UDP socket and the port that it has.
struct Listening {
  std::unique_ptr<Data> data;
  uint16_t port = 0;
  std::optional<std::string> note = {};
};

/// Datagrams that `peer` sends to a port of `local`, both addresses in numbers. `trains`: some may be compressed.
Result<Listening> datagram_data(const std::string& local, const std::string& peer, int64_t buffer_bytes, uint32_t most,
                                bool trains);

}  // namespace ringtap::rpcap
