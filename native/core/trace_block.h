// What a trace holds beside packets, and what reads them needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ringtap {

/// A block of a pcapng trace: names of addresses, what decrypts packets, an interface, or what a section says of itself
/// (format/pcapng_kept.h has what their bodies are).
struct TraceBlock {
  uint32_t type = 0;      // as pcapng numbers them
  std::string body = {};  // in this host's byte order, padded to 4 bytes; empty: it was too long to be kept
  uint32_t twin = 0;      // of an interface: how many like it its section had before
};

/// The most that is kept of all of them together.
constexpr size_t kMostBlocksBytes = 8u << 20;

/// Adds what is read, as long as that is not more. WHY one beyond it is kept: who writes them finds that it is too
/// much. False: it is not kept.
inline bool keep_within(std::vector<TraceBlock>& blocks, size_t& bytes, TraceBlock block) {
  if (bytes > kMostBlocksBytes) return false;
  bytes += block.body.size();
  blocks.push_back(std::move(block));
  return true;
}

}  // namespace ringtap
