// The libuv handles of an environment, counted, so that it ends only when the last one is closed.
#pragma once

#include <uv.h>

namespace ringtap::addon {

class Handles {
 public:
  virtual ~Handles() = default;

  virtual uv_loop_t* loop() const noexcept = 0;
  virtual void handle_opened() noexcept = 0;
  /// In the callback of uv_close().
  virtual void handle_closed() noexcept = 0;
};

}  // namespace ringtap::addon
