#include "addon/passing.h"

#include <algorithm>
#include <array>
#include <string>

#include "addon/edits.h"
#include "addon/errors.h"
#include "core/untrusted.h"

namespace ringtap::addon {

namespace {

constexpr size_t kTogether = 64;
static_assert(rewrite::kHeadroom == kEditRoom);

/// Changes frames where they lie, and knows where they lie then.
class EditInPlace final : public FrameEdit {
 public:
  explicit EditInPlace(const rewrite::Edits& edits) : edits_(edits) {}

  std::span<std::byte> apply(std::span<std::byte> room) noexcept override {
    const auto frame = rewrite::apply(edits_, room, static_cast<uint32_t>(room.size() - kEditRoom));
    if (count_ < grown_.size()) grown_[count_++] = frame.empty() ? 0 : growth(room, frame);
    return frame;
  }
  /// How many bytes longer, at its beginning, the i-th one has become.
  int32_t grown(size_t i) const noexcept { return i < count_ ? grown_[i] : 0; }

 private:
  static int32_t growth(std::span<std::byte> room, std::span<std::byte> frame) noexcept {
    return static_cast<int32_t>(frame.size()) - static_cast<int32_t>(room.size() - kEditRoom);
  }

  const rewrite::Edits& edits_;
  std::array<int32_t, kTogether> grown_{};
  size_t count_ = 0;
};

/// As they lie there. What an edit has moved is described anew: the batch has it as it was sent.
Result<uint32_t> sent_in_place(Tx&, const Lender& lender, std::span<const Passing> packets,
                               const rewrite::Edits& edits) {
  EditInPlace edit(edits);
  auto taken = lender.source->pass_on(lender.lease, packets, edits.empty() ? nullptr : &edit);
  for (uint32_t i = 0; taken && i < *taken; i++) {
    const int32_t grown = edit.grown(i);
    if (grown == 0) continue;
    lender.block->offset[packets[i].index] -= static_cast<uint32_t>(grown);
    lender.block->caplen[packets[i].index] += static_cast<uint32_t>(grown);
    lender.block->wirelen[packets[i].index] += static_cast<uint32_t>(grown);
  }
  return taken;
}

/// In memory of our own, changed there.
Result<uint32_t> sent_as_copies(Tx& tx, std::span<const Passing> packets, const rewrite::Edits& edits) {
  std::array<TxFrame, kTogether> frames;
  std::array<uint32_t, kTogether> number{};  // of each of these among the packets
  size_t bytes = 0;
  for (const Passing& packet : packets) bytes += kEditRoom + packet.frame.size();
  std::vector<std::byte> memory(edits.empty() ? 0 : bytes);
  std::span<std::byte> rest = memory;
  uint32_t count = 0;
  for (uint32_t i = 0; i < packets.size(); i++) {
    TxFrame frame = packets[i].frame;
    if (!edits.empty()) {
      const auto room = rest.first(kEditRoom + frame.size());
      std::copy(frame.begin(), frame.end(), room.begin() + kEditRoom);
      rest = rest.subspan(room.size());
      frame = rewrite::apply(edits, room, static_cast<uint32_t>(frame.size()));
      if (frame.empty() && !packets[i].frame.empty()) continue;  // its time to live is over
    }
    frames[count] = frame;
    number[count++] = i;
  }
  auto sent = tx.send(std::span(frames).first(count));
  if (!sent) return sent;
  const auto passed = *sent == count ? static_cast<uint32_t>(packets.size()) : number[*sent];
  for (uint32_t over = passed - *sent; over > 0; over--) tx.refuse(TxFailure::kTtl);
  return passed;
}

}  // namespace

std::optional<Error> Chosen::fault() const {
  if (by_mask_ && mask_.size() != view_.count) {
    return Error{.code = Code::kBadOption,
                 .message = "sendBatch(): the mask has " + std::to_string(mask_.size()) + " bytes, but the batch has " +
                            std::to_string(view_.count) + " packets"};
  }
  for (size_t i = 0; i < indices_.size(); i++) {
    if (indices_[i] < view_.count) continue;
    return Error{.code = Code::kBadOption,
                 .message = "sendBatch(): select[" + std::to_string(i) + "] is " + std::to_string(indices_[i]) +
                            ", but the batch has " + std::to_string(view_.count) + " packets"};
  }
  return std::nullopt;
}

template <class T, class Make>
std::vector<T> Chosen::collect(uint64_t first, uint64_t count, Make make) const {
  std::vector<T> all;
  const uint64_t there = by_index_ ? indices_.size() : view_.count;
  all.reserve(std::min(there, count));
  if (by_index_) {
    for (uint64_t i = first; i < there && all.size() < count; i++) all.push_back(make(load_once(&indices_[i])));
  } else if (by_mask_) {
    uint64_t chosen = 0;
    for (uint64_t i = 0; i < there && all.size() < count; i++) {
      if (mask_[i] != 0 && chosen++ >= first) all.push_back(make(i));
    }
  } else {
    for (uint64_t i = first; i < there && all.size() < count; i++) all.push_back(make(i));
  }
  return all;
}

std::vector<Passing> Chosen::packets(uint64_t first, uint64_t count) const {
  return collect<Passing>(first, count, [this](uint64_t index) {
    return Passing{.index = static_cast<uint32_t>(index), .frame = frame(index)};
  });
}

std::vector<TxFrame> Chosen::frames(uint64_t first, uint64_t count) const {
  return collect<TxFrame>(first, count, [this](uint64_t index) { return frame(index); });
}

TxFrame Chosen::frame(uint64_t index) const {
  if (index >= view_.count) return {};
  // SAFETY: JS can write descriptors; each is read once and checked.
  const uint32_t offset = load_once(view_.offset + index);
  const uint32_t caplen = load_once(view_.caplen + index);
  if (offset > view_.segment_bytes || caplen > view_.segment_bytes - offset) return {};
  return {view_.segment + offset, caplen};
}

Napi::Value passed_on(Napi::Env env, Sending& sending, const Chosen& chosen, uint64_t first, uint64_t count,
                      const Napi::Value& changes, const Lender& lender) {
  const rewrite::Edits edits = to_edits(changes);
  std::vector<Passing> packets = chosen.packets(first, count);
  const auto stays = [&](const Passing& packet) {
    return lender.source != nullptr && lender.source->can_pass_on(lender.lease, packet);
  };
  size_t done = 0;
  while (done < packets.size()) {
    const bool in_place = stays(packets[done]);
    const size_t most = std::min(packets.size(), done + kTogether);
    size_t end = done + 1;
    while (end < most && stays(packets[end]) == in_place) end++;
    const auto some = std::span(packets).subspan(done, end - done);
    // One that was chosen before may lie elsewhere by now.
    if (!in_place && lender.source != nullptr) {
      for (Passing& packet : some) packet.frame = chosen.frame(packet.index);
    }
    const auto taken = sending.with("forward()", [&](Tx& tx) {
      return in_place ? sent_in_place(tx, lender, some, edits) : sent_as_copies(tx, some, edits);
    });
    if (!taken && done == 0) {
      raise(env, taken.error());
      return {};
    }
    if (!taken) break;  // it fails again, when nothing is in front of it
    done += *taken;
    // The next one is chosen twice, say: it is copied.
    if (*taken < some.size() && !(in_place && !stays(packets[done]))) break;
  }
  return Napi::Number::New(env, static_cast<double>(done));
}

}  // namespace ringtap::addon
