// Files, named pipes and standard input, to read from.
#pragma once

#include <memory>
#include <string>

#include "core/error.h"
#include "io/input.h"

namespace ringtap {

/// `-` is standard input, which is never closed nor switched to non-blocking mode. A named pipe is open at once:
/// without a writer it has nothing yet.
Result<std::unique_ptr<Input>> open_input(const std::string& path);

}  // namespace ringtap
