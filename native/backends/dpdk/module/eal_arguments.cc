#include "backends/dpdk/module/eal_arguments.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

namespace ringtap::dpdk {

namespace {

// A PCI address, with parameters for its driver.
constexpr const char* kNic =
    "([0-9a-fA-F]{4,8}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\\.[0-7](,[A-Za-z0-9_]+=[A-Za-z0-9_.:/-]+)*";

/// An argument that may be passed on, and the form of its value; null where it takes none.
struct Allowed {
  const char* name;
  const char* value;
};

// WHY a list of what is allowed: EAL prints its usage to the terminal at a value that it cannot read, and getopt takes
// every abbreviation.
constexpr Allowed kAllowed[] = {
    {"-a", kNic},
    {"--allow", kNic},
    {"-m", "[1-9][0-9]{0,6}"},
    {"-n", "[1-9][0-9]?"},
    {"-r", "[1-9][0-9]?"},
    {"--base-virtaddr", "0x[0-9a-fA-F]{1,16}"},
    {"--force-max-simd-bitwidth", "64|128|256|512"},
    {"--iova-mode", "pa|va"},
    {"--log-level", "[1-8]|([A-Za-z0-9.*_]+[:,])?(emergency|alert|critical|error|warning|notice|info|debug|[1-8])"},
    {"--match-allocations", nullptr},
    {"--mbuf-pool-ops-name", "[a-z_]{1,30}"},
    {"--no-hpet", nullptr},
    {"--single-file-segments", nullptr},
    {"--socket-limit", "[0-9]{1,7}(,[0-9]{1,7})*"},
    {"--socket-mem", "[0-9]{1,7}(,[0-9]{1,7})*"},
    {"--vfio-intr", "legacy|msi|msix"},
    {"--vfio-vf-token", "[0-9a-fA-F-]{36}"},
    {"--vmware-tsc-map", nullptr},
};

std::string allowed_names() {
  std::string names;
  for (const Allowed& allowed : kAllowed) names += std::string(names.empty() ? "" : " ") + allowed.name;
  return names;
}

Error refused(const std::string& uri, const std::string& what) {
  return {.code = Code::kBadOption, .message = uri + ": option eal: " + what, .hint = "Known here: " + allowed_names()};
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

/// What EAL may use of ordinary memory. It is taken only as it is used.
uint64_t ordinary_megabytes() {
  const uint64_t physical =
      static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return std::clamp<uint64_t>((physical >> 20) / 2, 512, 16384);
}

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
  std::vector<std::string> words;
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
    if (allowed == std::end(kAllowed)) return refused(uri, "\"" + word + "\" is not one that ringtap passes on");
    if (allowed->value == nullptr) {
      if (has_value) return refused(uri, word + " takes no value");
      words.push_back(word);
      continue;
    }
    if (!has_value && !(stream >> value)) return refused(uri, word + " needs a value");
    if (!std::regex_match(value, std::regex(allowed->value))) {
      return refused(uri, word + ": \"" + value + "\" is not a value of it");
    }
    words.push_back(word);
    words.push_back(value);
  }
  return words;
}

std::vector<std::string> eal_arguments(const EalNeeds& needs) {
  // WHY: one lcore that may run everywhere; -l would pin the thread that starts EAL.
  std::vector<std::string> arguments = {"ringtap", "--lcores", "0@(" + own_cpus() + ")", "--no-telemetry"};
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
