// Several traces, read as one.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "backends/file/followed.h"
#include "backends/file/member.h"
#include "backends/file/paths.h"
#include "backends/file/slots.h"
#include "backends/file/tournament.h"
#include "core/source.h"

namespace ringtap::file {

enum class Order : uint8_t {
  kTime,   // a stable merge by heads: of the packets whose turn it could be the earliest, and of equal ones the first
           // file's
  kGiven,  // one trace after the other
};

/// How traces are opened, by whichever thread.
struct MemberOpener {
  OpenRequest request;
  FileSource::Limits limits;
  std::shared_ptr<Slots> slots;
  std::optional<TimeRange> range = {};  // of the packets that are wanted

  Result<std::shared_ptr<Member>> open(uint32_t index, const std::string& path,
                                       const std::shared_ptr<Tail>& tail = nullptr) const;
  /// The next one of those that are followed: waits for it until the request is cancelled.
  Result<std::shared_ptr<Member>> open_next(uint32_t index, const std::shared_ptr<Followed>& followed) const;
};

/// A trace that is not being read yet.
struct Waiting {
  uint32_t index = 0;  // in the order that was given
  std::string path;
  std::shared_ptr<Member> open = {};         // one that cannot be opened twice, or need not
  std::optional<int64_t> first_second = {};  // of its first packet
  int64_t from = INT64_MIN;                  // which it is not before, as a key
};

/// What was found out about the traces together.
struct Surveyed {
  MemberOpener opener;
  Order order = Order::kTime;
  std::vector<Waiting> waiting;  // in the order that they are to be read in
  std::vector<FilterTarget> announced;
  int64_t epoch = 0;  // the second that times count from
  SourceInfo info;
  std::shared_ptr<Followed> followed = {};  // others may come behind those that wait
};

/// Memory for so many traces that are open at a time.
Result<std::shared_ptr<Slots>> slots_for(size_t traces, const OpenRequest& request);

/// Looks into each of the traces, and keeps those open that need it.
Result<Surveyed> survey(const std::vector<NamedTrace>& traces, const OpenRequest& request, FileSource::Limits limits);

/// Waits for the first trace of those that the target names, now or later.
Result<Surveyed> survey_followed(const OpenRequest& request, FileSource::Limits limits);

/// The packets of all traces. A trace is opened when the merge comes to its first packet, so that of a folder of
/// rotated ones two are open. One that turns out to be damaged ends there; the others go on, and the end is its error
/// then.
class ManySource final : public Source {
 public:
  explicit ManySource(Surveyed traces);
  ~ManySource() override { close(); }

  const SourceInfo& info() const noexcept override { return info_; }
  Result<FilterPlacement> set_filter(std::shared_ptr<Filter> filter) override;
  Result<Ok> start() override { return Ok{}; }
  RxBatch receive(DescBlock& block, uint32_t max) noexcept override;
  bool release(Lease lease) noexcept override;
  Readiness readiness() const noexcept override;
  bool pending() const noexcept override;
  Stats stats() const noexcept override;
  std::vector<TraceBlock> blocks(size_t first) const override {
    return first < blocks_.size() ? std::vector(blocks_.begin() + static_cast<std::ptrdiff_t>(first), blocks_.end())
                                  : std::vector<TraceBlock>();
  }
  const Error& error() const noexcept override { return *error_; }
  void close() noexcept override;

  static constexpr uint32_t kLeases = Slots::kChunks;

 private:
  /// A trace that is being opened by a thread of its own: nothing but that thread waits for its disk.
  struct Opening {
    std::atomic<bool> done{false};
    std::optional<Result<std::shared_ptr<Member>>> outcome;  // once it is done
  };
  enum class Step : uint8_t { kReady, kWait, kFailed };

  RxBatch receive_checked(DescBlock& block, uint32_t max);
  Step prepare(uint32_t max);
  Step read_ahead(uint32_t max);
  Step open_next();
  void keep_blocks_of(Member& member);
  bool is_next_due() const noexcept;
  Result<Ok> begin_opening();
  RxBatch follow();
  RxBatch merge(DescBlock& block, uint32_t max);
  void take(Member& member, DescBlock& block, uint32_t i);
  uint32_t segment_of(const Member& member);
  void went_back(const Member& member);
  RxBatch end();
  Step fail(Error error);
  void member_ended(const Member& member, const Error* damage);
  void wait_for(std::shared_ptr<Member> member, std::shared_ptr<Opening> opening);
  void push(std::shared_ptr<Member> member);
  void begin_tournament();
  Member& first() const noexcept { return *heads_[turns_.winner()]; }

  Surveyed traces_;
  const std::shared_ptr<std::atomic<bool>> given_up_ = std::make_shared<std::atomic<bool>>(false);
  SourceInfo info_;
  std::shared_ptr<Filter> filter_;

  size_t next_ = 0;                             // of those that wait
  uint64_t opened_ = 0;                         // of those that are followed
  std::shared_ptr<Opening> opening_;            // of that one
  std::vector<std::shared_ptr<Member>> dry_;    // whose next packets are to be read
  std::vector<std::shared_ptr<Member>> heads_;  // in the order that was given
  Tournament turns_;                            // of the heads
  std::vector<int64_t> keys_;                   // for its begin

  std::array<std::vector<Member::Pin>, kLeases> pins_;  // of each lease
  LeaseTable leases_{kLeases};
  uint64_t batches_ = 0;
  uint64_t wire_bytes_ = 0;      // of the batch that is being made
  int64_t latest_ = INT64_MIN;   // of the keys so far
  std::optional<Error> notice_;  // time went back, and nobody was told yet
  bool told_ = false;
  std::vector<TraceBlock> blocks_;  // that the traces told so far
  size_t blocks_bytes_ = 0;
  uint32_t interfaces_ = 0;  // that they tell of

  /// Memory of a member that took more of it: which segment of its own is which of ours.
  struct Place {
    uint32_t member = 0;
    uint32_t theirs = 0;
    uint32_t ours = 0;
  };
  std::vector<Place> places_;

  std::optional<Error> damage_;  // of the first trace that ended early
  uint32_t damaged_ = 0;
  std::optional<Error> error_;
  bool ended_ = false;
  bool hurrying_ = false;

  mutable std::mutex mutex_;  // guards what follows: pending() is asked by another thread
  std::shared_ptr<Member> awaited_;
  std::shared_ptr<Opening> awaited_opening_;

  uint64_t delivered_ = 0;
  uint64_t delivered_bytes_ = 0;
  uint64_t filtered_ = 0;  // by members that have ended
};

}  // namespace ringtap::file
