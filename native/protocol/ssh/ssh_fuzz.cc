// Arbitrary bytes as messages.
#include "fuzz/protocol_fuzz.h"
#include "protocol/ssh/ssh.h"

RINGTAP_FUZZ_PROTOCOL(ssh)
