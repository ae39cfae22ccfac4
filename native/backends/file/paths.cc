#include "backends/file/paths.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#ifndef _WIN32
#include <glob.h>

#include <memory>
#endif

namespace ringtap::file {
namespace {

namespace fs = std::filesystem;

#ifdef _WIN32
constexpr const char* kSpecial = ",*?[]";
constexpr char kEscape = '\0';  // a backslash is between folders there
#else
constexpr const char* kSpecial = ",*?[]\\";
constexpr char kEscape = '\\';
#endif

bool is_special(char c) { return c != '\0' && std::string(kSpecial).find(c) != std::string::npos; }

bool is_escape(const std::string& text, size_t at) {
  return kEscape != '\0' && text[at] == kEscape && at + 1 < text.size() && is_special(text[at + 1]);
}

/// Where the first of these characters is that no backslash takes the meaning from.
size_t find_plain(const std::string& text, const char* these, size_t from = 0) {
  for (size_t at = from; at < text.size(); at++) {
    if (is_escape(text, at)) {
      at++;
    } else if (std::string(these).find(text[at]) != std::string::npos) {
      return at;
    }
  }
  return std::string::npos;
}

std::string unescaped(const std::string& text) {
  std::string plain;
  for (size_t at = 0; at < text.size(); at++) {
    if (is_escape(text, at)) at++;
    plain.push_back(text[at]);
  }
  return plain;
}

bool exists(const std::string& path) {
  std::error_code none;
  return fs::exists(path, none);
}

Error nothing_found(std::string message, std::string hint) {
  return Error{.code = Code::kFileOpen, .message = std::move(message), .hint = std::move(hint)};
}

#ifdef _WIN32

Result<std::vector<std::string>> matching(const std::string& pattern) {
  return Error{.code = Code::kUnsupported, .message = pattern + ": patterns are not understood on Windows"};
}

#else

struct FreeGlob {
  void operator()(glob_t* found) const noexcept { globfree(found); }
};

/// The files that a pattern matches, by name. Folders and indexes that match are none of them.
Result<std::vector<std::string>> matching(const std::string& pattern) {
  glob_t memory{};
  const std::unique_ptr<glob_t, FreeGlob> found(&memory);
  std::vector<std::string> paths;
  if (glob(pattern.c_str(), GLOB_NOSORT, nullptr, found.get()) == 0) {
    for (size_t i = 0; i < found->gl_pathc; i++) {
      const std::string path = found->gl_pathv[i];
      if (!is_folder(path) && !is_index(path)) paths.push_back(path);
    }
  }
  if (paths.empty()) {
    return nothing_found(pattern + ": matches no file",
                         "Check the folder and the pattern (ls " + pattern + "); \\* means a star in a name.");
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

#endif

/// The files in a folder, by name, without indexes.
Result<std::vector<std::string>> files_in(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code none;
    const std::string name = entry->path().filename().string();
    if (name[0] != '.' && !is_index(name) && entry->is_regular_file(none)) paths.push_back(entry->path().string());
  }
  if (error) return system_error(Code::kFileOpen, folder + ": cannot read the folder", "readdir", error.value());
  if (paths.empty()) return nothing_found(folder + ": no file is in this folder", "Name a folder that has traces.");
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

bool is_folder(const std::string& path) {
  std::error_code none;
  return fs::is_directory(path, none);
}

bool is_index(const std::string& path) { return path.ends_with(".rtidx"); }

bool is_pattern(const std::string& target) {
  if (exists(target)) return false;
  if (find_plain(target, "*?[") != std::string::npos) return true;
  const size_t percent = target.find('%');
  return percent != std::string::npos && percent + 1 < target.size();
}

bool is_list(const std::string& target) { return !exists(target) && find_plain(target, ",") != std::string::npos; }

std::string one_path(const std::string& target) { return exists(target) ? target : unescaped(target); }

bool is_one_path(const std::string& target) {
  if (is_folder(target)) return false;
  return exists(target) || target.find_first_of(kSpecial) == std::string::npos;
}

Result<std::vector<NamedTrace>> named_traces(const std::string& target) {
  std::vector<NamedTrace> traces;
  const auto add = [&traces](std::vector<std::string> paths, const std::string& folder) {
    for (std::string& path : paths) traces.push_back({.path = std::move(path), .folder = folder});
  };
  for (size_t at = 0; at <= target.size();) {
    // What exists by the name that stands there is not taken apart: the rest of it, or as far as the next comma.
    const bool is_rest = exists(target.substr(at));
    const size_t end = is_rest ? target.size() : std::min(find_plain(target, ",", at), target.size());
    const std::string part = target.substr(at, end - at);
    at = end + 1;
    if (part.empty()) {
      return Error{.code = Code::kBadUri,
                   .message = target + ": there is a comma too many",
                   .hint = "Write a.pcap,b.pcap without a blank name; \\, means a comma in a name."};
    }
    const bool stands = exists(part);
    const std::string path = stands ? part : unescaped(part);
    if (is_folder(path)) {
      auto files = files_in(path);
      if (!files) return std::move(files).error();
      add(*std::move(files), path);
    } else if (!stands && find_plain(part, "*?[") != std::string::npos) {
      auto files = matching(part);
      if (!files) return std::move(files).error();
      add(*std::move(files), {});
    } else {
      traces.push_back({.path = path});
    }
  }
  return traces;
}

}  // namespace ringtap::file
