// A source that only sends: what openTransmitter() opens where sending needs nothing of what capturing does.
#pragma once

#include <memory>
#include <utility>

#include "core/source.h"

namespace ringtap {

class SendingSource final : public Source {
 public:
  SendingSource(SourceInfo info, std::unique_ptr<Tx> tx) : info_(std::move(info)), tx_(std::move(tx)) {}

  const SourceInfo& info() const noexcept override { return info_; }
  Result<FilterPlacement> set_filter(std::shared_ptr<Filter> /*filter*/) override { return cannot(); }
  Result<Ok> start() override { return cannot(); }
  RxBatch receive(DescBlock& /*block*/, uint32_t /*max*/) noexcept override { return {.rx = Rx::kEof}; }
  bool release(Lease /*lease*/) noexcept override { return false; }
  Readiness readiness() const noexcept override { return {}; }
  Stats stats() const noexcept override { return {}; }
  const Error& error() const noexcept override { return error_; }
  Tx* tx() noexcept override { return tx_.get(); }
  void close() noexcept override { tx_.reset(); }

 private:
  static Error cannot() {
    return {.code = Code::kUnsupported, .message = "this was opened to send: nothing is received"};
  }

  SourceInfo info_;
  std::unique_ptr<Tx> tx_;
  Error error_;
};

}  // namespace ringtap
