#include "addon/memory.h"

namespace ringtap::addon {

bool ExposedMemory::expose(Napi::Env env, std::byte* data, size_t bytes, std::shared_ptr<void> owner,
                           ExposedMemory& out) {
  auto* hold = new Hold{std::move(owner)};
  napi_value value = nullptr;
  const napi_status status = napi_create_external_arraybuffer(
      env, data, bytes, [](napi_env, void*, void* hint) { delete static_cast<Hold*>(hint); }, hold, &value);
  if (status != napi_ok) {
    // WHY not deleted: Node may have made the ArrayBuffer and failed behind it, in a worker that is being terminated.
    // Its finalizer then deletes it.
    hold->owner.reset();
    if (status == napi_no_external_buffers_allowed) delete hold;
    return false;
  }
  out.reference_ = Napi::Persistent(Napi::ArrayBuffer(env, value));
  out.hold_ = hold;
  return true;
}

void ExposedMemory::detach() {
  if (hold_ == nullptr) return;
  const Napi::HandleScope scope(reference_.Env());
  Napi::ArrayBuffer buffer = reference_.Value();
  // WHY: JS may have moved the memory to another ArrayBuffer with transfer(). Then it is that one's finalizer that
  // lets go, whenever it runs.
  if (!buffer.IsDetached()) {
    buffer.Detach();
    hold_->owner.reset();
  }
  hold_ = nullptr;
  reference_.Reset();
}

}  // namespace ringtap::addon
