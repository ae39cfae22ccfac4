// AES-128, one block in one direction. Keys of Initial packets are made of what anybody on the path can read, so that
// nothing here is a secret: it need not, and does not, run in the same time for all keys.
#pragma once

#include <array>
#include <cstdint>

#include "protocol/reader.h"

namespace ringtap::protocol::quic {

using Block = std::array<std::byte, 16>;

class Aes128 {
 public:
  explicit Aes128(const Block& key) noexcept;
  /// Encrypts a block.
  Block of(const Block& block) const noexcept;

 private:
  std::array<uint32_t, 44> keys_;
};

}  // namespace ringtap::protocol::quic
