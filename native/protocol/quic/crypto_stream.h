// What an end says in CRYPTO frames, put in order.
#pragma once

#include <algorithm>
#include <vector>

#include "protocol/reader.h"

namespace ringtap::protocol::quic {

/// The beginning of a stream, up to so many bytes, which come in any order; what came first stays.
class CryptoStream {
 public:
  explicit CryptoStream(size_t most) noexcept : most_(most) {}

  /// False: it goes on beyond what is kept.
  bool add(uint64_t offset, Span bytes) {
    if (offset >= most_ || bytes.size() > most_ - offset) return false;
    const auto at = static_cast<size_t>(offset);
    if (bytes_.size() < at + bytes.size()) {
      bytes_.resize(at + bytes.size());
      is_there_.resize(at + bytes.size());
    }
    for (size_t i = 0; i < bytes.size(); i++) {
      if (is_there_[at + i]) continue;
      bytes_[at + i] = bytes[i];
      is_there_[at + i] = true;
    }
    while (end_ < is_there_.size() && is_there_[end_]) end_++;
    return true;
  }

  /// The next message with its type and length, or nothing yet. Valid until add().
  Span next() {
    const Span left = Span(bytes_).subspan(begin_, end_ - begin_);
    if (left.size() < 4) return {};
    const size_t size = 4 + (load_big<uint32_t>(left.data()) & 0xffffff);
    if (left.size() < size) return {};
    begin_ += size;
    return left.first(size);
  }

  size_t memory() const noexcept { return bytes_.capacity() + is_there_.capacity() / 8; }

 private:
  size_t most_;
  std::vector<std::byte> bytes_;
  std::vector<bool> is_there_;
  size_t begin_ = 0;  // of what is next
  size_t end_ = 0;    // of what is there without a hole
};

}  // namespace ringtap::protocol::quic
