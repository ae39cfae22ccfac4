#include "backends/dpdk/module/eal_arguments.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <set>
#include <sstream>
#include <string_view>

#include "backends/dpdk/module/devargs.h"
#include "backends/dpdk/module/pci.h"

namespace ringtap::dpdk {

namespace {

// EAL makes a folder of this name for what several processes would share, which is nothing here: no folder can be made
// where the one around it is missing, and EAL goes on without. What is killed while it starts then leaves none behind.
constexpr const char* kNoFolder = "ringtap/none";
constexpr size_t kLongest = 4096;  // characters of the option
constexpr size_t kNodes = 32;      // DPDK's most NUMA nodes
constexpr uint64_t kMostMegabytes = 9'999'999;

bool whole(std::string_view text, uint64_t least, uint64_t most, int base = 10) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, failed] = std::from_chars(text.data(), end, value, base);
  return !text.empty() && failed == std::errc() && stop == end && value >= least && value <= most;
}

bool one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool is_address(std::string_view text) {
  return text.starts_with("0x") && whole(text.substr(2), 1, 0x7fffffffffff, 16);
}

/// LEVEL or TYPE:LEVEL, where TYPE is as lib.eal or pmd.net.*.
bool is_log_level(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view type = colon == std::string_view::npos ? "*" : text.substr(0, colon);
  const std::string_view level = colon == std::string_view::npos ? text : text.substr(colon + 1);
  const bool named = !type.empty() && type.size() <= 64 && std::all_of(type.begin(), type.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '*' || c == '_';
  });
  return named && (whole(level, 1, 8) ||
                   one_of(level, {"emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"}));
}

/// MEGABYTES of each NUMA node.
bool is_list(std::string_view text) {
  size_t values = 1;
  for (size_t comma = 0; (comma = text.find(',')) != std::string_view::npos; values++) {
    if (!whole(text.substr(0, comma), 0, kMostMegabytes)) return false;
    text.remove_prefix(comma + 1);
  }
  return values <= kNodes && whole(text, 0, kMostMegabytes);
}

/// As in 14d63f20-8445-11ea-8900-1f9ce7d5650d.
bool is_uuid(std::string_view text) {
  constexpr std::string_view kForm = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  if (text.size() != kForm.size()) return false;
  for (size_t i = 0; i < text.size(); i++) {
    if (kForm[i] == 'x' ? std::isxdigit(static_cast<unsigned char>(text[i])) == 0 : text[i] != '-') return false;
  }
  return true;
}

/// An argument that may be passed on, and whether its value may; null where it takes none.
struct Allowed {
  const char* name;
  bool (*takes)(std::string_view value);
  const char* value;  // what that is, for messages
};

// WHY a list of what is allowed, and each value read as EAL reads it: EAL prints its usage to the terminal at a value
// that it cannot read, and getopt takes every abbreviation.
constexpr Allowed kAllowed[] = {
    {"-a", nullptr, "a PCI address"},
    {"--allow", nullptr, "a PCI address"},
    {"-m", [](std::string_view v) { return whole(v, 1, kMostMegabytes); }, "megabytes"},
    {"-n", [](std::string_view v) { return whole(v, 1, 99); }, "1 to 99"},
    {"-r", [](std::string_view v) { return whole(v, 1, 16); }, "1 to 16"},
    {"--base-virtaddr", is_address, "an address such as 0x100000000"},
    {"--force-max-simd-bitwidth",
     [](std::string_view v) {
       return one_of(v, {"64", "128", "256", "512"});
     },
     "64, 128, 256 or 512"},
    {"--iova-mode",
     [](std::string_view v) {
       return one_of(v, {"pa", "va"});
     },
     "pa or va"},
    {"--log-level", is_log_level, "a level such as debug, or lib.eal:debug"},
    {"--match-allocations", nullptr, nullptr},
    {"--mbuf-pool-ops-name",
     [](std::string_view v) {
       return one_of(v, {"ring_mp_mc", "ring_mt_rts", "ring_mt_hts", "stack", "lf_stack"});
     },
     "ring_mp_mc, ring_mt_rts, ring_mt_hts, stack or lf_stack"},
    {"--no-hpet", nullptr, nullptr},
    {"--single-file-segments", nullptr, nullptr},
    {"--socket-limit", is_list, "megabytes for each NUMA node"},
    {"--socket-mem", is_list, "megabytes for each NUMA node"},
    {"--vfio-intr",
     [](std::string_view v) {
       return one_of(v, {"legacy", "msi", "msix"});
     },
     "legacy, msi or msix"},
    {"--vfio-vf-token", is_uuid, "a UUID"},
    {"--vmware-tsc-map", nullptr, nullptr},
};

std::string allowed_names() {
  std::string names;
  for (const Allowed& allowed : kAllowed) names += std::string(names.empty() ? "" : " ") + allowed.name;
  return names;
}

Error refused(const std::string& uri, const std::string& what) {
  return {.code = Code::kBadOption, .message = uri + ": option eal: " + what, .hint = "Known here: " + allowed_names()};
}

/// ADDRESS,key=value,… of a card that DPDK can have.
Result<std::string> checked_nic(const std::string& uri, const std::string& value) {
  const size_t comma = std::min(value.find(','), value.size());
  const auto address = pci_address(value.substr(0, comma));
  if (!address) return refused(uri, "-a: " + shown(value) + " is no PCI address");
  auto parameters = nic_devargs(uri, {.text = value.substr(std::min(comma + 1, value.size()))});
  if (!parameters) return parameters;
  if (auto usable = check_nic(uri, *address); !usable) return std::move(usable).error();
  return *address + (parameters->empty() ? "" : ",") + *parameters;
}

uint64_t number_in(const std::filesystem::path& path) {
  std::ifstream file(path);
  uint64_t number = 0;
  file >> number;
  return number;
}

/// The CPUs that this process may run on, as 0,1,4.
std::string own_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::string list;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return "0";
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &set)) continue;
    if (!list.empty()) list += ',';
    list += std::to_string(cpu);
  }
  return list;
}

uint64_t physical_bytes() {
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

/// What EAL may use of ordinary memory. It is taken only as it is used.
uint64_t ordinary_megabytes() { return std::clamp<uint64_t>((physical_bytes() >> 20) / 2, 512, 16384); }

}  // namespace

uint64_t free_huge_bytes() {
  uint64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/kernel/mm/hugepages", error)) {
    const std::string name = entry.path().filename().string();  // hugepages-2048kB
    const size_t dash = name.find('-');
    if (dash == std::string::npos) continue;
    bytes += std::strtoull(name.c_str() + dash + 1, nullptr, 10) * 1024 * number_in(entry.path() / "free_hugepages");
  }
  return bytes;
}

Result<std::vector<std::string>> checked_arguments(const std::string& uri, const std::string& text) {
  if (text.size() > kLongest) return refused(uri, "more than " + std::to_string(kLongest) + " characters");
  std::vector<std::string> words;
  std::set<std::string> seen;
  std::istringstream stream(text);
  for (std::string word; stream >> word;) {
    std::string value;
    bool has_value = false;
    if (const size_t equals = word.find('='); word.starts_with("--") && equals != std::string::npos) {
      value = word.substr(equals + 1);
      word.resize(equals);
      has_value = true;
    }
    const auto* allowed =
        std::find_if(std::begin(kAllowed), std::end(kAllowed), [&](const Allowed& a) { return word == a.name; });
    if (allowed == std::end(kAllowed)) return refused(uri, shown(word) + " is not one that ringtap passes on");
    const bool is_nic = word == "-a" || word == "--allow";
    if (!seen.insert(word).second && !is_nic) return refused(uri, word + " is given twice");
    if (allowed->value == nullptr && has_value) return refused(uri, word + " takes no value");
    words.push_back(word);
    if (allowed->value == nullptr) continue;
    if (!has_value && !(stream >> value)) return refused(uri, word + " needs a value");
    if (is_nic) {
      auto nic = checked_nic(uri, value);
      if (!nic) return std::move(nic).error();
      value = *std::move(nic);
    } else if (!allowed->takes(value)) {
      return refused(uri, word + " must be " + allowed->value + ", not " + shown(value));
    }
    words.push_back(std::move(value));
  }
  if (seen.contains("-m") && seen.contains("--socket-mem"))
    return refused(uri, "-m and --socket-mem exclude each other");
  return words;
}

Result<Ok> check_memory(const std::string& uri, const std::vector<std::string>& arguments, bool huge_pages) {
  // WHY: EAL prints its usage where it misses huge pages, and starts never again in this process where it wanted more
  // memory than there is.
  const uint64_t most = (huge_pages ? free_huge_bytes() : physical_bytes()) >> 20;
  for (size_t i = 0; i < arguments.size(); i++) {
    const std::string& name = arguments[i];
    const bool per_node = name == "--socket-mem" || name == "--socket-limit";
    if (!huge_pages && (per_node || name == "--match-allocations")) {
      return refused(uri, name + " means something in huge pages only, and DPDK starts without them");
    }
    if (name != "-m" && name != "--socket-mem") continue;
    uint64_t sum = 0;
    std::istringstream values(arguments[i + 1]);
    for (std::string value; std::getline(values, value, ',');) sum += std::strtoull(value.c_str(), nullptr, 10);
    if (sum > most) {
      return Error{.code = Code::kNoMemory,
                   .message = uri + ": option eal: " + name + " wants " + std::to_string(sum) + " MB, and there are " +
                              std::to_string(most) + (huge_pages ? " MB of free huge pages" : " MB of memory"),
                   .hint = "Lower it, or leave it out: DPDK then takes what it needs."};
    }
  }
  return Ok{};
}

std::vector<std::string> eal_arguments(const EalNeeds& needs) {
  // WHY: one lcore that may run everywhere; -l would pin the thread that starts EAL.
  std::vector<std::string> arguments = {"ringtap",        "--lcores",      "0@(" + own_cpus() + ")",
                                        "--no-telemetry", "--file-prefix", kNoFolder};
  const auto has = [&](const char* name) {
    return std::find(needs.extra.begin(), needs.extra.end(), name) != needs.extra.end();
  };
  if (!needs.pci.empty()) {
    arguments.insert(arguments.end(), {"-a", needs.pci});
  } else if (!has("-a") && !has("--allow")) {
    arguments.push_back("--no-pci");
  }
  if (needs.huge_pages) {
    arguments.push_back("--in-memory");
  } else {
    arguments.insert(arguments.end(), {"--no-huge", "--no-shconf"});
    if (!has("-m")) arguments.insert(arguments.end(), {"-m", std::to_string(ordinary_megabytes())});
  }
  arguments.insert(arguments.end(), needs.extra.begin(), needs.extra.end());
  return arguments;
}

}  // namespace ringtap::dpdk
