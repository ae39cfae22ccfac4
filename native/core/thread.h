// Threads where the host may allow no more of them.
#pragma once

#include <system_error>
#include <thread>
#include <utility>

#include "core/error.h"

namespace ringtap {

/// A thread that runs `body`, or RINGTAP_SYSTEM where none can be made: a limit on processes (ulimit -u, pids.max of a
/// container) counts threads, too. Then `body` has not run.
template <class Body>
Result<std::thread> start_thread(Body&& body) {
  try {
    return std::thread(std::forward<Body>(body));
  } catch (const std::system_error& failure) {
    Error error = system_error(Code::kSystem, "no thread can be made", "pthread_create", failure.code().value());
    error.hint = "Raise the limit on processes, which counts threads: ulimit -u, or pids.max of the container.";
    return error;
  }
}

}  // namespace ringtap
