#include "core/text.h"

#include <cstdio>
#include <memory>

namespace ringtap {

#ifdef _WIN32
constexpr const char* kReading = "rb";
#else
constexpr const char* kReading = "rbe";  // not for child processes
#endif

std::string content_of(const char* path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path, kReading), &std::fclose);
  std::string content;
  if (file == nullptr) return content;
  char piece[4096];
  for (size_t bytes = 0; (bytes = std::fread(piece, 1, sizeof piece, file.get())) > 0;) content.append(piece, bytes);
  return content;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> pieces;
  while (!text.empty()) {
    const size_t end = text.find(separator);
    pieces.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return pieces;
}

}  // namespace ringtap
