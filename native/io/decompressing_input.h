// An input whose bytes are compressed, decompressed ahead on a thread of its own.
#pragma once

#include <cstdint>
#include <memory>

#include "io/input.h"
#include "io/parts.h"

namespace ringtap {

/// The most that a decompressor may keep of what it has put out, where nobody says otherwise: zstd -22 and --long=27
/// take twice as much.
inline constexpr uint64_t kMostWindow = 64u << 20;

/// Gives what `input` has: decompressed, if its first bytes tell that it is compressed, else as it is. Takes 4 MiB
/// beside the window, and starts a thread, once something is known to be compressed.
///
/// Damage, or an end in the middle, is an error after all that came before it, and says where both in the file and in
/// what was decompressed. A library that is missing is one, too.
///
/// `parts`: only these are read, and nothing of what lies in between is decompressed. Of a regular file.
std::unique_ptr<Input> decompressed(std::unique_ptr<Input> input, uint64_t most_window = kMostWindow, Parts parts = {});

}  // namespace ringtap
