// HMAC and HKDF with SHA-256 (RFC 5869), and how TLS 1.3 labels what it expands. Nothing here is a secret (aes.h).
#pragma once

#include <array>
#include <string_view>

#include "protocol/reader.h"

namespace ringtap::protocol::quic {

using Secret = std::array<std::byte, 32>;

/// @param key at most 64 bytes. This is HKDF-Extract(salt, material), too.
Secret hmac_sha256(Span key, Span message);

/// HKDF-Expand-Label(secret, label, "", length), of at most 32 bytes: those behind `length` are of no use.
Secret expand_label(const Secret& secret, std::string_view label, uint8_t length);

}  // namespace ringtap::protocol::quic
