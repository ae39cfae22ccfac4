// Files, named pipes and standard input, to read from.
#pragma once

#include <memory>
#include <string>

#include "core/error.h"
#include "io/input.h"
#include "io/tail.h"

namespace ringtap {

/// `-` is standard input, which is never closed nor switched to non-blocking mode. A named pipe is open at once:
/// without a writer it has nothing yet.
///
/// `tail`: of a regular file, which is a stream then, whose end is where this says so.
Result<std::unique_ptr<Input>> open_input(const std::string& path, const std::shared_ptr<Tail>& tail = nullptr);

}  // namespace ringtap
