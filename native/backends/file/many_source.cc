#include "backends/file/many_source.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "core/thread.h"
#include "format/pcapng_blocks.h"

namespace ringtap::file {
namespace {

// Of packets that a member reads ahead. WHY no more: all of it lies in the caches when their turn comes.
constexpr uint32_t kMostAhead = 512;

}  // namespace

ManySource::ManySource(Surveyed traces) : traces_(std::move(traces)), info_(traces_.info) {
  traces_.opener.request.cancelled = given_up_;
  for (auto& pins : pins_) pins.reserve(16);
}

Result<FilterPlacement> ManySource::set_filter(std::shared_ptr<Filter> filter) {
  Filters together;
  if (auto set = together.set(filter, traces_.announced); !set) return std::move(set).error();
  filter_ = std::move(filter);
  for (Waiting& waiting : traces_.waiting) {
    if (waiting.open == nullptr) continue;
    if (auto set = waiting.open->source().set_common_filter(filter_); !set) return std::move(set).error();
  }
  return FilterPlacement{.where = FilterPlace::kUser, .reason = "a trace file has no kernel to filter in"};
}

RxBatch ManySource::receive(DescBlock& block, uint32_t max) noexcept {
  try {
    return receive_checked(block, max);
  } catch (const std::exception&) {
    error_ = Error{.code = Code::kNoMemory, .message = "no memory to read more of the traces"};
    ended_ = true;
    return {.rx = Rx::kError};
  }
}

RxBatch ManySource::receive_checked(DescBlock& block, uint32_t max) {
  if (ended_) return {.rx = error_ ? Rx::kError : Rx::kEof};
  if (leases_.full()) return {.rx = Rx::kNoBuffer};
  const uint32_t most = std::min(max, block.capacity());
  if (most == 0) return {.rx = Rx::kAgain};
  if (notice_) {
    error_ = std::exchange(notice_, std::nullopt);
    return {.rx = Rx::kNotice};
  }
  error_.reset();
  hurrying_ = false;
  wait_for(nullptr, nullptr);
  switch (prepare(most)) {
    case Step::kWait:
      return {.rx = Rx::kAgain};
    case Step::kFailed:
      return {.rx = Rx::kError};
    case Step::kReady:
      break;
  }
  if (!heads_.empty()) return merge(block, most);
  return traces_.followed != nullptr ? follow() : end();
}

/// All that is there was read: waits for another trace.
RxBatch ManySource::follow() {
  traces_.waiting = {{.index = static_cast<uint32_t>(++opened_), .path = {}}};
  next_ = 0;
  hurrying_ = true;  // the next receive() opens it
  return {.rx = Rx::kAgain};
}

/// Sees to it that each trace whose turn it could be has a head.
ManySource::Step ManySource::prepare(uint32_t max) {
  for (;;) {
    if (const Step step = read_ahead(max); step != Step::kReady) return step;
    if (!is_next_due()) return Step::kReady;
    if (const Step step = open_next(); step != Step::kReady) return step;
  }
}

ManySource::Step ManySource::read_ahead(uint32_t max) {
  while (!dry_.empty()) {
    Member& member = *dry_.back();
    const Rx rx = member.read(std::min(max, kMostAhead));
    keep_blocks_of(member);
    switch (rx) {
      case Rx::kOk:
        push(std::move(dry_.back()));
        break;
      case Rx::kEof:
        member_ended(member, nullptr);
        break;
      case Rx::kError:
        member_ended(member, &member.source().error());
        break;
      case Rx::kAgain:
      case Rx::kNoBuffer:
      case Rx::kNotice:
        hurrying_ = member.source().readiness().again_ms > 0;
        if (!hurrying_) wait_for(dry_.back(), nullptr);
        return Step::kWait;
    }
    dry_.pop_back();
  }
  return Step::kReady;
}

void ManySource::keep_blocks_of(Member& member) {
  for (TraceBlock& block : member.new_blocks()) {
    const bool is_interface = block.type == pcapng::kInterface;
    const bool is_kept = keep_within(blocks_, blocks_bytes_, std::move(block));
    if (is_interface) member.number_interface(is_kept ? interfaces_++ : PacketOrigin::kNone);
  }
}

bool ManySource::is_next_due() const noexcept {
  if (next_ == traces_.waiting.size()) return false;
  return heads_.empty() || (traces_.order == Order::kTime && traces_.waiting[next_].from <= first().key());
}

/// Lets the next trace take part. The one after it is opened meanwhile.
ManySource::Step ManySource::open_next() {
  Waiting& waiting = traces_.waiting[next_];
  if (waiting.open == nullptr) {
    if (opening_ == nullptr) {
      if (auto begun = begin_opening(); !begun) return fail(std::move(begun).error());
    }
    if (!opening_->done.load(std::memory_order_acquire)) {
      wait_for(nullptr, opening_);
      return Step::kWait;
    }
    auto opened = std::exchange(opening_, nullptr);
    if (!*opened->outcome) return fail(std::move(*opened->outcome).error());
    waiting.open = **std::move(opened->outcome);
  }
  dry_.push_back(std::move(waiting.open));
  next_++;
  if (next_ < traces_.waiting.size() && traces_.waiting[next_].open == nullptr && opening_ == nullptr) {
    if (auto begun = begin_opening(); !begun) return fail(std::move(begun).error());
  }
  return Step::kReady;
}

Result<Ok> ManySource::begin_opening() {
  const Waiting& waiting = traces_.waiting[next_];
  auto opening = std::make_shared<Opening>();
  // WHY nothing of this object: a disk that never answers is left behind by close().
  auto thread = start_thread([opening, opener = traces_.opener, index = waiting.index, path = waiting.path,
                              followed = traces_.followed, epoch = traces_.epoch, filter = filter_] {
    try {
      opening->outcome = followed != nullptr ? opener.open_next(index, followed) : opener.open(index, path);
      if (*opening->outcome) {
        FileSource& source = (**opening->outcome)->source();
        source.count_from(epoch);
        if (filter != nullptr) {
          if (auto set = source.set_common_filter(filter); !set) opening->outcome = std::move(set).error();
        }
      }
    } catch (const std::exception&) {
      opening->outcome = Error{.code = Code::kNoMemory, .message = path + ": no memory to open it"};
    }
    opening->done.store(true, std::memory_order_release);
  });
  if (!thread) return std::move(thread).error();
  thread->detach();
  opening_ = std::move(opening);
  return Ok{};
}

/// A batch of the packets whose turn is next: as many as have their bytes in the same segment, the same link type, and
/// nobody who could have an earlier one.
RxBatch ManySource::merge(DescBlock& block, uint32_t max) {
  const uint32_t place = leases_.next();
  std::vector<Member::Pin>& pins = pins_[place];
  const uint32_t link_type = first().link_type();
  const uint32_t segment = segment_of(first());
  const bool is_next_known = traces_.order == Order::kTime && next_ < traces_.waiting.size();
  const int64_t due = is_next_known ? traces_.waiting[next_].from : INT64_MAX;
  uint32_t n = 0;
  batches_++;
  wire_bytes_ = 0;
  while (n < max) {
    Member& member = first();
    if (is_next_known && member.key() >= due) break;
    if (member.in_batch != batches_) {
      if (member.link_type() != link_type || segment_of(member) != segment) break;
      member.in_batch = batches_;
      pins.push_back({.member = heads_[turns_.winner()], .read = member.pin()});
    }
    take(member, block, n++);
    if (member.empty()) {
      const auto at = heads_.begin() + turns_.winner();
      dry_.push_back(std::move(*at));
      heads_.erase(at);
      begin_tournament();
      break;
    }
    turns_.replay(member.key());
  }
  delivered_ += n;
  delivered_bytes_ += wire_bytes_;
  return {.rx = Rx::kOk, .count = n, .segment = segment, .link_type = link_type, .lease = *leases_.acquire(place)};
}

/// Describes the head of the member whose turn it is.
void ManySource::take(Member& member, DescBlock& block, uint32_t i) {
  const int64_t key = member.key();
  if (key < latest_) [[unlikely]] {
    if (traces_.order == Order::kTime) went_back(member);
  } else {
    latest_ = key;
  }
  wire_bytes_ += member.give(block, i);
}

/// Says so once: the packet comes when its turn comes, which is late.
void ManySource::went_back(const Member& member) {
  if (std::exchange(told_, true)) return;
  const double seconds = static_cast<double>(latest_ - member.key()) / 1e9;
  notice_ =
      Error{.code = Code::kFileDisorder,
            .message = member.source().path() + ": time goes back by " + std::to_string(seconds) + " s at packet " +
                       std::to_string(member.packets() + 1) + ": it comes when its turn comes, behind later ones"};
}

/// Of the merge, where the head of a member lies.
uint32_t ManySource::segment_of(const Member& member) {
  if (member.segment() == 0) return 0;
  const auto is_it = [&member](const Place& place) {
    return place.member == member.index() && place.theirs == member.segment();
  };
  const auto found = std::find_if(places_.begin(), places_.end(), is_it);
  if (found != places_.end()) return found->ours;
  info_.segments.push_back(member.source().info().segments[member.segment()]);
  const auto ours = static_cast<uint32_t>(info_.segments.size() - 1);
  places_.push_back({.member = member.index(), .theirs = member.segment(), .ours = ours});
  return ours;
}

void ManySource::member_ended(const Member& member, const Error* damage) {
  filtered_ += member.source().stats().filtered;
  if (damage == nullptr) return;
  if (traces_.followed != nullptr) {
    notice_ = *damage;  // there is no end that could be an error
    return;
  }
  if (!damage_) damage_ = *damage;
  damaged_++;
}

/// All packets are read: those of damaged traces up to the damage.
RxBatch ManySource::end() {
  ended_ = true;
  if (!damage_) return {.rx = Rx::kEof};
  error_ = std::move(damage_);
  if (damaged_ > 1) error_->message += " (and " + std::to_string(damaged_ - 1) + " more of the traces are damaged)";
  return {.rx = Rx::kError};
}

ManySource::Step ManySource::fail(Error error) {
  error_ = std::move(error);
  ended_ = true;
  return Step::kFailed;
}

void ManySource::push(std::shared_ptr<Member> member) {
  const auto is_after = [](uint32_t index, const std::shared_ptr<Member>& head) { return index < head->index(); };
  const auto at = std::upper_bound(heads_.begin(), heads_.end(), member->index(), is_after);
  heads_.insert(at, std::move(member));
  begin_tournament();
}

/// There is another head, or one less.
void ManySource::begin_tournament() {
  keys_.clear();
  for (const auto& head : heads_) keys_.push_back(head->key());
  if (!keys_.empty()) turns_.begin(keys_);
}

bool ManySource::release(Lease lease) noexcept {
  const auto place = leases_.release(lease);
  if (!place) return false;
  pins_[*place].clear();
  return true;
}

void ManySource::wait_for(std::shared_ptr<Member> member, std::shared_ptr<Opening> opening) {
  const std::scoped_lock lock(mutex_);
  awaited_ = std::move(member);
  awaited_opening_ = std::move(opening);
}

Readiness ManySource::readiness() const noexcept {
  // What is followed may have nothing to say for long.
  return {.kind = Readiness::Kind::kPoll,
          .max_sleep_us = traces_.followed != nullptr ? 10'000u : 100u,
          .again_ms = hurrying_ ? 1u : 0u};
}

bool ManySource::pending() const noexcept {
  const std::scoped_lock lock(mutex_);
  if (awaited_opening_ != nullptr) return awaited_opening_->done.load(std::memory_order_acquire);
  return awaited_ == nullptr || awaited_->source().pending();
}

Stats ManySource::stats() const noexcept {
  Stats stats;
  stats.delivered = delivered_;
  stats.delivered_bytes = delivered_bytes_;
  stats.filtered = filtered_;
  for (const auto& member : heads_) stats.filtered += member->source().stats().filtered;
  for (const auto& member : dry_) stats.filtered += member->source().stats().filtered;
  stats.received = stats.delivered + stats.filtered;
  return stats;
}

void ManySource::close() noexcept {
  if (!ended_) filtered_ = stats().filtered;
  ended_ = true;
  given_up_->store(true, std::memory_order_relaxed);
  wait_for(nullptr, nullptr);
  opening_.reset();
  heads_.clear();
  dry_.clear();
  for (auto& pins : pins_) pins.clear();
  for (Waiting& waiting : traces_.waiting) waiting.open.reset();
  for (Segment& segment : info_.segments) segment.region.reset();
}

}  // namespace ringtap::file
