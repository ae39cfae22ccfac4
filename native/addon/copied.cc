// Batches without external buffers, which Electron refuses: JavaScript gets copies.
#include <cstring>

#include "addon/errors.h"
#include "addon/session.h"

namespace ringtap::addon {

// WHY: without external buffers JS gets a copy of its own. The descriptors are ours alone until then, so they can be
// trusted; the packets' memory is not shown at all.
bool Session::copy_out(Napi::Env env, Slot& slot) {
  DescBlock& block = *slot.block;
  size_t total = 0;
  const auto options_of = [&block](uint32_t i) { return block.origin != nullptr ? block.origin[i].option_bytes : 0; };
  for (uint32_t i = 0; i < slot.count; i++) total += block.caplen[i] + options_of(i);
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
    if (const uint32_t options = options_of(i); options > 0) {
      std::memcpy(slot.kept.get() + at, segment.base + block.origin[i].options, options);
      block.origin[i].options = at;
      at += options;
    }
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

}  // namespace ringtap::addon
