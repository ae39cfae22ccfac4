// The forwarder, for JavaScript: rules in, counters out. Packets never come here.
#pragma once

#include <napi.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "addon/deferred.h"
#include "addon/environment.h"
#include "forward/forwarder.h"
#include "forward/tap_ring.h"

namespace ringtap::addon {

class InlineHandle final : public Napi::ObjectWrap<InlineHandle>, private Tenant {
 public:
  static Napi::Function define(Napi::Env env);
  /// openInline({interfaces, method, ingress?, egress?, inline?}) → Inline; the last three are writers, or how many
  /// bytes a reader of batches has. Throws what the interfaces fail with.
  static Napi::Value open(const Napi::CallbackInfo& info);

  explicit InlineHandle(const Napi::CallbackInfo& info) : ObjectWrap(info) {}
  ~InlineHandle() override { end(); }

 private:
  using Pending = std::map<uint32_t, Deferred>;

  Napi::Value set(const Napi::CallbackInfo& info);
  Napi::Value probe(const Napi::CallbackInfo& info);
  Napi::Value tap(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  void stop(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);
  void abandon() override {
    forwarder_.reset();
    environment_ = nullptr;  // it may be gone before this object
  }
  void end();
  uint32_t add(Deferred deferred);

  std::unique_ptr<forward::Forwarder> forwarder_;  // none: it was closed
  std::shared_ptr<const forward::Table> table_ = std::make_shared<forward::Table>();
  std::vector<std::string> names_;                                  // of the interfaces
  std::map<std::string, std::shared_ptr<forward::TapRing>> rings_;  // of taps that nobody has taken yet
  Environment* environment_ = nullptr;
  uint32_t number_ = 0;
  uint32_t promises_ = 0;
  const std::shared_ptr<Pending> pending_ = std::make_shared<Pending>();
};

}  // namespace ringtap::addon
