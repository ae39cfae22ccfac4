#include "backends/dpdk/module/pci.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <string_view>

namespace ringtap::dpdk {

namespace {

namespace fs = std::filesystem;

constexpr const char* kDevices = "/sys/bus/pci/devices";

// The last ones stay the kernel's and lend their queues to DPDK.
constexpr const char* kDrivers[] = {"vfio-pci", "uio_pci_generic", "igb_uio", "mlx4_core", "mlx5_core", "mana"};

std::string driver_of(const fs::path& device) {
  std::error_code error;
  const fs::path link = fs::read_symlink(device / "driver", error);
  return error ? "" : link.filename().string();
}

bool is_network(const fs::path& device) {
  std::ifstream file(device / "class");
  std::string text;
  return std::getline(file, text) && text.starts_with("0x02");
}

std::string how_to_bind(const std::string& address) {
  return "Set its interface down, then: sudo modprobe vfio-pci && sudo dpdk-devbind.py --bind=vfio-pci " + address +
         " (without an IOMMU: uio_pci_generic). Never the NIC that you are logged in through.";
}

}  // namespace

bool PciNic::for_dpdk() const {
  return std::find(std::begin(kDrivers), std::end(kDrivers), driver) != std::end(kDrivers);
}

std::vector<PciNic> pci_nics() {
  std::vector<PciNic> nics;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(kDevices, error)) {
    if (is_network(entry.path())) nics.push_back({entry.path().filename().string(), driver_of(entry.path())});
  }
  std::sort(nics.begin(), nics.end(), [](const PciNic& a, const PciNic& b) { return a.address < b.address; });
  return nics;
}

std::optional<std::string> pci_address(const std::string& text) {
  constexpr std::string_view kTail = "xx:xx.x";  // bus, device and function
  const size_t colon = text.size() > kTail.size() ? text.size() - kTail.size() - 1 : std::string::npos;
  const bool has_domain = colon != std::string::npos;
  if (text.size() < kTail.size() || (has_domain && (text[colon] != ':' || colon < 4 || colon > 8))) return std::nullopt;
  const std::string_view tail = std::string_view(text).substr(text.size() - kTail.size());
  const auto is_hex = [](unsigned char c) { return std::isxdigit(c) != 0; };
  for (size_t i = 0; i < tail.size(); i++) {
    if (kTail[i] == 'x' ? !is_hex(static_cast<unsigned char>(tail[i])) : tail[i] != kTail[i]) return std::nullopt;
  }
  if (tail.back() < '0' || tail.back() > '7') return std::nullopt;
  if (has_domain && !std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(colon), is_hex)) {
    return std::nullopt;
  }
  std::string address = has_domain ? text : "0000:" + text;
  std::transform(address.begin(), address.end(), address.begin(), [](unsigned char c) { return std::tolower(c); });
  return address;
}

Result<Ok> check_nic(const std::string& uri, const std::string& address) {
  const fs::path device = fs::path(kDevices) / address;
  std::error_code error;
  if (!fs::exists(device, error)) {
    return Error{.code = Code::kNoInterface,
                 .message = uri + ": there is no PCI device " + address,
                 .hint = "`dpdk-devbind.py --status-dev net` lists the NICs of this host."};
  }
  const PciNic nic{address, driver_of(device)};
  if (nic.for_dpdk()) return Ok{};
  const std::string owner = nic.driver.empty() ? "no driver" : "the kernel's driver " + nic.driver;
  return Error{.code = Code::kBusy,
               .message = uri + ": " + address + " is bound to " + owner + ", not to one that gives it to DPDK",
               .hint = how_to_bind(address)};
}

bool is_plugged_in(const std::string& address) noexcept {
  std::error_code error;
  return fs::exists(fs::path(kDevices) / address, error) || error;
}

Result<std::string> nic_at(const std::string& uri, size_t index) {
  std::vector<PciNic> nics = pci_nics();
  const size_t all = nics.size();
  std::erase_if(nics, [](const PciNic& nic) { return !nic.for_dpdk(); });
  if (index < nics.size()) return nics[index].address;
  return Error{.code = Code::kNoInterface,
               .message = uri + ": there is no port " + std::to_string(index) + ": of " + std::to_string(all) +
                          " PCI network cards, " + std::to_string(nics.size()) + " are bound to a DPDK driver",
               .hint = how_to_bind("0000:01:00.0") + " Virtual devices go by name: dpdk:net_null0."};
}

}  // namespace ringtap::dpdk
