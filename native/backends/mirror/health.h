// The port that a load balancer asks whether somebody is here.
#pragma once

#include "backends/mirror/endpoint.h"
#include "core/error.h"
#include "core/unique_fd.h"

namespace ringtap::mirror {

class Health {
 public:
  /// Listens at that port of the endpoint's address.
  Result<Ok> listen(Endpoint endpoint, uint16_t port);

  /// -1 while it does not listen.
  int fd() const noexcept { return listener_.get(); }
  uint64_t answered() const noexcept { return answered_; }

  /// Accepts and closes some of those that wait. Never blocks.
  void answer() noexcept;
  void close() noexcept { listener_.reset(); }

 private:
  UniqueFd listener_;
  uint64_t answered_ = 0;
};

}  // namespace ringtap::mirror
