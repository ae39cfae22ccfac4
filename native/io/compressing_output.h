// An output that compresses what it is given, on the thread that writes to it.
#pragma once

#include "core/error.h"
#include "io/compression/codec.h"
#include "io/output.h"

namespace ringtap {

/// `to`, compressed. What has sections gets an index beside its file, if it is one, when it is complete; where that
/// cannot be written there is none. An error where the library is missing, or cannot do what is asked for.
Result<Destination> compressed(Destination to, const CompressionRequest& request);

}  // namespace ringtap
