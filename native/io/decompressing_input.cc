#include "io/decompressing_input.h"

#include <algorithm>
#include <new>
#include <optional>
#include <span>
#include <utility>

#include "io/decompressing_thread.h"

namespace ringtap {
namespace {

class DecompressingInput final : public Input {
 public:
  DecompressingInput(std::unique_ptr<Input> input, uint64_t most_window, Parts parts)
      : input_(std::move(input)), stream_(input_->stream()), most_window_(most_window), parts_(std::move(parts)) {}

  int64_t read(std::byte* to, size_t bytes, const std::shared_ptr<Region>& owner) noexcept override;
  bool reading() const noexcept override { return input_ != nullptr && (head_ > 0 || input_->reading()); }
  bool wait(int timeout_ms) const noexcept override {
    return thread_ != nullptr ? thread_->wait(timeout_ms) : input_ == nullptr || input_->wait(timeout_ms);
  }
  Readiness readiness() const noexcept override {
    if (thread_ != nullptr) return thread_->readiness();
    return input_ != nullptr ? input_->readiness() : Readiness{.kind = Readiness::Kind::kAlways};
  }
  bool pending() const noexcept override {
    return thread_ != nullptr ? thread_->pending() : input_ == nullptr || input_->pending();
  }
  bool stream() const noexcept override { return stream_; }
  std::string_view compression() const noexcept override { return name_of(compression_); }
  uint64_t left_out() const noexcept override { return thread_ != nullptr ? thread_->left_out() : left_out_; }
  Error failure(uint64_t at) const override {
    if (error_) return *error_;
    return thread_ != nullptr ? thread_->failure() : input_->failure(at);
  }
  void close() noexcept override {
    thread_.reset();
    if (input_ != nullptr) input_->close();
  }

 private:
  int64_t tell(std::byte* to, size_t bytes, const std::shared_ptr<Region>& owner) noexcept;
  bool begin(std::span<const std::byte> head) noexcept;
  int64_t read_part(std::byte* to, size_t bytes, const std::shared_ptr<Region>& owner) noexcept;

  std::unique_ptr<Input> input_;  // until the thread has it
  const bool stream_;
  const uint64_t most_window_;
  Parts parts_;
  // Of what is not compressed:
  size_t piece_ = 0;    // that is being read
  uint64_t taken_ = 0;  // of it
  uint64_t left_out_ = 0;
  bool is_told_ = false;
  size_t head_ = 0;  // bytes that were read and do not tell yet
  Compression compression_ = Compression::kNone;
  std::unique_ptr<DecompressingThread> thread_;
  std::optional<Error> error_;
};

int64_t DecompressingInput::read(std::byte* to, size_t bytes, const std::shared_ptr<Region>& owner) noexcept {
  if (error_) return kFailed;
  if (!is_told_) return tell(to, bytes, owner);
  return thread_ != nullptr ? thread_->read(to, bytes) : read_part(to, bytes, owner);
}

/// Of a file as it is: goes from piece to piece.
int64_t DecompressingInput::read_part(std::byte* to, size_t bytes, const std::shared_ptr<Region>& owner) noexcept {
  const auto& pieces = parts_.pieces;
  if (pieces.empty()) return input_->read(to, bytes, owner);
  while (taken_ == pieces[piece_].bytes) {
    if (piece_ + 1 == pieces.size()) return 0;
    const Piece& next = pieces[piece_ + 1];
    if (!input_->seek(next.decompressed)) return kFailed;
    left_out_ += next.decompressed - pieces[piece_].decompressed - taken_;
    taken_ = 0;
    piece_++;
  }
  const int64_t n = input_->read(to, std::min<uint64_t>(bytes, pieces[piece_].bytes - taken_), owner);
  if (n > 0) taken_ += static_cast<uint64_t>(n);
  return n;
}

/// Reads to where it shall be until it is known whether that is where it belongs.
int64_t DecompressingInput::tell(std::byte* to, size_t bytes, const std::shared_ptr<Region>& owner) noexcept {
  const size_t most = std::min(bytes, DecompressingThread::kInBytes);
  for (;;) {
    const int64_t n = head_ < most ? input_->read(to + head_, most - head_, owner) : 0;
    if (n == kAnother) head_ = 0;
    if (n < 0) return n;
    head_ += static_cast<size_t>(n);
    const std::span<const std::byte> head(to, head_);
    auto compression = compression_of(head);
    if (!compression && n > 0) continue;
    if (head_ == 0) return 0;
    is_told_ = true;
    compression_ = compression.value_or(Compression::kNone);
    head_ = 0;
    if (compression_ == Compression::kNone) {
      // What is beyond the first piece is read again when it is its turn.
      if (!parts_.pieces.empty()) taken_ = std::min<uint64_t>(head.size(), parts_.pieces[0].bytes);
      return static_cast<int64_t>(parts_.pieces.empty() ? head.size() : taken_);
    }
    if (!begin(head)) return kFailed;
    return thread_->read(to, bytes);
  }
}

bool DecompressingInput::begin(std::span<const std::byte> head) noexcept {
  try {
    auto decompressor = make_decompressor(compression_, most_window_);
    if (decompressor) {
      auto thread = DecompressingThread::make(
          std::move(input_), *std::move(decompressor), head,
          {.compression = compression_, .most_window = most_window_, .parts = std::move(parts_)});
      if (thread) {
        thread_ = *std::move(thread);
      } else {
        error_ = std::move(thread).error();
      }
    } else {
      error_ = std::move(decompressor).error();
    }
  } catch (const std::bad_alloc&) {
    error_ = Error{.code = Code::kNoMemory, .message = "no memory to decompress"};
  }
  return !error_;
}

}  // namespace

std::unique_ptr<Input> decompressed(std::unique_ptr<Input> input, uint64_t most_window, Parts parts) {
  return std::make_unique<DecompressingInput>(std::move(input), most_window, std::move(parts));
}

}  // namespace ringtap
