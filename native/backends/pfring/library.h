// libpfring without linking to it: opened at run time.
#pragma once

#include <cstdint>

#include "backends/pfring/abi.h"
#include "core/error.h"

namespace ringtap::pfring {

struct Handle;
struct ZcCluster;
struct ZcQueue;

/// The functions, by their names without "pfring_". Those in the second list are null where the library has no ZC,
/// those in the third in old versions.
struct Library {
  Handle* (*open)(const char* device, uint32_t caplen, uint32_t flags);
  void (*close)(Handle*);
  int (*enable_ring)(Handle*);
  int (*recv)(Handle*, uint8_t** buffer, unsigned buffer_bytes, PacketHeader*, uint8_t wait);
  int (*get_selectable_fd)(Handle*);
  int (*stats)(Handle*, LibraryStats*);
  int (*set_direction)(Handle*, uint32_t);
  int (*set_poll_watermark)(Handle*, uint16_t);
  int (*set_cluster)(Handle*, unsigned id, uint32_t mode);
  int (*set_application_name)(Handle*, char*);
  uint8_t (*get_num_rx_channels)(Handle*);
  int (*send)(Handle*, char* packet, unsigned bytes, uint8_t flush);
  int (*version)(Handle*, uint32_t*);

  ZcCluster* (*zc_create_cluster)(uint32_t id, uint32_t buffer_bytes, uint32_t metadata_bytes, uint32_t buffers,
                                  int32_t numa_node, const char* hugepages, uint32_t flags);
  int (*zc_destroy_cluster)(ZcCluster*);
  ZcQueue* (*zc_open_device)(ZcCluster*, const char* device, uint32_t mode, uint32_t flags);
  int (*zc_close_device)(ZcQueue*);
  ZcPacket* (*zc_get_packet_handle)(ZcCluster*);
  uint8_t* (*zc_pkt_buff_data)(ZcPacket*, ZcQueue*);
  int (*zc_recv_pkt_burst)(ZcQueue*, ZcPacket**, uint32_t max, uint8_t wait);
  int (*zc_queue_is_empty)(ZcQueue*);
  int (*zc_stats)(ZcQueue*, ZcStats*);

  uint32_t (*get_num_queued_pkts)(Handle*);
  int (*remove_from_cluster)(Handle*);
  int (*zc_check_license)();

  bool has_zc() const { return zc_create_cluster != nullptr; }
};

/// The library, loaded at the first call and never unloaded; null if this host has none. Any thread.
///
/// The environment variable RINGTAP_LIBPFRING names the one file to load instead of the usual names, unless the process
/// has rights that its user has not.
const Library* library();

/// The error to return when library() is null.
Error library_missing(const std::string& uri);

}  // namespace ringtap::pfring
