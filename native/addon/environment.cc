#include "addon/environment.h"

#include <utility>

namespace ringtap::addon {

namespace {

// What is being opened looks whether anybody still waits for it every 50 ms, but EAL takes a second or two to start.
constexpr std::chrono::seconds kPatience{5};

uv_loop_t* loop_of(napi_env env) {
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  return loop;
}

}  // namespace

Environment& Environment::of(Napi::Env env) {
  void* existing = nullptr;
  napi_get_instance_data(env, &existing);
  if (existing != nullptr) return *static_cast<Environment*>(existing);
  auto* made = new Environment(env);
  // WHY: no finalizer. Handles may close after instance data is finalized; the last of them deletes it.
  napi_set_instance_data(env, made, nullptr, nullptr);
  return *made;
}

Environment::Environment(napi_env env) : loop_(loop_of(env)), mailbox_(Mailbox::make(env, *this)), tasks_(mailbox_) {
  napi_add_async_cleanup_hook(env, teardown, this, &hook_);
}

std::shared_ptr<std::atomic<bool>> Environment::opening(uint32_t number) {
  std::erase_if(openings_, [](const auto& opening) { return opening.second.expired(); });
  auto cancelled = std::make_shared<std::atomic<bool>>(false);
  openings_[number] = cancelled;
  return cancelled;
}

void Environment::cancel(uint32_t number) {
  const auto found = openings_.find(number);
  if (found == openings_.end()) return;
  if (const auto cancelled = found->second.lock()) cancelled->store(true, std::memory_order_relaxed);
}

void Environment::cancel_all() {
  for (const auto& [number, opening] : openings_) {
    if (const auto cancelled = opening.lock()) cancelled->store(true, std::memory_order_relaxed);
  }
}

uint32_t Environment::at_exit(std::function<void()> last_words) {
  last_words_.emplace(++last_exit_, std::move(last_words));
  return last_exit_;
}

void Environment::exiting() {
  cancel_all();
  for (const auto& [number, last_words] : last_words_) last_words();
  tasks_.wait(kPatience);
}

void Environment::handle_closed() noexcept {
  handles_--;
  if (!ending_ || handles_ > 0) return;
  napi_remove_async_cleanup_hook(hook_);
  delete this;
}

void Environment::teardown(napi_async_cleanup_hook_handle, void* self) {
  auto* environment = static_cast<Environment*>(self);
  environment->cancel_all();
  const auto open = std::exchange(environment->tenants_, {});
  environment->recent_ = nullptr;
  for (const auto& [number, tenant] : open) tenant->abandon();
  for (const auto& [number, last_words] : environment->last_words_) last_words();
  environment->tasks_.wait(kPatience);
  environment->mailbox_->close();
  environment->session_constructor.SuppressDestruct();
  environment->writer_constructor.SuppressDestruct();
  environment->meter_constructor.SuppressDestruct();
  environment->exporter_constructor.SuppressDestruct();
  environment->shares_constructor.SuppressDestruct();
  environment->ending_ = true;
  environment->handles_++;
  environment->handle_closed();
}

}  // namespace ringtap::addon
