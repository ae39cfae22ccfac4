#include "protocol/smb/negotiation.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace ringtap::protocol::smb {

namespace {

constexpr size_t kMostDialects = 64;
constexpr size_t kLongestDialect = 64;
constexpr uint32_t kExtendedSecurity = 0x80000000;
constexpr uint8_t kNegotiate1 = 0x72;
constexpr uint16_t kHeader2 = 64;
constexpr uint16_t kAnyOfSmb2 = 0x02ff;
constexpr uint8_t kReply1 = 0x80;

/// As Windows writes it: the first three numbers have their lowest byte first.
std::string guid_of(Span bytes) {
  static constexpr std::array<uint8_t, 16> kOrder = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < kOrder.size(); i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    const auto byte = static_cast<uint8_t>(bytes[kOrder[i]]);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

/// 0x0311 is 3.11.
std::string dialect_of(uint16_t number) {
  if (number == kAnyOfSmb2) return "2.\?\?";
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%x.%02x", number >> 8, number & 0xff);
  return text.data();
}

/// Dialects of SMB 1: each a 2, and text up to a 0.
bool read_dialects(Span list, Negotiation& known) {
  while (!list.empty()) {
    if (list[0] != std::byte{2}) return false;
    list = list.subspan(1);
    const std::string_view text = text_of(list);
    const size_t end = text.find('\0');
    if (end == std::string_view::npos) return false;
    if (known.dialects.size() < kMostDialects)
      known.dialects.emplace_back(text.substr(0, std::min(end, kLongestDialect)));
    list = list.subspan(end + 1);
  }
  return true;
}

Kind read_request1(Reader& in, Negotiation& known) {
  if (in.u8() != 0) return Kind::kOther;  // no words
  const Span list = in.take(in.little16());
  Negotiation found;
  if (!in.ok() || list.empty() || !read_dialects(list, found)) return Kind::kOther;
  known.dialects = std::move(found.dialects);
  return Kind::kRequest;
}

Kind read_response1(Reader& in, Negotiation& known) {
  const uint8_t words = in.u8();
  Reader of(in.take(size_t{words} * 2));
  const uint16_t index = of.little16();
  if (words == 0 || !in.ok()) {
    // An error has no more than its status.
    return known.status != 0 ? Kind::kResponse : Kind::kOther;
  }
  if (index < known.dialects.size()) known.dialect = known.dialects[index];
  if (words != 17) return Kind::kResponse;
  known.requires_signing = (of.u8() & 8) != 0;
  of.skip(16);
  const uint32_t capabilities = of.little32();
  Reader behind(in.take(in.little16()));
  if ((capabilities & kExtendedSecurity) == 0) return Kind::kResponse;
  const Span guid = behind.take(16);
  if (guid.size() == 16) known.server_guid = guid_of(guid);
  return Kind::kResponse;
}

Kind read1(Reader& in, Negotiation& known) {
  if (in.u8() != kNegotiate1) return Kind::kOther;
  const uint32_t status = in.little32();
  const bool is_reply = (in.u8() & kReply1) != 0;
  in.skip(22);
  if (!in.ok()) return Kind::kOther;
  if (!known.has_request && !known.has_response) known.is_smb1 = true;
  if (!is_reply) return read_request1(in, known);
  known.status = status;
  return read_response1(in, known);
}

Kind read_request2(Reader& in, Negotiation& known) {
  if (in.little16() != 36) return Kind::kOther;
  const uint16_t count = in.little16();
  in.skip(8);  // modes, capabilities
  const Span guid = in.take(16);
  in.skip(8);
  Reader list(in.take(size_t{count} * 2));
  if (!in.ok() || count == 0) return Kind::kOther;
  known.client_guid = guid_of(guid);
  for (size_t i = 0; i < std::min<size_t>(count, kMostDialects); i++)
    known.dialects.push_back(dialect_of(list.little16()));
  return Kind::kRequest;
}

Kind read_response2(Reader& in, Negotiation& known) {
  const uint16_t size = in.little16();
  if (size != 65) return in.ok() && known.status != 0 ? Kind::kResponse : Kind::kOther;
  const uint16_t mode = in.little16();
  const uint16_t dialect = in.little16();
  in.skip(2);
  const Span guid = in.take(16);
  in.skip(8);  // capabilities, the largest transaction
  const uint32_t max_read = in.little32();
  const uint32_t max_write = in.little32();
  if (!in.ok()) return Kind::kOther;
  known.requires_signing = (mode & 2) != 0;
  known.dialect = dialect_of(dialect);
  known.goes_on = dialect == kAnyOfSmb2;
  known.server_guid = guid_of(guid);
  known.max_read = max_read;
  known.max_write = max_write;
  return Kind::kResponse;
}

Kind read2(Reader& in, Negotiation& known) {
  if (in.little16() != kHeader2) return Kind::kOther;
  in.skip(2);
  const uint32_t status = in.little32();
  const uint16_t command = in.little16();
  in.skip(2);
  const bool is_reply = (in.little32() & 1) != 0;
  in.skip(44);
  if (!in.ok() || command != 0) return Kind::kOther;
  if (!is_reply) return read_request2(in, known);
  known.status = status;
  return read_response2(in, known);
}

}  // namespace

size_t Negotiation::memory() const noexcept {
  size_t bytes = client_guid.capacity() + server_guid.capacity() + dialect.capacity();
  for (const std::string& each : dialects) bytes += sizeof(std::string) + each.capacity();
  return bytes;
}

bool begins_message(Span bytes) noexcept {
  const std::string_view text = text_of(bytes).substr(0, 4);
  return text == "\xffSMB" || text == "\xfeSMB";
}

Kind read_message(Span message, Negotiation& known) {
  if (message.size() < 4 || !begins_message(message)) return Kind::kOther;
  Reader in(message);
  const bool is_first = in.u8() == 0xff;
  in.skip(3);
  return is_first ? read1(in, known) : read2(in, known);
}

}  // namespace ringtap::protocol::smb
