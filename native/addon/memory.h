// Native memory shown to JS as ArrayBuffers.
#pragma once

#include <napi.h>

#include <cstddef>
#include <memory>

namespace ringtap::addon {

/// An ArrayBuffer over memory that somebody else owns. Both the ArrayBuffer and the owner hold the memory;
/// whoever lets go last frees it.
class ExposedMemory {
 public:
  ExposedMemory() = default;
  ExposedMemory(ExposedMemory&&) = default;
  ExposedMemory& operator=(ExposedMemory&&) = default;

  /// False where the runtime refuses external buffers (Electron): then there is no ArrayBuffer.
  static bool expose(Napi::Env env, std::byte* data, size_t bytes, std::shared_ptr<void> owner, ExposedMemory& out);

  Napi::ArrayBuffer buffer() const { return reference_.Value(); }

  /// Makes every view of it empty, then lets go of the memory. JS thread only.
  void detach();

 private:
  struct Hold {
    std::shared_ptr<void> owner;
  };
  Napi::Reference<Napi::ArrayBuffer> reference_;
  Hold* hold_ = nullptr;  // deleted by the ArrayBuffer's finalizer
};

}  // namespace ringtap::addon
