#include <algorithm>
#include <array>
#include <utility>

#include "format/rpcap_pack.h"
#include "io/datagram_output.h"
#include "serve/outlet.h"

namespace ringtap {
namespace {

/// Ready datagrams are sent when there are so many, so that a call of the kernel is worth it.
constexpr size_t kWorthwhile = 512;
/// Of one call to the socket.
constexpr size_t kAtOnce = 512;

class DatagramOutlet final : public Outlet {
 public:
  DatagramOutlet(const DatagramRequest& request, DatagramOutput output)
      : Outlet(request.snaplen), packer_(request.datagram_bytes), output_(std::move(output)) {}

  bool flush() noexcept override {
    packer_.finish();
    return send();
  }
  bool has_more() const noexcept override { return packer_.has_begun() || !packer_.complete().empty(); }
  Counts counts() const noexcept override {
    return {.sent = sent_, .dropped = dropped_, .lost = lost_, .datagrams = datagrams_, .bytes = bytes_};
  }

 private:
  bool has_room(uint32_t caplen) noexcept override {
    if (packer_.complete().size() >= kWorthwhile) send();
    if (packer_.has_room(caplen)) return true;
    send();
    return packer_.has_room(caplen);
  }
  bool add(const rpcap::Packet& packet) noexcept override { return packer_.add(packet); }
  void end_batch() noexcept override { send(); }

  bool send() noexcept;
  void refused(const rpcap::Datagram& datagram) noexcept;

  rpcap::DatagramPacker packer_;
  DatagramOutput output_;
  uint64_t lost_ = 0;
  uint32_t last_lost_ = 0;  // the number of a packet
  uint64_t datagrams_ = 0;
  uint64_t bytes_ = 0;
};

/// False: the socket takes nothing now, and some are left.
bool DatagramOutlet::send() noexcept {
  std::array<DatagramOutput::Piece, kAtOnce> pieces;
  for (;;) {
    const auto complete = packer_.complete();
    if (complete.empty()) return true;
    const size_t count = std::min(complete.size(), kAtOnce);
    for (size_t i = 0; i < count; i++) pieces[i] = {packer_.memory() + complete[i].at, complete[i].bytes};
    const auto sent = output_.send({pieces.data(), count});
    for (size_t i = 0; i < sent.pieces; i++) bytes_ += complete[i].bytes;
    datagrams_ += sent.pieces;
    const bool is_refused = sent.stopped == DatagramOutput::Stopped::kRefused;
    if (is_refused) refused(complete[sent.pieces]);
    packer_.take(sent.pieces + (is_refused ? 1 : 0));
    if (sent.stopped == DatagramOutput::Stopped::kFull) return false;
  }
}

/// Every packet that it has a piece of is lost; the one before may have lost that which both have.
void DatagramOutlet::refused(const rpcap::Datagram& datagram) noexcept {
  const uint32_t pieces = datagram.last - datagram.first + 1;
  const bool is_known = lost_ > 0 && last_lost_ == datagram.first;
  lost_ += pieces - (is_known ? 1 : 0);
  last_lost_ = datagram.last;
}

}  // namespace

Result<std::unique_ptr<Outlet>> datagram_outlet(const DatagramRequest& request) {
  auto output = DatagramOutput::connect(request.local, request.peer, request.port, request.buffer_bytes);
  if (!output) return std::move(output).error();
  return std::unique_ptr<Outlet>(std::make_unique<DatagramOutlet>(request, *std::move(output)));
}

}  // namespace ringtap
