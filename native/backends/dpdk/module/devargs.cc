#include "backends/dpdk/module/devargs.h"

#include <net/if.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <span>

namespace ringtap::dpdk {

namespace {

constexpr size_t kShown = 48;           // characters of a text from outside in a message
constexpr size_t kLongest = 4096;       // characters of all parameters
constexpr size_t kMostDigits = 10;      // of the number of a device
constexpr size_t kMostParameters = 30;  // DPDK takes 32, the device's name included

enum class Kind : uint8_t {
  kNumber,        // 0 to `most`
  kSwitch,        // 0 or 1
  kYesNo,         // yes or no
  kRole,          // of memif
  kMac,           // an address, or what net_tap calls fixed
  kWord,          // letters and digits
  kInterface,     // one that there is
  kNewInterface,  // the name of one to be made
  kTrace,         // a file to read
  kPath,          // a file to write, a socket
};

struct Parameter {
  const char* key;
  Kind kind;
  uint32_t most = 0;    // of kNumber
  bool unsafe = false;  // only in unsafeDevargs
};

// WHY a maximum for each number: drivers take atoi()'s word for it, and net_null copies `size` bytes into a buffer of
// 2048.
constexpr Parameter kAfPacket[] = {
    {"iface", Kind::kInterface},        {"qpairs", Kind::kNumber, 16},        {"blocksz", Kind::kNumber, 1 << 30},
    {"framesz", Kind::kNumber, 262144}, {"framecnt", Kind::kNumber, 1 << 24}, {"qdisc_bypass", Kind::kSwitch},
};
constexpr Parameter kAfXdp[] = {
    {"iface", Kind::kInterface},    {"start_queue", Kind::kNumber, 1023},  {"queue_count", Kind::kNumber, 64},
    {"shared_umem", Kind::kSwitch}, {"busy_budget", Kind::kNumber, 65535}, {"force_copy", Kind::kSwitch},
};
constexpr Parameter kNull[] = {{"size", Kind::kNumber, 2048}, {"copy", Kind::kSwitch}, {"no-rx", Kind::kSwitch}};
constexpr Parameter kPcap[] = {
    {"iface", Kind::kInterface},       {"rx_iface", Kind::kInterface},
    {"rx_iface_in", Kind::kInterface}, {"rx_pcap", Kind::kTrace},
    {"phy_mac", Kind::kSwitch},        {"infinite_rx", Kind::kSwitch},
    {"tx_pcap", Kind::kPath, 0, true}, {"tx_iface", Kind::kInterface, 0, true},
};
constexpr Parameter kTap[] = {
    {"iface", Kind::kNewInterface}, {"mac", Kind::kMac}, {"remote", Kind::kInterface, 0, true}};
constexpr Parameter kTun[] = {{"iface", Kind::kNewInterface}};
constexpr Parameter kMemif[] = {
    {"id", Kind::kNumber, 1 << 30},    {"role", Kind::kRole},   {"bsize", Kind::kNumber, 65535},
    {"rsize", Kind::kNumber, 14},      {"mac", Kind::kMac},     {"zero-copy", Kind::kYesNo},
    {"socket-abstract", Kind::kYesNo}, {"secret", Kind::kWord}, {"socket", Kind::kPath, 0, true},
};
constexpr Parameter kVhost[] = {
    {"queues", Kind::kNumber, 64},       {"client", Kind::kSwitch},       {"iommu-support", Kind::kSwitch},
    {"postcopy-support", Kind::kSwitch}, {"tso", Kind::kSwitch},          {"linear-buffer", Kind::kSwitch},
    {"ext-buffer", Kind::kSwitch},       {"iface", Kind::kPath, 0, true},
};
constexpr Parameter kVirtioUser[] = {
    {"queues", Kind::kNumber, 64},
    {"queue_size", Kind::kNumber, 32768},
    {"mac", Kind::kMac},
    {"cq", Kind::kSwitch},
    {"server", Kind::kSwitch},
    {"mrg_rxbuf", Kind::kSwitch},
    {"in_order", Kind::kSwitch},
    {"packed_vq", Kind::kSwitch},
    {"vectorized", Kind::kSwitch},
    {"speed", Kind::kNumber, 400000},
    {"iface", Kind::kNewInterface},
    {"path", Kind::kPath, 0, true},
};
// Which driver a card gets is DPDK's choice: each of these means something harmless, or nothing, to all of them.
constexpr Parameter kNic[] = {
    {"cq64", Kind::kSwitch},                        // enic
    {"default-mac-disable", Kind::kSwitch},         // ice
    {"delay_drop", Kind::kNumber, 3},               // mlx5
    {"dv_flow_en", Kind::kNumber, 2},               // mlx5
    {"enable-avx2-rx", Kind::kSwitch},              // enic
    {"enable_llq", Kind::kSwitch},                  // ena
    {"fiber_sdp3_no_tx_disable", Kind::kSwitch},    // ixgbe
    {"keep_ovlan", Kind::kSwitch},                  // cxgbe
    {"large_llq_hdr", Kind::kSwitch},               // ena
    {"llq_policy", Kind::kNumber, 3},               // ena
    {"miss_txc_to", Kind::kNumber, 60},             // ena
    {"mprq_en", Kind::kSwitch},                     // mlx5
    {"mprq_log_stride_num", Kind::kNumber, 31},     // mlx5
    {"mprq_log_stride_size", Kind::kNumber, 31},    // mlx5
    {"mprq_max_memcpy_len", Kind::kNumber, 65535},  // mlx5
    {"pflink_fullchk", Kind::kSwitch},              // ixgbe
    {"pipeline-mode-support", Kind::kSwitch},       // ice
    {"quanta_size", Kind::kNumber, 4096},           // iavf
    {"queue-num-per-vf", Kind::kNumber, 16},        // i40e
    {"rx_low_latency", Kind::kSwitch},              // ice
    {"rx_vec_en", Kind::kSwitch},                   // mlx5
    {"rxq_cqe_comp_en", Kind::kNumber, 4},          // mlx5
    {"rxq_pkt_pad_en", Kind::kSwitch},              // mlx5
    {"rxqs_min_mprq", Kind::kNumber, 1024},         // mlx5
    {"safe-mode-support", Kind::kSwitch},           // ice
    {"speed", Kind::kNumber, 400000},               // virtio
    {"support-multi-driver", Kind::kSwitch},        // i40e
    {"tx_mode_latency", Kind::kSwitch},             // cxgbe
    {"vectorized", Kind::kSwitch},                  // virtio
};

struct Driver {
  const char* name;
  std::span<const Parameter> parameters;
  bool unsafe = false;  // makes a socket, or connects to one, whatever its parameters
};

constexpr Driver kDrivers[] = {
    {"net_af_packet", kAfPacket},
    {"net_af_xdp", kAfXdp},
    {"net_memif", kMemif, true},
    {"net_null", kNull},
    {"net_pcap", kPcap},
    {"net_ring", {}},
    {"net_tap", kTap},
    {"net_tun", kTun},
    {"net_vhost", kVhost, true},
    {"net_virtio_user", kVirtioUser, true},
};
constexpr Driver kCard = {"a PCI network card", kNic};

constexpr const char* kHow = "unsafeDevargs, which goes into the options object and into no URI";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

Error refused(const std::string& uri, const std::string& what, std::string hint) {
  return {.code = Code::kBadOption, .message = uri + ": " + what, .hint = std::move(hint)};
}

std::string driver_names() {
  std::string names;
  for (const Driver& driver : kDrivers) names += std::string(names.empty() ? "" : " ") + driver.name;
  return names;
}

std::string keys_of(const Driver& driver, bool unsafe) {
  std::string keys;
  for (const Parameter& parameter : driver.parameters) {
    if (parameter.unsafe == unsafe) keys += std::string(keys.empty() ? "" : " ") + parameter.key;
  }
  return keys;
}

/// What the driver takes, for a hint.
std::string allowed(const Driver& driver) {
  const std::string keys = keys_of(driver, false);
  const std::string unsafe = keys_of(driver, true);
  return std::string(driver.name) + " takes " + (keys.empty() ? "no parameters" : keys) +
         (unsafe.empty() ? "" : "; in " + std::string(kHow) + ": " + unsafe);
}

/// net_pcap of net_pcap0. WHY not as DPDK does it: there a driver's name need only be how the device's begins.
const Driver* driver_of(std::string_view device) {
  size_t end = device.size();
  while (end > 0 && device.size() - end < kMostDigits && is_digit(device[end - 1])) end--;
  const std::string_view name = device.substr(0, end);
  const auto* found =
      std::find_if(std::begin(kDrivers), std::end(kDrivers), [&](const Driver& driver) { return name == driver.name; });
  return found == std::end(kDrivers) ? nullptr : found;
}

std::optional<uint32_t> number(std::string_view text) {
  uint32_t value = 0;
  const auto [stop, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || failed != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_mac(std::string_view text) {
  if (text == "fixed") return true;
  if (text.size() != 17) return false;
  for (size_t i = 0; i < text.size(); i++) {
    const char c = text[i];
    const bool hex = is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (i % 3 == 2 ? c != ':' : !hex) return false;
  }
  return true;
}

/// Nothing that is syntax to DPDK (its lists, and layers that begin with /bus=) or that a terminal obeys.
bool is_path(std::string_view text) {
  constexpr std::string_view kSyntax = ",=[]()";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return static_cast<unsigned char>(c) >= ' ' && c != 0x7f && kSyntax.find(c) == std::string_view::npos;
  });
}

bool is_interface_name(std::string_view text) {
  return text.size() < IFNAMSIZ && is_path(text) && text.find_first_of("/ ") == std::string_view::npos;
}

/// What is wrong with a value, nothing if it may be passed on.
std::optional<std::string> fault_in(const Parameter& parameter, const std::string& value) {
  switch (parameter.kind) {
    case Kind::kNumber:
      if (const auto given = number(value); given && *given <= parameter.most) return std::nullopt;
      return "must be a number from 0 to " + std::to_string(parameter.most);
    case Kind::kSwitch:
      if (value == "0" || value == "1") return std::nullopt;
      return "must be 0 or 1";
    case Kind::kYesNo:
      if (value == "yes" || value == "no") return std::nullopt;
      return "must be yes or no";
    case Kind::kRole:
      if (value == "server" || value == "client") return std::nullopt;
      return "must be server or client";
    case Kind::kMac:
      if (is_mac(value)) return std::nullopt;
      return "must be an address such as 02:00:00:00:00:01";
    case Kind::kWord:
      if (value.size() <= 24 && !value.empty() && std::all_of(value.begin(), value.end(), is_word)) return std::nullopt;
      return "must be up to 24 letters and digits";
    case Kind::kInterface:
      if (is_interface_name(value) && if_nametoindex(value.c_str()) != 0) return std::nullopt;
      return "must be a network interface of this host";
    case Kind::kNewInterface:
      if (is_interface_name(value) && is_word(value.front()) && std::all_of(value.begin(), value.end(), [](char c) {
            return is_word(c) || c == '_' || c == '-' || c == '.';
          }))
        return std::nullopt;
      return "must be a name for an interface: letters, digits, _ - and .";
    case Kind::kTrace: {
      // WHY a regular file: opening a pipe would wait, under a lock, for a writer that may never come.
      std::error_code error;
      if (is_path(value) && std::filesystem::is_regular_file(value, error)) return std::nullopt;
      return "must be a file to read, without any of ,=[]() in its path";
    }
    case Kind::kPath:
      if (is_path(value)) return std::nullopt;
      return "must be a path without any of ,=[]()";
  }
  return "is not known";
}

/// Checks key=value,key=value and appends it to `to`.
Result<Ok> take(const std::string& uri, const Driver& driver, std::string_view text, bool unsafe, std::string& to) {
  const char* option = unsafe ? "unsafeDevargs" : "devargs";
  if (text.size() > kLongest) {
    return refused(uri, std::string(option) + " has more than " + std::to_string(kLongest) + " characters",
                   allowed(driver));
  }
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view pair = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    const std::string_view key = pair.substr(0, equals);
    const auto parameter = std::find_if(driver.parameters.begin(), driver.parameters.end(),
                                        [&](const Parameter& known) { return key == known.key; });
    if (parameter == driver.parameters.end()) {
      return refused(uri, std::string(driver.name) + " has no parameter " + shown(key) + " that ringtap passes on",
                     allowed(driver));
    }
    if (parameter->unsafe && !unsafe) {
      return refused(uri,
                     std::string(driver.name) + ": " + parameter->key +
                         " can write, or connect to something: it must be in " + kHow,
                     allowed(driver));
    }
    const std::string value(equals == std::string_view::npos ? "" : pair.substr(equals + 1));
    if (const auto fault = fault_in(*parameter, value)) {
      return refused(uri, std::string(driver.name) + ": " + parameter->key + " " + *fault + ", not " + shown(value),
                     allowed(driver));
    }
    if (!to.empty()) to += ',';
    to.append(parameter->key).append("=").append(value);
  }
  return Ok{};
}

Result<std::string> check(const std::string& uri, const Driver& driver, const Devargs& devargs) {
  std::string all;
  if (auto taken = take(uri, driver, devargs.text, false, all); !taken) return std::move(taken).error();
  if (auto taken = take(uri, driver, devargs.unsafe, true, all); !taken) return std::move(taken).error();
  if (static_cast<size_t>(std::count(all.begin(), all.end(), '=')) > kMostParameters) {
    return refused(uri, "more than " + std::to_string(kMostParameters) + " parameters", allowed(driver));
  }
  return all;
}

}  // namespace

std::string shown(std::string_view text) {
  std::string safe = "\"";
  for (const char c : text.substr(0, kShown)) safe += c >= ' ' && c < 0x7f ? c : '?';
  return safe + (text.size() > kShown ? "…\"" : "\"");
}

Result<std::string> virtual_devargs(const std::string& uri, const std::string& name, const Devargs& devargs) {
  const Driver* driver = driver_of(name);
  if (driver == nullptr) {
    return refused(uri, shown(name) + " is no virtual device that ringtap passes on to DPDK",
                   "It is called as its driver and a number, such as net_pcap0. Drivers: " + driver_names());
  }
  if (driver->unsafe && devargs.unsafe.empty()) {
    return refused(uri,
                   std::string(driver->name) + " makes a socket, or connects to one: that must be asked for in " + kHow,
                   allowed(*driver));
  }
  return check(uri, *driver, devargs);
}

Result<std::string> nic_devargs(const std::string& uri, const Devargs& devargs) { return check(uri, kCard, devargs); }

}  // namespace ringtap::dpdk
