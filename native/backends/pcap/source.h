// The Source over a libpcap handle.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backends/pcap/counters.h"
#include "backends/pcap/handle.h"
#include "backends/pcap/packet_socket.h"
#include "backends/pcap/transmit.h"
#include "core/arena.h"
#include "core/source.h"
#include "filter/placement.h"

namespace ringtap::pcap {

/// A packet's type, as Linux numbers them and cooked headers say it: sent by this host.
inline constexpr uint32_t kOutgoingPacket = 4;

class PcapSource final : public Source {
 public:
  static Result<std::unique_ptr<Source>> open(const LibPcap& library, const OpenRequest& request);
  ~PcapSource() override { close(); }

  const SourceInfo& info() const noexcept override { return info_; }
  Result<FilterPlacement> set_filter(std::shared_ptr<Filter> filter) override;
  Result<Ok> start() override;
  RxBatch receive(DescBlock& block, uint32_t max) noexcept override;
  bool release(Lease lease) noexcept override { return arena_.release(lease); }
  Readiness readiness() const noexcept override { return readiness_; }
  Stats stats() const noexcept override;
  const Error& error() const noexcept override { return error_; }
  Tx* tx() noexcept override { return tx_.get(); }
  void close() noexcept override;

 private:
  /// The batch that dispatch() fills.
  struct Filling {
    DescBlock* block = nullptr;
    uint32_t count = 0;
    uint32_t next = 0;  // offset of the next packet
    uint32_t end = 0;   // of the chunk
    uint32_t most = 0;  // packets
  };

  PcapSource(const LibPcap& library, PcapSession session, Arena arena, const OpenRequest& request);

  Result<Ok> open_up();
  Result<FilterPlacement> place_in_kernel(const Program& program);
  Result<FilterPlacement> place_in_user_space(const Program& program, std::string reason);
  Program kernel_program(const Program& program) const;
  bool cooked() const noexcept;
  void guess_metadata(const Program& program);
  std::string either_way() const;

  static void on_packet(unsigned char* self, const PcapHeader* header, const unsigned char* bytes);
  void take(const PcapHeader& header, const std::byte* bytes) noexcept;
  uint32_t accepted_length(const PcapHeader& header, const std::byte* bytes) noexcept;
  uint32_t flags_of(const std::byte* bytes, uint32_t caplen) const noexcept;

  int dispatch(uint32_t max) noexcept;
  void fail(Error error) noexcept;
  void handle_error() noexcept;
  void check_interface() noexcept;
  uint64_t in_ring() const noexcept;

  const LibPcap& library_;
  PcapSession session_;
  Arena arena_;
  const std::string uri_;  // for messages
  const std::string target_;
  const Direction direction_;
  const uint32_t snaplen_;
  SourceInfo info_;
  Readiness readiness_;
  std::optional<PacketSocket> socket_;
  std::unique_ptr<PcapTx> tx_;
  UserFilter filter_{FilterVm::Metadata::kIsRead};
  // Where the filter asks for a packet's type, which libpcap keeps to itself: what it could be, and be accepted.
  std::vector<PacketMetadata> possible_;
  std::vector<uint32_t> hopeless_;
  bool started_ = false;

  Filling filling_;
  bool down_ = false;
  bool failed_ = false;
  Error error_;

  mutable PcapCounters counters_;
  uint64_t delivered_ = 0;
  uint64_t unasked_ = 0;  // given beyond what was asked for
  uint64_t delivered_bytes_ = 0;
  uint32_t batches_since_refresh_ = 0;
};

}  // namespace ringtap::pcap
