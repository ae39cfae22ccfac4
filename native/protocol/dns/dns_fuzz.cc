// Arbitrary bytes as messages.
#include "fuzz/protocol_fuzz.h"
#include "protocol/dns/dns.h"

RINGTAP_FUZZ_PROTOCOL(dns)
