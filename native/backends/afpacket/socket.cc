#include "backends/afpacket/socket.h"

#include <linux/net_tstamp.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <span>

#include "linux/hardware_stamps.h"
#include "linux/packet_socket.h"

namespace ringtap::afpacket {

namespace {

constexpr uint32_t kBlockUnit = 65536;

tpacket_req3 ring_layout(const Options& options) {
  tpacket_req3 layout{};
  layout.tp_block_size = static_cast<uint32_t>(options.integer("blockBytes", 256 << 10));
  const int64_t buffer = options.integer("bufferBytes", 64 << 20);
  layout.tp_block_nr = static_cast<uint32_t>(std::max<int64_t>(2, buffer / std::max(1u, layout.tp_block_size)));
  // WHY: V3 does not use frames, but wants their number to add up.
  layout.tp_frame_size = 256;
  layout.tp_frame_nr = layout.tp_block_size / layout.tp_frame_size * layout.tp_block_nr;
  layout.tp_retire_blk_tov = static_cast<uint32_t>(options.integer("timeoutMs", 10));
  layout.tp_feature_req_word = TP_FT_REQ_FILL_RXHASH;
  return layout;
}

}  // namespace

Result<UniqueFd> open_socket(int type, const std::string& uri) {
  UniqueFd fd = open_packet_socket(type);
  if (fd) return fd;
  switch (errno) {
    case EPERM:
    case EACCES:
      return packet_right_refused(uri + ": an AF_PACKET socket", "socket", errno);
    case EAFNOSUPPORT:
      return system_error(Code::kBackendMissing, uri + ": the kernel has no AF_PACKET", "socket", errno);
    default:
      return system_error(Code::kSystem, uri + ": AF_PACKET", "socket", errno);
  }
}

void choose_clock(int fd, const Target& target, const OpenRequest& request, SourceInfo& info) {
  info.timestamp_source = "kernel";
  if (request.options.text("timestamp", "auto") != "hardware") return;
  if (!choose_hardware_stamps(std::span(&target.name, 1), request.target, request.purpose, info)) return;
  if (set_packet_option(fd, PACKET_TIMESTAMP, int{SOF_TIMESTAMPING_RAW_HARDWARE}) != 0)
    info.timestamp_source = "kernel";
}

Result<MappedRing> map_ring(int fd, const Options& options, const std::string& uri) {
  if (const int err = set_packet_option(fd, PACKET_VERSION, int{TPACKET_V3}); err != 0) {
    return system_error(Code::kBackendMissing, uri + ": the kernel has no TPACKET_V3", "setsockopt(PACKET_VERSION)",
                        err);
  }
  const tpacket_req3 layout = ring_layout(options);
  if (layout.tp_block_size < kBlockUnit || layout.tp_block_size % kBlockUnit != 0) {
    return Error{.code = Code::kBadOption,
                 .message = uri + ": blockBytes=" + std::to_string(layout.tp_block_size) + " is not a multiple of " +
                            std::to_string(kBlockUnit)};
  }
  const size_t bytes = size_t{layout.tp_block_size} * layout.tp_block_nr;
  if (const int err = set_packet_option(fd, PACKET_RX_RING, layout); err != 0) {
    // Kernels in user space (gVisor, qemu-user) have the socket without its ring.
    if (err == ENOPROTOOPT || err == EOPNOTSUPP || err == ENOSYS) {
      return system_error(Code::kBackendMissing, uri + ": the kernel has no AF_PACKET ring",
                          "setsockopt(PACKET_RX_RING)", err);
    }
    return system_error(err == ENOMEM ? Code::kNoMemory : Code::kSystem,
                        uri + ": cannot set up a ring of " + std::to_string(bytes) + " bytes",
                        "setsockopt(PACKET_RX_RING)", err);
  }
  auto region = Region::map(bytes, MAP_SHARED, fd);
  if (!region) return system_error(Code::kNoMemory, uri + ": cannot map the ring", "mmap", region.error().err);
  return MappedRing{std::make_unique<Ring>(*std::move(region), layout.tp_block_size, layout.tp_block_nr),
                    layout.tp_block_nr};
}

std::optional<uint32_t> fanout_mode(const std::string& name) {
  static constexpr struct {
    const char* name;
    uint32_t mode;
  } kModes[] = {{"hash", PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_DEFRAG},
                {"lb", PACKET_FANOUT_LB},
                {"cpu", PACKET_FANOUT_CPU},
                {"rollover", PACKET_FANOUT_ROLLOVER},
                {"rnd", PACKET_FANOUT_RND},
                {"qm", PACKET_FANOUT_QM}};
  const auto* mode = std::find_if(std::begin(kModes), std::end(kModes), [&](const auto& m) { return name == m.name; });
  return mode == std::end(kModes) ? std::nullopt : std::optional(mode->mode);
}

int join_fanout(int fd, uint32_t group, uint32_t mode) {
  return set_packet_option(fd, PACKET_FANOUT, group | mode << 16);
}

}  // namespace ringtap::afpacket
