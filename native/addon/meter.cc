#include "addon/meter.h"

#include <algorithm>
#include <optional>

#include "addon/convert.h"
#include "addon/elements.h"
#include "addon/environment.h"
#include "addon/errors.h"
#include "addon/session.h"
#include "addon/times.h"
#include "export/protobuf.h"
#include "flow/text.h"

namespace ringtap::addon {

namespace {

// Results that are not a count; lib/native/native.ts knows them, too.
constexpr int kReleased = -1;
constexpr uint32_t kCsv = 1;  // lib/flow/flow-batch.ts knows these, too
constexpr uint32_t kProtobuf = 2;
constexpr int kNoColumns = -2;  // the memory is not there, or too small

int64_t ms_to_ns(const Napi::Value& ms) { return int64_t{word(ms)} * 1'000'000; }

}  // namespace

Napi::Function MeterHandle::define(Napi::Env env) {
  return DefineClass(env, "Meter",
                     {
                         InstanceMethod<&MeterHandle::add>("add"),
                         InstanceMethod<&MeterHandle::add_owned>("addOwned"),
                         InstanceMethod<&MeterHandle::advance>("advance"),
                         InstanceMethod<&MeterHandle::flush>("flush"),
                         InstanceMethod<&MeterHandle::drain>("drain"),
                         InstanceMethod<&MeterHandle::stats>("stats"),
                         InstanceMethod<&MeterHandle::next_events>("nextEvents"),
                         InstanceMethod<&MeterHandle::take_events>("takeEvents"),
                     });
}

Napi::Value MeterHandle::open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object object = Environment::of(env).meter_constructor.New({});
  MeterHandle* made = object.IsEmpty() ? nullptr : Unwrap(object);
  if (made == nullptr) return {};  // the worker is being terminated
  const auto request = info[0].As<Napi::Object>();
  flow::Options options;
  options.limits = {.active_ns = ms_to_ns(request.Get("activeTimeoutMs")),
                    .idle_ns = ms_to_ns(request.Get("idleTimeoutMs")),
                    .linger_ns = ms_to_ns(request.Get("lingerMs")),
                    .most_flows = std::clamp<uint32_t>(word(request.Get("maxFlows")), 1, 1u << 28),
                    .most_records = std::clamp<uint32_t>(word(request.Get("maxRecords")), 1, 1u << 28),
                    .payload_bytes = std::min<uint32_t>(word(request.Get("payloadBytes")), 255)};
  options.keyed = {.vlan = flag(request.Get("vlan")), .tunnel = flag(request.Get("tunnel"))};
  options.decap = flag(request.Get("decap"));
  options.sample_packets = std::clamp<uint32_t>(word(request.Get("samplePackets")), 1, 65535);
  options.sample_flows = std::clamp<uint32_t>(word(request.Get("sampleFlows")), 1, 65535);
  // Pairs of an interface and its rate.
  const auto rates = elements<uint16_t>(request.Get("sampleInterfaces"));
  for (size_t i = 0; i + 1 < rates.size(); i += 2)
    options.sample_interfaces.push_back({rates[i], std::max<uint16_t>(rates[i + 1], 1)});
  // Below 2^53, and another one for each meter: ids of several go together.
  options.first_id = ((options.hash_key[0] & 0xfffff) << 32) + 1;
  auto meter = flow::Meter::make(options);
  if (!meter) {
    raise(env, meter.error());
    return {};
  }
  made->meter_ = *std::move(meter);
  if (const uint32_t enabled = word(request.Get("protocols")); enabled != 0) {
    made->dissector_ = std::make_unique<protocol::Dissector>(
        protocol::Settings{.enabled = enabled, .community_id = flag(request.Get("communityId"))});
    made->meter_->set_sink(made->dissector_.get());
  }
  return object;
}

Napi::Value MeterHandle::waiting(Napi::Env env) const {
  return Napi::Number::New(env, static_cast<double>(meter_->table().records().waiting()));
}

/// add(session, slot, generation, count) → how many records wait, or kReleased.
Napi::Value MeterHandle::add(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Session* session = Session::find(env, word(info[0]));
  const auto view = session == nullptr ? std::nullopt : session->view(word(info[1]), word(info[2]));
  if (!view) return Napi::Number::New(env, kReleased);
  meter_->add({.packets = {.offset = view->offset,
                           .caplen = view->caplen,
                           .wirelen = view->wirelen,
                           .flags = view->flags,
                           .vlan = view->vlan,
                           .count = std::min(view->count, word(info[3])),
                           .segment = view->segment,
                           .segment_bytes = view->segment_bytes,
                           .link_type = view->link_type},
               .time = view->time,
               .rest = view->rest,
               .tunnel = view->tunnel,
               .interface = view->queue,
               .epoch_ns = view->epoch_ns});
  return waiting(env);
}

/// addOwned(bytes, offset, caplen, wirelen, flags, vlan, time, rest, tunnel, queue, linkType, count, seconds, nanos)
Napi::Value MeterHandle::add_owned(const Napi::CallbackInfo& info) {
  const auto bytes = elements<std::byte>(info[0]);
  const auto offset = elements<uint32_t>(info[1]);
  const auto caplen = elements<uint32_t>(info[2]);
  const auto wirelen = elements<uint32_t>(info[3]);
  const auto flags = elements<uint32_t>(info[4]);
  const auto vlan = elements<uint16_t>(info[5]);
  const auto time = elements<double>(info[6]);
  const auto rest = elements<double>(info[7]);
  const auto tunnel = elements<uint32_t>(info[8]);
  const auto queue = elements<uint16_t>(info[9]);
  const size_t most = std::min({offset.size(), caplen.size(), wirelen.size(), flags.size(), vlan.size(), time.size(),
                                rest.size(), queue.size()});
  const uint32_t count = word(info[11]);
  if (count > most) return Napi::Number::New(info.Env(), kReleased);  // arrays were transferred away
  const bool tells = tunnel.size() >= size_t{count} * (sizeof(TunnelRow) / sizeof(uint32_t));
  meter_->add({.packets = {.offset = offset.data(),
                           .caplen = caplen.data(),
                           .wirelen = wirelen.data(),
                           .flags = flags.data(),
                           .vlan = vlan.data(),
                           .count = count,
                           .segment = bytes.data(),
                           .segment_bytes = bytes.size(),
                           .link_type = word(info[10])},
               .time = time.data(),
               .rest = rest.data(),
               // SAFETY: rows are words, as many as were counted.
               .tunnel = tells ? reinterpret_cast<const TunnelRow*>(tunnel.data()) : nullptr,
               .interface = queue.data(),
               .epoch_ns = to_ns(info[12], info[13])});
  return waiting(info.Env());
}

/// advance(seconds, nanos): it is so late by now.
Napi::Value MeterHandle::advance(const Napi::CallbackInfo& info) {
  if (meter_->has_epoch()) meter_->advance(to_ns(info[0], info[1]));
  return waiting(info.Env());
}

Napi::Value MeterHandle::flush(const Napi::CallbackInfo& info) {
  meter_->flush();
  return waiting(info.Env());
}

/// drain(memory, capacity, beginnings) → how many records are in it now, or kNoColumns.
Napi::Value MeterHandle::drain(const Napi::CallbackInfo& info) {
  const uint32_t capacity = word(info[1]);
  const auto columns = columns_over<flow::Columns>(info[0], capacity);
  if (!columns) return Napi::Number::New(info.Env(), kNoColumns);
  flow::Records& records = meter_->table().records();
  const auto room = elements<std::byte>(info[2]);
  if (room.size() < size_t{capacity} * 2 * records.beginning_bytes()) return Napi::Number::New(info.Env(), kNoColumns);
  // SAFETY: it is JS's, made to be written to.
  auto* beginnings = records.beginning_bytes() == 0 ? nullptr : const_cast<std::byte*>(room.data());
  return Napi::Number::New(info.Env(), records.drain(*columns, capacity, beginnings));
}

Napi::Value MeterHandle::stats(const Napi::CallbackInfo& info) {
  const flow::Stats& stats = meter_->stats();
  const flow::Table& table = meter_->table();
  Napi::Object object = Napi::Object::New(info.Env());
  const auto set = [&](const char* name, uint64_t value) { object.Set(name, static_cast<double>(value)); };
  const auto list = [&](const char* name, const auto& values) {
    Napi::Array array = Napi::Array::New(info.Env(), values.size());
    for (uint32_t i = 0; i < values.size(); i++) array.Set(i, static_cast<double>(values[i]));
    object.Set(name, array);
  };
  set("packets", stats.packets);
  set("inFlows", stats.in_flows);
  set("sampledOut", stats.sampled_out);
  set("withoutMemory", stats.without_memory);
  set("withoutPorts", stats.without_ports);
  set("icmpAttributed", stats.icmp_attributed);
  set("icmpStrange", stats.icmp_strange);
  list("withoutFlow", stats.without_flow);
  set("created", table.counts().created);
  set("quiet", table.counts().quiet);
  list("records", table.counts().records);
  set("active", table.active());
  set("waiting", table.records().waiting());
  set("lost", table.records().lost());
  set("bytes", table.bytes());
  if (dissector_ != nullptr) {
    const protocol::DissectorStats& events = dissector_->stats();
    const std::array<uint64_t, 10> numbers = {events.events,
                                              dissector_->arena().waiting(),
                                              dissector_->arena().lost(),
                                              events.withheld,
                                              events.without_memory,
                                              events.given_up,
                                              events.gaps,
                                              events.gap_bytes,
                                              events.without_fields,
                                              dissector_->memory()};
    list("events", numbers);
  }
  object.Set("epochSeconds", static_cast<double>(int64_t{table.epoch() / 1'000'000'000}));
  object.Set("epochNanos", static_cast<double>(table.epoch() % 1'000'000'000));
  return object;
}

/// How many bytes takeEvents() gives next; 0: none wait.
Napi::Value MeterHandle::next_events(const Napi::CallbackInfo& info) {
  const size_t bytes = dissector_ == nullptr ? 0 : dissector_->arena().next();
  return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}

/// takeEvents(into) → how many lines are in it now, or kNoColumns.
Napi::Value MeterHandle::take_events(const Napi::CallbackInfo& info) {
  const auto into = elements<std::byte>(info[0]);
  if (dissector_ == nullptr || into.size() < dissector_->arena().next())
    return Napi::Number::New(info.Env(), kNoColumns);
  // SAFETY: it is JS's, made to be written to; bytes are bytes.
  auto* text = reinterpret_cast<char*>(const_cast<std::byte*>(into.data()));
  return Napi::Number::New(info.Env(), dissector_->arena().take(text).lines);
}

/// flowLines(memory, capacity, from, count, seconds, nanos, form, into) → bytes, or kNoColumns. `form`: lines of JSON,
/// or one of those above.
Napi::Value MeterHandle::lines(const Napi::CallbackInfo& info) {
  const uint32_t capacity = word(info[1]);
  const auto columns = columns_over<flow::Columns>(info[0], capacity);
  const auto into = elements<std::byte>(info[7]);
  const uint32_t from = word(info[2]);
  const uint32_t count = word(info[3]);
  if (!columns || uint64_t{from} + count > capacity) return Napi::Number::New(info.Env(), kNoColumns);
  // SAFETY: it is JS's, made to be written to.
  auto* at = const_cast<std::byte*>(into.data());
  const int64_t epoch_ns = to_ns(info[4], info[5]);
  const uint32_t form = word(info[6]);
  size_t bytes;
  if (form == kProtobuf) {
    bytes = wire::write_flows(*columns, from, count, epoch_ns, {at, into.size()});
  } else {
    const auto format = form == kCsv ? flow::Format::kCsv : flow::Format::kJson;
    // SAFETY: bytes are bytes.
    bytes = flow::write_lines(*columns, from, count, epoch_ns, format, {reinterpret_cast<char*>(at), into.size()});
  }
  return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}

}  // namespace ringtap::addon
