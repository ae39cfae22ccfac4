// Environment variables that decide what code is loaded.
#pragma once

#include <cstdlib>

#if !defined(_WIN32) && !defined(__linux__)
#include <unistd.h>
#endif

namespace ringtap {

/// The variable's value; null where it is not set, or where the process has more rights than whoever set it (file
/// capabilities, set-user-ID): what they name would be loaded with these rights.
inline const char* trusted_environment(const char* name) noexcept {
#if defined(__linux__)
  return secure_getenv(name);
#elif defined(_WIN32)
  return std::getenv(name);
#else
  return issetugid() == 0 ? std::getenv(name) : nullptr;
#endif
}

}  // namespace ringtap
