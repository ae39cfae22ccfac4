#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "format/rpcap_pack.h"
#include "io/datagram_output.h"
#include "serve/outlet.h"
#include "serve/resending.h"
#include "serve/trains.h"

namespace ringtap {
namespace {

/// Ready datagrams are sent when there are so many, so that a call of the kernel is worth it.
constexpr size_t kWorthwhile = 512;
/// Of one call to the socket.
constexpr size_t kAtOnce = 512;

class DatagramOutlet final : public Outlet {
 public:
  DatagramOutlet(const DatagramRequest& request, DatagramOutput output, std::optional<Trains> trains)
      : Outlet(request.snaplen),
        packer_(request.datagram_bytes),
        output_(std::move(output)),
        trains_(std::move(trains)) {
    if (request.again_bytes > 0) resending_.emplace(request.again_bytes, request.datagram_bytes, request.token);
  }

  bool flush() noexcept override {
    packer_.finish();
    return send();
  }
  bool has_more() const noexcept override {
    return packer_.has_begun() || !packer_.complete().empty() || (trains_ && !trains_->empty());
  }
  bool attend() noexcept override { return resending_ && resending_->attend(output_); }
  uint16_t port() const noexcept override { return output_.port(); }
  Counts counts() const noexcept override {
    return {.sent = sent_,
            .dropped = dropped_,
            .lost = lost_,
            .datagrams = datagrams_,
            .bytes = bytes_,
            .again = resending_ ? resending_->again() : 0};
  }

 private:
  bool has_room(uint32_t caplen) noexcept override {
    if (packer_.complete().size() >= kWorthwhile) send();
    if (packer_.has_room(caplen)) return true;
    send();
    return packer_.has_room(caplen);
  }
  bool add(const rpcap::Packet& packet) noexcept override { return packer_.add(packet); }
  void end_batch() noexcept override {
    send();
    attend();
  }

  bool send() noexcept;
  bool send_trains() noexcept;
  void keep(std::span<const rpcap::Datagram> datagrams) noexcept;
  void refused(const rpcap::Datagram& datagram) noexcept;

  rpcap::DatagramPacker packer_;
  DatagramOutput output_;
  std::optional<Trains> trains_;
  std::optional<Resending> resending_;
  uint64_t lost_ = 0;
  uint32_t last_lost_ = 0;  // the number of a packet
  uint64_t datagrams_ = 0;
  uint64_t bytes_ = 0;
};

/// False: the socket takes nothing now, and some are left.
bool DatagramOutlet::send() noexcept {
  if (trains_) return send_trains();
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
    const size_t done = sent.pieces + (is_refused ? 1 : 0);
    keep(complete.first(done));
    packer_.take(done);
    if (sent.stopped == DatagramOutput::Stopped::kFull) return false;
  }
}

/// The same, compressed.
bool DatagramOutlet::send_trains() noexcept {
  for (;;) {
    while (!trains_->empty()) {
      const Trains::Ready& ready = trains_->front();
      const DatagramOutput::Piece piece{ready.bytes.data(), static_cast<uint32_t>(ready.bytes.size())};
      const auto sent = output_.send({&piece, 1});
      if (sent.stopped == DatagramOutput::Stopped::kFull) return false;
      if (sent.pieces > 0) {
        datagrams_++;
        bytes_ += ready.bytes.size();
      } else {
        refused(ready.packets);
      }
      trains_->pop();
    }
    const auto complete = packer_.complete();
    if (complete.empty()) return true;
    const size_t done = trains_->fill(packer_.memory(), complete);
    keep(complete.first(done));
    packer_.take(done);
  }
}

void DatagramOutlet::keep(std::span<const rpcap::Datagram> datagrams) noexcept {
  if (!resending_) return;
  for (const auto& datagram : datagrams) resending_->keep({packer_.memory() + datagram.at, datagram.bytes});
}

/// Every packet that it has a piece of is lost, unless it can be sent again; the one before may have lost that which
/// both have.
void DatagramOutlet::refused(const rpcap::Datagram& datagram) noexcept {
  if (resending_) return;
  const uint32_t pieces = datagram.last - datagram.first + 1;
  const bool is_known = lost_ > 0 && last_lost_ == datagram.first;
  lost_ += pieces - (is_known ? 1 : 0);
  last_lost_ = datagram.last;
}

}  // namespace

Result<std::unique_ptr<Outlet>> datagram_outlet(const DatagramRequest& request) {
  auto output = DatagramOutput::connect(request.local, request.peer, request.port, request.buffer_bytes);
  if (!output) return std::move(output).error();
  std::optional<Trains> trains;
  if (request.trains) {
    auto made = Trains::make(request.datagram_bytes);
    if (!made) return std::move(made).error();
    trains = *std::move(made);
  }
  return std::unique_ptr<Outlet>(std::make_unique<DatagramOutlet>(request, *std::move(output), std::move(trains)));
}

}  // namespace ringtap
