#include "core/error.h"

#include <cerrno>
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

namespace {

struct ErrnoHint {
  Code code;
  int err;
  const char* hint;
};

constexpr ErrnoHint kErrnoHints[] = {
#define RINGTAP_ERRNO_HINT(id, number, hint) {Code::id, number, hint},
#include "generated/errno_hints.inc"
#undef RINGTAP_ERRNO_HINT
};

}  // namespace

const char* errno_hint(Code code, int err) noexcept {
  for (const ErrnoHint& known : kErrnoHints) {
    if (known.code == code && known.err == err) return known.hint;
  }
  return "";
}

Error system_error(Code code, std::string message, const char* syscall, int err) {
  message += ": ";
  message += std::generic_category().message(err);
  return Error{
      .code = code, .message = std::move(message), .hint = errno_hint(code, err), .syscall = syscall, .err = err};
}

}  // namespace ringtap
