#include "export/messages.h"

#include <algorithm>
#include <cstring>

#include "core/byte_order.h"

namespace ringtap::ipfix {

namespace {

constexpr uint16_t kNoSet = 0xffff;
constexpr size_t kSetHeader = 4;
/// NetFlow v9 ends sets at a multiple of four.
constexpr size_t kMostPadding = 3;

}  // namespace

void Messages::clear() noexcept {
  made_.clear();
  size_ = 0;
  is_open_ = false;
  if (numbered_by_caller_) sequences_[0] = sequences_[1] = 0;
}

Messages::Room Messages::room(uint32_t domain, uint16_t set, size_t bytes, size_t wanted) {
  const bool is_other = !is_open_ || domain_ != domain;
  const size_t beside = kMostPadding + (set_ == set ? 0 : kSetHeader + kMostPadding);
  if (is_other || size_ - open_.at + beside + bytes > most_) {
    finish();
    begin(domain);
  }
  if (set_ != set) {
    end_set();
    begin_set(set);
  }
  const size_t left = most_ - (size_ - open_.at) - kMostPadding;
  return {memory_.get() + size_, std::min(wanted, left / bytes)};
}

void Messages::begin(uint32_t domain) {
  if (capacity_ - size_ < most_) {
    const size_t capacity = std::max(2 * capacity_, size_ + 64 * size_t{most_});
    auto memory = std::make_unique_for_overwrite<std::byte[]>(capacity);
    if (size_ > 0) std::memcpy(memory.get(), memory_.get(), size_);
    memory_ = std::move(memory);
    capacity_ = capacity;
  }
  open_ = {.at = size_};
  size_ += header_bytes();
  domain_ = domain;
  set_ = kNoSet;
  records_ = data_ = 0;
  is_open_ = true;
}

void Messages::begin_set(uint16_t set) noexcept {
  set_ = set;
  set_at_ = size_;
  store_big(memory_.get() + size_, set);
  size_ += kSetHeader;
}

void Messages::end_set() noexcept {
  if (set_ == kNoSet) return;
  if (protocol_ == Protocol::kNetflow9) {
    while ((size_ - set_at_) % 4 != 0) memory_[size_++] = std::byte{0};
  }
  store_big(memory_.get() + set_at_ + 2, static_cast<uint16_t>(size_ - set_at_));
  set_ = kNoSet;
}

void Messages::finish() noexcept {
  if (!is_open_) return;
  end_set();
  is_open_ = false;
  open_.bytes = static_cast<uint32_t>(size_ - open_.at);
  uint32_t& sequence = sequence_of(domain_);
  std::byte* at = memory_.get() + open_.at;
  if (protocol_ == Protocol::kIpfix) {
    at = store_big(at, uint16_t{10});
    at = store_big(at, static_cast<uint16_t>(open_.bytes));
    at = store_big(at, time_.seconds);
    at = store_big(at, sequence);
    sequence += data_;
  } else {
    at = store_big(at, uint16_t{9});
    at = store_big(at, static_cast<uint16_t>(records_));
    at = store_big(at, time_.uptime_ms);
    at = store_big(at, time_.seconds);
    at = store_big(at, sequence++);
  }
  store_big(at, domain_);
  made_.push_back(open_);
}

}  // namespace ringtap::ipfix
