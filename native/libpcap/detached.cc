#include "libpcap/detached.h"

#include <memory>
#include <utility>

#if defined(_WIN32)
#include <system_error>
#include <thread>
#else
#include <pthread.h>

#include <csignal>
#endif

namespace ringtap {
namespace {

Error no_thread(int err) {
  Error error = system_error(Code::kSystem, "no thread can be made", "pthread_create", err);
  error.hint = "Raise the limit on processes, which counts threads: ulimit -u, or pids.max of the container.";
  return error;
}

}  // namespace

#if defined(_WIN32)

Result<Ok> run_detached(std::function<void()> work) {
  try {
    std::thread(std::move(work)).detach();
  } catch (const std::system_error& failure) {
    return no_thread(failure.code().value());
  }
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
