#include "addon/exporter.h"

#ifdef __linux__
#include <net/if.h>
#endif

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "addon/convert.h"
#include "addon/elements.h"
#include "addon/environment.h"
#include "addon/errors.h"
#include "addon/times.h"
#include "export/elements.h"

namespace ringtap::addon {

namespace {

constexpr int kNoColumns = -1;  // lib/native/native.ts knows it, too

int64_t unix_ms(const Napi::Value& value) {
  constexpr double kMost = 4e12;
  const double given = number(value);
  return given > 0 ? static_cast<int64_t>(std::min(given, kMost)) : 0;
}

uint64_t count_of(const Napi::Value& value) { return ipfix::whole(number(value)); }

/// lost: {records, packets, octets, ignored}, of what the caller could not send; what was sent is as the caller says.
ipfix::Account account_of(const Napi::Value& value) {
  if (!value.IsObject()) return {};
  const auto given = value.As<Napi::Object>();
  return {.messages = count_of(given.Get("messages")),
          .octets = count_of(given.Get("octets")),
          .records = count_of(given.Get("records")),
          .lost_records = count_of(given.Get("lostRecords")),
          .lost_packets = count_of(given.Get("lostPackets")),
          .lost_octets = count_of(given.Get("lostOctets")),
          .ignored_packets = count_of(given.Get("ignoredPackets"))};
}

ipfix::Settings settings_of(const Napi::Object& request) {
  ipfix::Settings settings;
  const std::string times = text(request.Get("times"));
  settings.protocol =
      text(request.Get("protocol")) == "netflow9" ? ipfix::Protocol::kNetflow9 : ipfix::Protocol::kIpfix;
  settings.biflow = flag(request.Get("biflow"));
  settings.times = times == "us"   ? ipfix::Times::kMicroseconds
                   : times == "ns" ? ipfix::Times::kNanoseconds
                                   : ipfix::Times::kMilliseconds;
  settings.enterprise = word(request.Get("enterprise"));
  settings.domain = word(request.Get("domain"));
  settings.message_bytes = word(request.Get("messageBytes"));
  settings.interface_index = word(request.Get("interfaceIndex"));
  settings.interface_name = text(request.Get("interfaceName"));
  settings.interface_description = text(request.Get("interfaceDescription"));
  settings.sample_packets = std::max(word(request.Get("samplePackets")), 1u);
  settings.sample_flows = std::max(word(request.Get("sampleFlows")), 1u);
  settings.numbered_by_caller = !request.Get("datagrams").IsObject();
  return settings;
}

}  // namespace

Napi::Function ExporterHandle::define(Napi::Env env) {
  return DefineClass(env, "Exporter",
                     {
                         InstanceMethod<&ExporterHandle::encode>("encode"),
                         InstanceMethod<&ExporterHandle::announce>("announce"),
                         InstanceMethod<&ExporterHandle::withdraw>("withdraw"),
                         InstanceMethod<&ExporterHandle::send>("send"),
                         InstanceMethod<&ExporterHandle::flush>("flush"),
                         InstanceMethod<&ExporterHandle::drop>("drop"),
                         InstanceMethod<&ExporterHandle::close>("close"),
                         InstanceMethod<&ExporterHandle::stats>("stats"),
                     });
}

Napi::Value ExporterHandle::open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object object = Environment::of(env).exporter_constructor.New({});
  ExporterHandle* made = object.IsEmpty() ? nullptr : Unwrap(object);
  if (made == nullptr) return {};  // the worker is being terminated
  const auto request = info[0].As<Napi::Object>();
  ipfix::Settings settings = settings_of(request);
#ifdef __linux__
  if (settings.interface_index == 0 && !settings.interface_name.empty()) {
    settings.interface_index = if_nametoindex(settings.interface_name.c_str());
  }
#endif
  if (settings.interface_index == 0 && !settings.interface_name.empty()) {
    raise(env,
          Error{Code::kNoInterface, "there is no interface " + settings.interface_name + " whose index could be told"});
    return {};
  }
  made->encoder_ = std::make_unique<ipfix::Encoder>(std::move(settings));
  if (!request.Get("datagrams").IsObject()) return object;
#ifdef __linux__
  const auto to = request.Get("datagrams").As<Napi::Object>();
  auto output = DatagramOutput::connect(text(to.Get("local")), text(to.Get("peer")),
                                        static_cast<uint16_t>(word(to.Get("port"))), word(to.Get("bufferBytes")));
  if (!output) {
    raise(env, output.error());
    return {};
  }
  made->datagrams_.emplace(*std::move(output));
#else
  raise(env, Error{Code::kUnsupported, "datagrams are sent on Linux only"});
#endif
  return object;
}

/// What the encoder has made: {bytes, messages, records, packets, octets, next, next0}.
Napi::Value ExporterHandle::made(Napi::Env env) {
  Napi::ArrayBuffer bytes = Napi::ArrayBuffer::New(env, encoder_->size());
  if (bytes.IsEmpty()) return {};  // the worker is being terminated
  if (encoder_->size() > 0) std::memcpy(bytes.Data(), encoder_->memory(), encoder_->size());
  ipfix::Message sum;
  for (const ipfix::Message& message : encoder_->messages()) {
    sum.records += message.records;
    sum.packets += message.packets;
    sum.octets += message.octets;
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("bytes", bytes);
  object.Set("messages", static_cast<double>(encoder_->messages().size()));
  object.Set("records", static_cast<double>(sum.records));
  object.Set("packets", static_cast<double>(sum.packets));
  object.Set("octets", static_cast<double>(sum.octets));
  object.Set("next", static_cast<double>(encoder_->next_sequence(false)));
  object.Set("next0", static_cast<double>(encoder_->next_sequence(true)));
  return object;
}

/// encode(memory, capacity, count, seconds, nanos, nowMs) → what made() gives; undefined where there are no columns.
Napi::Value ExporterHandle::encode(const Napi::CallbackInfo& info) {
  const uint32_t capacity = word(info[1]);
  const auto columns = columns_over<flow::Columns>(info[0], capacity);
  if (!columns || datagrams_) return info.Env().Undefined();
  encoder_->encode({*columns, std::min(word(info[2]), capacity), to_ns(info[3], info[4])}, unix_ms(info[5]), {});
  return made(info.Env());
}

/// announce(nowMs, account) → messages for whoever begins to listen.
Napi::Value ExporterHandle::announce(const Napi::CallbackInfo& info) {
  if (datagrams_) return info.Env().Undefined();
  encoder_->announce(unix_ms(info[0]), account_of(info[1]));
  return made(info.Env());
}

/// withdraw(nowMs) → messages for whoever need not listen any more.
Napi::Value ExporterHandle::withdraw(const Napi::CallbackInfo& info) {
  if (datagrams_) return info.Env().Undefined();
  encoder_->withdraw(unix_ms(info[0]));
  return made(info.Env());
}

/// send(memory, capacity, count, seconds, nanos, nowMs, account) → messages that wait, or kNoColumns. With an account
/// it begins with an announcement. What waited before is given up.
Napi::Value ExporterHandle::send(const Napi::CallbackInfo& info) {
  const uint32_t capacity = word(info[1]);
  const auto columns = columns_over<flow::Columns>(info[0], capacity);
  if (!columns || !datagrams_) return Napi::Number::New(info.Env(), kNoColumns);
  datagrams_->drop(*encoder_);
  std::optional<ipfix::Account> account;
  if (info[6].IsObject()) {
    account = account_of(info[6]);
    const Datagrams::Counts& counts = datagrams_->counts();
    account->messages = counts.messages;
    account->octets = counts.octets;
    account->records = counts.records;
    account->lost_records += counts.refused_records + counts.dropped_records;
    account->lost_packets += counts.lost_packets;
    account->lost_octets += counts.lost_octets;
  }
  encoder_->encode({*columns, std::min(word(info[2]), capacity), to_ns(info[3], info[4])}, unix_ms(info[5]), account);
  datagrams_->begin();
  return flush(info);
}

/// flush() → messages that wait.
Napi::Value ExporterHandle::flush(const Napi::CallbackInfo& info) {
  if (!datagrams_) return Napi::Number::New(info.Env(), 0);
  datagrams_->flush(*encoder_);
  return Napi::Number::New(info.Env(), static_cast<double>(datagrams_->waiting(*encoder_)));
}

void ExporterHandle::close(const Napi::CallbackInfo& /*info*/) {
  if (datagrams_) datagrams_->close(*encoder_);
}

void ExporterHandle::drop(const Napi::CallbackInfo& /*info*/) {
  if (datagrams_) datagrams_->drop(*encoder_);
}

Napi::Value ExporterHandle::stats(const Napi::CallbackInfo& info) {
  const Datagrams::Counts counts = datagrams_ ? datagrams_->counts() : Datagrams::Counts{};
  Napi::Object object = Napi::Object::New(info.Env());
  const auto set = [&](const char* name, uint64_t value) { object.Set(name, static_cast<double>(value)); };
  set("messages", counts.messages);
  set("octets", counts.octets);
  set("records", counts.records);
  set("refusedRecords", counts.refused_records);
  set("droppedRecords", counts.dropped_records);
  set("waitingRecords", datagrams_ ? datagrams_->waiting_records(*encoder_) : 0);
  set("refusals", counts.refusals);
  set("errno", static_cast<uint64_t>(counts.last_errno));
  return object;
}

}  // namespace ringtap::addon
