// Arbitrary bytes as messages.
#include "fuzz/protocol_fuzz.h"
#include "protocol/smb/smb.h"

RINGTAP_FUZZ_PROTOCOL(smb)
