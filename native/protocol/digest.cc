#include "protocol/digest.h"

#include <bit>
#include <cstring>

namespace ringtap::protocol {

namespace {

constexpr std::array<uint32_t, 64> kSines = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};

constexpr std::array<uint32_t, 64> kRoots = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

struct Md5 {
  std::array<uint32_t, 4> state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  static constexpr bool kBig = false;

  void block(const std::byte* at) noexcept {
    constexpr std::array<int, 16> kShifts = {7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21};
    std::array<uint32_t, 16> words;
    for (size_t i = 0; i < 16; i++) words[i] = load_little<uint32_t>(at + 4 * i);
    auto [a, b, c, d] = state;
    for (size_t i = 0; i < 64; i++) {
      uint32_t f = 0;
      size_t word = 0;
      if (i < 16) {
        f = (b & c) | (~b & d);
        word = i;
      } else if (i < 32) {
        f = (d & b) | (~d & c);
        word = 5 * i + 1;
      } else if (i < 48) {
        f = b ^ c ^ d;
        word = 3 * i + 5;
      } else {
        f = c ^ (b | ~d);
        word = 7 * i;
      }
      const uint32_t sum = a + f + kSines[i] + words[word % 16];
      a = d;
      d = c;
      c = b;
      b += std::rotl(sum, kShifts[i / 16 * 4 + i % 4]);
    }
    state = {state[0] + a, state[1] + b, state[2] + c, state[3] + d};
  }
};

struct Sha1 {
  std::array<uint32_t, 5> state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  static constexpr bool kBig = true;

  void block(const std::byte* at) noexcept {
    std::array<uint32_t, 80> words;
    for (size_t i = 0; i < 16; i++) words[i] = load_big<uint32_t>(at + 4 * i);
    for (size_t i = 16; i < 80; i++) {
      words[i] = std::rotl(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    }
    auto [a, b, c, d, e] = state;
    for (size_t i = 0; i < 80; i++) {
      uint32_t f = b ^ c ^ d;
      uint32_t k = i < 40 ? 0x6ed9eba1 : 0xca62c1d6;
      if (i < 20) {
        f = (b & c) | (~b & d);
        k = 0x5a827999;
      } else if (i >= 40 && i < 60) {
        f = (b & c) | (b & d) | (c & d);
        k = 0x8f1bbcdc;
      }
      const uint32_t next = std::rotl(a, 5) + f + e + k + words[i];
      e = d;
      d = c;
      c = std::rotl(b, 30);
      b = a;
      a = next;
    }
    state = {state[0] + a, state[1] + b, state[2] + c, state[3] + d, state[4] + e};
  }
};

struct Sha256 {
  std::array<uint32_t, 8> state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  static constexpr bool kBig = true;

  void block(const std::byte* at) noexcept {
    std::array<uint32_t, 64> words;
    for (size_t i = 0; i < 16; i++) words[i] = load_big<uint32_t>(at + 4 * i);
    for (size_t i = 16; i < 64; i++) {
      const uint32_t w = words[i - 15];
      const uint32_t v = words[i - 2];
      words[i] = words[i - 16] + (std::rotr(w, 7) ^ std::rotr(w, 18) ^ w >> 3) + words[i - 7] +
                 (std::rotr(v, 17) ^ std::rotr(v, 19) ^ v >> 10);
    }
    auto [a, b, c, d, e, f, g, h] = state;
    for (size_t i = 0; i < 64; i++) {
      const uint32_t one =
          h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) + kRoots[i] + words[i];
      const uint32_t two = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g;
      g = f;
      f = e;
      e = d + one;
      d = c;
      c = b;
      b = a;
      a = one + two;
    }
    const std::array<uint32_t, 8> more = {a, b, c, d, e, f, g, h};
    for (size_t i = 0; i < 8; i++) state[i] += more[i];
  }
};

template <class Hash, size_t n>
std::array<std::byte, n> digest(Span bytes) {
  Hash hash;
  size_t at = 0;
  for (; bytes.size() - at >= 64; at += 64) hash.block(bytes.data() + at);
  std::array<std::byte, 128> tail{};
  const size_t left = bytes.size() - at;
  if (left > 0) std::memcpy(tail.data(), bytes.data() + at, left);
  tail[left] = std::byte{0x80};
  const size_t size = left < 56 ? 64 : 128;
  const uint64_t bits = uint64_t{bytes.size()} * 8;
  if constexpr (Hash::kBig) {
    store_big(tail.data() + size - 8, bits);
  } else {
    store_little(tail.data() + size - 8, bits);
  }
  for (size_t i = 0; i < size; i += 64) hash.block(tail.data() + i);
  std::array<std::byte, n> out;
  for (size_t i = 0; i < n / 4; i++) {
    if constexpr (Hash::kBig) {
      store_big(out.data() + 4 * i, hash.state[i]);
    } else {
      store_little(out.data() + 4 * i, hash.state[i]);
    }
  }
  return out;
}

}  // namespace

std::array<std::byte, 16> md5(Span bytes) { return digest<Md5, 16>(bytes); }
std::array<std::byte, 20> sha1(Span bytes) { return digest<Sha1, 20>(bytes); }
std::array<std::byte, 32> sha256(Span bytes) { return digest<Sha256, 32>(bytes); }

std::string hex_of(Span bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const std::byte each : bytes) {
    out += kDigits[std::to_integer<size_t>(each) >> 4];
    out += kDigits[std::to_integer<size_t>(each) & 15];
  }
  return out;
}

std::string base64_of(Span bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t word = 0;
    for (size_t j = 0; j < 3; j++) {
      word = word << 8 | (i + j < bytes.size() ? std::to_integer<uint32_t>(bytes[i + j]) : 0);
    }
    for (size_t j = 0; j < 4; j++) out += i + j > bytes.size() ? '=' : kDigits[word >> (18 - 6 * j) & 63];
  }
  return out;
}

}  // namespace ringtap::protocol
