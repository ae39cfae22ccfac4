// Watching over a capture: what somebody else does to its link, its program and its queues.
#include <algorithm>
#include <cerrno>
#include <chrono>

#include "backends/afxdp/bpf.h"
#include "backends/afxdp/source.h"

namespace ringtap::afxdp {

namespace {

constexpr auto kWatchEvery = std::chrono::milliseconds(250);
/// How many `timeoutMs` packets gather under load. WHY no more: 16,384 frames take 4 Mpps for 4 ms.
constexpr uint32_t kGatherTimeouts = 4;

}  // namespace

// One descriptor for all queues and for the link, and a timer, because nothing tells of a program that somebody
// removes.
Result<Ok> AfXdp::watch() {
  auto events = LinkEvents::open(device_.index, uri_);
  if (!events) return std::move(events).error();
  events_ = *std::move(events);
  auto waiting = WaitSet::open(uri_);
  if (!waiting) return std::move(waiting).error();
  waiting_ = *std::move(waiting);
  if (auto added = waiting_.add(events_->fd()); !added) return added;
  for (const auto& queue : queues_) {
    if (auto added = waiting_.add(queue->xsk.fd()); !added) return added;
  }
  // Per queue: all traffic may come from one of them.
  const auto frames = settings_.frames / static_cast<uint32_t>(queues_.size());
  gather_ = Gather(kGatherTimeouts * settings_.gather_ms, settings_.gather_ms, frames);
  wake_for_check();
  return Ok{};
}

void AfXdp::wake_for_check() noexcept {
  next_check_ = std::chrono::steady_clock::now() + kWatchEvery;
  waiting_.wake_after(kWatchEvery);
}

void AfXdp::hear_of_link() noexcept {
  const LinkNews news = events_->read();
  if (news.gone) return fail(interface_gone());
  if (news.downs > 0) {
    const std::string times = news.downs > 1 ? " " + std::to_string(news.downs) + " times" : "";
    noticed_ = true;
    error_ = {.code = Code::kInterfaceDown,
              .message = uri_ + ": interface \"" + device_.name + "\" went down" + times +
                         ": the capture goes on when it is up again"};
  }
  if (news.up) {
    for (const auto& queue : queues_) {
      if (queue->xsk.fill.needs_wakeup()) queue->xsk.kick_rx();
    }
  }
}

// Nothing tells of a program that somebody removes, or of queues that change. Asked a few times a second.
void AfXdp::look_after_program() noexcept {
  wake_for_check();
  const LinkOf attached = inspect_link(link_.get(), program_->fd.get());
  if (attached != LinkOf::kProgram) {
    // WHY: an interface that goes away loses its name before its program.
    if (link_state(events_->fd(), device_.index) == LinkState::kGone) return fail(interface_gone());
    return fail({.code = Code::kInterfaceChanged,
                 .message = uri_ + ": somebody " + (attached == LinkOf::kNothing ? "removed" : "replaced") +
                            " the capture's XDP program on " + device_.name,
                 .hint = "See what is attached with: bpftool net; then open the capture again."});
  }
  if (const auto changed = queues_changed()) {
    detach_link(link_.get());  // nothing more is taken from the host
    return fail({.code = Code::kInterfaceChanged,
                 .message = uri_ + ": " + *changed,
                 .hint = "Open the capture again; ethtool -l " + device_.name + " shows the queues."});
  }
}

std::optional<std::string> AfXdp::queues_changed() const {
  const uint32_t now = rx_queues(events_->fd(), device_.index).value_or(device_.queues);
  const std::string have = device_.name + " has " + std::to_string(now) + " RX queues now, ";
  const uint32_t last = *std::max_element(settings_.queues.begin(), settings_.queues.end());
  if (last >= now) return have + "and queue " + std::to_string(last) + " was captured";
  if (now > device_.queues && settings_.queues.size() == device_.queues) {
    return have + "and all " + std::to_string(device_.queues) + " that it had were captured: the others are missing";
  }
  return std::nullopt;
}

Error AfXdp::interface_gone() const {
  return {.code = Code::kInterfaceGone, .message = uri_ + ": interface \"" + device_.name + "\" was removed"};
}

// Everything that has arrived is delivered first.
void AfXdp::fail(Error error) noexcept {
  error_ = std::move(error);
  failed_ = true;
}

}  // namespace ringtap::afxdp
