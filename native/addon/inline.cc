#include "addon/inline.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "addon/convert.h"
#include "addon/elements.h"
#include "addon/errors.h"
#include "addon/inline_taps.h"
#include "addon/session.h"
#include "addon/writer.h"
#include "backends/afpacket/inline_nic.h"
#include "backends/afxdp/inline_nic.h"

namespace ringtap::addon {

namespace {

constexpr uint32_t kTapBatch = 256;

uint64_t random_seed() noexcept {
  uint64_t seed = 0;
  static_cast<void>(getrandom(&seed, sizeof seed, GRND_NONBLOCK));
  return seed;
}

using forward::Address;
using forward::Kind;
using forward::Ledger;
using forward::Rule;
using forward::Side;
using forward::Table;

/// 4 or 16 bytes.
Address address_of(const Napi::Value& value) {
  const auto bytes = elements<std::byte>(value);
  if (bytes.size() != 4 && bytes.size() != 16) return {};
  return Address::from(bytes.data(), bytes.size() == 16);
}

void set(Napi::Object& object, const char* name, const forward::Counter& counter) {
  object.Set(name, static_cast<double>(counter.get()));
}

/// {clientBits, ports, entries, perClient, timeoutsMs}
void read_settings(const Napi::Object& object, Rule& rule) {
  forward::NatSettings& settings = rule.settings;
  const auto ports = elements<uint32_t>(object.Get("ports"));
  const auto timeouts = elements<double>(object.Get("timeoutsMs"));
  if (ports.size() != 2 || timeouts.size() != forward::kStages) return;
  settings.first_port = static_cast<uint16_t>(ports[0]);
  settings.last_port = static_cast<uint16_t>(std::max(ports[0], ports[1]));
  settings.most_entries = word(object.Get("entries"));
  settings.most_per_client = word(object.Get("perClient"));
  constexpr double kMostMs = 1e12;
  for (size_t i = 0; i < forward::kStages; i++) {
    settings.timeouts_ns[i] = static_cast<int64_t>(std::clamp(timeouts[i], 1.0, kMostMs) * 1e6);
  }
}

Kind kind_of(const std::string& name) {
  return name == "nat" ? Kind::kNat : name == "geneve" ? Kind::kGeneve : Kind::kPair;
}

Napi::Object from_nat(Napi::Env env, const forward::NatLedger& ledger) {
  Napi::Object object = Napi::Object::New(env);
  set(object, "entries", ledger.entries);
  set(object, "clients", ledger.clients);
  set(object, "created", ledger.created);
  set(object, "expired", ledger.expired);
  return object;
}

Side side_of(const Napi::Value& value, size_t ports) {
  if (!value.IsObject()) return {};
  const auto object = value.As<Napi::Object>();
  const uint32_t port = word(object.Get("port"));
  Side side{.port = static_cast<uint16_t>(port < ports ? port : 0),
            .peer = address_of(object.Get("peer")),
            .own = address_of(object.Get("own")),
            .own_bits = static_cast<uint8_t>(word(object.Get("ownBits"))),
            .gateway = {}};
  if (const Napi::Value gateway = object.Get("gateway"); gateway.IsTypedArray()) side.gateway = address_of(gateway);
  return side;
}

std::string to_text(const forward::Mac& mac) {
  std::array<char, 18> text{};
  const auto byte = [&mac](size_t i) { return std::to_integer<unsigned>(mac[i]); };
  std::snprintf(text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x", byte(0), byte(1), byte(2), byte(3), byte(4),
                byte(5));
  return text.data();
}

using Nics = std::vector<std::unique_ptr<forward::Nic>>;

/// By the method that is asked for.
Result<Nics> open_nics(const Napi::Object& request) {
  std::vector<std::string> names;
  const auto given = request.Get("interfaces").As<Napi::Array>();
  for (uint32_t i = 0; i < given.Length(); i++) names.push_back(text(given.Get(i)));
  if (text(request.Get("method")) == "afxdp") return afxdp::open_inline_nics(names);
  Nics nics;
  for (const std::string& name : names) {
    auto nic = afpacket::open_inline_nic(name);
    if (!nic) return std::move(nic).error();
    nics.push_back(*std::move(nic));
  }
  return nics;
}

Napi::Object from_ledger(Napi::Env env, const Ledger& ledger) {
  Napi::Object object = Napi::Object::New(env);
  set(object, "ingress", ledger.ingress);
  set(object, "ingressBytes", ledger.ingress_bytes);
  set(object, "egress", ledger.egress);
  set(object, "egressBytes", ledger.egress_bytes);
  set(object, "waiting", ledger.waiting);
  set(object, "fragments", ledger.fragments);
  set(object, "errors", ledger.errors);
  Napi::Object drops = Napi::Object::New(env);
  for (size_t i = 0; i < forward::kDrops; i++) set(drops, forward::kDropNames[i], ledger.drops[i]);
  object.Set("drops", drops);
  return object;
}

Napi::Object from_port(Napi::Env env, const forward::PortLedger& ledger) {
  Napi::Object object = Napi::Object::New(env);
  set(object, "frames", ledger.frames);
  set(object, "missed", ledger.missed);
  set(object, "matched", ledger.matched);
  set(object, "unmatched", ledger.unmatched);
  set(object, "answered", ledger.answered);
  set(object, "asked", ledger.asked);
  set(object, "conflicts", ledger.conflicts);
  set(object, "downs", ledger.downs);
  return object;
}

}  // namespace

Napi::Function InlineHandle::define(Napi::Env env) {
  return DefineClass(env, "Inline",
                     {InstanceMethod<&InlineHandle::set>("set"), InstanceMethod<&InlineHandle::probe>("probe"),
                      InstanceMethod<&InlineHandle::tap>("tap"), InstanceMethod<&InlineHandle::stats>("stats"),
                      InstanceMethod<&InlineHandle::stop>("stop"), InstanceMethod<&InlineHandle::close>("close")});
}

Napi::Value InlineHandle::open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Environment& environment = Environment::of(env);
  Napi::Object object = environment.inline_constructor.New({});
  InlineHandle* made = object.IsEmpty() ? nullptr : Unwrap(object);
  if (made == nullptr) return {};  // the worker is being terminated
  const auto request = info[0].As<Napi::Object>();
  auto nics = open_nics(request);
  if (!nics) {
    raise(env, nics.error());
    return {};
  }
  for (const auto& nic : *nics) made->names_.push_back(nic->name());
  TapsWanted wanted;
  for (const auto& [name, tap] : {std::pair("ingress", &wanted.ingress), std::pair("egress", &wanted.egress),
                                  std::pair("inline", &wanted.synthetic)}) {
    const Napi::Value given = request.Get(name);
    if (given.IsNumber()) {
      auto ring = forward::TapRing::create(static_cast<size_t>(number(given)));
      if (!ring) {
        raise(env, ring.error());
        return {};
      }
      made->rings_[name] = tap->ring = *std::move(ring);
    } else {
      tap->writer = Writer::of(given);
    }
  }
  auto taps = wanted.any() ? make_taps(std::move(wanted), nics->size()) : nullptr;
  auto forwarder = forward::Forwarder::start(*std::move(nics), std::move(taps));
  if (!forwarder) {
    raise(env, forwarder.error());
    return {};
  }
  made->forwarder_ = *std::move(forwarder);
  made->environment_ = &environment;
  made->number_ = environment.add(made);
  made->Ref();  // until close(): it forwards, whether or not anybody keeps it
  environment.mailbox()->hold();
  return object;
}

uint32_t InlineHandle::add(Deferred deferred) {
  pending_->emplace(++promises_, deferred);
  return promises_;
}

/// set(rules) → Promise: when they are in force. A rule: {name, kind, sides: [{port, peer, own, ownBits, gateway?}, …],
/// clientBits, nat?}.
Napi::Value InlineHandle::set(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Deferred deferred(env);
  if (!forwarder_) {
    deferred.resolve(env.Undefined());
    return deferred.promise();
  }
  std::vector<Rule> rules;
  const auto given = info[0].As<Napi::Array>();
  for (uint32_t i = 0; i < given.Length(); i++) {
    const Napi::Value value = given.Get(i);
    if (!value.IsObject()) continue;
    const auto object = value.As<Napi::Object>();
    const auto sides = object.Get("sides").As<Napi::Array>();
    Rule rule{.name = text(object.Get("name")),
              .sides = {side_of(sides.Get(0U), names_.size()), side_of(sides.Get(1U), names_.size())},
              .kind = kind_of(text(object.Get("kind"))),
              .client_bits = static_cast<uint8_t>(word(object.Get("clientBits"))),
              .ledgers = {}};
    if (const Napi::Value nat = object.Get("nat"); nat.IsObject()) read_settings(nat.As<Napi::Object>(), rule);
    // What a rule has counted goes on for as long as it is the same.
    const auto& before = table_->rules();
    const auto same = std::find_if(before.begin(), before.end(), [&](const Rule& one) { return one.is_same(rule); });
    if (same != before.end()) {
      rule.ledgers = same->ledgers;
      rule.nat = same->nat;
    } else {
      rule.ledgers = std::make_shared<std::array<Ledger, 2>>();
      if (rule.kind == Kind::kNat) rule.nat = std::make_shared<forward::Nat>(rule.settings, random_seed());
    }
    rules.push_back(std::move(rule));
  }
  auto table = Table::create(std::move(rules));
  if (!table) {
    raise(env, table.error());
    return {};
  }
  const uint32_t key = add(deferred);
  const auto& mailbox = environment_->mailbox();
  auto done = forwarder_->set(*table, [mailbox, pending = pending_, key] {
    mailbox->post([pending, key](Napi::Env there) {
      auto settled = pending->extract(key);
      if (!settled.empty()) settled.mapped().resolve(there.Undefined());
    });
  });
  if (!done) {
    pending_->erase(key);
    raise(env, done.error());
    return {};
  }
  table_ = *table;
  return deferred.promise();
}

/// probe(places) → Promise: undefined, or {index, mac} of a place that somebody has. A place: {port, address}.
Napi::Value InlineHandle::probe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Deferred deferred(env);
  if (!forwarder_) {
    deferred.resolve(env.Undefined());
    return deferred.promise();
  }
  std::vector<forward::Forwarder::Place> places;
  const auto given = info[0].As<Napi::Array>();
  for (uint32_t i = 0; i < given.Length(); i++) {
    const auto object = given.Get(i).As<Napi::Object>();
    const uint32_t port = word(object.Get("port"));
    places.push_back(
        {.port = static_cast<uint16_t>(port < names_.size() ? port : 0), .address = address_of(object.Get("address"))});
  }
  const uint32_t key = add(deferred);
  const auto& mailbox = environment_->mailbox();
  forwarder_->probe(
      places, [mailbox, pending = pending_, key, places](std::optional<forward::Forwarder::Conflict> conflict) {
        mailbox->post([pending, key, places, conflict](Napi::Env there) {
          auto settled = pending->extract(key);
          if (settled.empty()) return;
          if (!conflict) return settled.mapped().resolve(there.Undefined());
          const auto at = std::find_if(places.begin(), places.end(), [&](const forward::Forwarder::Place& one) {
            return one.port == conflict->place.port && one.address == conflict->place.address;
          });
          Napi::Object object = Napi::Object::New(there);
          object.Set("index", static_cast<double>(at - places.begin()));
          object.Set("mac", to_text(conflict->mac));
          settled.mapped().resolve(object);
        });
      });
  return deferred.promise();
}

/// tap(name) → Session: of packets that it asked for by a number of bytes; undefined where there is none, or it was
/// taken.
Napi::Value InlineHandle::tap(const Napi::CallbackInfo& info) {
  auto ring = rings_.extract(text(info[0]));
  if (ring.empty()) return info.Env().Undefined();
  return Session::make(info.Env(), {.uri = text(info[1]),
                                    .source = std::make_unique<forward::TapSource>(ring.mapped()),
                                    .filter = {},
                                    .batch_size = kTapBatch});
}

/// stats() → {rules: [{name, directions: [ledger, ledger], nat?}], interfaces: [{name, …}], silentMs}; undefined once
/// it is closed.
Napi::Value InlineHandle::stats(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!forwarder_) return env.Undefined();
  Napi::Array rules = Napi::Array::New(env);
  for (const Rule& rule : table_->rules()) {
    Napi::Object object = Napi::Object::New(env);
    Napi::Array directions = Napi::Array::New(env);
    directions.Set(0U, from_ledger(env, (*rule.ledgers)[0]));
    directions.Set(1U, from_ledger(env, (*rule.ledgers)[1]));
    object.Set("name", rule.name);
    object.Set("directions", directions);
    if (rule.nat) object.Set("nat", from_nat(env, rule.nat->ledger()));
    rules.Set(rules.Length(), object);
  }
  Napi::Array interfaces = Napi::Array::New(env);
  const auto count = static_cast<uint16_t>(names_.size());
  for (uint16_t port = 0; port < count; port++) {
    Napi::Object object = from_port(env, forwarder_->port_ledger(port));
    object.Set("name", names_[port]);
    interfaces.Set(port, object);
  }
  Napi::Object all = Napi::Object::New(env);
  all.Set("rules", rules);
  all.Set("interfaces", interfaces);
  all.Set("silentMs", static_cast<double>(forwarder_->silent_ns()) / 1e6);
  return all;
}

/// stop(): the thread ends. Counters stay until close().
void InlineHandle::stop(const Napi::CallbackInfo&) {
  if (forwarder_) forwarder_->stop();
}

/// close(): the thread ends, and what was pending settles.
void InlineHandle::close(const Napi::CallbackInfo& info) {
  if (!forwarder_) return;
  end();
  Unref();
  for (auto& [key, deferred] : *pending_) deferred.resolve(info.Env().Undefined());
  pending_->clear();
}

void InlineHandle::end() {
  if (environment_ == nullptr) return;
  forwarder_.reset();
  environment_->remove(number_);
  environment_->mailbox()->release();
  environment_ = nullptr;
}

}  // namespace ringtap::addon
