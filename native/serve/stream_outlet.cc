#include <algorithm>

#include "core/untrusted.h"
#include "format/rpcap_pack.h"
#include "serve/outlet.h"

namespace ringtap {

uint32_t Outlet::put(const BatchView& batch, uint32_t first, const Window& window, NoRoom no_room) noexcept {
  choice_.renew();
  uint32_t i = first;
  for (; i < batch.count && !choice_.used_up(); i++) {
    const uint32_t bound = std::min(load_once(&batch.caplen[i]), choice_.snaplen());
    if (no_room == NoRoom::kWaits && !has_room(bound)) break;
    rpcap::Packet packet = choice_.choose(batch, i, window);
    if (packet.data == nullptr) continue;
    packet.number = static_cast<uint32_t>(sent_ + 1);
    if (has_room(packet.caplen) && add(packet)) {
      sent_++;
    } else {
      dropped_++;
    }
  }
  end_batch();
  return i;
}

bool StreamOutlet::has_room(uint32_t caplen) noexcept {
  return written_ + rpcap::kAroundPacket + caplen <= memory_.size();
}

bool StreamOutlet::add(const rpcap::Packet& packet) noexcept {
  const std::byte* end = rpcap::put_message(memory_.data() + written_, packet);
  const size_t written = static_cast<size_t>(end - memory_.data());
  bytes_ += written - written_;
  written_ = written;
  return true;
}

}  // namespace ringtap
