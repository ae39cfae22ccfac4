// A trace in memory that a thread sends in time.
#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "addon/environment.h"
#include "replay/player.h"

namespace ringtap::addon {

class ReplayHandle final : public Napi::ObjectWrap<ReplayHandle>, public Tenant {
 public:
  static Napi::Function define(Napi::Env env);
  /// openReplay(request, session, second session?) → what plays through them.
  static Napi::Value open(const Napi::CallbackInfo& info);

  explicit ReplayHandle(const Napi::CallbackInfo& info);
  ~ReplayHandle() override;

  void abandon() override;

 private:
  Napi::Value add(const Napi::CallbackInfo& info);
  Napi::Value play(const Napi::CallbackInfo& info);
  void stop(const Napi::CallbackInfo& info);
  Napi::Value progress(const Napi::CallbackInfo& info);

  Environment& environment_;
  uint32_t number_ = 0;
  std::string uri_;
  std::shared_ptr<replay::Player> player_;
  bool plays_ = false;
};

}  // namespace ringtap::addon
