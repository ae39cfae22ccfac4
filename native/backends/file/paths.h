// Which files a target names: one, a list, patterns, folders.
#pragma once

#include <string>
#include <vector>

#include "core/error.h"

namespace ringtap::file {

struct NamedTrace {
  std::string path;
  std::string folder = {};  // it was found in this one: it may be something else than a trace
};

/// Whether a target is a path as it stands: of a file, or of nothing that could be meant otherwise.
bool is_one_path(const std::string& target);

/// The files of any other target, in the order that they are named in: paths, patterns (`*`, `?`, `[…]`) and folders
/// with commas in between. What a pattern or a folder stands for comes by name. A backslash before one of `,*?[]\`
/// takes its meaning away; a name that exists as it stands needs none. Folders are not entered, nor are hidden files in
/// them read.
Result<std::vector<NamedTrace>> named_traces(const std::string& target);

}  // namespace ringtap::file
