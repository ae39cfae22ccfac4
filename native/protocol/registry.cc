#include "generated/protocol_headers.inc"
#include "protocol/protocol.h"

namespace ringtap::protocol {

namespace {
constexpr const Protocol* kProtocols[] = {
#define RINGTAP_PROTOCOL(name) &name::kProtocol,
#include "generated/protocols.inc"
#undef RINGTAP_PROTOCOL
};
}  // namespace

std::span<const Protocol* const> protocols() noexcept { return kProtocols; }

}  // namespace ringtap::protocol
