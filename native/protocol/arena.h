// Events that wait to be read, as lines of JSON.
#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <string_view>

namespace ringtap::protocol {

/// Lines in pieces of memory, as many as fit; what does not fit is counted.
class Arena {
 public:
  explicit Arena(size_t most_bytes) noexcept : most_bytes_(most_bytes) {}

  bool add(std::string_view line) {
    if (line.size() > most_bytes_ - waiting_bytes_) {
      lost_++;
      return false;
    }
    if (pieces_.empty() || pieces_.back().capacity - pieces_.back().size < line.size()) append(line.size());
    Piece& piece = pieces_.back();
    std::memcpy(piece.memory.get() + piece.size, line.data(), line.size());
    piece.size += line.size();
    piece.lines++;
    waiting_bytes_ += line.size();
    waiting_++;
    return true;
  }

  uint64_t waiting() const noexcept { return waiting_; }
  size_t waiting_bytes() const noexcept { return waiting_bytes_; }
  uint64_t lost() const noexcept { return lost_; }

  struct Taken {
    uint32_t lines = 0;
    size_t bytes = 0;
  };
  /// Bytes that the next take() gives.
  size_t next() const noexcept { return pieces_.empty() ? 0 : pieces_.front().size; }
  /// Moves the oldest piece into memory of the caller's, of next() bytes.
  Taken take(char* into) noexcept {
    if (pieces_.empty()) return {};
    Piece& piece = pieces_.front();
    std::memcpy(into, piece.memory.get(), piece.size);
    const Taken taken{piece.lines, piece.size};
    waiting_ -= piece.lines;
    waiting_bytes_ -= piece.size;
    pieces_.pop_front();
    return taken;
  }

 private:
  static constexpr size_t kPiece = 256 << 10;
  struct Piece {
    std::unique_ptr<char[]> memory;
    size_t capacity = 0;
    size_t size = 0;
    uint32_t lines = 0;
  };

  void append(size_t least) {
    const size_t capacity = least > kPiece ? least : kPiece;
    pieces_.push_back({std::unique_ptr<char[]>(new char[capacity]), capacity, 0, 0});
  }

  size_t most_bytes_;
  std::deque<Piece> pieces_;
  size_t waiting_bytes_ = 0;
  uint64_t waiting_ = 0;
  uint64_t lost_ = 0;
};

}  // namespace ringtap::protocol
