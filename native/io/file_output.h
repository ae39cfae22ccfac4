// Files, named pipes and standard output, to write to.
#pragma once

#include <string>

#include "io/output.h"

namespace ringtap {

/// `-` is standard output, which is never closed. An existing file is emptied when it is opened. A regular file is ours
/// alone until it is closed: RINGTAP_BUSY when somebody else writes it.
Destination to_file(const std::string& path);

}  // namespace ringtap
