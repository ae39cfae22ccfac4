#include "addon/errors.h"

namespace ringtap::addon {

Napi::Error to_js(Napi::Env env, const Error& error) {
  Napi::Error made = Napi::Error::New(env, error.message);
  made.Set("code", Napi::String::New(env, code_name(error.code)));
  if (!error.hint.empty()) made.Set("hint", Napi::String::New(env, error.hint));
  if (!error.syscall.empty()) made.Set("syscall", Napi::String::New(env, error.syscall));
  if (error.err != 0) made.Set("errno", Napi::Number::New(env, error.err));
  if (error.position >= 0) made.Set("position", Napi::Number::New(env, static_cast<double>(error.position)));
  if (error.decompressed_position >= 0) {
    made.Set("decompressedPosition", Napi::Number::New(env, static_cast<double>(error.decompressed_position)));
  }
  return made;
}

void raise(Napi::Env env, const Error& error) { to_js(env, error).ThrowAsJavaScriptException(); }

}  // namespace ringtap::addon
