// What is lent: next() receives into a slot, release() gives it back.
#include <chrono>
#include <cstring>
#include <ctime>

#include "addon/convert.h"
#include "addon/errors.h"
#include "addon/session.h"

namespace ringtap::addon {

namespace {

// Results of next() that are not a packet count; lib/native/native.ts knows them, too.
constexpr int kResult[] = {
    /* kOk */ 0, /* kAgain */ -1, /* kEof */ -2, /* kNoBuffer */ -3, /* kError */ -4, /* kNotice */ -6,
};
constexpr int kClosed = -5;

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

}  // namespace

/// A descriptor block: its index, and the memory that JS reads it in.
Napi::Value Session::add_slot(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  auto slot = std::make_unique<Slot>();
  slot->block = std::make_unique<DescBlock>(
      batch_size_, source_ && source_->info().tunnels ? DescBlock::Tunnels::kTold : DescBlock::Tunnels::kNone);
  if (source_ && source_->info().origins) slot->block->tell_origins();
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

/// next(session, slot, waitMs?, goesOn?): releases what the slot lends and receives the next batch into it. While there
/// is none it blocks for up to waitMs; a sleep that would last longer comes back without packets if the wait goes on,
/// and is taken up again by the next call. Gives the packet count, or a negative result. WHY not a method: to find the
/// Session behind `this` costs more than the rest of the call.
Napi::Value Session::next(const Napi::CallbackInfo& call) {
  const uint32_t number = call[0].As<Napi::Number>().Uint32Value();
  const uint32_t index = call[1].As<Napi::Number>().Uint32Value();
  Session* session = find(call.Env(), number);
  if (session == nullptr || index >= session->slots_.size()) return Napi::Number::New(call.Env(), kClosed);
  const int wait_ms = call.Length() > 2 ? call[2].As<Napi::Number>().Int32Value() : 0;
  return session->next_into(call.Env(), *session->slots_[index], wait_ms, wait_ms > 0 && flag(call[3]));
}

Napi::Value Session::next_into(Napi::Env env, Slot& slot, int wait_ms, bool goes_on) {
  if (!source_) return Napi::Number::New(env, kClosed);
  release_slot(slot);
  RxBatch batch{.rx = Rx::kAgain};
  if (wait_ms == 0 || nap_left_ms_ == 0) batch = source_->receive(*slot.block, batch_size_);
  if (batch.rx == Rx::kAgain && wait_ms > 0) {
    block(wait_ms);
    if (nap_left_ms_ == 0 || !goes_on) batch = source_->receive(*slot.block, batch_size_);
  }
  const uint32_t count = batch.rx == Rx::kOk ? batch.count : 0;
  if (count < slot.count) slot.block->poison(count, slot.count);
  slot.count = count;
  if (count == 0) return Napi::Number::New(env, kResult[static_cast<size_t>(batch.rx)]);
  nap_left_ms_ = 0;
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
