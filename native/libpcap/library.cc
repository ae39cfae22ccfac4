#include "libpcap/library.h"

#include <cstdio>
#include <vector>

#include "core/shared_library.h"

namespace ringtap {
namespace {

#if defined(_WIN32)

std::vector<std::string> usual_names() {
  std::vector<std::string> names;
  char system[MAX_PATH];
  const UINT length = GetSystemDirectoryA(system, sizeof system);
  if (length > 0 && length < sizeof system) names.push_back(std::string(system, length) + "\\Npcap\\wpcap.dll");
  names.push_back("wpcap.dll");
  return names;
}
constexpr const char* kInstallHint = "Install Npcap from https://npcap.com (also with WinPcap-compatible mode off).";

#else

#if defined(__APPLE__)
std::vector<std::string> usual_names() { return {"libpcap.A.dylib", "/usr/lib/libpcap.dylib"}; }
constexpr const char* kInstallHint =
    "macOS brings libpcap; for another one: brew install libpcap, and set RINGTAP_LIBPCAP.";
#else
std::vector<std::string> usual_names() { return {"libpcap.so.1", "libpcap.so.0.8", "libpcap.so"}; }
constexpr const char* kInstallHint =
    "sudo apt-get install libpcap0.8 (Debian, Ubuntu), sudo dnf install libpcap (Fedora), apk add libpcap (Alpine).";
#endif

#endif

/// The name of a function that this library lacks; empty if all are there.
std::string bind(LibraryHandle library, LibPcap& f) {
  Binder binder(library);
  binder.need(f.lib_version, "pcap_lib_version");
  binder.need(f.create, "pcap_create");
  binder.need(f.set_snaplen, "pcap_set_snaplen");
  binder.need(f.set_promisc, "pcap_set_promisc");
  binder.need(f.set_timeout, "pcap_set_timeout");
  binder.need(f.set_buffer_size, "pcap_set_buffer_size");
  binder.need(f.activate, "pcap_activate");
  binder.need(f.setnonblock, "pcap_setnonblock");
  binder.need(f.setdirection, "pcap_setdirection");
  binder.need(f.setfilter, "pcap_setfilter");
  binder.need(f.datalink, "pcap_datalink");
  binder.need(f.dispatch, "pcap_dispatch");
  binder.need(f.breakloop, "pcap_breakloop");
  binder.need(f.stats, "pcap_stats");
  binder.need(f.geterr, "pcap_geterr");
  binder.need(f.statustostr, "pcap_statustostr");
  binder.need(f.close, "pcap_close");
  binder.need(f.findalldevs, "pcap_findalldevs");
  binder.need(f.freealldevs, "pcap_freealldevs");
  binder.need(f.open_dead, "pcap_open_dead");
  binder.need(f.compile, "pcap_compile");
  binder.need(f.freecode, "pcap_freecode");
  binder.want(f.set_tstamp_type, "pcap_set_tstamp_type");
  binder.want(f.set_tstamp_precision, "pcap_set_tstamp_precision");
  binder.want(f.list_tstamp_types, "pcap_list_tstamp_types");
  binder.want(f.free_tstamp_types, "pcap_free_tstamp_types");
  binder.want(f.get_selectable_fd, "pcap_get_selectable_fd");
  binder.want(f.get_required_select_timeout, "pcap_get_required_select_timeout");
  binder.want(f.set_protocol_linux, "pcap_set_protocol_linux");
  binder.want(f.datalink_name_to_val, "pcap_datalink_name_to_val");
  binder.want(f.inject, "pcap_inject");
#if !defined(_WIN32)
  binder.want(f.fopen_offline, "pcap_fopen_offline");
#endif
  return binder.missing();
}

// WHY never destroyed: a filter may still be compiling while the process ends.
const Loaded<LibPcap>& loaded() {
  static const Loaded<LibPcap>& result =
      *new Loaded<LibPcap>(load_library<LibPcap>(usual_names(), "RINGTAP_LIBPCAP", Lookup::kAll, bind));
  return result;
}

}  // namespace

bool compiles_in_parallel(const std::string& lib_version) {
  // "libpcap version 1.10.3 (with TPACKET_V3)", "Npcap version 1.79, based on libpcap version 1.10.4"
  const std::string before = "libpcap version ";
  const size_t at = lib_version.find(before);
  int major = 0;
  int minor = 0;
  if (at == std::string::npos || std::sscanf(lib_version.c_str() + at + before.size(), "%d.%d", &major, &minor) != 2) {
    return false;
  }
  return major > 1 || (major == 1 && minor >= 8);
}

const LibPcap* libpcap() { return loaded().functions ? &*loaded().functions : nullptr; }

Error libpcap_missing() {
  return Error{.code = Code::kBackendMissing,
               .message = "libpcap cannot be loaded: " + loaded().why,
               .hint = kInstallHint,
               .syscall = "dlopen"};
}

}  // namespace ringtap
