#include "stages/share_set.h"

#include <algorithm>
#include <string>
#include <utility>

namespace ringtap {

namespace {

void add_causes(std::vector<DropCause>& to, const std::vector<DropCause>& more) {
  for (const DropCause& cause : more) {
    const auto known = std::find_if(to.begin(), to.end(), [&](const DropCause& one) { return one.name == cause.name; });
    if (known == to.end()) {
      to.push_back(cause);
    } else if (known->count && cause.count) {
      *known->count += *cause.count;
    } else {
      known->count.reset();
    }
  }
}

void add_stats(Stats& to, const Stats& more) {
  to.received += more.received;
  to.delivered += more.delivered;
  to.filtered += more.filtered;
  to.dropped += more.dropped;
  to.pending += more.pending;
  to.joined += more.joined;
  to.delivered_bytes += more.delivered_bytes;
  add_causes(to.drops, more.drops);
  add_causes(to.details, more.details);
}

}  // namespace

/// A share as one reader sees it.
class ShareSet::Reader final : public Source {
 public:
  Reader(std::shared_ptr<ShareSet> set, Member& member)
      : set_(std::move(set)), member_(member), info_(member.source->info()), readiness_(member.source->readiness()) {}
  ~Reader() override { close(); }

  const SourceInfo& info() const noexcept override { return info_; }
  Result<FilterPlacement> set_filter(std::shared_ptr<Filter>) override {
    return Error{.code = Code::kInternal, .message = "a share's filter is set when it is opened"};
  }
  Result<Ok> start() override { return Ok{}; }

  RxBatch receive(DescBlock& block, uint32_t max) noexcept override {
    const std::scoped_lock lock(member_.mutex);
    if (closed_ || member_.closed) return {.rx = Rx::kEof};
    const RxBatch batch = member_.source->receive(block, max);
    readiness_ = member_.source->readiness();
    if (batch.rx == Rx::kOk) {
      if (batch.segment >= info_.segments.size()) info_.segments = member_.source->info().segments;
      lent_.push_back(batch.lease);
    } else if (batch.rx == Rx::kError || batch.rx == Rx::kNotice) {
      error_ = member_.source->error();
    }
    return batch;
  }

  bool release(Lease lease) noexcept override {
    const std::scoped_lock lock(member_.mutex);
    const auto lent = std::find(lent_.begin(), lent_.end(), lease);
    if (lent == lent_.end()) return false;
    *lent = lent_.back();
    lent_.pop_back();
    return !member_.closed && member_.source->release(lease);
  }

  /// As it was after the last receive(): another thread may be at work on the source now.
  Readiness readiness() const noexcept override { return readiness_; }
  bool pending() const noexcept override { return member_.source->pending(); }
  Stats stats() const noexcept override {
    const std::scoped_lock lock(member_.mutex);
    return set_->stats_of(member_);
  }
  const Error& error() const noexcept override { return error_; }

  void close() noexcept override {
    const std::scoped_lock lock(member_.mutex);
    if (std::exchange(closed_, true)) return;
    for (const Lease lease : lent_) {
      if (!member_.closed) member_.source->release(lease);
    }
    lent_.clear();
    info_.segments.clear();
    member_.attached = false;
    if (member_.orphaned) member_.source.reset();
  }

 private:
  const std::shared_ptr<ShareSet> set_;
  Member& member_;
  SourceInfo info_;
  Readiness readiness_;
  std::vector<Lease> lent_;
  Error error_;
  bool closed_ = false;
};

ShareSet::ShareSet(Shares shares)
    : method_(std::move(shares.method)),
      hash_(shares.hash),
      dealt_(shares.before != nullptr),
      count_orphans_(std::move(shares.orphans)),
      before_(std::move(shares.before)) {
  for (auto& source : shares.sources) {
    members_.push_back(std::make_unique<Member>());
    members_.back()->source = std::move(source);
  }
}

std::shared_ptr<ShareSet> ShareSet::make(Shares shares) {
  return std::shared_ptr<ShareSet>(new ShareSet(std::move(shares)));
}

SourceInfo ShareSet::info(uint32_t share) const {
  const Member& member = *members_[share];
  const std::scoped_lock lock(member.mutex);
  return member.source ? member.source->info() : SourceInfo{};
}

Result<Ok> ShareSet::start() {
  for (const auto& member : members_) {
    const std::scoped_lock lock(member->mutex);
    if (member->closed) return Error{.code = Code::kClosed, .message = "it was closed before it began"};
    if (auto started = member->source->start(); !started) return started;
  }
  return Ok{};
}

Result<std::unique_ptr<Source>> ShareSet::attach(uint32_t share) {
  Member& member = *members_[share];
  const std::scoped_lock lock(member.mutex);
  if (member.closed) return Error{.code = Code::kClosed, .message = "the parallel capture was closed"};
  if (member.attached) {
    return Error{.code = Code::kBusy, .message = "share " + std::to_string(share) + " has a reader"};
  }
  member.attached = true;
  return std::unique_ptr<Source>(std::make_unique<Reader>(shared_from_this(), member));
}

/// What was given up is dealt packets all the same, which are counted there.
Stats ShareSet::stats_of(const Member& member) const {
  return member.source && (dealt_ || !member.closed) ? member.source->stats() : member.last;
}

Stats ShareSet::stats(uint32_t share) const {
  const Member& member = *members_[share];
  const std::scoped_lock lock(member.mutex);
  return stats_of(member);
}

Stats ShareSet::total() const {
  Stats sum;
  for (uint32_t share = 0; share < size(); share++) add_stats(sum, stats(share));
  if (!dealt_) return sum;
  // Read last: it has received no less than what shares tell of.
  const std::scoped_lock lock(mutex_);
  const Stats before = before_ ? before_() : last_before_;
  sum.received = std::max(before.received, sum.delivered + sum.dropped + before.filtered + before.dropped);
  sum.filtered = before.filtered;
  sum.dropped += before.dropped;
  sum.pending = sum.received - sum.delivered - sum.filtered - sum.dropped;
  sum.joined = before.joined;
  add_causes(sum.drops, before.drops);
  sum.details = before.details;
  return sum;
}

void ShareSet::close(Member& member) noexcept {
  const std::scoped_lock lock(member.mutex);
  if (std::exchange(member.closed, true)) return;
  member.source->close();
  member.last = member.source->stats();
}

void ShareSet::give_up(uint32_t share) noexcept {
  // WHY not what the kernel shares out: a socket that leaves its group moves the flows of all others. Its ring runs
  // full.
  if (dealt_) close(*members_[share]);
}

void ShareSet::close() noexcept {
  for (const auto& member : members_) close(*member);
  {
    const std::scoped_lock lock(mutex_);
    if (before_) last_before_ = before_();
    if (count_orphans_) orphans_ = count_orphans_();
    before_ = nullptr;
    count_orphans_ = nullptr;
  }
  // What is dealt out is at rest when the last share is closed.
  for (const auto& member : members_) {
    const std::scoped_lock lock(member->mutex);
    if (!member->source) continue;
    member->last = member->source->stats();
    member->orphaned = member->attached;  // its reader frees it
    if (!member->attached) member->source.reset();
  }
}

uint64_t ShareSet::orphans() const {
  const std::scoped_lock lock(mutex_);
  return count_orphans_ ? count_orphans_() : orphans_;
}

}  // namespace ringtap
