#include "backends/pfring/library.h"

#include <dlfcn.h>

#include <optional>
#include <string>
#include <vector>

#include "core/trusted_environment.h"

namespace ringtap::pfring {

namespace {

struct Loaded {
  std::optional<Library> functions;
  std::string why;
};

std::string last_error() {
  const char* text = dlerror();
  return text != nullptr ? text : "dlopen failed";
}

/// Binds by name: what must be there, and what need not.
class Binder {
 public:
  explicit Binder(void* library) : library_(library) {}

  template <class Function>
  void want(Function*& slot, const char* name) {
    // SAFETY: the slots are declared as the library declares the functions.
    slot = reinterpret_cast<Function*>(dlsym(library_, name));
  }
  template <class Function>
  void need(Function*& slot, const char* name) {
    want(slot, name);
    if (slot == nullptr && missing_.empty()) missing_ = name;
  }
  const std::string& missing() const { return missing_; }

 private:
  void* library_;
  std::string missing_;
};

void bind_zc(void* library, Library& f) {
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
std::string bind(void* library, Library& f) {
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

Loaded load() {
  std::vector<std::string> names = {"libpfring.so.8", "libpfring.so"};
  const char* given = trusted_environment("RINGTAP_LIBPFRING");
  if (given != nullptr && *given != '\0') names = {given};
  std::string why;
  for (const std::string& name : names) {
    // WHY lazily: it leaves libpcap's functions undefined, and needs them for filters of its own alone, which are not
    // used here. To bring libpcap would show it to all that the process loads later.
    void* library = dlopen(name.c_str(), RTLD_LAZY | RTLD_LOCAL);
    if (library == nullptr) {
      if (why.empty()) why = last_error();
      continue;
    }
    Library functions{};
    const std::string missing = bind(library, functions);
    if (missing.empty()) return {functions, {}};
    why = name + " has no " + missing;
  }
  return {std::nullopt, why};
}

const Loaded& loaded() {
  static const Loaded result = load();
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
