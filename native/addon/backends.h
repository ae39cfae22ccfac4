// The capture methods of this build, in the order of the generated table.
#pragma once

#include <string>
#include <vector>

#include "core/error.h"
#include "core/source.h"

namespace ringtap::addon {

const std::vector<Backend>& backends();
const Backend* find_backend(const std::string& name);
/// What find_backend() of a name without one means.
Error missing_backend(const std::string& name);

}  // namespace ringtap::addon
