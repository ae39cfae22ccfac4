// For binaries that have the C++ library in them. WHY: its handler of last resort prints the name of an exception's
// type, and the parser of such names is a tenth of all code. It prints the name as the compiler has it instead.
#include <cstddef>

extern "C" char* __cxa_demangle(const char* /*name*/, char* /*buffer*/, size_t* /*length*/, int* status) {
  constexpr int kInvalidName = -2;
  if (status != nullptr) *status = kInvalidName;
  return nullptr;
}
