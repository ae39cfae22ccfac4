// What a trace holds beside packets, and what reads them needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ringtap {

/// A block of a pcapng trace: names of addresses, or what decrypts packets.
struct TraceBlock {
  uint32_t type = 0;      // as pcapng numbers them
  std::string body = {};  // in this host's byte order, padded to 4 bytes; empty: it was too long to be kept
};

/// The most that is kept of all of them together.
constexpr size_t kMostBlocksBytes = 8u << 20;

/// Adds what is read, as long as that is not more. WHY one beyond it is kept: who writes them finds that it is too
/// much.
inline void keep_within(std::vector<TraceBlock>& blocks, size_t& bytes, TraceBlock block) {
  if (bytes > kMostBlocksBytes) return;
  bytes += block.body.size();
  blocks.push_back(std::move(block));
}

}  // namespace ringtap
