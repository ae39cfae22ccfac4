// Work that may take for ever, on a thread that nobody waits for.
#pragma once

#include <functional>

#include "core/error.h"

namespace ringtap {

/// Runs `work` on a thread of its own, which ends by itself. `work` owns all that it touches: nobody is left to ask.
/// RINGTAP_SYSTEM where no thread can be made. It runs to its end although the process or the worker has ended its
/// part: its code is never unmapped.
Result<Ok> run_detached(std::function<void()> work);

}  // namespace ringtap
