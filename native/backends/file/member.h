// One of several traces that are read as one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backends/file/file_source.h"
#include "backends/file/slots.h"
#include "core/source.h"

namespace ringtap::file {

/// An open trace, and those of its packets that were read ahead. Its memory stays until the last batch with one of them
/// is released.
class Member {
 public:
  /// What packets were read by, which they need for as long as somebody has them.
  class Read {
   public:
    Read(FileSource& source, Lease lease) : source_(source), lease_(lease) {}
    ~Read() { source_.release(lease_); }
    Read(const Read&) = delete;
    Read& operator=(const Read&) = delete;

   private:
    FileSource& source_;
    const Lease lease_;
  };

  /// Packets of a member, which nobody overwrites while this is there.
  struct Pin {
    std::shared_ptr<Member> member;
    std::shared_ptr<Read> read;  // goes first
  };

  Member(uint32_t index, std::shared_ptr<Slots> slots, uint32_t slot, std::unique_ptr<FileSource> source)
      : index_(index), slots_(std::move(slots)), slot_(slot), source_(std::move(source)) {}
  ~Member() { slots_->give(slot_); }
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  uint32_t index() const noexcept { return index_; }  // in the order that was given
  FileSource& source() noexcept { return *source_; }
  const FileSource& source() const noexcept { return *source_; }

  /// Reads up to so many packets ahead, once the last ones are used up.
  Rx read(uint32_t most);

  /// The head: the packet whose turn is next. Not when empty().
  bool empty() const noexcept { return next_ == count_; }
  int64_t key() const noexcept { return keys_[next_]; }
  uint32_t link_type() const noexcept { return link_type_; }
  uint32_t segment() const noexcept { return segment_; }  // of the source's own
  uint64_t packets() const noexcept { return packets_; }  // so far, without the head
  const std::shared_ptr<Read>& pin() const noexcept { return read_; }

  /// Describes the head as packet i of a batch, and goes on to the one after it. @returns its length on the wire
  uint32_t give(DescBlock& out, uint32_t i) noexcept {
    const DescBlock& in = *block_;
    const uint32_t from = next_++;
    packets_++;
    out.time[i] = in.time[from];
    out.offset[i] = in.offset[from];
    out.caplen[i] = in.caplen[from];
    out.wirelen[i] = in.wirelen[from];
    out.queue[i] = in.queue[from];
    const uint32_t flags = in.flags[from];
    out.flags[i] = flags;
    if ((flags & kFlagTimeInexact) != 0) [[unlikely]]
      out.rest[i] = in.rest[from];
    if (out.origin != nullptr) out.origin[i] = in.origin != nullptr ? origin(in.origin[from]) : PacketOrigin{};
    return in.wirelen[from];
  }

  /// Which batch of all it was last in.
  uint64_t in_batch = 0;

  /// What its trace told beside packets, since this was asked last.
  std::vector<TraceBlock> new_blocks() {
    auto blocks = source_->blocks(blocks_told_);
    blocks_told_ += blocks.size();
    return blocks;
  }
  /// The next interface that they tell of has this number among those of all traces.
  void number_interface(uint32_t number) { interfaces_.push_back(number); }

 private:
  PacketOrigin origin(PacketOrigin own) const noexcept {
    own.interface = own.interface < interfaces_.size() ? interfaces_[own.interface] : PacketOrigin::kNone;
    return own;
  }
  void make_keys();

  const uint32_t index_;
  const std::shared_ptr<Slots> slots_;
  const uint32_t slot_;
  const std::unique_ptr<FileSource> source_;
  std::unique_ptr<DescBlock> block_;  // nobody else sees it
  std::vector<int64_t> keys_;         // the times of its packets, in ns since the epoch
  std::shared_ptr<Read> read_;
  uint32_t next_ = 0;
  uint32_t count_ = 0;
  uint32_t link_type_ = 0;
  uint32_t segment_ = 0;
  uint64_t packets_ = 0;
  size_t blocks_told_ = 0;
  std::vector<uint32_t> interfaces_;
};

}  // namespace ringtap::file
