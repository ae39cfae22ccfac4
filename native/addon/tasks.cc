#include "addon/tasks.h"

#include <condition_variable>
#include <mutex>
#include <utility>

#include "core/thread.h"

namespace ringtap::addon {

/// Shared with the threads, which may outlive the environment.
struct Tasks::Running {
  std::mutex mutex;
  std::condition_variable ended;
  int count = 0;
};

std::shared_ptr<Tasks::Running> Tasks::make_running() { return std::make_shared<Running>(); }

Result<Ok> Tasks::spawn(std::function<void()> work) {
  {
    const std::scoped_lock lock(running_->mutex);
    running_->count++;
  }
  auto body = [running = running_, work = std::move(work)]() mutable {
    work();
    work = nullptr;  // what it owned goes before it counts as ended
    const std::scoped_lock lock(running->mutex);
    running->count--;
    running->ended.notify_all();
  };
  auto thread = start_thread(std::move(body));
  if (!thread) {
    const std::scoped_lock lock(running_->mutex);
    running_->count--;
    return std::move(thread).error();
  }
  thread->detach();
  return Ok{};
}

Result<Ok> Tasks::start(std::function<void()> work, Mailbox::Message done) {
  // WHY shared: a message has to be copyable, and its owner is whoever runs it last.
  auto finish = std::make_shared<Mailbox::Message>(std::move(done));
  auto started = spawn([mailbox = mailbox_, work = std::move(work), finish]() mutable {
    work();
    work = nullptr;
    mailbox->post([mailbox, finish = std::move(finish)](Napi::Env env) {
      mailbox->release();
      (*finish)(env);
    });
  });
  if (started) mailbox_->hold();
  return started;
}

void Tasks::run(std::function<void()> work) {
  auto shared = std::make_shared<std::function<void()>>(std::move(work));
  if (!spawn([shared] { (*shared)(); })) (*shared)();
}

bool Tasks::wait(std::chrono::milliseconds most) {
  std::unique_lock lock(running_->mutex);
  return running_->ended.wait_for(lock, most, [this] { return running_->count == 0; });
}

}  // namespace ringtap::addon
