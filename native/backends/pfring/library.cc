#include "backends/pfring/library.h"

#include "core/shared_library.h"

namespace ringtap::pfring {

namespace {

void bind_zc(LibraryHandle library, Library& f) {
  Binder binder(library);
  binder.need(f.zc_create_cluster, "pfring_zc_create_cluster");
  binder.need(f.zc_destroy_cluster, "pfring_zc_destroy_cluster");
  binder.need(f.zc_open_device, "pfring_zc_open_device");
  binder.need(f.zc_close_device, "pfring_zc_close_device");
  binder.need(f.zc_get_packet_handle, "pfring_zc_get_packet_handle");
  binder.need(f.zc_pkt_buff_data, "pfring_zc_pkt_buff_data");
  binder.need(f.zc_recv_pkt_burst, "pfring_zc_recv_pkt_burst");
  binder.need(f.zc_queue_is_empty, "pfring_zc_queue_is_empty");
  binder.need(f.zc_stats, "pfring_zc_stats");
  if (!binder.missing().empty()) f.zc_create_cluster = nullptr;
}

/// The name of a function that this library lacks; empty if all are there.
std::string bind(LibraryHandle library, Library& f) {
  Binder binder(library);
  binder.need(f.open, "pfring_open");
  binder.need(f.close, "pfring_close");
  binder.need(f.enable_ring, "pfring_enable_ring");
  binder.need(f.recv, "pfring_recv");
  binder.need(f.get_selectable_fd, "pfring_get_selectable_fd");
  binder.need(f.stats, "pfring_stats");
  binder.need(f.set_direction, "pfring_set_direction");
  binder.need(f.set_poll_watermark, "pfring_set_poll_watermark");
  binder.need(f.set_cluster, "pfring_set_cluster");
  binder.need(f.set_application_name, "pfring_set_application_name");
  binder.need(f.get_num_rx_channels, "pfring_get_num_rx_channels");
  binder.need(f.send, "pfring_send");
  binder.need(f.version, "pfring_version");
  binder.want(f.get_num_queued_pkts, "pfring_get_num_queued_pkts");
  binder.want(f.remove_from_cluster, "pfring_remove_from_cluster");

  binder.want(f.zc_check_license, "pfring_zc_check_license");
  bind_zc(library, f);
  return binder.missing();
}

const Loaded<Library>& loaded() {
  // WHY lazily: it leaves libpcap's functions undefined, and needs them for filters of its own alone, which are not
  // used here. To bring libpcap would show it to all that the process loads later.
  static const Loaded<Library> result =
      load_library<Library>({"libpfring.so.8", "libpfring.so"}, "RINGTAP_LIBPFRING", Lookup::kNoneYet, bind);
  return result;
}

}  // namespace

const Library* library() { return loaded().functions ? &*loaded().functions : nullptr; }

Error library_missing(const std::string& uri) {
  return Error{.code = Code::kBackendMissing,
               .message = uri + ": PF_RING's library cannot be loaded: " + loaded().why,
               .hint =
                   "Install the package pfring from https://packages.ntop.org, or name the file in "
                   "RINGTAP_LIBPFRING.",
               .syscall = "dlopen"};
}

}  // namespace ringtap::pfring
