#include "libpcap/detached.h"

#include <memory>
#include <utility>

#ifndef _WIN32
#include <pthread.h>

#include <csignal>
#endif

#include "core/thread.h"

namespace ringtap {
#if defined(_WIN32)

Result<Ok> run_detached(std::function<void()> work) {
  auto thread = start_thread(std::move(work));
  if (!thread) return std::move(thread).error();
  thread->detach();
  return Ok{};
}

#else

namespace {

// musl gives 128 KiB, and libpcap calls itself once for each block of a program.
constexpr size_t kStackBytes = size_t{8} << 20;

void* run(void* given) {
  const std::unique_ptr<std::function<void()> > work(static_cast<std::function<void()>*>(given));
  (*work)();
  return nullptr;
}

}  // namespace

Result<Ok> run_detached(std::function<void()> work) {
  auto owned = std::make_unique<std::function<void()> >(std::move(work));
  pthread_attr_t attributes;
  if (const int err = pthread_attr_init(&attributes); err != 0) return no_thread(err);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  // Signals are for the threads that expect them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  pthread_t thread{};
  const int err = pthread_create(&thread, &attributes, run, owned.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (err != 0) return no_thread(err);
  (void)owned.release();  // the thread's now
  return Ok{};
}

#endif

}  // namespace ringtap
