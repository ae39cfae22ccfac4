// Bytes of JavaScript's into a file that it has opened, away from the JS thread.
#pragma once

#include <napi.h>

namespace ringtap::addon {

/// writeFile(fd, bytes, position) → promise. Writes all of them, from the position on; below 0: behind what was written
/// last. The bytes are copied, the descriptor has to stay open until it settles. Rejects with FILE_WRITE: some may be
/// written.
Napi::Value write_file(const Napi::CallbackInfo& info);

/// lockFile(fd, path). Makes the file this descriptor's alone until unlockFile(fd). Throws BUSY: somebody else writes
/// it.
void lock_file(const Napi::CallbackInfo& info);
void unlock_file(const Napi::CallbackInfo& info);

}  // namespace ringtap::addon
