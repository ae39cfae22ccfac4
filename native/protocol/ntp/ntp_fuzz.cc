// Arbitrary bytes as messages.
#include "fuzz/protocol_fuzz.h"
#include "protocol/ntp/ntp.h"

RINGTAP_FUZZ_PROTOCOL(ntp)
