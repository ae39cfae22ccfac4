#include "backends/pfring/target.h"

#include <net/if.h>

#include <algorithm>
#include <charconv>

#include "backends/pfring/abi.h"

namespace ringtap::pfring {

Result<Target> parse_target(const std::string& text, const std::string& uri) {
  Target target;
  target.text = text;
  std::string rest = text;
  for (const auto& [prefix, kind] :
       {std::pair{"stack:", Target::Kind::kStack}, std::pair{"zc:", Target::Kind::kZeroCopy}}) {
    if (!rest.starts_with(prefix)) continue;
    target.kind = kind;
    rest.erase(0, std::string(prefix).size());
    break;
  }
  const auto bad = [&](const std::string& what) {
    return Error{.code = Code::kBadUri,
                 .message = uri + ": " + what,
                 .hint = "Write eth0, eth0@1 (a queue), any, eth0,eth1, stack:eth0 or zc:eth0@0 after pfring:."};
  };
  if (const size_t at = rest.rfind('@'); at != std::string::npos) {
    const std::string digits = rest.substr(at + 1);
    uint32_t queue = 0;
    const char* end = digits.data() + digits.size();
    const auto [stop, failed] = std::from_chars(digits.data(), end, queue);
    if (failed != std::errc() || stop != end || queue >= kMaxChannels) {
      return bad("\"" + digits + "\" is not a queue, which is a number from 0 to " + std::to_string(kMaxChannels - 1));
    }
    target.queue = queue;
    rest.erase(at);
  }
  for (size_t from = 0; from <= rest.size();) {
    const size_t comma = std::min(rest.find(',', from), rest.size());
    target.names.push_back(rest.substr(from, comma - from));
    from = comma + 1;
  }
  for (const std::string& name : target.names) {
    if (name.empty()) return bad("the name of an interface is missing");
    // No interface has these in its name, and the library takes "pcap:…" for a file to open.
    if (name.find_first_of(std::string_view("\0:/", 3)) != std::string::npos || name.size() >= IFNAMSIZ) {
      return Error{.code = Code::kNoInterface, .message = uri + ": \"" + name + "\" is not the name of an interface"};
    }
    if (name == "any" && target.names.size() > 1) return bad("\"any\" stands alone");
  }
  if (target.kind != Target::Kind::kDevices && target.names.size() > 1)
    return bad("one interface only after " + text.substr(0, text.find(':') + 1));
  return target;
}

Result<Ok> name_queue(Target& target, const std::vector<double>& queues, const std::string& uri) {
  if (queues.empty()) return Ok{};
  const auto bad = [&](const std::string& what) {
    return Error{.code = Code::kBadOption,
                 .message = uri + ": queues: " + what,
                 .hint = "Leave queues out for all, or name one; open a capture for each of several."};
  };
  if (queues.size() > 1) return bad("PF_RING opens one queue of an interface, or all");
  if (queues.front() >= kMaxChannels) return bad("a queue is a number from 0 to " + std::to_string(kMaxChannels - 1));
  const auto queue = static_cast<uint32_t>(queues.front());
  if (target.queue && *target.queue != queue) return bad("the target names queue " + std::to_string(*target.queue));
  if (target.any()) return bad("\"any\" has none");
  if (!target.queue) target.text += "@" + std::to_string(queue);
  target.queue = queue;
  return Ok{};
}

Result<Ok> check_queue(const Target& target, uint32_t queues, const std::string& uri) {
  const std::string& name = target.names.front();
  if (!target.queue || *target.queue < std::max(1u, queues)) return Ok{};
  const std::string there = queues <= 1 ? "0 is the only one" : "0–" + std::to_string(queues - 1);
  return Error{.code = Code::kBadOption,
               .message = uri + ": queue " + std::to_string(*target.queue) + " of " + name + " does not exist (" +
                          there + "): it would stay silent",
               .hint = "See ethtool -l " + name};
}

}  // namespace ringtap::pfring
