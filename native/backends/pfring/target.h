// What follows "pfring:": eth0, eth0@1, any, eth0,eth1, stack:eth0, zc:eth0@0.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"

namespace ringtap::pfring {

struct Target {
  enum class Kind : uint8_t { kDevices, kStack, kZeroCopy };

  Kind kind = Kind::kDevices;
  std::string text;                 // as PF_RING's library wants it
  std::vector<std::string> names;   // the interfaces, without prefix and queue
  std::optional<uint32_t> queue{};  // of all of them

  bool any() const { return names.front() == "any"; }
};

/// `uri` is for messages.
Result<Target> parse_target(const std::string& text, const std::string& uri);

/// What the option `queues` says (nothing: all of them), put into the target.
Result<Ok> name_queue(Target& target, const std::vector<double>& queues, const std::string& uri);

/// Does the target's queue exist, where PF_RING says that there are `queues`?
Result<Ok> check_queue(const Target& target, uint32_t queues, const std::string& uri);

}  // namespace ringtap::pfring
