// A release's binary is made for glibc, and serves with musl, too. WHY: strerror_r() is the one function that it asks
// of a libc that has another meaning in the other one: GNU's returns a text, POSIX's a number, which the C++ library
// would take for the address of one.
#include <cstdio>
#include <cstring>

extern "C" char* strerror_r(int number, char* buffer, size_t size) noexcept {
  std::snprintf(buffer, size, "%s", std::strerror(number));
  return buffer;
}
