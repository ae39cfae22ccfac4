// Walks arbitrary bytes as a trace that arrives in pieces, as the file: backend does.
#include <algorithm>
#include <cstdlib>
#include <memory>

#include "format/pcapng_kept.h"
#include "format/reader.h"

using namespace ringtap;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

/// Touches every byte that it is shown.
class Touch final : public PacketFilter {
 public:
  uint32_t keep(const std::byte* data, uint32_t, uint32_t caplen) noexcept override {
    uint32_t sum = 1;
    for (uint32_t i = 0; i < caplen; i++) sum += std::to_integer<uint32_t>(data[i]);
    return sum % 5 == 0 ? 0 : caplen;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size < 3) return 0;
  const uint32_t piece = 1 + input[0] * 16u;
  const uint32_t batch = 1 + input[1] % 32;
  const bool filtered = (input[2] & 1) != 0;
  const Told told = (input[2] & 6) == 6 ? Told::kErf : Told::kNothing;
  const auto total = static_cast<uint32_t>(size - 3);

  // An allocation of exactly the unread bytes: reading beyond them is seen.
  const auto window = [&](uint32_t from, uint32_t to) {
    auto bytes = std::make_unique<std::byte[]>(to - from);
    std::transform(input + 3 + from, input + 3 + to, bytes.get(), [](uint8_t b) { return std::byte{b}; });
    return bytes;
  };

  uint32_t end = std::min(piece, total);
  std::unique_ptr<RecordReader> reader;
  for (;;) {
    const auto head = window(0, end);
    auto found = detect_format({head.get(), end}, end == total, told);
    if (!found) return 0;
    if (*found != nullptr) {
      reader = *std::move(found);
      break;
    }
    if (end == total) return 0;
    end = std::min(end + piece, total);
  }

  Touch touch;
  DescBlock block(batch);
  block.tell_origins();
  Walk walk;
  walk.filter = filtered ? &touch : nullptr;
  walk.snaplen = filtered ? 100 : UINT32_MAX;
  uint64_t at = reader->header_bytes();  // what is unread is input[at, end)
  uint64_t changed_at = UINT64_MAX;      // the link type or the byte order of headers
  bool primed = false;
  while (at <= end) {
    const auto from = static_cast<uint32_t>(at);
    const auto bytes = window(from, end);
    walk.base = bytes.get();
    walk.pos = 0;
    walk.end = end - from;
    walk.file_base = from;
    reader->walk(walk, block, primed ? batch : 0);
    require(walk.pos <= walk.end && walk.count <= batch);
    for (uint32_t i = 0; i < walk.count; i++) require(uint64_t{block.offset[i]} + block.caplen[i] <= walk.end);
    for (uint32_t i = 0; reader->tells_origins() && i < walk.count; i++) {
      const PacketOrigin& origin = block.origin[i];
      require(uint64_t{origin.options} + origin.option_bytes <= walk.end || origin.option_bytes == 0);
      std::string kept;
      pcapng::keep_options(pcapng::Owner::kPacket,
                           {bytes.get() + (origin.option_bytes > 0 ? origin.options : 0), origin.option_bytes},
                           origin.swapped, batch * 64, kept);
      require(kept.size() <= batch * 64 && kept.size() % 4 == 0);
    }
    at += walk.pos;
    switch (walk.stop) {
      case Stop::kFull:
        if (!primed) walk.link_type = reader->link_type().value();
        primed = true;
        break;
      case Stop::kLinkType:
        // Where the link type stays, a section lies between.
        require(walk.next_link_type != walk.link_type || at != changed_at);
        walk.link_type = walk.next_link_type;
        changed_at = at;
        break;
      case Stop::kPause:
        require(false);
        return 0;
      case Stop::kCorrupt:
        require(walk.record <= at && !walk.damage.empty());
        return 0;
      case Stop::kSkip:
        at += walk.need;
        while (end < at && end < total) end = std::min(end + piece, total);
        break;
      case Stop::kStarved:
        require(walk.record <= at);
        if (end == total) return 0;
        end = std::min(end + piece, total);
        break;
    }
  }
  return 0;
}
