// The thread that forwards.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"
#include "core/unique_fd.h"
#include "forward/engine.h"
#include "forward/nic.h"

namespace ringtap::forward {

/// Takes frames from interfaces and sends them on, on a thread of its own, until it is stopped. Any thread may call
/// anything; set() and stop() not at the same time.
class Forwarder final : private Output {
 public:
  /// `taps`: null: nobody looks on.
  static Result<std::unique_ptr<Forwarder>> start(std::vector<std::unique_ptr<Nic>> nics, std::unique_ptr<Taps> taps);
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;
  ~Forwarder() override { stop(); }

  /// These rules, from the next batch of frames on; `done` is called then, on the thread. No frame is lost by it.
  Result<Ok> set(std::shared_ptr<const Table> table, std::function<void()> done);

  struct Place {
    uint16_t port = 0;
    Address address;
  };
  struct Conflict {
    Place place;
    Mac mac;
  };
  /// Asks whether somebody has one of these addresses, for 300 ms, and calls `done` on the thread: nothing, if nobody.
  using Probed = std::function<void(std::optional<Conflict>)>;
  void probe(std::vector<Place> places, Probed done);

  /// Waits for the thread, which ends after the frames that it has in hand. Idempotent. What is pending is never
  /// called.
  void stop() noexcept;

  /// For how long the thread has not looked up from its work, which it does each second.
  int64_t silent_ns() const noexcept;

  const PortLedger& port_ledger(uint16_t port) const noexcept { return ports_[port].ledger; }
  const std::string& port_name(uint16_t port) const noexcept { return nics_[port]->name(); }
  size_t ports() const noexcept { return nics_.size(); }

 private:
  struct Probing {
    std::vector<Place> places;
    Probed done;
    int rounds = 0;
    int64_t next = 0;
  };

  Forwarder(std::vector<std::unique_ptr<Nic>> nics, std::unique_ptr<Taps> taps);
  void send(uint16_t port, const Frame& frame, Ledger* ledger) override { nics_[port]->queue(frame, ledger); }

  void run() noexcept;
  void serve(uint64_t event);
  void flush();
  void look(uint16_t port);
  void obey();
  void go_on_probing(int64_t now);
  void post(std::function<void()> command);
  Result<Ok> guard(const Table& table, const Table& also);

  std::vector<std::unique_ptr<Nic>> nics_;
  const std::unique_ptr<Taps> taps_;
  std::vector<Port> ports_;
  Engine engine_;
  std::shared_ptr<const Table> table_ = std::make_shared<Table>();  // that was set last; of who calls set()
  std::vector<Probing> probing_;
  UniqueFd epoll_, wakes_;
  std::atomic<bool> stopping_{false};
  std::atomic<int64_t> seen_{0};
  std::thread thread_;

  std::mutex guarding_;  // guards the next, and Nic::guard()
  uint64_t tables_ = 0;  // that were set
  std::mutex mutex_;     // guards what follows
  std::vector<std::function<void()>> commands_;
};

}  // namespace ringtap::forward
