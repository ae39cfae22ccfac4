// Arbitrary bytes as messages.
#include "fuzz/protocol_fuzz.h"
#include "protocol/tls/tls.h"

RINGTAP_FUZZ_PROTOCOL(tls)
