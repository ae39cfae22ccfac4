#include "addon/session.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <thread>

#include "addon/convert.h"
#include "addon/deferred.h"
#include "addon/errors.h"

namespace ringtap::addon {

namespace {

// Results of next() that are not a packet count; lib/native.ts knows them, too.
constexpr int kResult[] = {
    /* kOk */ 0,        /* kAgain */ -1,       /* kEof */ -2,
    /* kNoBuffer */ -3, /* kInterrupted */ -4, /* kError */ -5,
    /* kNotice */ -7,
};
constexpr int kClosed = -6;
constexpr size_t kMinFrame = 14;  // an Ethernet header

/// For turns on the event loop. WHY coarse: it is read for each batch, and costs a third of an exact clock.
uint32_t coarse_ms() {
#ifdef CLOCK_MONOTONIC_COARSE
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<uint32_t>(now.tv_sec * 1000 + now.tv_nsec / 1'000'000);
#else
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
#endif
}

const char* readiness_name(Readiness::Kind kind) {
  switch (kind) {
    case Readiness::Kind::kFd:
      return "fd";
    case Readiness::Kind::kPoll:
      return "poll";
    case Readiness::Kind::kAlways:
      return "always";
  }
  return "always";
}

}  // namespace

Napi::Function Session::define(Napi::Env env) {
  return DefineClass(env, "Session",
                     {
                         InstanceMethod<&Session::info>("info"),
                         InstanceMethod<&Session::add_slot>("addSlot"),
                         InstanceMethod<&Session::copied>("copied"),
                         InstanceMethod<&Session::segment>("segment"),
                         InstanceMethod<&Session::release>("release"),
                         InstanceMethod<&Session::stats>("stats"),
                         InstanceMethod<&Session::error>("error"),
                         InstanceMethod<&Session::set_ref>("setRef"),
                         InstanceMethod<&Session::send>("send"),
                         InstanceMethod<&Session::flush_tx>("flushTx"),
                         InstanceMethod<&Session::tx_stats>("txStats"),
                         InstanceMethod<&Session::close>("close"),
                     });
}

Napi::Object Session::make(Napi::Env env, Opened opened) {
  Napi::Object object = Environment::of(env).session_constructor.New({});
  Session* session = object.IsEmpty() ? nullptr : Unwrap(object);
  if (session == nullptr) return {};  // the worker is being terminated
  session->adopt(std::move(opened));
  return object;
}

Session::Session(const Napi::CallbackInfo& info) : ObjectWrap(info), environment_(Environment::of(info.Env())) {}

Session::~Session() { abandon(); }

void Session::adopt(Opened opened) {
  const Napi::Env env = Env();
  source_ = std::move(opened.source);
  filter_ = std::move(opened.filter);
  batch_size_ = opened.batch_size;
  external_ = opened.external;
  context_.emplace(env, "ringtap:wait");
  number_ = environment_.add(this);
  for (const Segment& segment : source_->info().segments) {
    if (!external_) break;
    ExposedMemory shown;
    external_ = ExposedMemory::expose(env, segment.base, segment.bytes, segment.region, shown);
    if (external_) segments_.push_back(std::move(shown));
  }
}

Napi::Value Session::info(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Object object = Napi::Object::New(env);
  if (!source_) return object;
  const SourceInfo& info = source_->info();
  object.Set("number", number_);
  object.Set("linkType", info.link_type);
  object.Set("epochSeconds", static_cast<double>(int64_t{info.epoch_ns / 1'000'000'000}));
  object.Set("epochNanos", static_cast<double>(info.epoch_ns % 1'000'000'000));
  object.Set("snaplen", info.snaplen);
  object.Set("maxLeases", info.max_leases);
  object.Set("mode", info.mode);
  object.Set("timestamp", info.timestamp_source);
  object.Set("notes", from_strings(env, info.notes));
  object.Set("filterWhere", filter_.where);
  object.Set("filterReason", filter_.reason);
  object.Set("readiness", readiness_name(source_->readiness().kind));
  object.Set("external", external_);
  object.Set("transmits", source_->tx() != nullptr);
  object.Set("batchSize", batch_size_);
  Napi::Array segments = Napi::Array::New(env, segments_.size());
  for (uint32_t i = 0; i < segments_.size(); i++) segments.Set(i, segments_[i].buffer());
  object.Set("segments", segments);
  return object;
}

/// A descriptor block: its index, and the memory that JS reads it in.
Napi::Value Session::add_slot(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  auto slot = std::make_unique<Slot>();
  slot->block = std::make_unique<DescBlock>(batch_size_);
  Napi::ArrayBuffer buffer;
  if (external_ &&
      ExposedMemory::expose(env, slot->block->data(), slot->block->bytes(), slot->block->memory(), slot->shown)) {
    buffer = slot->shown.buffer();
  } else {
    external_ = false;
    buffer = Napi::ArrayBuffer::New(env, slot->block->bytes());
    slot->copied_desc = Napi::Persistent(buffer);
  }
  slots_.push_back(std::move(slot));
  return buffer;
}

Session::Slot* Session::slot_of(const Napi::CallbackInfo& call) {
  const uint32_t index = call[0].As<Napi::Number>().Uint32Value();
  return index < slots_.size() ? slots_[index].get() : nullptr;
}

void Session::release_slot(Slot& slot) {
  if (slot.lease != 0 && source_) source_->release(slot.lease);
  if (slot.lease != 0) outstanding_--;
  slot.lease = 0;
}

/// next(session, slot, waitMs?): releases what the slot lends and receives the next batch into it. While there is none
/// it blocks for up to waitMs. Gives the packet count, or a negative result. WHY not a method: to find the Session
/// behind `this` costs more than the rest of the call.
Napi::Value Session::next(const Napi::CallbackInfo& call) {
  const uint32_t number = call[0].As<Napi::Number>().Uint32Value();
  const uint32_t index = call[1].As<Napi::Number>().Uint32Value();
  Session* session = Environment::of(call.Env()).session(number);
  if (session == nullptr || index >= session->slots_.size()) return Napi::Number::New(call.Env(), kClosed);
  const int wait_ms = call.Length() > 2 ? call[2].As<Napi::Number>().Int32Value() : 0;
  return session->next_into(call.Env(), *session->slots_[index], wait_ms);
}

Napi::Value Session::next_into(Napi::Env env, Slot& slot, int wait_ms) {
  if (!source_) return Napi::Number::New(env, kClosed);
  release_slot(slot);
  RxBatch batch = source_->receive(*slot.block, batch_size_);
  if (batch.rx == Rx::kAgain && wait_ms > 0) {
    block(wait_ms);
    batch = source_->receive(*slot.block, batch_size_);
  }
  const uint32_t count = batch.rx == Rx::kOk ? batch.count : 0;
  if (count < slot.count) slot.block->poison(count, slot.count);
  slot.count = count;
  if (count == 0) return Napi::Number::New(env, kResult[static_cast<size_t>(batch.rx)]);
  woken_ = false;
  slot.lease = batch.lease;
  slot.generation++;
  slot.segment = batch.segment;
  slot.link_type = batch.link_type;
  outstanding_++;
  slot.block->control[0] = batch.segment;
  slot.block->control[1] = batch.link_type;
  slot.block->control[2] = coarse_ms();
  slot.block->control[3] = slot.generation;
  if (!external_ && !copy_out(env, slot)) return env.Undefined();
  return Napi::Number::New(env, count);
}

// WHY: without external buffers JS gets a copy of its own. The descriptors are ours alone until then, so they can be
// trusted; the packets' memory is not shown at all.
bool Session::copy_out(Napi::Env env, Slot& slot) {
  DescBlock& block = *slot.block;
  size_t total = 0;
  for (uint32_t i = 0; i < slot.count; i++) total += block.caplen[i];
  const Segment& segment = source_->info().segments[slot.segment];
  Napi::ArrayBuffer bytes = Napi::ArrayBuffer::New(env, total);
  if (bytes.IsEmpty()) return false;
  if (slot.kept_bytes < total) {
    slot.kept = std::make_unique<std::byte[]>(total);
    slot.kept_bytes = total;
  }
  uint32_t at = 0;
  for (uint32_t i = 0; i < slot.count; i++) {
    std::memcpy(slot.kept.get() + at, segment.base + block.offset[i], block.caplen[i]);
    block.offset[i] = at;
    at += block.caplen[i];
  }
  std::memcpy(bytes.Data(), slot.kept.get(), total);
  source_->release(slot.lease);
  slot.lease = 0;
  outstanding_--;
  block.control[0] = 0;
  slot.copied_bytes = Napi::Persistent(bytes);
  Napi::ArrayBuffer desc = slot.copied_desc.Value();
  if (desc.ByteLength() < block.bytes()) {
    raise(env, Error{.code = Code::kReleased, .message = "the batch's descriptor arrays were transferred away"});
    return false;
  }
  std::memcpy(desc.Data(), block.data(), block.bytes());
  return true;
}

Napi::Value Session::copied(const Napi::CallbackInfo& call) {
  const Slot* slot = slot_of(call);
  if (slot == nullptr || slot->copied_bytes.IsEmpty()) return call.Env().Undefined();
  return slot->copied_bytes.Value();
}

/// segment(index) → the memory of a segment that came after the capture was opened.
Napi::Value Session::segment(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  const uint32_t index = call[0].As<Napi::Number>().Uint32Value();
  while (source_ && segments_.size() <= index && segments_.size() < source_->info().segments.size()) {
    const Segment& next = source_->info().segments[segments_.size()];
    ExposedMemory shown;
    if (!ExposedMemory::expose(env, next.base, next.bytes, next.region, shown)) break;
    segments_.push_back(std::move(shown));
  }
  if (index < segments_.size()) return segments_[index].buffer();
  raise(env, Error{.code = Code::kNoMemory, .message = "memory that the capture reads into cannot be shown"});
  return {};
}

void Session::release(const Napi::CallbackInfo& call) {
  Slot* slot = slot_of(call);
  if (slot == nullptr) return;
  release_slot(*slot);
  slot->block->poison(0, slot->count);
  if (!slot->copied_desc.IsEmpty()) {
    Napi::ArrayBuffer desc = slot->copied_desc.Value();
    if (desc.ByteLength() >= slot->block->bytes()) std::memcpy(desc.Data(), slot->block->data(), slot->block->bytes());
  }
  slot->count = 0;
}

/// wait(session, callback): calls it once when there may be packets. No method, as next() is none.
void Session::wait(const Napi::CallbackInfo& call) {
  Session* session = Environment::of(call.Env()).session(call[0].As<Napi::Number>().Uint32Value());
  if (session != nullptr && session->source_) session->wait_for(call[1].As<Napi::Function>());
}

void Session::wait_for(Napi::Function callback) {
  on_ready_ = Napi::Persistent(callback);
  waiter().arm(nap_ms());
}

Waiter& Session::waiter() {
  if (waiter_ == nullptr) waiter_ = new Waiter(environment_, *source_, [this] { on_ready(); });
  return *waiter_;
}

/// How long to sleep instead of asking the source: after a batch until more has gathered, and 1 ms while batches are
/// held, because a ring with a held block stays readable although nothing new can be received.
uint32_t Session::nap_ms() const {
  const Readiness readiness = source_->readiness();
  if (readiness.again_ms > 0) return readiness.again_ms;
  if (woken_) return outstanding_ > 0 ? 1 : 0;
  return readiness.gather_ms;
}

void Session::on_ready() {
  const Napi::HandleScope scope(Env());
  woken_ = true;
  const Napi::Function callback = on_ready_.Value();
  on_ready_.Reset();
  callback.MakeCallback(Value(), std::initializer_list<napi_value>{}, *context_);
}

/// Sleeps on this thread until there may be packets; at most `timeout_ms`.
void Session::block(int timeout_ms) {
  if (const auto nap = static_cast<int>(nap_ms()); nap > 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(std::min(nap, timeout_ms)));
  } else {
    Waiter::block(*source_, timeout_ms);
  }
  woken_ = true;
}

Napi::Value Session::stats(const Napi::CallbackInfo& call) {
  if (source_) last_stats_ = source_->stats();
  return from_stats(call.Env(), last_stats_);
}

Napi::Value Session::error(const Napi::CallbackInfo& call) {
  if (!source_) return call.Env().Undefined();
  return to_js(call.Env(), source_->error()).Value();
}

void Session::set_ref(const Napi::CallbackInfo& call) {
  if (source_) waiter().set_ref(flag(call[0]));
}

/// send(frame) → false when all frames are under way: flushTx() and try again.
Napi::Value Session::send(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Tx* tx = source_ ? source_->tx() : nullptr;
  if (tx == nullptr) {
    raise(env, Error{.code = Code::kClosed, .message = "send(): the capture was closed"});
    return {};
  }
  if (!call[0].IsTypedArray()) {
    raise(env, Error{.code = Code::kBadOption, .message = "send() takes a Uint8Array"});
    return {};
  }
  const auto frame = call[0].As<Napi::Uint8Array>();
  const std::span<std::byte> room = tx->reserve();
  if (room.empty()) return Napi::Boolean::New(env, false);
  const size_t bytes = frame.ByteLength();
  if (bytes < kMinFrame || bytes > room.size()) {
    tx->cancel();
    raise(env, Error{.code = Code::kBadOption,
                     .message = "a frame to send has " + std::to_string(kMinFrame) + " to " +
                                std::to_string(room.size()) + " bytes here, not " + std::to_string(bytes)});
    return {};
  }
  std::memcpy(room.data(), frame.Data(), bytes);
  tx->submit(static_cast<uint32_t>(bytes));
  return Napi::Boolean::New(env, true);
}

/// flushTx() → how many frames are still queued.
Napi::Value Session::flush_tx(const Napi::CallbackInfo& call) {
  Tx* tx = source_ ? source_->tx() : nullptr;
  if (tx == nullptr) {
    raise(call.Env(), Error{.code = Code::kClosed, .message = "flush(): the capture was closed"});
    return {};
  }
  if (auto flushed = tx->flush(); !flushed) {
    raise(call.Env(), flushed.error());
    return {};
  }
  return Napi::Number::New(call.Env(), static_cast<double>(tx->stats().queued));
}

Napi::Value Session::tx_stats(const Napi::CallbackInfo& call) {
  if (Tx* tx = source_ ? source_->tx() : nullptr) last_tx_stats_ = tx->stats();
  Napi::Object object = Napi::Object::New(call.Env());
  object.Set("sent", static_cast<double>(last_tx_stats_.sent));
  object.Set("queued", static_cast<double>(last_tx_stats_.queued));
  object.Set("failed", static_cast<double>(last_tx_stats_.failed));
  return object;
}

std::unique_ptr<Source> Session::shut_down(bool detach) {
  if (!source_) return nullptr;
  if (waiter_ != nullptr) Waiter::stop(waiter_);
  waiter_ = nullptr;
  on_ready_.Reset();
  for (const auto& slot : slots_) {
    release_slot(*slot);
    slot->count = 0;
    if (detach) slot->shown.detach();
  }
  if (detach) {
    for (ExposedMemory& segment : segments_) segment.detach();
    segments_.clear();
    slots_.clear();  // now, not when the session is collected
  }
  last_stats_ = source_->stats();
  if (const Tx* tx = source_->tx()) last_tx_stats_ = tx->stats();
  return std::move(source_);
}

/// Stops, detaches every view on this thread, then frees the source on another: the kernel may take tens of
/// milliseconds. Resolves when that is done.
Napi::Value Session::close(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Deferred closed(env);
  std::shared_ptr<Source> source = shut_down(true);
  environment_.remove(number_);
  const auto resolve = [closed](Napi::Env there) mutable { closed.resolve(there.Undefined()); };
  // Where no thread can be made it is freed here.
  if (!source || !environment_.tasks().start([source = std::move(source)]() mutable { source.reset(); }, resolve)) {
    closed.resolve(env.Undefined());
  }
  return closed.promise();
}

/// Nobody waits for it, but it is no more for this thread to do than close() is.
void Session::abandon() {
  if (!source_) return;
  std::shared_ptr<Source> source = shut_down(false);
  environment_.remove(number_);
  environment_.tasks().run([source = std::move(source)]() mutable { source.reset(); });
}

std::optional<BatchView> Session::view(uint32_t slot, uint32_t generation) const {
  if (!source_ || slot >= slots_.size()) return std::nullopt;
  const Slot& s = *slots_[slot];
  if (s.count == 0 || s.generation != generation) return std::nullopt;
  const SourceInfo& info = source_->info();
  if (!external_) return BatchView::of(*s.block, s.count, s.kept.get(), s.kept_bytes, info.epoch_ns, s.link_type);
  const Segment& segment = info.segments[s.segment];
  return BatchView::of(*s.block, s.count, segment.base, segment.bytes, info.epoch_ns, s.link_type);
}

}  // namespace ringtap::addon
