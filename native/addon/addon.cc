// The module: what lib/native/native.ts sees.
#include <napi.h>

#ifndef _WIN32
#include "addon/connection.h"
#include "addon/filing.h"
#endif
#include "addon/decode.h"
#include "addon/environment.h"
#include "addon/exporter.h"
#include "addon/looking.h"
#include "addon/lookup.h"
#include "addon/meter.h"
#include "addon/opening.h"
#include "addon/outlet.h"
#include "addon/replay.h"
#include "addon/session.h"
#include "addon/writer.h"
#ifdef __linux__
#include "addon/convert.h"
#include "addon/errors.h"
#include "addon/inline.h"
#include "addon/shares.h"
#include "linux/user.h"
#endif

namespace ringtap::addon {

namespace {

/// exiting(): the process is about to end.
void exiting(const Napi::CallbackInfo& info) { Environment::of(info.Env()).exiting(); }

#ifdef __linux__
/// becomeUser(name): the process is somebody else from now on.
void become(const Napi::CallbackInfo& info) {
  if (auto done = become_user(text(info[0])); !done) raise(info.Env(), done.error());
}
#endif

Napi::Object init(Napi::Env env, Napi::Object exports) {
  Environment& environment = Environment::of(env);
  environment.session_constructor = Napi::Persistent(Session::define(env));
  environment.writer_constructor = Napi::Persistent(Writer::define(env));
  environment.meter_constructor = Napi::Persistent(MeterHandle::define(env));
  environment.exporter_constructor = Napi::Persistent(ExporterHandle::define(env));
  environment.replay_constructor = Napi::Persistent(ReplayHandle::define(env));
  exports.Set("openReplay", Napi::Function::New<ReplayHandle::open>(env));
#ifndef _WIN32
  environment.connection_constructor = Napi::Persistent(ConnectionHandle::define(env));
  exports.Set("adopt", Napi::Function::New<ConnectionHandle::adopt>(env));
  exports.Set("pair", Napi::Function::New<ConnectionHandle::pair>(env));
  exports.Set("writeFile", Napi::Function::New<write_file>(env));
  exports.Set("lockFile", Napi::Function::New<lock_file>(env));
  exports.Set("unlockFile", Napi::Function::New<unlock_file>(env));
#endif
#ifdef __linux__
  environment.outlet_constructor = Napi::Persistent(OutletHandle::define(env));
  environment.inline_constructor = Napi::Persistent(InlineHandle::define(env));
  environment.shares_constructor = Napi::Persistent(SharesHandle::define(env));
  exports.Set("openShares", Napi::Function::New<open_shares>(env));
  exports.Set("attachShare", Napi::Function::New<SharesHandle::attach>(env));
  exports.Set("threadCpu", Napi::Function::New<thread_cpu>(env));
  exports.Set("cpus", Napi::Function::New<cpus>(env));
  exports.Set("pin", Napi::Function::New<pin>(env));
  exports.Set("openInline", Napi::Function::New<InlineHandle::open>(env));
  exports.Set("openOutlet", Napi::Function::New<OutletHandle::open>(env));
  exports.Set("becomeUser", Napi::Function::New<become>(env));
#endif
  exports.Set("open", Napi::Function::New<open>(env));
  exports.Set("cancel", Napi::Function::New<cancel>(env));
  exports.Set("exiting", Napi::Function::New<exiting>(env));
  exports.Set("next", Napi::Function::New<Session::next>(env));
  exports.Set("wait", Napi::Function::New<Session::wait>(env));
  exports.Set("send", Napi::Function::New<Session::send>(env));
  exports.Set("decode", Napi::Function::New<decode_lent>(env));
  exports.Set("decodeOwned", Napi::Function::New<decode_owned>(env));
  exports.Set("openMeter", Napi::Function::New<MeterHandle::open>(env));
  exports.Set("openExporter", Napi::Function::New<ExporterHandle::open>(env));
  exports.Set("flowLines", Napi::Function::New<MeterHandle::lines>(env));
  exports.Set("openWriter", Napi::Function::New<Writer::open>(env));
  exports.Set("probe", Napi::Function::New<probe>(env));
  exports.Set("devices", Napi::Function::New<devices>(env));
  exports.Set("indexTrace", Napi::Function::New<index_of>(env));
  exports.Set("lookup", Napi::Function::New<lookup>(env));
  exports.Set("source", "ringtap source " RINGTAP_SOURCE);
  return exports;
}

}  // namespace

NODE_API_MODULE(ringtap, init)

}  // namespace ringtap::addon
