// Which end of a conversation a frame comes from.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "rewrite/edits.h"

namespace ringtap::replay {

class Sides {
 public:
  /// Frames of these come from clients; all others from servers.
  std::vector<rewrite::Mac> macs{};
  std::vector<rewrite::Network> networks{};

  /// Where neither are named: of two addresses that speak with each other the one that speaks first is the client,
  /// though not with the answer to a TCP connection whose beginning is missing.
  bool is_client(std::span<const std::byte> frame, uint32_t wirelen);

 private:
  using Key = std::array<std::byte, 33>;

  std::map<Key, bool> lower_is_client_;
};

}  // namespace ringtap::replay
