#include "forward/forwarder.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "core/thread.h"

namespace ringtap::forward {

namespace {

constexpr int kProbes = 2, kIdleMs = 1000, kBusyMs = 50;
constexpr int64_t kProbeNs = 150'000'000;
constexpr int64_t kTickNs = 50'000'000;
constexpr int kMostEvents = 64;

// Which descriptor of epoll it is: a port's frames, a port's news, or a command.
constexpr uint64_t kNews = uint64_t{1} << 32, kCommand = uint64_t{1} << 33;

int64_t now_ns() noexcept {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

Result<Ok> watch(int epoll, int fd, uint64_t what) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = what;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0) return Ok{};
  return system_error(Code::kSystem, "forwarding: waiting for frames", "epoll_ctl", errno);
}

}  // namespace

Forwarder::Forwarder(std::vector<std::unique_ptr<Nic>> nics, std::unique_ptr<Taps> taps)
    : nics_(std::move(nics)), taps_(std::move(taps)), ports_(nics_.size()), engine_(ports_, *this, taps_.get()) {}

Result<std::unique_ptr<Forwarder>> Forwarder::start(std::vector<std::unique_ptr<Nic>> nics,
                                                    std::unique_ptr<Taps> taps) {
  std::unique_ptr<Forwarder> made(new Forwarder(std::move(nics), std::move(taps)));
  made->epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  made->wakes_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!made->epoll_ || !made->wakes_) {
    return system_error(Code::kSystem, "forwarding: waiting for frames", "epoll_create1", errno);
  }
  if (auto done = watch(made->epoll_.get(), made->wakes_.get(), kCommand); !done) return std::move(done).error();
  for (size_t port = 0; port < made->nics_.size(); port++) {
    const Nic& nic = *made->nics_[port];
    made->ports_[port].mac = nic.mac();
    made->look(static_cast<uint16_t>(port));
    if (auto done = watch(made->epoll_.get(), nic.fd(), port); !done) return std::move(done).error();
    if (auto done = watch(made->epoll_.get(), nic.news_fd(), port | kNews); !done) return std::move(done).error();
  }
  made->seen_.store(now_ns(), std::memory_order_relaxed);
  auto thread = start_thread([forwarder = made.get()] { forwarder->run(); });
  if (!thread) return std::move(thread).error();
  made->thread_ = *std::move(thread);
  return made;
}

void Forwarder::post(std::function<void()> command) {
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back(std::move(command));
  }
  eventfd_write(wakes_.get(), 1);
}

/// Of both tables, while one takes the place of the other.
Result<Ok> Forwarder::guard(const Table& table, const Table& also) {
  const auto count = static_cast<uint16_t>(nics_.size());
  for (uint16_t port = 0; port < count; port++) {
    std::vector<Address> addresses = table.owned(port);
    for (const Address& one : also.owned(port)) {
      if (!table.owns(port, one)) addresses.push_back(one);
    }
    if (auto done = nics_[port]->guard(addresses); !done) return done;
    std::vector<Address> tunnels = table.tunnels(port);
    for (const Address& one : also.tunnels(port)) {
      if (table.tunnel(port, one) == nullptr) tunnels.push_back(one);
    }
    if (auto done = nics_[port]->guard_tunnels(tunnels); !done) return done;
  }
  return Ok{};
}

Result<Ok> Forwarder::set(std::shared_ptr<const Table> table, std::function<void()> done) {
  uint64_t number = 0;
  {
    const std::lock_guard lock(guarding_);
    if (auto guarded = guard(*table, *table_); !guarded) {
      static_cast<void>(guard(*table_, *table_));  // what was taken of these is given back
      return guarded;
    }
    number = ++tables_;
  }
  table_ = table;
  post([this, table = std::move(table), done = std::move(done), number] {
    engine_.adopt(table);
    {
      const std::lock_guard lock(guarding_);
      if (number == tables_) static_cast<void>(guard(*table, *table));  // only takes away what was there
    }
    if (done) done();
  });
  return Ok{};
}

void Forwarder::probe(std::vector<Place> places, Probed done) {
  post([this, places = std::move(places), done = std::move(done)] {
    probing_.push_back({.places = places, .done = done, .rounds = 0, .next = 0});
  });
}

void Forwarder::stop() noexcept {
  if (!thread_.joinable()) return;
  stopping_ = true;
  eventfd_write(wakes_.get(), 1);
  thread_.join();
  engine_.close();
}

int64_t Forwarder::silent_ns() const noexcept { return now_ns() - seen_.load(std::memory_order_relaxed); }

void Forwarder::run() noexcept {
  block_signals();
  int64_t ticked = 0;
  while (!stopping_) {
    epoll_event events[kMostEvents];
    const bool is_busy = engine_.is_busy() || !probing_.empty();
    const int count = epoll_wait(epoll_.get(), events, kMostEvents, is_busy ? kBusyMs : kIdleMs);
    for (int i = 0; i < count; i++) serve(events[i].data.u64);
    const int64_t now = now_ns();
    seen_.store(now, std::memory_order_relaxed);
    if (now - ticked < kTickNs) continue;
    ticked = now;
    engine_.tick(now);
    go_on_probing(now);
    flush();
    for (size_t port = 0; port < nics_.size(); port++) {
      Counter& missed = ports_[port].ledger.missed;
      missed.add(nics_[port]->missed() - missed.get());
    }
  }
}

void Forwarder::serve(uint64_t event) {
  if (event == kCommand) {
    eventfd_t count = 0;
    eventfd_read(wakes_.get(), &count);
    obey();
  } else if ((event & kNews) != 0) {
    look(static_cast<uint16_t>(event));
  } else {
    const auto port = static_cast<uint16_t>(event);
    const std::span<Frame> frames = nics_[port]->receive();
    const int64_t now = now_ns();
    for (Frame& frame : frames) engine_.receive(port, frame, now);
  }
  flush();
}

void Forwarder::flush() {
  const auto count = static_cast<uint16_t>(nics_.size());
  for (uint16_t port = 0; port < count; port++) {
    nics_[port]->flush([this, port](const Frame& frame, Ledger* ledger, std::optional<Drop> why) {
      if (why) {
        if (ledger != nullptr) ledger->drop(*why);
        return;
      }
      if (frame.is_forwarded && taps_ != nullptr) taps_->egress(port, frame);
      if (ledger == nullptr) return;
      ledger->egress.add();
      ledger->egress_bytes.add(frame.length);
    });
  }
  engine_.flushed();
  if (taps_ != nullptr) taps_->flush();
}

void Forwarder::look(uint16_t port) {
  const Nic::State state = nics_[port]->state();
  ports_[port].is_up = state.is_up;
  ports_[port].mtu = state.mtu;
  ports_[port].ledger.downs.add(state.downs);
}

void Forwarder::obey() {
  std::vector<std::function<void()>> commands;
  {
    const std::lock_guard lock(mutex_);
    commands.swap(commands_);
  }
  for (const auto& command : commands) command();
}

void Forwarder::go_on_probing(int64_t now) {
  for (auto at = probing_.begin(); at != probing_.end();) {
    if (now < at->next) {
      at++;
      continue;
    }
    std::optional<Conflict> conflict;
    for (const Place& place : at->places) {
      if (const auto mac = engine_.conflict(place.port, place.address)) conflict = {place, *mac};
    }
    if (conflict || at->rounds == kProbes) {
      at->done(conflict);
      at = probing_.erase(at);
      if (probing_.empty()) engine_.end_probes();
      continue;
    }
    for (const Place& place : at->places) engine_.probe(place.port, place.address);
    at->rounds++;
    at->next = now + kProbeNs;
    at++;
  }
}

}  // namespace ringtap::forward
