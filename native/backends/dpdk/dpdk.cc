// The part that is always there: finds ringtap_dpdk.so beside the addon when the first dpdk: URI is opened.
#include "backends/dpdk/dpdk.h"

#include <dlfcn.h>
#include <unistd.h>

#include "backends/dpdk/module.h"

namespace ringtap {

namespace {

using dpdk::Module;

constexpr const char* kFile = "ringtap_dpdk.so";
constexpr const char* kInstall =
    "sudo apt-get install libdpdk-dev, then build the module for it: npx ringtap doctor --fix dpdk. To run it "
    "elsewhere: "
    "librte-ethdev23, librte-mempool-ring23 and the librte-net-* of the device.";

Error missing(std::string why) {
  return {.code = Code::kBackendMissing, .message = "dpdk: " + std::move(why), .hint = kInstall};
}

/// The folder of the file that this function is in.
std::string own_folder() {
  Dl_info info{};
  // SAFETY: dladdr() wants the address of a function as a data pointer.
  if (dladdr(reinterpret_cast<void*>(&open_dpdk), &info) == 0 || info.dli_fname == nullptr) return {};
  const std::string path = info.dli_fname;
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

Result<const Module*> load() {
  const std::string path = own_folder() + "/" + kFile;
  if (access(path.c_str(), F_OK) != 0) {
    return missing("this build has no DPDK module: " + path + " does not exist");
  }
  // Never closed: DPDK's threads and memory outlive every capture.
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return missing("cannot load the DPDK module: " + std::string(dlerror()));
  // SAFETY: POSIX lets dlsym() return functions; the name says which type.
  const auto entry = reinterpret_cast<dpdk::ModuleEntry>(dlsym(handle, dpdk::kModuleEntry));
  const Module* module = entry != nullptr ? entry() : nullptr;
  if (module == nullptr || module->contract != dpdk::kContract) {
    return missing(path + " belongs to another version of ringtap");
  }
  return module;
}

/// Tried once per process: what is missing stays missing for it.
const Result<const Module*>& module() {
  static const Result<const Module*> loaded = load();
  return loaded;
}

}  // namespace

Probe probe_dpdk() {
  const auto& found = module();
  if (!found) return {.available = false, .error = found.error()};
  return (*found)->probe();
}

Result<std::unique_ptr<Source>> open_dpdk(const OpenRequest& request) {
  const auto& found = module();
  if (!found) return found.error();
  return (*found)->open(request);
}

std::vector<Device> devices_dpdk() {
  const auto& found = module();
  return found ? (*found)->devices() : std::vector<Device>{};
}

}  // namespace ringtap
