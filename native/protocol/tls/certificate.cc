#include "protocol/tls/certificate.h"

namespace ringtap::protocol::tls {

namespace {

constexpr uint8_t kInteger = 0x02;
constexpr uint8_t kOid = 0x06;
constexpr uint8_t kSequence = 0x30;
constexpr uint8_t kSet = 0x31;
constexpr uint8_t kUtcTime = 0x17;
constexpr uint8_t kBmpString = 0x1e;
/// Of names and of a name's parts: nobody has more.
constexpr size_t kMostNames = 256;
constexpr size_t kLongestName = 2048;

struct Value {
  uint8_t tag = 0;
  Span bytes;
};

/// The next value; a tag of 0 is none.
Value next(Reader& in) {
  Value value;
  value.tag = in.u8();
  size_t length = in.u8();
  if (length >= 0x80) {
    const size_t count = length & 0x7f;
    if (count == 0 || count > 3) return {};
    length = 0;
    for (size_t i = 0; i < count; i++) length = length << 8 | in.u8();
  }
  value.bytes = in.take(length);
  return in.ok() ? value : Value{};
}

std::string_view attribute(Span oid) {
  const std::string_view text = text_of(oid);
  if (text == "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01") return "emailAddress";
  if (text == "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19") return "DC";
  if (text == "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01") return "UID";
  if (text.size() != 3 || text[0] != 0x55 || text[1] != 0x04) return {};
  switch (text[2]) {
    case 3:
      return "CN";
    case 4:
      return "SN";
    case 5:
      return "serialNumber";
    case 6:
      return "C";
    case 7:
      return "L";
    case 8:
      return "ST";
    case 9:
      return "street";
    case 10:
      return "O";
    case 11:
      return "OU";
    case 12:
      return "title";
    case 42:
      return "GN";
    default:
      return {};
  }
}

/// An OID in dots.
std::string dotted(Span oid) {
  std::string out;
  uint64_t value = 0;
  bool is_first = true;
  for (const std::byte each : oid) {
    value = value << 7 | (std::to_integer<uint64_t>(each) & 0x7f);
    if ((each & std::byte{0x80}) != std::byte{0}) continue;
    if (is_first) {
      const uint64_t top = value < 80 ? value / 40 : 2;
      out = std::to_string(top) + '.' + std::to_string(value - top * 40);
    } else {
      out += '.' + std::to_string(value);
    }
    is_first = false;
    value = 0;
    if (out.size() > 64) break;
  }
  return out;
}

/// "C=US, O=Example, CN=example.com".
std::string name_of(Span bytes) {
  std::string out;
  Reader in(bytes);
  while (in.left() > 0 && out.size() < kLongestName) {
    const Value set = next(in);
    if (set.tag != kSet) break;
    Reader inside(set.bytes);
    while (inside.left() > 0 && out.size() < kLongestName) {
      const Value pair = next(inside);
      if (pair.tag != kSequence) break;
      Reader parts(pair.bytes);
      const Value oid = next(parts);
      const Value value = next(parts);
      if (oid.tag != kOid || value.tag == 0) break;
      if (!out.empty()) out += ", ";
      const std::string_view name = attribute(oid.bytes);
      out += name.empty() ? dotted(oid.bytes) : std::string(name);
      out += '=';
      const std::string_view text = text_of(value.bytes).substr(0, kLongestName);
      for (size_t i = 0; i < text.size(); i++) {
        if (value.tag == kBmpString && i % 2 == 0 && text[i] == 0) continue;  // the upper half of ASCII in UCS-2
        out += text[i];
      }
    }
  }
  return out;
}

/// "2024-05-01T12:00:00" of a time in ASCII.
std::string time_of(const Value& value) {
  std::string_view text = text_of(value.bytes);
  const size_t digits = value.tag == kUtcTime ? 2 : 4;
  if (text.size() < digits + 10) return {};
  const std::string_view century = digits == 4 ? "" : text[0] >= '5' ? "19" : "20";
  const std::string year = std::string(century) + std::string(text.substr(0, digits));
  text.remove_prefix(digits);
  const auto two = [&](size_t at) { return std::string(text.substr(at, 2)); };
  return year + '-' + two(0) + '-' + two(2) + 'T' + two(4) + ':' + two(6) + ':' + two(8);
}

void read_names(Span bytes, Certificate& out) {
  Reader in(bytes);
  const Value list = next(in);
  if (list.tag != kSequence) return;
  Reader names(list.bytes);
  while (names.left() > 0 && out.names.size() + out.addresses.size() < kMostNames) {
    const Value name = next(names);
    if (name.tag == 0) return;
    if (name.tag == 0x82) out.names.push_back(name.bytes);
    if (name.tag == 0x87 && (name.bytes.size() == 4 || name.bytes.size() == 16)) out.addresses.push_back(name.bytes);
  }
}

void read_certificate_extensions(Span bytes, Certificate& out) {
  Reader in(bytes);
  const Value list = next(in);
  if (list.tag != kSequence) return;
  Reader extensions(list.bytes);
  while (extensions.left() > 0) {
    const Value extension = next(extensions);
    if (extension.tag != kSequence) return;
    Reader parts(extension.bytes);
    const Value oid = next(parts);
    Value value = next(parts);
    if (value.tag == 0x01) value = next(parts);  // critical
    if (text_of(oid.bytes) == "\x55\x1d\x11") read_names(value.bytes, out);
  }
}

}  // namespace

bool Certificate::read(Span der) {
  Reader in(der);
  const Value outer = next(in);
  Reader inside(outer.bytes);
  const Value body = next(inside);
  if (outer.tag != kSequence || body.tag != kSequence) return false;
  Reader fields(body.bytes);
  Value value = next(fields);
  if (value.tag == 0xa0) value = next(fields);
  if (value.tag != kInteger) return false;
  serial = value.bytes;
  next(fields);  // how it is signed
  value = next(fields);
  if (value.tag != kSequence) return false;
  issuer = name_of(value.bytes);
  value = next(fields);
  if (value.tag != kSequence) return false;
  Reader times(value.bytes);
  not_before = time_of(next(times));
  not_after = time_of(next(times));
  value = next(fields);
  if (value.tag != kSequence) return false;
  subject = name_of(value.bytes);
  next(fields);  // the key
  while (fields.ok() && fields.left() > 0) {
    value = next(fields);
    if (value.tag == 0) break;
    if (value.tag == 0xa3) read_certificate_extensions(value.bytes, *this);
  }
  return true;
}

}  // namespace ringtap::protocol::tls
