// Arbitrary bytes as messages.
#include "fuzz/protocol_fuzz.h"
#include "protocol/dhcp/dhcp.h"

RINGTAP_FUZZ_PROTOCOL(dhcp)
