// Arbitrary bytes as messages.
#include "fuzz/protocol_fuzz.h"
#include "protocol/arp/arp.h"

RINGTAP_FUZZ_PROTOCOL(arp)
