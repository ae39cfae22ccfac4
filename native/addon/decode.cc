#include "addon/decode.h"

#include <algorithm>
#include <optional>

#include "addon/convert.h"
#include "addon/elements.h"
#include "addon/session.h"
#include "decode/decode.h"

namespace ringtap::addon {

namespace {

// Results that are not a packet count; lib/native/native.ts knows them, too.
constexpr int kReleased = -1;
constexpr int kNoColumns = -2;  // the memory is not there, or too small for the capacity

Napi::Value fill(Napi::Env env, const decode::Packets& packets, const Napi::Value& memory,
                 const Napi::Value& capacity) {
  const auto columns = columns_over<decode::Columns>(memory, word(capacity));
  if (!columns) return Napi::Number::New(env, kNoColumns);
  return Napi::Number::New(env, decode::decode_batch(packets, *columns));
}

}  // namespace

Napi::Value decode_lent(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  const Session* session = Session::find(env, word(call[0]));
  const auto view = session == nullptr ? std::nullopt : session->view(word(call[1]), word(call[2]));
  if (!view) return Napi::Number::New(env, kReleased);
  const decode::Packets packets{.offset = view->offset,
                                .caplen = view->caplen,
                                .wirelen = view->wirelen,
                                .flags = view->flags,
                                .vlan = view->vlan,
                                .count = view->count,
                                .segment = view->segment,
                                .segment_bytes = view->segment_bytes,
                                .link_type = view->link_type};
  return fill(env, packets, call[3], call[4]);
}

Napi::Value decode_owned(const Napi::CallbackInfo& call) {
  const auto bytes = elements<std::byte>(call[0]);
  const auto offset = elements<uint32_t>(call[1]);
  const auto caplen = elements<uint32_t>(call[2]);
  const auto wirelen = elements<uint32_t>(call[3]);
  const auto flags = elements<uint32_t>(call[4]);
  const auto vlan = elements<uint16_t>(call[5]);
  const size_t most = std::min({offset.size(), caplen.size(), wirelen.size(), flags.size(), vlan.size()});
  const uint32_t count = word(call[7]);
  if (count > most) return Napi::Number::New(call.Env(), kReleased);  // arrays were transferred away
  const decode::Packets packets{.offset = offset.data(),
                                .caplen = caplen.data(),
                                .wirelen = wirelen.data(),
                                .flags = flags.data(),
                                .vlan = vlan.data(),
                                .count = count,
                                .segment = bytes.data(),
                                .segment_bytes = bytes.size(),
                                .link_type = word(call[6])};
  return fill(call.Env(), packets, call[8], call[9]);
}

}  // namespace ringtap::addon
