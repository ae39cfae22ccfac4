#include "addon/shares.h"

#include <sched.h>

#include <ctime>
#include <map>
#include <mutex>
#include <utility>

#include "addon/convert.h"
#include "addon/deferred.h"
#include "addon/errors.h"

namespace ringtap::addon {

/// What readers in other threads find by its number.
struct SharesHandle::Entry {
  std::shared_ptr<ShareSet> set;
  Session::Opened opened;
  uint32_t number = 0;
};

namespace {

constexpr const char* name_of(ShareHash hash) {
  switch (hash) {
    case ShareHash::kBalanced:
      return "balanced";
    case ShareHash::kUnidirectional:
      return "unidirectional";
    case ShareHash::kBidirectional:
      return "bidirectional";
    case ShareHash::kAddresses:
      return "addresses";
    case ShareHash::kSource:
      return "src";
    case ShareHash::kDestination:
      return "dst";
  }
  return "bidirectional";
}

/// WHY of the process: threads find each other's sets here, and nowhere else.
template <class T>
class Known {
 public:
  uint32_t add(const std::shared_ptr<T>& entry) {
    const std::scoped_lock lock(mutex_);
    std::erase_if(entries_, [](const auto& one) { return one.second.expired(); });
    entries_.emplace(++last_, entry);
    return last_;
  }
  std::shared_ptr<T> find(uint32_t number) {
    const std::scoped_lock lock(mutex_);
    const auto found = entries_.find(number);
    return found == entries_.end() ? nullptr : found->second.lock();
  }

 private:
  std::mutex mutex_;
  std::map<uint32_t, std::weak_ptr<T>> entries_;
  uint32_t last_ = 0;
};

template <class T>
Known<T>& known() {
  static Known<T> sets;
  return sets;
}

}  // namespace

Napi::Function SharesHandle::define(Napi::Env env) {
  return DefineClass(env, "Shares",
                     {InstanceMethod<&SharesHandle::info>("info"), InstanceMethod<&SharesHandle::start>("start"),
                      InstanceMethod<&SharesHandle::stats>("stats"), InstanceMethod<&SharesHandle::give_up>("giveUp"),
                      InstanceMethod<&SharesHandle::close>("close")});
}

Napi::Object SharesHandle::make(Napi::Env env, Shares shares, Session::Opened opened) {
  Environment& environment = Environment::of(env);
  Napi::Object object = environment.shares_constructor.New({});
  SharesHandle* made = object.IsEmpty() ? nullptr : Unwrap(object);
  if (made == nullptr) return {};  // the worker is being terminated
  made->entry_ = std::make_shared<Entry>(Entry{.set = ShareSet::make(std::move(shares)), .opened = std::move(opened)});
  made->entry_->number = known<Entry>().add(made->entry_);
  made->environment_ = &environment;
  made->number_ = environment.add(made);
  return object;
}

Napi::Value SharesHandle::attach(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto entry = known<Entry>().find(word(info[0]));
  const uint32_t share = word(info[1]);
  if (!entry || share >= entry->set->size()) {
    raise(env, Error{.code = Code::kClosed, .message = "the parallel capture was closed"});
    return {};
  }
  auto source = entry->set->attach(share);
  if (!source) {
    raise(env, source.error());
    return {};
  }
  return Session::make(env, {.uri = entry->opened.uri,
                             .source = *std::move(source),
                             .filter = entry->opened.filter,
                             .batch_size = entry->opened.batch_size,
                             .external = entry->opened.external});
}

/// info() → what a session tells, without memory; `number` is what attachShare() takes.
Napi::Value SharesHandle::info(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Object object = Napi::Object::New(env);
  if (!entry_) return object;
  const ShareSet& set = *entry_->set;
  object.Set("number", entry_->number);
  set_info(object, set.info(0), entry_->opened.filter);
  object.Set("readiness", "fd");
  object.Set("external", entry_->opened.external);
  object.Set("transmits", false);
  object.Set("batchSize", entry_->opened.batch_size);
  object.Set("segments", Napi::Array::New(env));
  object.Set("shares", set.size());
  object.Set("method", set.method());
  object.Set("hash", name_of(set.hash()));
  return object;
}

/// start() → Promise: packets arrive.
Napi::Value SharesHandle::start(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Deferred started(env);
  if (!entry_) {
    started.reject(to_js(env, Error{.code = Code::kClosed, .message = "the parallel capture was closed"}).Value());
    return started.promise();
  }
  auto result = std::make_shared<Result<Ok>>(Ok{});
  auto begun = environment_->tasks().start([entry = entry_, result] { *result = entry->set->start(); },
                                           [started, result](Napi::Env there) mutable {
                                             if (*result) return started.resolve(there.Undefined());
                                             started.reject(to_js(there, result->error()).Value());
                                           });
  if (!begun) started.reject(to_js(env, begun.error()).Value());
  return started.promise();
}

/// stats() → {total, shares, orphans}
Napi::Value SharesHandle::stats(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Object object = Napi::Object::New(env);
  const ShareSet& set = *(entry_ ? entry_ : last_)->set;
  // In this order: the total has no less than its parts.
  Napi::Array shares = Napi::Array::New(env, set.size());
  for (uint32_t i = 0; i < set.size(); i++) shares.Set(i, from_stats(env, set.stats(i)));
  object.Set("shares", shares);
  object.Set("total", from_stats(env, set.total()));
  object.Set("orphans", static_cast<double>(set.orphans()));
  return object;
}

/// giveUp(share): nobody will read it any more.
void SharesHandle::give_up(const Napi::CallbackInfo& call) {
  const uint32_t share = word(call[0]);
  if (!entry_ || share >= entry_->set->size()) return;
  environment_->tasks().run([entry = entry_, share] { entry->set->give_up(share); });
}

/// What it was is closed by whoever takes it.
std::shared_ptr<SharesHandle::Entry> SharesHandle::leave() {
  if (!entry_) return nullptr;
  environment_->remove(number_);
  last_ = entry_;
  return std::exchange(entry_, nullptr);
}

/// close() → Promise: everything is freed.
Napi::Value SharesHandle::close(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Deferred closed(env);
  const auto entry = leave();
  const auto resolve = [closed](Napi::Env there) mutable { closed.resolve(there.Undefined()); };
  if (!entry || !environment_->tasks().start([entry] { entry->set->close(); }, resolve)) {
    if (entry) entry->set->close();
    closed.resolve(env.Undefined());
  }
  return closed.promise();
}

void SharesHandle::abandon() {
  if (const auto entry = leave()) environment_->tasks().run([entry] { entry->set->close(); });
}

Napi::Value thread_cpu(const Napi::CallbackInfo& info) {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return Napi::Number::New(info.Env(),
                           static_cast<double>(used.tv_sec) * 1e3 + static_cast<double>(used.tv_nsec) / 1e6);
}

Napi::Value cpus(const Napi::CallbackInfo& info) {
  Napi::Array list = Napi::Array::New(info.Env());
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return list;
  for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET(cpu, &set)) list.Set(list.Length(), cpu);
  }
  return list;
}

Napi::Value pin(const Napi::CallbackInfo& info) {
  cpu_set_t set;
  CPU_ZERO(&set);
  const auto cpus = info[0].As<Napi::Array>();
  for (uint32_t i = 0; i < cpus.Length(); i++) {
    const uint32_t cpu = word(cpus.Get(i));
    if (cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
  }
  return Napi::Boolean::New(info.Env(), sched_setaffinity(0, sizeof set, &set) == 0);
}

}  // namespace ringtap::addon
