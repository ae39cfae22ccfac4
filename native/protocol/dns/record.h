// Types of records, and their data as text.
#pragma once

#include <string>
#include <string_view>

#include "protocol/reader.h"

namespace ringtap::protocol::dns {

enum Type : uint16_t {
  kTypeA = 1,
  kTypeNs = 2,
  kTypeCname = 5,
  kTypeSoa = 6,
  kTypePtr = 12,
  kTypeMx = 15,
  kTypeTxt = 16,
  kTypeAaaa = 28,
  kTypeSrv = 33,
  kTypeOpt = 41,
  kTypeSshfp = 44,
};

/// "A", "TYPE65280".
std::string type_name(uint16_t type);
std::string rcode_name(uint16_t code);

/// The data of a record, which lie from `at` to `at` + `length` of the message. Names in them may point outside.
/// Replaces `out`. False: they are not what the type says.
bool data_text(Span message, size_t at, size_t length, uint16_t type, std::string& out);

}  // namespace ringtap::protocol::dns
