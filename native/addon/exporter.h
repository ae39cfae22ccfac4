// The exporter of flows, for JavaScript: messages in memory, or as datagrams to a collector.
#pragma once

#include <napi.h>

#include <memory>
#include <optional>

#include "addon/datagrams.h"
#include "export/encoder.h"

namespace ringtap::addon {

class ExporterHandle final : public Napi::ObjectWrap<ExporterHandle> {
 public:
  static Napi::Function define(Napi::Env env);
  /// openExporter({protocol, biflow, times, enterprise, domain, messageBytes, interfaceIndex, interfaceName,
  /// interfaceDescription, samplePackets, sampleFlows, datagrams?: {local, peer, port, bufferBytes}}) → Exporter.
  /// Throws what the socket fails with.
  static Napi::Value open(const Napi::CallbackInfo& info);

  explicit ExporterHandle(const Napi::CallbackInfo& info) : ObjectWrap(info) {}

 private:
  Napi::Value encode(const Napi::CallbackInfo& info);
  Napi::Value announce(const Napi::CallbackInfo& info);
  Napi::Value withdraw(const Napi::CallbackInfo& info);
  Napi::Value send(const Napi::CallbackInfo& info);
  Napi::Value flush(const Napi::CallbackInfo& info);
  void drop(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);

  Napi::Value made(Napi::Env env);

  std::unique_ptr<ipfix::Encoder> encoder_;
  std::optional<Datagrams> datagrams_;
};

}  // namespace ringtap::addon
