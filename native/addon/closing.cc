// How a session ends: by close(), by being collected, with its environment.
#include "addon/deferred.h"
#include "addon/session.h"

namespace ringtap::addon {

std::unique_ptr<Source> Session::shut_down(bool detach) {
  if (!source_) return nullptr;
  if (waiter_ != nullptr) Waiter::stop(waiter_);
  waiter_ = nullptr;
  on_ready_.Reset();
  for (const auto& slot : slots_) {
    release_slot(*slot);
    slot->count = 0;
    if (detach) slot->shown.detach();
  }
  if (detach) {
    for (ExposedMemory& segment : segments_) segment.detach();
    segments_.clear();
    slots_.clear();  // now, not when the session is collected
  }
  last_stats_ = source_->stats();
  if (sending_) {
    sending_->close();
    last_tx_stats_ = sending_->stats();
    sending_.reset();
  }
  return std::move(source_);
}

/// Stops, detaches every view on this thread, then frees the source on another: the kernel may take tens of
/// milliseconds. Resolves when that is done.
Napi::Value Session::close(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Deferred closed(env);
  std::shared_ptr<Source> source = shut_down(true);
  environment_.remove(number_);
  const auto resolve = [closed](Napi::Env there) mutable { closed.resolve(there.Undefined()); };
  // Where no thread can be made it is freed here.
  if (!source || !environment_.tasks().start([source = std::move(source)]() mutable { source.reset(); }, resolve)) {
    closed.resolve(env.Undefined());
  }
  return closed.promise();
}

/// Nobody waits for it, but it is no more for this thread to do than close() is.
void Session::abandon() {
  if (!source_) return;
  std::shared_ptr<Source> source = shut_down(false);
  environment_.remove(number_);
  environment_.tasks().run([source = std::move(source)]() mutable { source.reset(); });
}

}  // namespace ringtap::addon
