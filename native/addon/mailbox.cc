#include "addon/mailbox.h"

#include <utility>

namespace ringtap::addon {

namespace {

uv_handle_t* base(uv_async_t* async) {
  return reinterpret_cast<uv_handle_t*>(async);  // SAFETY: every libuv handle starts as a uv_handle_t
}

}  // namespace

std::shared_ptr<Mailbox> Mailbox::make(Napi::Env env, Handles& handles) {
  std::shared_ptr<Mailbox> mailbox(new Mailbox(env));
  auto* handle = new Handle{.async = {}, .counted = &handles, .mailbox = mailbox.get()};
  uv_async_init(handles.loop(), &handle->async, [](uv_async_t* async) {
    if (Mailbox* receiver = static_cast<Handle*>(async->data)->mailbox) receiver->run();
  });
  handle->async.data = handle;
  handles.handle_opened();
  uv_unref(base(&handle->async));
  mailbox->handle_ = handle;
  return mailbox;
}

bool Mailbox::post(Message message) {
  const std::scoped_lock lock(mutex_);
  if (handle_ == nullptr) return false;
  messages_.push_back(std::move(message));
  uv_async_send(&handle_->async);
  return true;
}

void Mailbox::hold() {
  if (holds_++ == 0 && handle_ != nullptr) uv_ref(base(&handle_->async));
}

void Mailbox::release() {
  if (--holds_ == 0 && handle_ != nullptr) uv_unref(base(&handle_->async));
}

void Mailbox::run() {
  std::vector<Message> messages;
  {
    const std::scoped_lock lock(mutex_);
    messages.swap(messages_);
  }
  if (messages.empty()) return;
  const Napi::HandleScope scope(env_);
  // WHY not at once: an async context cannot be made while the addon loads in a worker that is being terminated.
  if (!context_) context_.emplace(env_, "ringtap");
  const Napi::CallbackScope callbacks(env_, *context_);
  for (const Message& message : messages) message(env_);
}

void Mailbox::close() {
  std::vector<Message> messages;
  Handle* handle = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    handle = std::exchange(handle_, nullptr);
    messages.swap(messages_);
  }
  context_.reset();
  if (handle == nullptr) return;
  handle->mailbox = nullptr;
  uv_close(base(&handle->async), [](uv_handle_t* closed) {
    const std::unique_ptr<Handle> owned(static_cast<Handle*>(closed->data));
    owned->counted->handle_closed();
  });
}

}  // namespace ringtap::addon
