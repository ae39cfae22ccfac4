// The hash that packets are dealt out by, of packets in memory: core/sharing.h, as programs in the kernel compute it.
#pragma once

#include <cstdint>
#include <vector>

#include "core/sharing.h"
#include "decode/bytes.h"

namespace ringtap::decode {

/// Remembers first fragments, so that later ones go with them.
class ShareHasher {
 public:
  explicit ShareHasher(ShareHash how);

  /// 0 for what is no IP. @param link_type LINKTYPE_ value
  uint32_t hash(const Bytes& bytes, uint32_t link_type) noexcept;

  /// Later fragments so far whose first one is not known.
  uint64_t orphans() const noexcept { return orphans_; }

 private:
  struct Ends {
    uint32_t source = 0;
    uint32_t destination = 0;
    bool has_ports = false;
  };
  struct Piece {
    uint32_t source = 0;
    uint32_t destination = 0;
    uint32_t id = 0;
    uint32_t protocol = 0;  // 0: none
    uint32_t hash = 0;

    bool is_of(const Piece& other) const noexcept {
      return source == other.source && destination == other.destination && id == other.id && protocol == other.protocol;
    }
  };
  enum class Found : uint8_t { kNothing, kWhole, kFirst, kLater };

  bool hash_plain(const Bytes& bytes, uint32_t& hash) const noexcept;
  Found read4(const Bytes& bytes, uint64_t at, bool quoted, Ends& ends) noexcept;
  Found read6(const Bytes& bytes, uint64_t at, bool quoted, Ends& ends) noexcept;
  void read_transport(const Bytes& bytes, uint64_t at, uint8_t protocol, bool is6, bool quoted, Ends& ends) noexcept;
  Found piece_of(const Ends& ends, uint32_t id, uint32_t protocol, bool later) noexcept;
  uint32_t hash_of(const Ends& ends) const noexcept;
  Piece* pieces_at(const Piece& piece) noexcept;

  const ShareHash how_;
  const bool ports_;
  const bool quotes_;
  Piece piece_;                // of the packet at hand
  std::vector<Piece> pieces_;  // by twos, the newer one first
  uint64_t orphans_ = 0;
};

}  // namespace ringtap::decode
