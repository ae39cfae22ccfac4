// Arbitrary bytes as messages.
#include "fuzz/protocol_fuzz.h"
#include "protocol/rdp/rdp.h"

RINGTAP_FUZZ_PROTOCOL(rdp)
