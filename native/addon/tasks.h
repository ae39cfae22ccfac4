// Work away from the JS thread.
#pragma once

#include <napi.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>

#include "addon/mailbox.h"
#include "core/error.h"

namespace ringtap::addon {

/// Runs each piece of work on a thread of its own. WHY not libuv's pool: opening and closing wait for others, and four
/// waits there stop the file and name look-ups of the whole process, and process.exit().
class Tasks {
 public:
  explicit Tasks(std::shared_ptr<Mailbox> mailbox) : mailbox_(std::move(mailbox)) {}

  /// `work` on another thread, then `done` on the JS thread; the event loop stays alive until then. An error when no
  /// thread can be made: then neither runs. `done` is dropped when the environment ends first.
  Result<Ok> start(std::function<void()> work, Mailbox::Message done);

  /// `work` on another thread, or here where none can be made. Nothing waits for it but wait().
  void run(std::function<void()> work);

  /// Waits until all that was started has ended. False when time is up: what goes on then touches nothing of ours.
  bool wait(std::chrono::milliseconds most);

 private:
  struct Running;
  Result<Ok> spawn(std::function<void()> work);

  const std::shared_ptr<Mailbox> mailbox_;
  const std::shared_ptr<Running> running_ = make_running();
  static std::shared_ptr<Running> make_running();
};

}  // namespace ringtap::addon
