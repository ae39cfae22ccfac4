#include "protocol/dns/record.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "flow/text_writer.h"
#include "protocol/digest.h"
#include "protocol/dns/name.h"

namespace ringtap::protocol::dns {

namespace {

struct Named {
  uint16_t type;
  std::string_view name;
};
constexpr Named kTypes[] = {
    {1, "A"},      {2, "NS"},      {3, "MD"},      {4, "MF"},      {5, "CNAME"},    {6, "SOA"},
    {7, "MB"},     {8, "MG"},      {9, "MR"},      {10, "NULL"},   {11, "WKS"},     {12, "PTR"},
    {13, "HINFO"}, {14, "MINFO"},  {15, "MX"},     {16, "TXT"},    {17, "RP"},      {18, "AFSDB"},
    {19, "X25"},   {20, "ISDN"},   {21, "RT"},     {22, "NSAP"},   {23, "NSAPPTR"}, {24, "SIG"},
    {25, "KEY"},   {26, "PX"},     {27, "GPOS"},   {28, "AAAA"},   {29, "LOC"},     {30, "NXT"},
    {33, "SRV"},   {34, "ATMA"},   {35, "NAPTR"},  {36, "KX"},     {37, "CERT"},    {38, "A6"},
    {39, "DNAME"}, {41, "OPT"},    {42, "APL"},    {43, "DS"},     {44, "SSHFP"},   {45, "IPSECKEY"},
    {46, "RRSIG"}, {47, "NSEC"},   {48, "DNSKEY"}, {49, "DHCID"},  {50, "NSEC3"},   {51, "NSEC3PARAM"},
    {52, "TLSA"},  {53, "SMIMEA"}, {55, "HIP"},    {59, "CDS"},    {60, "CDNSKEY"}, {61, "OPENPGPKEY"},
    {62, "CSYNC"}, {63, "ZONEMD"}, {64, "SVCB"},   {65, "HTTPS"},  {99, "SPF"},     {104, "NID"},
    {105, "L32"},  {106, "L64"},   {107, "LP"},    {108, "EUI48"}, {109, "EUI64"},  {249, "TKEY"},
    {250, "TSIG"}, {251, "IXFR"},  {252, "AXFR"},  {253, "MAILB"}, {254, "MAILA"},  {255, "ANY"},
    {256, "URI"},  {257, "CAA"},   {32768, "TA"},  {32769, "DLV"},
};

constexpr std::string_view kCodes[] = {"NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP",  "REFUSED",
                                       "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE", "DSOTYPENI"};

/// Data of a record while they are made into text.
class Data {
 public:
  Data(Span message, size_t at, size_t length, std::string& out)
      : message_(message), reader_(message.subspan(at, length)), begin_(at), out_(out) {}

  Data& number(uint64_t value) {
    word();
    out_ += std::to_string(value);
    return *this;
  }
  Data& u8() { return number(reader_.u8()); }
  Data& u16() { return number(reader_.u16()); }
  Data& u32() { return number(reader_.u32()); }
  Data& name() {
    size_t at = begin_ + reader_.at();
    Name name;
    if (!ok_ || !name.read(message_, at) || at > begin_ + reader_.at() + reader_.left()) {
      ok_ = false;
      return *this;
    }
    reader_.skip(at - begin_ - reader_.at());
    word();
    out_ += name.text().empty() ? "." : name.text();
    return *this;
  }
  Data& text() {
    const Span bytes = reader_.take(reader_.u8());
    word();
    out_ += text_of(bytes);
    return *this;
  }
  Data& joined_texts() {
    while (ok() && reader_.left() > 0) out_ += text_of(reader_.take(reader_.u8()));
    return *this;
  }
  Data& rest_text() {
    word();
    out_ += text_of(reader_.take(reader_.left()));
    return *this;
  }
  Data& hex(size_t bytes) {
    word();
    out_ += hex_of(reader_.take(bytes));
    return *this;
  }
  Data& rest_hex() { return hex(reader_.left()); }
  Data& rest_base64() {
    word();
    out_ += base64_of(reader_.take(reader_.left()));
    return *this;
  }
  Data& type() {
    word();
    out_ += type_name(reader_.u16());
    return *this;
  }
  Data& counted_hex() {
    const size_t count = reader_.u8();
    if (count > 0) return hex(count);
    word();
    out_ += '-';
    return *this;
  }
  /// Types that a name has, of NSEC.
  Data& bitmap() {
    while (ok() && reader_.left() > 0) {
      const unsigned window = reader_.u8();
      const Span bits = reader_.take(reader_.u8());
      for (size_t i = 0; i < bits.size(); i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
          if ((std::to_integer<unsigned>(bits[i]) & 0x80u >> bit) == 0) continue;
          word();
          out_ += type_name(static_cast<uint16_t>(window << 8 | (i * 8 + bit)));
        }
      }
    }
    return *this;
  }
  Data& address(size_t size) {
    const Span bytes = reader_.take(size);
    if (bytes.size() != size) return *this;
    std::array<char, 64> text;
    flow::TextWriter writer(text.data());
    if (size == 4) {
      writer.ipv4(load_big<uint32_t>(bytes.data()));
    } else {
      decode::Address6 six;
      std::memcpy(six.data(), bytes.data(), 16);
      writer.ipv6(six);
    }
    out_.append(text.data(), writer.at());
    return *this;
  }
  Data& parameters();

  bool ok() const noexcept { return ok_ && reader_.ok(); }
  bool is_whole() const noexcept { return ok() && reader_.left() == 0; }

 private:
  void word() {
    if (!out_.empty()) out_ += ' ';
  }
  void parameter(uint16_t key, Span value);

  Span message_;
  Reader reader_;
  size_t begin_;
  std::string& out_;
  bool ok_ = true;
};

/// Of SVCB and HTTPS.
Data& Data::parameters() {
  while (ok() && reader_.left() > 0) {
    const uint16_t key = reader_.u16();
    const Span value = reader_.take(reader_.u16());
    if (ok()) parameter(key, value);
  }
  return *this;
}

void Data::parameter(uint16_t key, Span value) {
  constexpr std::string_view kNames[] = {"mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint"};
  word();
  out_ += key < std::size(kNames) ? std::string(kNames[key]) : "key" + std::to_string(key);
  if (value.empty()) return;
  out_ += '=';
  Reader reader(value);
  bool is_first = true;
  const auto comma = [&] {
    if (!is_first) out_ += ',';
    is_first = false;
  };
  const size_t size = key == 4 ? 4 : 16;
  switch (key) {
    case 1:
      while (reader.ok() && reader.left() > 0) {
        comma();
        out_ += text_of(reader.take(reader.u8()));
      }
      break;
    case 3:
      out_ += std::to_string(reader.u16());
      break;
    case 4:
    case 6:
      while (reader.left() >= size) {
        comma();
        std::string text;
        Data(reader.rest(), 0, size, text).address(size);
        reader.skip(size);
        out_ += text;
      }
      break;
    case 5:
      out_ += base64_of(value);
      break;
    default:
      out_ += hex_of(value);
  }
}

}  // namespace

std::string type_name(uint16_t type) {
  const auto* found = std::lower_bound(std::begin(kTypes), std::end(kTypes), type,
                                       [](const Named& each, uint16_t wanted) { return each.type < wanted; });
  if (found != std::end(kTypes) && found->type == type) return std::string(found->name);
  return "TYPE" + std::to_string(type);
}

std::string rcode_name(uint16_t code) {
  if (code < std::size(kCodes)) return std::string(kCodes[code]);
  switch (code) {
    case 16:
      return "BADVERS";
    case 17:
      return "BADKEY";
    case 18:
      return "BADTIME";
    case 22:
      return "BADTRUNC";
    case 23:
      return "BADCOOKIE";
    default:
      return "RCODE" + std::to_string(code);
  }
}

bool data_text(Span message, size_t at, size_t length, uint16_t type, std::string& out) {
  out.clear();
  Data data(message, at, length, out);
  switch (type) {
    case kTypeA:
      return data.address(4).is_whole();
    case kTypeAaaa:
      return data.address(16).is_whole();
    case kTypeNs:
    case kTypeCname:
    case kTypePtr:
    case 3:
    case 4:
    case 7:
    case 8:
    case 9:
    case 39:
      return data.name().is_whole();
    case 14:
    case 17:
      return data.name().name().is_whole();
    case kTypeMx:
    case 18:
    case 21:
    case 36:
      return data.u16().name().is_whole();
    case kTypeSoa:
      return data.name().name().u32().u32().u32().u32().u32().is_whole();
    case 13:
    case 20:
      return data.text().text().ok();
    case kTypeTxt:
    case 99:
      return data.joined_texts().is_whole();
    case kTypeSrv:
      return data.u16().u16().u16().name().is_whole();
    case 35:
      return data.u16().u16().text().text().text().name().is_whole();
    case 43:
    case 59:
    case 32768:
    case 32769:
      return data.u16().u8().u8().rest_hex().is_whole();
    case kTypeSshfp:
      return data.u8().u8().rest_hex().is_whole();
    case 46:
    case 24:
      return data.type().u8().u8().u32().u32().u32().u16().name().rest_base64().is_whole();
    case 47:
      return data.name().bitmap().is_whole();
    case 48:
    case 60:
    case 25:
      return data.u16().u8().u8().rest_base64().is_whole();
    case 50:
      return data.u8().u8().u16().counted_hex().counted_hex().bitmap().is_whole();
    case 51:
      return data.u8().u8().u16().counted_hex().is_whole();
    case 52:
    case 53:
      return data.u8().u8().u8().rest_hex().is_whole();
    case 64:
    case 65:
      return data.u16().name().parameters().is_whole();
    case 256:
      return data.u16().u16().rest_text().is_whole();
    case 257:
      return data.u8().text().rest_text().is_whole();
    default:
      data.rest_hex();
      out.insert(0, "\\# " + std::to_string(length) + (length > 0 ? " " : ""));
      return true;
  }
}

}  // namespace ringtap::protocol::dns
