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

bool is_folder(const std::string& path);
/// Whether a target is a pattern, for files that may not be there yet: strftime's conversions make one, too.
bool is_pattern(const std::string& target);
/// Whether it names several of these, with commas in between.
bool is_list(const std::string& target);
/// A target that is no pattern, without backslashes that take a meaning away.
std::string one_path(const std::string& target);
/// The index beside a trace, which is meant only where it is named.
bool is_index(const std::string& path);

/// The files of any other target, in the order that they are named in: paths, patterns (`*`, `?`, `[…]`) and folders
/// with commas in between. What a pattern or a folder stands for comes by name. A backslash before one of `,*?[]\`
/// takes its meaning away; a name that exists as it stands needs none. Folders are not entered, nor are hidden files in
/// them read.
Result<std::vector<NamedTrace>> named_traces(const std::string& target);

}  // namespace ringtap::file
