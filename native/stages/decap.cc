#include "stages/decap.h"

#include <algorithm>
#include <exception>
#include <string_view>
#include <utility>
#include <vector>

#include "core/link_type.h"
#include "core/untrusted.h"
#include "decode/tunnel.h"
#include "stages/tunnel_filter.h"
#include "stages/vxlan_stretch.h"

namespace ringtap {
namespace {

using decode::Inner;

// Batches that a receive() may find nothing in before it lets others run.
constexpr int kMostEmpty = 16;

/// What a packet is once it is out.
struct Opened {
  Inner inner;
  uint32_t offset = 0;
  TunnelRow row;
  bool is_moved = false;
};

class DecapSource final : public Source {
 public:
  DecapSource(std::unique_ptr<Source> source, const DecapSetup& setup)
      : source_(std::move(source)),
        setup_(setup),
        info_(source_->info()),
        rest_(setup.batch_size, DescBlock::Tunnels::kTold),
        leases_(source_->info().max_leases),
        pieces_(source_->info().max_leases + 1),
        lent_(source_->info().max_leases + 1) {
    info_.tunnels = true;
    info_.origins = false;
    info_.snaplen = std::min(info_.snaplen, setup.snaplen);
    info_.notes.emplace_back("tunnels are opened: offsets, lengths and the filter are those of what is inside");
  }
  ~DecapSource() override { close(); }

  const SourceInfo& info() const noexcept override { return info_; }

  Result<FilterPlacement> set_filter(std::shared_ptr<Filter> filter) override {
    std::vector<uint32_t> link_types{kLinkEthernet, kLinkRaw};
    if (source_->info().link_type != kLinkEthernet && source_->info().link_type != kLinkRaw) {
      link_types.insert(link_types.begin(), source_->info().link_type);
    }
    if (auto set = filter_.set(std::move(filter), link_types); !set) return std::move(set).error();
    return FilterPlacement{.where = FilterPlace::kUser, .reason = "it looks at what is inside of the tunnels"};
  }

  Result<Ok> start() override { return source_->start(); }
  Result<Ok> start_tx() override { return source_->start_tx(); }

  RxBatch receive(DescBlock& block, uint32_t max) noexcept override;
  bool release(Lease lease) noexcept override;

  Readiness readiness() const noexcept override {
    Readiness readiness = source_->readiness();
    if (hurrying_ || from_rest_ < rest_count_) readiness.again_ms = 1;
    return readiness;
  }
  bool pending() const noexcept override { return source_->pending(); }
  Stats stats() const noexcept override;
  const Error& error() const noexcept override { return error_ ? *error_ : source_->error(); }
  std::vector<TraceBlock> blocks(size_t first) const override { return source_->blocks(first); }
  Tx* tx() noexcept override { return source_->tx(); }
  Remote* remote() noexcept override { return source_->remote(); }
  void close() noexcept override;

 private:
  /// A batch of the source's, in as many parts as it has turned out to have.
  struct Lent {
    Lease lease = 0;
    uint32_t parts = 0;
  };

  RxBatch receive_checked(DescBlock& block, uint32_t max);
  RxBatch lend(DescBlock& block, uint32_t count);
  uint32_t take(DescBlock& from, uint32_t begin, uint32_t end, DescBlock& to, uint32_t& taken);
  Opened open(const DescBlock& from, uint32_t i, bool is_told) const noexcept;
  bool accept(const Opened& opened, uint32_t& keep, bool& is_ready);
  void put(const DescBlock& from, uint32_t i, DescBlock& to, uint32_t n, const Opened& opened, uint32_t keep) noexcept;
  uint32_t take_stretch(DescBlock& block, uint32_t begin, uint32_t end, uint32_t& n) noexcept;
  static void copy_rest(const DescBlock& from, uint32_t i, DescBlock& to, uint32_t n) noexcept;
  static void copy_row(const DescBlock& from, uint32_t i, DescBlock& to, uint32_t n) noexcept;
  void keep_rest(const DescBlock& from, uint32_t begin, uint32_t end) noexcept;
  void let_go(uint32_t piece) noexcept;

  std::unique_ptr<Source> source_;
  const DecapSetup setup_;
  SourceInfo info_;
  TunnelFilter filter_;

  // What is left of the batch at hand, where a part of it was lent already.
  DescBlock rest_;
  uint32_t from_rest_ = 0;
  uint32_t rest_count_ = 0;

  uint32_t piece_ = 0;      // the batch at hand, in lent_
  uint32_t link_type_ = 0;  // … as it came
  uint32_t segment_ = 0;
  const std::byte* bytes_ = nullptr;
  uint64_t size_ = 0;

  uint32_t part_type_ = 0;  // the link type of the part that is being made
  const FilterVm* vm_ = nullptr;

  LeaseTable leases_;
  Pool pieces_;
  std::vector<Lent> lent_;

  std::optional<Error> error_;
  bool hurrying_ = false;
  bool closed_ = false;
  uint64_t filtered_ = 0;
  uint64_t delivered_ = 0;
  uint64_t delivered_bytes_ = 0;
  uint64_t opened_ = 0;
  uint64_t others_ = 0;
};

RxBatch DecapSource::receive(DescBlock& block, uint32_t max) noexcept {
  try {
    return receive_checked(block, std::min({max, block.capacity(), setup_.batch_size}));
  } catch (const std::exception&) {
    error_ = Error{.code = Code::kNoMemory, .message = "no memory to open tunnels"};
    return {.rx = Rx::kError};
  }
}

RxBatch DecapSource::receive_checked(DescBlock& block, uint32_t max) {
  if (error_) return {.rx = Rx::kError};
  if (leases_.full()) return {.rx = Rx::kNoBuffer};
  filter_.renew();
  hurrying_ = false;
  for (int empty = 0; empty < kMostEmpty; empty++) {
    uint32_t taken = 0;
    uint32_t count = 0;
    if (from_rest_ < rest_count_) {
      count = take(rest_, from_rest_, rest_count_, block, taken);
      from_rest_ += taken;
    } else {
      const RxBatch got = source_->receive(block, max);
      if (got.rx != Rx::kOk) return {.rx = got.rx};
      const SourceInfo& theirs = source_->info();
      if (info_.segments.size() != theirs.segments.size()) info_.segments = theirs.segments;
      piece_ = pieces_.take();
      lent_[piece_] = {.lease = got.lease, .parts = 1};
      link_type_ = got.link_type;
      segment_ = got.segment;
      bytes_ = theirs.segments[segment_].base;
      size_ = theirs.segments[segment_].bytes;
      count = take(block, 0, got.count, block, taken);
      keep_rest(block, taken, got.count);
    }
    if (error_) return {.rx = Rx::kError};
    if (count > 0) return lend(block, count);
    if (from_rest_ >= rest_count_) let_go(piece_);
    // Its filter is still being compiled, or has had its time.
    if (from_rest_ < rest_count_) break;
  }
  hurrying_ = true;
  return {.rx = Rx::kAgain};
}

/// WHY the last part gives its hold of the batch to the lease: nobody else wants it any more.
RxBatch DecapSource::lend(DescBlock& block, uint32_t count) {
  if (from_rest_ < rest_count_) lent_[piece_].parts++;
  delivered_ += count;
  for (uint32_t i = 0; i < count; i++) delivered_bytes_ += load_once(&block.wirelen[i]);
  return {
      .rx = Rx::kOk, .count = count, .segment = segment_, .link_type = part_type_, .lease = *leases_.acquire(piece_)};
}

/// Opens packets until the link type changes: a batch has one. `taken` says how many it has dealt with.
/// @return how many of them are in `to`, which may be `from`
uint32_t DecapSource::take(DescBlock& from, uint32_t begin, uint32_t end, DescBlock& to, uint32_t& taken) {
  const bool is_told = source_->info().tunnels || &from == &rest_;
  // Without a filter, and where all would stay in one part, what is ordinary takes a short way.
  const bool is_quick =
      !is_told && !filter_.is_set() && link_type_ == kLinkEthernet && (setup_.kinds & set_of(TunnelKind::kVxlan)) != 0;
  uint32_t n = 0;
  vm_ = nullptr;
  uint32_t i = begin;
  for (; i < std::min(end, begin + kFetchAhead); i++) fetch_headers({bytes_, size_}, load_once(&from.offset[i]));
  for (i = begin; i < end; i++) {
    if (is_quick && (n == 0 || part_type_ == kLinkEthernet)) {
      i = take_stretch(to, i, end, n);
      if (i == end) break;
    } else if (i + kFetchAhead < end) {
      fetch_headers({bytes_, size_}, load_once(&from.offset[i + kFetchAhead]));
    }
    const Opened opened = open(from, i, is_told);
    if (n > 0 && opened.inner.link_type != part_type_) [[unlikely]]
      break;
    if (opened.row.about == 0) {
      others_++;
      if (setup_.drop_others) {
        filtered_++;
        continue;
      }
    } else {
      opened_++;
    }
    if (n == 0 && part_type_ != opened.inner.link_type) {
      part_type_ = opened.inner.link_type;
      vm_ = nullptr;
    }
    uint32_t keep = std::min(opened.inner.caplen, setup_.snaplen);
    if (filter_.is_set()) {
      bool is_ready = true;
      if (!accept(opened, keep, is_ready)) {
        if (!is_ready) {
          if (opened.row.about == 0)
            others_--;
          else
            opened_--;
          break;
        }
        filtered_++;
        continue;
      }
    }
    put(from, i, to, n++, opened, keep);
  }
  taken = i - begin;
  return n;
}

/// @return the first packet that open() is to look at, or `end`
uint32_t DecapSource::take_stretch(DescBlock& block, uint32_t begin, uint32_t end, uint32_t& n) noexcept {
  const Stretch stretch = open_stretch(block, begin, end, {bytes_, size_}, setup_.snaplen);
  const uint32_t others = stretch.next - begin - stretch.opened;
  opened_ += stretch.opened;
  others_ += others;
  if (stretch.next > begin) part_type_ = kLinkEthernet;
  const bool drops = setup_.drop_others && others > 0;
  if (n == begin && !drops) {
    n = stretch.next;
    return n;
  }
  for (uint32_t i = begin; i < stretch.next; i++) {
    if (drops && block.tunnel[i].about == 0) {
      filtered_++;
    } else {
      copy_row(block, i, block, n++);
    }
  }
  return stretch.next;
}

Opened DecapSource::open(const DescBlock& from, uint32_t i, bool is_told) const noexcept {
  Opened opened;
  opened.offset = load_once(&from.offset[i]);
  opened.inner.caplen = load_once(&from.caplen[i]);
  opened.inner.wirelen = load_once(&from.wirelen[i]);
  opened.inner.link_type = link_type_;
  if (is_told) opened.row = from.tunnel[i];
  // SAFETY: JavaScript may see the descriptors; nothing is read outside of the batch's memory, whatever they say.
  if (uint64_t{opened.offset} + opened.inner.caplen > size_) [[unlikely]] {
    opened.inner.caplen = 0;
    opened.offset = 0;
    return opened;
  }
  const decode::Bytes bytes{bytes_ + opened.offset, opened.inner.caplen};
  opened.is_moved = decode::find_inner(bytes, opened.inner.wirelen, link_type_, setup_.kinds, opened.inner, opened.row);
  opened.offset += opened.inner.at;
  return opened;
}

/// @param is_ready false: ask again later
bool DecapSource::accept(const Opened& opened, uint32_t& keep, bool& is_ready) {
  if (vm_ == nullptr) {
    auto vm = filter_.soon(opened.inner.link_type);
    if (!vm) {
      error_ = std::move(vm).error();
      is_ready = false;
      return false;
    }
    vm_ = *vm;
  }
  is_ready = vm_ != nullptr && !filter_.used_up();
  if (!is_ready) return false;
  keep =
      std::min(keep, filter_.run(*vm_, bytes_ + opened.offset, opened.inner.wirelen, opened.inner.caplen, opened.row));
  return keep > 0;
}

void DecapSource::put(const DescBlock& from, uint32_t i, DescBlock& to, uint32_t n, const Opened& opened,
                      uint32_t keep) noexcept {
  // What was told of the outer frame's tag is not the inner one's.
  const uint32_t flags = opened.is_moved ? from.flags[i] & ~uint32_t{kFlagVlan} : from.flags[i];
  const uint16_t vlan = opened.is_moved ? uint16_t{0} : from.vlan[i];
  to.offset[n] = opened.offset;
  to.caplen[n] = keep;
  to.wirelen[n] = opened.inner.wirelen;
  to.flags[n] = flags;
  to.vlan[n] = vlan;
  to.tunnel[n] = opened.row;
  if (&from == &to && i == n) return;
  copy_rest(from, i, to, n);
}

/// What is the same of an inner packet.
void DecapSource::copy_rest(const DescBlock& from, uint32_t i, DescBlock& to, uint32_t n) noexcept {
  to.time[n] = from.time[i];
  to.rest[n] = from.rest[i];
  to.hash[n] = from.hash[i];
  to.queue[n] = from.queue[i];
}

/// All of a descriptor, as it is.
void DecapSource::copy_row(const DescBlock& from, uint32_t i, DescBlock& to, uint32_t n) noexcept {
  to.offset[n] = from.offset[i];
  to.caplen[n] = from.caplen[i];
  to.wirelen[n] = from.wirelen[i];
  to.flags[n] = from.flags[i];
  to.vlan[n] = from.vlan[i];
  to.tunnel[n] = from.tunnel[i];
  copy_rest(from, i, to, n);
}

void DecapSource::keep_rest(const DescBlock& from, uint32_t begin, uint32_t end) noexcept {
  from_rest_ = 0;
  rest_count_ = end - begin;
  const bool is_told = source_->info().tunnels;
  for (uint32_t n = 0, i = begin; i < end; i++, n++) {
    copy_row(from, i, rest_, n);
    if (!is_told) rest_.tunnel[n] = TunnelRow{};
  }
}

bool DecapSource::release(Lease lease) noexcept {
  const auto piece = leases_.release(lease);
  if (!piece) return false;
  let_go(*piece);
  return true;
}

void DecapSource::let_go(uint32_t piece) noexcept {
  if (--lent_[piece].parts > 0) return;
  source_->release(lent_[piece].lease);
  pieces_.give(piece);
}

/// What the source has lent and we have not is pending still.
Stats DecapSource::stats() const noexcept {
  Stats stats = source_->stats();
  stats.filtered += filtered_;
  stats.pending += stats.delivered - delivered_ - filtered_;
  stats.delivered = delivered_;
  stats.delivered_bytes = delivered_bytes_;
  stats.details.push_back({"tunnels", opened_});
  stats.details.push_back({"notTunnels", others_});
  return stats;
}

void DecapSource::close() noexcept {
  if (std::exchange(closed_, true)) return;
  source_->close();
  rest_count_ = from_rest_ = 0;
  info_.segments.clear();
}

}  // namespace

Result<TunnelKinds> tunnel_kinds(const std::string& text) {
  if (text == "auto") return kAllTunnels;
  TunnelKinds kinds = 0;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view name = std::string_view(text).substr(begin, end - begin);
    const auto* found = std::find(std::next(std::begin(kTunnelNames)), std::end(kTunnelNames), name);
    if (found == std::end(kTunnelNames)) {
      return Error{.code = Code::kBadOption, .message = "option decap: \"" + std::string(name) + "\" is no tunnel"};
    }
    kinds |= set_of(static_cast<TunnelKind>(found - std::begin(kTunnelNames)));
    begin = end + 1;
  }
  return kinds;
}

std::unique_ptr<Source> make_decap(std::unique_ptr<Source> source, const DecapSetup& setup) {
  return std::make_unique<DecapSource>(std::move(source), setup);
}

}  // namespace ringtap
