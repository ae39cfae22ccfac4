#include "protocol/writer.h"

#include <algorithm>
#include <array>

namespace ringtap::protocol {

namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

/// 1: stands for itself in JSON; 0: to be looked at.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (size_t i = 0x20; i < 0x7f; i++) plain[i] = i != '"' && i != '\\';
  return plain;
}();

/// How many bytes of UTF-8 begin here and are shown as they are; 0: none.
size_t utf8_at(const uint8_t* at, size_t left) noexcept {
  const auto follows = [&](size_t i) { return i < left && (at[i] & 0xc0) == 0x80; };
  const uint8_t first = at[0];
  if (first >= 0xc2 && first <= 0xdf) {
    if (!follows(1)) return 0;
    return first == 0xc2 && at[1] < 0xa0 ? 0 : 2;  // C1 controls
  }
  if (first >= 0xe0 && first <= 0xef) {
    if (!follows(1) || !follows(2)) return 0;
    const unsigned code = (first & 15u) << 12 | (at[1] & 63u) << 6 | (at[2] & 63u);
    if (code < 0x800 || (code >= 0xd800 && code < 0xe000)) return 0;
    // Marks that hide, turn or end lines, and the byte order mark.
    if ((code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
        (code >= 0x2060 && code <= 0x206f) || code == 0xfeff) {
      return 0;
    }
    return 3;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (!follows(1) || !follows(2) || !follows(3)) return 0;
    const unsigned code = (first & 7u) << 18 | (at[1] & 63u) << 12 | (at[2] & 63u) << 6 | (at[3] & 63u);
    return code < 0x10000 || code > 0x10ffff || (code >= 0xe0000 && code < 0xe0080) ? 0 : 4;
  }
  return 0;
}

}  // namespace

void Writer::quoted(Span bytes) {
  if (bytes.size() > kLongestText) {
    bytes = bytes.first(kLongestText);
    was_cut_ = true;
  }
  reserve(bytes.size() * 5 + 2);
  char* out = buffer_.data() + size_;
  *out++ = '"';
  // SAFETY: bytes are bytes.
  const auto* in = reinterpret_cast<const uint8_t*>(bytes.data());
  for (size_t i = 0; i < bytes.size();) {
    const uint8_t c = in[i];
    if (kPlain[c]) [[likely]] {
      *out++ = static_cast<char>(c);
      i++;
    } else if (c == '"') {
      *out++ = '\\';
      *out++ = '"';
      i++;
    } else if (const size_t count = c < 0x80 ? 0 : utf8_at(in + i, bytes.size() - i); count > 0) {
      std::memcpy(out, in + i, count);
      out += count;
      i += count;
    } else {
      *out++ = '\\';
      *out++ = '\\';
      *out++ = 'x';
      *out++ = kDigits[c >> 4];
      *out++ = kDigits[c & 15];
      i++;
    }
  }
  *out++ = '"';
  size_ = static_cast<size_t>(out - buffer_.data());
}

void Writer::digits(uint64_t value) {
  with([&](flow::TextWriter& out) { out.number(value); });
}

void Writer::put_hex(TextKey key, Span bytes, char between) {
  name(key.json);
  raw("\"");
  reserve(bytes.size() * 3);
  for (size_t i = 0; i < bytes.size(); i++) {
    if (i > 0 && between != 0) buffer_[size_++] = between;
    const auto value = std::to_integer<size_t>(bytes[i]);
    buffer_[size_++] = kDigits[value >> 4];
    buffer_[size_++] = kDigits[value & 15];
  }
  raw("\"");
}

void Writer::address(Span bytes) {
  raw("\"");
  with([&](flow::TextWriter& out) {
    if (bytes.size() == 4) {
      out.ipv4(load_big<uint32_t>(bytes.data()));
    } else if (bytes.size() == 16) {
      decode::Address6 six;
      std::memcpy(six.data(), bytes.data(), 16);
      out.ipv6(six);
    }
  });
  raw("\"");
}

void Writer::put_address(TextKey key, Span bytes) {
  name(key.json);
  address(bytes);
}

void Writer::add_address(Span bytes) {
  comma();
  address(bytes);
}

void Writer::put_time(TextKey key, int64_t ns) {
  name(key.json);
  raw("\"");
  with([&](flow::TextWriter& out) { out.time(ns); });
  raw("\"");
}

void Writer::put_seconds(NumberKey key, int64_t ns) {
  name(key.json);
  const bool is_negative = ns < 0;
  const uint64_t size = is_negative ? uint64_t{0} - static_cast<uint64_t>(ns) : static_cast<uint64_t>(ns);
  if (is_negative) raw("-");
  digits(size / 1'000'000'000);
  char text[7] = {'.'};
  uint64_t micros = size % 1'000'000'000 / 1000;
  for (size_t i = 6; i > 0; i--) {
    text[i] = static_cast<char>('0' + micros % 10);
    micros /= 10;
  }
  raw({text, 7});
}

}  // namespace ringtap::protocol
