// What a collector has to know besides records: templates, and options (statistics, the interface, sampling).
#pragma once

#include "export/messages.h"
#include "export/settings.h"

namespace ringtap::ipfix {

/// Since the exporter was opened.
struct Account {
  uint64_t messages = 0;
  uint64_t octets = 0;
  uint64_t records = 0;
  uint64_t lost_records = 0;  // that could not be sent
  uint64_t lost_packets = 0;
  uint64_t lost_octets = 0;
  uint64_t ignored_packets = 0;  // that are in no record
};

/// Templates and options in a message of their own, or several.
void announce(const Settings& settings, const Account& account, Messages& messages);

/// Takes all templates back: of IPFIX over TCP only (RFC 7011, 8.1).
void withdraw(const Settings& settings, Messages& messages);

}  // namespace ringtap::ipfix
