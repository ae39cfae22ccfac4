// A source whose packets another host sends: what its control channel, which is JavaScript's, asks and tells.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "core/error.h"
#include "core/program.h"
#include "core/unique_fd.h"

namespace ringtap {

/// What the other host counted since the capture began there.
struct RemoteCounters {
  uint32_t interface_dropped = 0;
  uint32_t kernel_dropped = 0;
  std::optional<uint32_t> sent = {};  // the number of the last packet; none: it counts others, too
};

/// What both hosts can do beyond the protocol, and have agreed on.
struct RemoteAgreement {
  std::array<std::byte, 8> token{};  // known to both, and to nobody who has not heard them agree
  uint32_t datagram_bytes = 0;       // the longest one
  bool recovery = false;             // datagrams are sent again where they are asked for
};

/// One call at a time, like the source that it belongs to, and none after the source's close().
class Remote {
 public:
  /// A connection on its way from connecting() to attach(); ends with its last owner.
  class Connection {
   public:
    virtual ~Connection() = default;
  };
  using Connecting = std::function<Result<std::shared_ptr<Connection>>()>;
  using Compiling = std::function<Result<Program>()>;

  virtual ~Remote() = default;

  /// The program that the other host is to filter with. Valid as long as the source is.
  virtual const Program& filter() const noexcept = 0;

  /// Compiles another filter for the other host; null is none. What it gives runs on another thread, waits, and touches
  /// nothing of the source; its answer goes to adopt().
  virtual Compiling compiling(std::shared_ptr<Filter> filter) const = 0;
  /// Whether packets are looked at here, too: not while the other host changes its filter, for nobody knows which of
  /// the two has let a packet pass.
  virtual void look(bool on) noexcept = 0;
  /// The other host filters with this from now on.
  virtual void adopt(Program program) = 0;

  /// Where datagrams are awaited, since start(); 0 where connect() is called instead.
  virtual uint16_t port() const noexcept = 0;

  /// Before the first receive().
  virtual Result<Ok> agree(const RemoteAgreement& agreed) = 0;

  /// Connects to the other host's data port. What it gives runs on another thread, waits, and touches nothing of the
  /// source, which may be gone by then; its answer goes to attach().
  virtual Connecting connecting(uint16_t port) const = 0;
  /// Packets come from this connection, which connecting() made.
  virtual Result<Ok> attach(std::shared_ptr<Connection> connection) = 0;

  /// Packets come from a new connection that this process holds the other end of, which is the caller's.
  virtual Result<UniqueFd> pipe() = 0;
  /// How many bytes have come and were read by now; none: some wait to be read.
  virtual std::optional<uint64_t> arrived() const noexcept = 0;

  /// The other host counts from 0, in 32 bits that wrap around.
  virtual void counted(const RemoteCounters& counters) noexcept = 0;
  /// Before a close(): true once all that the other host had sent by the last counted() has come, or was waited for in
  /// vain. What comes meanwhile is not lent any more.
  virtual bool settle() noexcept = 0;

  /// Nothing comes any more, because of this: once what has arrived was received, receive() fails with it.
  virtual void end(Error why) noexcept = 0;
  /// The other host has nothing more to send, as a trace ends: once what has arrived was received, so does receive().
  virtual void finish() noexcept = 0;
};

}  // namespace ringtap
