// Where the packets of a capture leave for somebody on another host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/error.h"
#include "format/encoder.h"
#include "format/rpcap_ask.h"
#include "serve/choice.h"

namespace ringtap {

/// What to do with a packet for which there is no room.
enum class NoRoom : uint8_t {
  kWaits,    // put() comes back: it is to be called again, from that packet on
  kDropped,  // it is lost, and counted
};

/// Chooses packets of batches, numbers them, and has them encoded and sent. One call at a time; none of them waits.
class Outlet {
 public:
  struct Counts {
    uint64_t sent = 0;       // packets that were handed on, numbered from 1
    uint64_t dropped = 0;    // packets for which there was no room: they have no number
    uint64_t lost = 0;       // of those sent: in datagrams that the kernel refused
    uint64_t datagrams = 0;  // that were sent
    uint64_t bytes = 0;      // that were sent, as the protocol has them
    uint64_t again = 0;      // datagrams that were sent once more, because the client lacks them
  };

  explicit Outlet(uint32_t snaplen) : choice_(snaplen) {}
  virtual ~Outlet() = default;

  Choice& choice() noexcept { return choice_; }

  /// Takes the packets of the batch from the `first`-th on, and answers with how many it is done then. Fewer than there
  /// are: it has no room for the next one, or its filter has taken long enough.
  uint32_t put(const BatchView& batch, uint32_t first, const Window& window, NoRoom no_room) noexcept;

  /// Sends what there is, also where a datagram is not full. False: the socket takes nothing now.
  virtual bool flush() noexcept { return true; }
  /// Packets wait in it that a flush() would send.
  virtual bool has_more() const noexcept { return false; }
  /// Hears what the client lacks, and sends it again. False: there is nothing that it could lack, or nobody answers.
  virtual bool attend() noexcept { return false; }
  /// Ours, that datagrams leave from; 0: none do.
  virtual uint16_t port() const noexcept { return 0; }
  virtual Counts counts() const noexcept = 0;

 protected:
  /// For a packet of so many bytes. Not const: it may send to make some.
  virtual bool has_room(uint32_t caplen) noexcept = 0;
  virtual bool add(const rpcap::Packet& packet) noexcept = 0;
  /// No more packets come for now.
  virtual void end_batch() noexcept {}

  uint64_t sent_ = 0;
  uint64_t dropped_ = 0;

 private:
  Choice choice_;
};

/// Messages on a stream, into memory that the caller hands in: he sends it.
class StreamOutlet final : public Outlet {
 public:
  explicit StreamOutlet(uint32_t snaplen) : Outlet(snaplen) {}

  /// Where the next put() writes to, which must outlive it; what was written is counted anew.
  void into(std::span<std::byte> memory) noexcept {
    memory_ = memory;
    written_ = 0;
  }
  /// How many bytes were written there.
  size_t written() const noexcept { return written_; }

  Counts counts() const noexcept override { return {.sent = sent_, .dropped = dropped_, .bytes = bytes_}; }

 private:
  bool has_room(uint32_t caplen) noexcept override;
  bool add(const rpcap::Packet& packet) noexcept override;

  std::span<std::byte> memory_;
  size_t written_ = 0;
  uint64_t bytes_ = 0;
};

struct DatagramRequest {
  std::string local;  // addresses in numbers
  std::string peer;
  uint16_t port = 0;
  uint32_t datagram_bytes = 0;  // of udpstr; 0: a message each
  int64_t buffer_bytes = 0;     // of the socket
  uint32_t snaplen = kMaxSnaplen;
  /// What was agreed on with the client.
  uint64_t again_bytes = 0;  // of datagrams that may be sent again; 0: none are
  rpcap::Token token{};
  bool trains = false;  // datagrams are compressed together
};
Result<std::unique_ptr<Outlet>> datagram_outlet(const DatagramRequest& request);

}  // namespace ringtap
