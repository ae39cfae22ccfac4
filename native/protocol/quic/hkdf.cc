#include "protocol/quic/hkdf.h"

#include <algorithm>
#include <string>
#include <vector>

#include "protocol/digest.h"

namespace ringtap::protocol::quic {

Secret hmac_sha256(Span key, Span message) {
  constexpr size_t kBlock = 64;
  const auto padded = [&](std::byte with, Span text) {
    std::vector<std::byte> bytes(kBlock, with);
    for (size_t i = 0; i < std::min(key.size(), kBlock); i++) bytes[i] ^= key[i];
    bytes.insert(bytes.end(), text.begin(), text.end());
    return sha256(bytes);
  };
  const Secret inner = padded(std::byte{0x36}, message);
  return padded(std::byte{0x5c}, inner);
}

Secret expand_label(const Secret& secret, std::string_view label, uint8_t length) {
  const std::string full = "tls13 " + std::string(label);
  std::string info{'\0', static_cast<char>(length), static_cast<char>(full.size())};
  info += full;
  info += '\0';    // no context
  info += '\x01';  // the first block, which is enough
  return hmac_sha256(secret, span_of(info));
}

}  // namespace ringtap::protocol::quic
