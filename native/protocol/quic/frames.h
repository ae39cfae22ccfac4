// Frames of Initial packets.
#pragma once

#include "protocol/quic/crypto_stream.h"

namespace ringtap::protocol::quic {

/// Puts what CRYPTO frames say into the stream.
/// @return false: the stream goes on beyond what is kept, or there is a frame after which nothing is said any more
bool read_frames(Span frames, CryptoStream& stream);

}  // namespace ringtap::protocol::quic
