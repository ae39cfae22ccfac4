// Arbitrary bytes as messages.
#include "fuzz/protocol_fuzz.h"
#include "protocol/http/http.h"

RINGTAP_FUZZ_PROTOCOL(http)
