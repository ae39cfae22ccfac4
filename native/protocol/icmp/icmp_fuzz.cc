// Arbitrary bytes as messages.
#include "fuzz/protocol_fuzz.h"
#include "protocol/icmp/icmp.h"

RINGTAP_FUZZ_PROTOCOL(icmp)
