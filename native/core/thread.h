// Threads where the host may allow no more of them.
#pragma once

#include <cerrno>
#include <system_error>
#include <thread>
#include <utility>
#ifndef _WIN32
#include <signal.h>
#endif

#include "core/error.h"

namespace ringtap {

/// Why no thread can be made: a limit on processes (ulimit -u, pids.max of a container) counts threads, too.
inline Error no_thread(int err) {
  Error error = system_error(Code::kSystem, "no thread can be made", "pthread_create", err);
  error.hint = "Raise the limit on processes, which counts threads: ulimit -u, or pids.max of the container.";
  return error;
}

/// A thread that runs `body`, or an error where none can be made: then `body` has not run.
template <class Body>
Result<std::thread> start_thread(Body&& body) {
  try {
    return std::thread(std::forward<Body>(body));
  } catch (const std::system_error& failure) {
    return no_thread(failure.code().value());
  } catch (...) {
    return no_thread(ENOMEM);
  }
}

/// The thread that calls it leaves signals to those that expect them.
inline void block_signals() {
#ifndef _WIN32
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
#endif
}

}  // namespace ringtap
