// What an X.509 certificate says, as far as it is told.
#pragma once

#include <string>
#include <vector>

#include "protocol/reader.h"

namespace ringtap::protocol::tls {

struct Certificate {
  Span serial;
  std::string subject;
  std::string issuer;
  std::string not_before;
  std::string not_after;
  std::vector<Span> names;      // DNS names that it is for
  std::vector<Span> addresses;  // 4 or 16 bytes each

  /// False: it is none; what was read is there.
  bool read(Span der);
};

}  // namespace ringtap::protocol::tls
