// Arbitrary bytes as messages.
#include "fuzz/protocol_fuzz.h"
#include "protocol/@name@/@name@.h"

RINGTAP_FUZZ_PROTOCOL(@name@)
