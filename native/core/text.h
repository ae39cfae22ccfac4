// Short texts: files that the kernel writes, and lists in a line. WHY not streams: they bring the locales of the C++
// library into every binary, a tenth of its size.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ringtap {

/// All of a file such as those below /proc and /sys; empty where there is none.
std::string content_of(const char* path);

/// What stands between separators; of an empty text nothing, and nothing after a last separator.
std::vector<std::string> split(std::string_view text, char separator);
inline std::vector<std::string> lines_of(std::string_view text) { return split(text, '\n'); }

}  // namespace ringtap
