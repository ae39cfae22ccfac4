// file: trace files, pipes and standard input.
#pragma once

#include <memory>
#include <vector>

#include "core/error.h"
#include "core/source.h"

namespace ringtap {

/// Waits for the file header, which on a pipe takes as long as its writer does: not for the event loop.
Result<std::unique_ptr<Source>> open_file(const OpenRequest& request);
Probe probe_file();
std::vector<Device> devices_file();

}  // namespace ringtap
