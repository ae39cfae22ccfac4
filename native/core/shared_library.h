// Libraries that are opened at run time, so that a missing one removes one ability, and their functions by name.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/trusted_environment.h"

namespace ringtap {

/// A library as the system names it. It stays open for as long as the process lives.
using LibraryHandle = void*;

/// Which of its own undefined functions a library must find when it is opened. kOwnFirst: all, and its own before those
/// of the same name that the process has.
enum class Lookup : uint8_t { kAll, kNoneYet, kOwnFirst };

/// Null if it cannot be opened. Its functions are shown to nobody who does not ask this handle for them.
LibraryHandle open_library(const std::string& name, Lookup lookup);
/// Why the last open_library() of this name failed.
std::string library_error(const std::string& name);
/// What the process itself brings and shows to the libraries that it opens.
LibraryHandle process_library();
/// Null where the library has no such function.
void* find_symbol(LibraryHandle library, const char* name);

/// Binds a library's functions, one a line: where it goes, what it is called, whether to do without it.
class Binder {
 public:
  explicit Binder(LibraryHandle library) : library_(library) {}

  template <class Function>
  void need(Function*& slot, const char* name) {
    want(slot, name);
    if (slot == nullptr && missing_.empty()) missing_ = name;
  }
  template <class Function>
  void want(Function*& slot, const char* name) {
    // SAFETY: the slots are declared as the library declares the functions.
    slot = reinterpret_cast<Function*>(find_symbol(library_, name));
  }
  /// The first function that is needed and not there; empty if all are.
  const std::string& missing() const { return missing_; }

 private:
  LibraryHandle library_;
  std::string missing_;
};

/// The functions of a library, or why there are none.
template <class Functions>
struct Loaded {
  std::optional<Functions> functions;
  std::string why;
};

/// Opens the first of `names` that has what `bind` needs; it answers with what is missing. The environment variable
/// names another one in their place, if it can be trusted.
template <class Functions>
Loaded<Functions> load_library(std::vector<std::string> names, const char* variable, Lookup lookup,
                               std::string (*bind)(LibraryHandle, Functions&)) {
  const char* given = trusted_environment(variable);
  if (given != nullptr && *given != '\0') names = {given};
  std::string why;
  for (const std::string& name : names) {
    const LibraryHandle library = open_library(name, lookup);
    if (library == nullptr) {
      if (why.empty()) why = library_error(name);
      continue;
    }
    Functions functions{};
    const std::string missing = bind(library, functions);
    if (missing.empty()) return {functions, {}};
    why = name + " is too old: it has no " + missing;
  }
  return {std::nullopt, why};
}

/// The same for a library that the process may bring itself, as Node brings zlib: then all functions are its own.
///
/// WHY: a library that is opened plainly beside them calls some of the process's functions instead of its own, with
/// structures that these do not know. Node crashes of that.
template <class Functions>
Loaded<Functions> load_own_or_library(std::vector<std::string> names, const char* variable, const char* telltale,
                                      std::string (*bind)(LibraryHandle, Functions&)) {
  if (trusted_environment(variable) == nullptr) {
    const LibraryHandle own = process_library();
    Functions functions{};
    if (own != nullptr && find_symbol(own, telltale) != nullptr && bind(own, functions).empty()) return {functions, {}};
  }
  return load_library<Functions>(std::move(names), variable, Lookup::kOwnFirst, bind);
}

}  // namespace ringtap
