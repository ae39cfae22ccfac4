// What each reader of a trace is given of it.
#ifndef _WIN32

#include <algorithm>
#include <cstring>

#include "format/pcapng_blocks.h"
#include "write/readers.h"

namespace ringtap {

Readers::Chunk::~Chunk() {
  delivery->lost += packets - delivered;
  delivery->waiting -= packets;
}

// With mutex_ held:

std::shared_ptr<Readers::Chunk> Readers::chunk_of(std::span<const std::byte> bytes, bool begins_file) {
  auto chunk = std::make_shared<Chunk>(delivery_);
  chunk->bytes.assign(bytes.begin(), bytes.end());
  chunk->begins_file = begins_file;
  chunk->packets = packets_in(*chunk, bytes.size());
  delivery_->waiting += chunk->packets;
  return chunk;
}

Encoder::Record Readers::record(const Chunk& chunk, size_t at) const {
  const auto from = static_cast<uint32_t>(at);
  return request_.is_pcapng ? pcapng_record(chunk.bytes.data(), from)
                            : pcap_record(chunk.bytes.data(), from, chunk.begins_file);
}

uint32_t Readers::packets_in(const Chunk& chunk, size_t bytes) const {
  if (chunk.packets > 0 && bytes == chunk.bytes.size()) return chunk.packets;
  uint32_t packets = 0;
  for (size_t at = 0; at < bytes;) {
    const Encoder::Record next = record(chunk, at);
    if (next.end > bytes) break;
    packets += next.is_packet ? 1 : 0;
    at = next.end;
  }
  return packets;
}

/// The records from there on that packets of later ones cannot be read without.
std::vector<std::byte> Readers::describing(const Chunk& chunk, size_t from) const {
  std::vector<std::byte> found;
  for (size_t at = from; at < chunk.bytes.size();) {
    const Encoder::Record next = record(chunk, at);
    uint32_t type = 0;
    std::memcpy(&type, chunk.bytes.data() + at, sizeof type);
    const bool counts = request_.is_pcapng && type == pcapng::kStatistics;
    if (!next.is_packet && !counts) {
      found.insert(found.end(), chunk.bytes.begin() + static_cast<std::ptrdiff_t>(at),
                   chunk.bytes.begin() + static_cast<std::ptrdiff_t>(next.end));
    }
    at = next.end;
  }
  return found;
}

/// As much of it as there is room for, and what later packets need of the rest.
void Readers::give(Reader& reader, const std::shared_ptr<Chunk>& chunk) {
  const size_t all = chunk->bytes.size();
  size_t bytes = all;
  if (request_.drops && reader.queued + all > request_.queue_bytes) {
    const uint64_t room = request_.queue_bytes - std::min(request_.queue_bytes, reader.queued);
    bytes = 0;
    while (bytes < all) {
      const size_t end = record(*chunk, bytes).end;
      if (end > room) break;
      bytes = end;
    }
    chunk->delivered = std::min(chunk->delivered, packets_in(*chunk, bytes));
  }
  if (reader.queued == 0) reader.moved = Clock::now();
  if (bytes > 0) {
    reader.pieces.push_back({.chunk = chunk, .bytes = bytes});
    reader.queued += bytes;
  }
  if (bytes == all) return;
  const auto rest = describing(*chunk, bytes);
  if (rest.empty()) return;
  reader.pieces.push_back({.chunk = chunk_of(rest, false), .bytes = rest.size()});
  reader.queued += rest.size();
}

}  // namespace ringtap

#endif
