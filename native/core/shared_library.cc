#include "core/shared_library.h"

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace ringtap {

#if defined(_WIN32)

// WHY: Npcap lives in a folder of its own beside WinPcap; its Packet.dll must come from that folder, too.
// A bare name is looked for in the system's folder alone: the working directory may be anybody's.
LibraryHandle open_library(const std::string& name, Lookup) {
  const bool has_folder = name.find('\\') != std::string::npos;
  return LoadLibraryExA(name.c_str(), nullptr,
                        has_folder ? LOAD_WITH_ALTERED_SEARCH_PATH : LOAD_LIBRARY_SEARCH_SYSTEM32);
}

LibraryHandle process_library() { return nullptr; }

std::string library_error(const std::string& name) {
  return name + ": LoadLibrary failed with code " + std::to_string(GetLastError());
}

void* find_symbol(LibraryHandle library, const char* name) {
  // SAFETY: a handle of open_library().
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name));
}

#else

namespace {

// Sanitizers refuse it, and their programs show nothing to libraries. musl has none.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RINGTAP_SANITIZED
#endif
#endif
#if defined(RTLD_DEEPBIND) && !defined(RINGTAP_SANITIZED) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
constexpr int kOwnFirst = RTLD_DEEPBIND;
#else
constexpr int kOwnFirst = 0;
#endif

}  // namespace

LibraryHandle open_library(const std::string& name, Lookup lookup) {
  const int when = lookup == Lookup::kNoneYet ? RTLD_LAZY : RTLD_NOW;
  return dlopen(name.c_str(), when | RTLD_LOCAL | (lookup == Lookup::kOwnFirst ? kOwnFirst : 0));
}

LibraryHandle process_library() { return dlopen(nullptr, RTLD_NOW | RTLD_LOCAL); }

std::string library_error(const std::string& name) {
  const char* text = dlerror();
  return text != nullptr ? text : name + ": cannot be loaded";
}

void* find_symbol(LibraryHandle library, const char* name) { return dlsym(library, name); }

#endif

}  // namespace ringtap
