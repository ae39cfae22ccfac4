// Passing packets of a batch on: which of them, changed in which way, and with a copy or without.
#pragma once

#include <napi.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "addon/elements.h"
#include "addon/sending.h"
#include "core/source.h"
#include "format/encoder.h"

namespace ringtap::addon {

/// The packets of a batch that were chosen.
class Chosen {
 public:
  Chosen(const BatchView& view, const Napi::Value& select)
      : view_(view), indices_(elements<uint32_t>(select)), mask_(elements<uint8_t>(select)) {
    if (select.IsTypedArray()) {
      const auto type = select.As<Napi::TypedArray>().TypedArrayType();
      by_index_ = type == napi_uint32_array;
      by_mask_ = !by_index_;
    }
  }

  /// What is wrong with the selection.
  std::optional<Error> fault() const;
  /// Those from the `first`-th chosen one on, at most `count`.
  std::vector<Passing> packets(uint64_t first, uint64_t count) const;
  std::vector<TxFrame> frames(uint64_t first, uint64_t count) const;
  /// A packet as the batch has it now.
  TxFrame frame(uint64_t index) const;

 private:
  template <class T, class Make>
  std::vector<T> collect(uint64_t first, uint64_t count, Make make) const;

  const BatchView view_;
  const std::span<const uint32_t> indices_;
  const std::span<const uint8_t> mask_;
  bool by_index_ = false;
  bool by_mask_ = false;
};

/// Who lends the packets, where it is the capture that sends them. Nobody: each is copied.
struct Lender {
  Source* source = nullptr;
  Lease lease = 0;
  DescBlock* block = nullptr;  // gets to know where packets lie that an edit has moved
};

/// Sends packets, from the `first`-th chosen one on, at most `count`, with changes on the way, none where `changes` has
/// none: how many were accepted, from the front.
Napi::Value passed_on(Napi::Env env, Sending& sending, const Chosen& chosen, uint64_t first, uint64_t count,
                      const Napi::Value& changes, const Lender& lender);

}  // namespace ringtap::addon
