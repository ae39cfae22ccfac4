#include "core/error.h"

#include <system_error>

namespace ringtap {

const char* code_name(Code code) noexcept {
  switch (code) {
#define RINGTAP_ERROR(id, name, meaning, hint) \
  case Code::id:                               \
    return name;
#include "generated/errors.inc"
#undef RINGTAP_ERROR
  }
  return "RINGTAP_INTERNAL";
}

Error system_error(Code code, std::string message, const char* syscall, int err) {
  message += ": ";
  message += std::generic_category().message(err);
  return Error{.code = code, .message = std::move(message), .hint = {}, .syscall = syscall, .err = err};
}

}  // namespace ringtap
