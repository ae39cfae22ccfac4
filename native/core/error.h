// Typed errors and the result type that carries them through core and backends.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace ringtap {

// One table (native/core/errors.json) generates this enum, the TypeScript union and docs/errors.md.
enum class Code : uint16_t {
#define RINGTAP_ERROR(id, name, meaning, hint) id,
#include "generated/errors.inc"
#undef RINGTAP_ERROR
};

/// The public name of a code, such as "RINGTAP_NO_PERMISSION".
const char* code_name(Code code) noexcept;

/// What went wrong, where, and how to fix it. `hint` empty means: use the table's hint.
struct Error {
  Code code = Code::kInternal;
  std::string message = {};
  std::string hint = {};
  std::string syscall = {};            // the system or library call that failed, if one did
  int err = 0;                         // its errno, 0 if none
  int64_t position = -1;               // byte offset in a file, or character offset in a filter; -1 if none
  int64_t decompressed_position = -1;  // of compressed data: which byte of what was decompressed that is; -1 if none
};

/// How to mend a failure that ended in this errno; empty where the table has nothing for it.
const char* errno_hint(Code code, int err) noexcept;

/// An Error for a failed system call: the message ends in the system's own words, and the hint is the errno's.
Error system_error(Code code, std::string message, const char* syscall, int err);

/// A value or an Error. C++20 has no std::expected.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const noexcept { return state_.index() == 0; }
  T& operator*() & { return std::get<0>(state_); }
  const T& operator*() const& { return std::get<0>(state_); }
  T&& operator*() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  Error& error() & { return std::get<1>(state_); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

/// Success without a value.
struct Ok {};

}  // namespace ringtap
