// AES-128-GCM, to decrypt. Nothing here is a secret (aes.h).
#pragma once

#include "protocol/quic/aes.h"

namespace ringtap::protocol::quic {

using Nonce = std::array<std::byte, 12>;

class Gcm {
 public:
  static constexpr size_t kTag = 16;

  explicit Gcm(const Block& key) noexcept;
  /// Decrypts in place, if the tag behind the text is right for it and for what is told beside it.
  /// @return whether it is; the text is as it was, else
  bool open(const Nonce& nonce, Span beside, std::span<std::byte> text, Span tag) const noexcept;

 private:
  /// A number of the field, its bits in the order of the wire.
  struct Element {
    uint64_t high = 0;
    uint64_t low = 0;
  };
  void absorb(Element& sum, Span bytes) const noexcept;
  Element multiplied(Element value) const noexcept;

  Aes128 cipher_;
  std::array<Element, 16> multiples_;  // of the key of the hash, by all numbers of four bits
};

}  // namespace ringtap::protocol::quic
