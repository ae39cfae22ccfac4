#include "protocol/client_hello.h"

#include <algorithm>

#include "protocol/digest.h"

namespace ringtap::protocol {

namespace {

constexpr uint16_t kServerName = 0;
constexpr uint16_t kAlpn = 16;

/// The random number of a ServerHello that asks for another ClientHello.
constexpr std::string_view kRetry =
    "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09"
    "\xe2\xc8\xa8\x33\x9c";

std::vector<uint16_t> numbers(Span bytes) {
  std::vector<uint16_t> values;
  values.reserve(bytes.size() / 2);
  for (Reader in(bytes); in.left() >= 2;) values.push_back(in.u16());
  return values;
}

std::string joined(const std::vector<uint16_t>& values) {
  std::string out;
  for (const uint16_t value : values) {
    if (is_grease(value)) continue;
    if (!out.empty()) out += '-';
    out += std::to_string(value);
  }
  return out;
}

std::string hex4(uint16_t value) {
  const std::byte bytes[] = {static_cast<std::byte>(value >> 8), static_cast<std::byte>(value & 255)};
  return hex_of(bytes);
}

/// As JA4 lists numbers: in hex, with commas.
std::string listed(std::vector<uint16_t> values, bool is_sorted) {
  if (is_sorted) std::sort(values.begin(), values.end());
  std::string out;
  for (const uint16_t value : values) {
    if (!out.empty()) out += ',';
    out += hex4(value);
  }
  return out;
}

std::string short_hash(const std::string& text) {
  if (text.empty()) return "000000000000";
  return hex_of(sha256(span_of(text))).substr(0, 12);
}

std::string two_digits(size_t count) {
  count = std::min<size_t>(count, 99);
  return {static_cast<char>('0' + count / 10), static_cast<char>('0' + count % 10)};
}

std::string version_name(uint16_t version) {
  switch (version) {
    case 0x0304:
      return "13";
    case 0x0303:
      return "12";
    case 0x0302:
      return "11";
    case 0x0301:
      return "10";
    case 0x0300:
      return "s3";
    case 0x0002:
      return "s2";
    case 0xfeff:
      return "d1";
    case 0xfefd:
      return "d2";
    case 0xfefc:
      return "d3";
    default:
      return "00";
  }
}

bool is_alphanumeric(std::byte c) {
  const auto value = std::to_integer<unsigned>(c);
  return (value >= '0' && value <= '9') || (value >= 'a' && value <= 'z') || (value >= 'A' && value <= 'Z');
}

std::string alpn_ends(const std::vector<Span>& alpn) {
  if (alpn.empty() || alpn[0].empty()) return "00";
  const Span first = alpn[0];
  if (is_alphanumeric(first.front()) && is_alphanumeric(first.back())) {
    return {static_cast<char>(first.front()), static_cast<char>(first.back())};
  }
  const std::string hex = hex_of(first);
  return {hex.front(), hex.back()};
}

std::vector<uint16_t> without_grease(const std::vector<uint16_t>& values) {
  std::vector<uint16_t> out;
  std::copy_if(values.begin(), values.end(), std::back_inserter(out), [](uint16_t value) { return !is_grease(value); });
  return out;
}

}  // namespace

std::vector<Span> read_alpn(Span data) {
  std::vector<Span> names;
  Reader in(data);
  Reader list(in.take(in.u16()));
  while (list.left() > 0) {
    const Span name = list.take(list.u8());
    if (!list.ok()) break;
    names.push_back(name);
  }
  return names;
}

bool ClientHello::read(Span body) {
  Reader in(body);
  version = in.u16();
  in.skip(32);
  in.skip(in.u8());
  ciphers = numbers(in.take(in.u16()));
  in.skip(in.u8());
  if (!in.ok()) return false;
  return read_extensions(in, [&](uint16_t type, Span data) {
    Reader inside(data);
    extensions.push_back(type);
    switch (type) {
      case kServerName: {
        has_sni = true;
        inside.skip(2);
        const bool is_host = inside.u8() == 0;
        const Span name = inside.take(inside.u16());
        if (is_host) sni = name;
        break;
      }
      case 10:
        groups = numbers(inside.take(inside.u16()));
        break;
      case 11:
        point_formats = inside.take(inside.u8());
        break;
      case 13:
        signatures = numbers(inside.take(inside.u16()));
        break;
      case kAlpn:
        alpn = read_alpn(data);
        break;
      case 41:
        resumes = true;
        break;
      case 43:
        versions = numbers(inside.take(inside.u8()));
        break;
      case 0xfe0d:
        has_ech = true;
        break;
      default:
        break;
    }
  });
}

std::string ClientHello::ja3() const {
  std::string formats;
  for (const std::byte each : point_formats) {
    if (!formats.empty()) formats += '-';
    formats += std::to_string(std::to_integer<unsigned>(each));
  }
  return std::to_string(version) + ',' + joined(ciphers) + ',' + joined(extensions) + ',' + joined(groups) + ',' +
         formats;
}

std::string ClientHello::ja4(char over) const {
  const std::vector<uint16_t> real_versions = without_grease(versions);
  const uint16_t highest =
      real_versions.empty() ? version : *std::max_element(real_versions.begin(), real_versions.end());
  const std::vector<uint16_t> real_ciphers = without_grease(ciphers);
  std::vector<uint16_t> real_extensions = without_grease(extensions);
  std::string out;
  out += over;
  out += version_name(highest);
  out += has_sni ? 'd' : 'i';
  out += two_digits(real_ciphers.size());
  out += two_digits(real_extensions.size());
  out += alpn_ends(alpn);
  out += '_';
  out += short_hash(listed(real_ciphers, true));
  out += '_';
  std::erase_if(real_extensions, [](uint16_t type) { return type == kServerName || type == kAlpn; });
  std::string rest = listed(real_extensions, true);
  const std::vector<uint16_t> real_signatures = without_grease(signatures);
  if (!real_signatures.empty() && !rest.empty()) rest += '_' + listed(real_signatures, false);
  out += short_hash(rest);
  return out;
}

bool ServerHello::read(Span body) {
  Reader in(body);
  field_version = version = in.u16();
  is_retry = text_of(in.take(32)) == kRetry;
  in.skip(in.u8());
  cipher = in.u16();
  in.skip(1);
  if (!in.ok()) return false;
  read_extensions(in, [&](uint16_t type, Span data) {
    extensions.push_back(type);
    if (type == 43 && data.size() == 2) version = load_big<uint16_t>(data.data());
    if (type == kAlpn) {
      const auto names = read_alpn(data);
      if (!names.empty()) alpn = names[0];
    }
  });
  return true;
}

std::string ServerHello::ja3s() const {
  std::string out = std::to_string(field_version) + ',' + std::to_string(cipher) + ',';
  for (size_t i = 0; i < extensions.size(); i++) {
    if (i > 0) out += '-';
    out += std::to_string(extensions[i]);
  }
  return out;
}

}  // namespace ringtap::protocol
