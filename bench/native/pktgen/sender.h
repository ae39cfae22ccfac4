// One way of putting frames on an interface.
#pragma once

#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <system_error>

#include "frames.h"

namespace pktgen {

/// What is known after sending for a while. Frames that were refused and sent again count once in `sent`.
struct Sent {
  uint64_t frames = 0;
  uint64_t bytes = 0;
  uint64_t errors = 0;    // refusals: buffers full
  uint64_t paced_ns = 0;  // from the first frame to the last, where the sender keeps the rate itself
};

class Sender {
 public:
  virtual ~Sender() = default;
  /// Sends up to `count` frames, the first with number `first`, and adds to `total` what the interface took.
  /// Returns how many numbers are used up. Throws std::runtime_error when going on makes no sense.
  virtual uint64_t send(uint64_t first, uint64_t count, Sent& total) = 0;
};

std::unique_ptr<Sender> make_mmsg_sender(const std::string& iface, const Frames& frames);
std::unique_ptr<Sender> make_txring_sender(const std::string& iface, const Frames& frames);
/// Keeps a rate (frames per second; 0: flat out) itself.
std::unique_ptr<Sender> make_xdp_sender(const std::string& iface, const Frames& frames, double rate);

/// An AF_PACKET socket that only sends: bound to the interface, around its queueing discipline.
int open_packet_socket(const std::string& iface);

[[noreturn]] inline void fail(const std::string& what, int error = errno) {
  throw std::system_error(error, std::generic_category(), what);
}

inline bool is_congestion(int error) { return error == ENOBUFS || error == EAGAIN || error == EINTR; }

}  // namespace pktgen
