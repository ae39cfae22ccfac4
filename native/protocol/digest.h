// MD5, SHA-1 and SHA-256, for fingerprints that are defined by them. Nothing is kept secret with these.
#pragma once

#include <array>
#include <string>

#include "protocol/reader.h"

namespace ringtap::protocol {

std::array<std::byte, 16> md5(Span bytes);
std::array<std::byte, 20> sha1(Span bytes);
std::array<std::byte, 32> sha256(Span bytes);

std::string hex_of(Span bytes);
std::string base64_of(Span bytes);

}  // namespace ringtap::protocol
