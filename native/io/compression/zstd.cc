// zstd: that of Node itself where it brings one, from 22.15 on, or the system's.
#include <algorithm>
#include <bit>

#include "io/compression/codec.h"

namespace ringtap {
namespace {

// What zstd.h says; these numbers are part of its stable interface.
struct InBuffer {
  const void* at;
  size_t bytes;
  size_t pos;
};
struct OutBuffer {
  void* at;
  size_t bytes;
  size_t pos;
};
constexpr int kWindowLogMax = 100;  // of a decompressor
constexpr int kLevel = 100;         // of a compressor, as what follows
constexpr int kChecksum = 201;
constexpr int kWorkers = 400;
constexpr int kJobSize = 401;
constexpr int kOverlapLog = 402;
constexpr int kContinue = 0;
constexpr int kFlush = 1;
constexpr int kEnd = 2;
constexpr int kNoOverlap = 1;
constexpr int kWindowTooLarge = 16;
constexpr int kNoMemory = 64;
constexpr int kLeastWindowLog = 10;

struct Zstd {
  unsigned (*is_error)(size_t);
  const char* (*error_name)(size_t);
  int (*error_code)(size_t);
  void* (*make_decompression)();
  size_t (*free_decompression)(void*);
  size_t (*set_decompression)(void*, int parameter, int value);
  size_t (*decompress)(void*, OutBuffer*, InBuffer*);
  void* (*make_compression)();
  size_t (*free_compression)(void*);
  size_t (*set_compression)(void*, int parameter, int value);
  size_t (*compress)(void*, OutBuffer*, InBuffer*, int end);
  size_t (*out_bytes)();
};

std::string bind(LibraryHandle library, Zstd& f) {
  Binder binder(library);
  binder.need(f.is_error, "ZSTD_isError");
  binder.need(f.error_name, "ZSTD_getErrorName");
  binder.want(f.error_code, "ZSTD_getErrorCode");
  binder.need(f.make_decompression, "ZSTD_createDCtx");
  binder.need(f.free_decompression, "ZSTD_freeDCtx");
  binder.need(f.set_decompression, "ZSTD_DCtx_setParameter");
  binder.need(f.decompress, "ZSTD_decompressStream");
  binder.need(f.make_compression, "ZSTD_createCCtx");
  binder.need(f.free_compression, "ZSTD_freeCCtx");
  binder.need(f.set_compression, "ZSTD_CCtx_setParameter");
  binder.need(f.compress, "ZSTD_compressStream2");
  binder.need(f.out_bytes, "ZSTD_CStreamOutSize");
  return binder.missing();
}

const LibraryNames& names() {
  static const auto& names = *new LibraryNames {
    .compression = Compression::kZstd,
#if defined(_WIN32)
    .files = {"libzstd.dll"},
#elif defined(__APPLE__)
    .files = {"/opt/homebrew/lib/libzstd.1.dylib", "/usr/local/lib/libzstd.1.dylib"},
#else
    .files = {"libzstd.so.1"},
#endif
    .variable = "RINGTAP_LIBZSTD", .telltale = "ZSTD_compressStream2",
    .hint =
        "sudo apt-get install libzstd1 (Debian, Ubuntu), sudo dnf install libzstd (Fedora), apk add zstd-libs "
        "(Alpine), brew install zstd (macOS); or take Node 22.15 or newer, which brings it.",
  };
  return names;
}

class ZstdDecompressor final : public Decompressor {
 public:
  ZstdDecompressor(const Zstd& library, uint64_t most_window) : library_(library), most_window_(most_window) {}
  ~ZstdDecompressor() override { library_.free_decompression(context_); }
  bool begin() {
    context_ = library_.make_decompression();
    const int log = std::max(kLeastWindowLog, static_cast<int>(std::bit_width(most_window_)) - 1);
    return context_ != nullptr && library_.is_error(library_.set_decompression(context_, kWindowLogMax, log)) == 0;
  }

  /// WHY piece by piece: when a block is damaged, the library does not say what it has put out before it. Given no
  /// more than what it waits for without the head of the next block, it has put out nothing.
  bool run(std::span<const std::byte>& in, std::span<std::byte>& out, bool) noexcept override {
    while (!out.empty()) {
      if (complete_ && in.empty()) return true;
      const size_t piece = expected_ > kBlockHead ? expected_ - kBlockHead : expected_;
      InBuffer from{.at = in.data(), .bytes = std::min(in.size(), piece), .pos = 0};
      OutBuffer to{.at = out.data(), .bytes = out.size(), .pos = 0};
      const size_t outcome = library_.decompress(context_, &to, &from);
      in = in.subspan(from.pos);
      out = out.subspan(to.pos);
      if (library_.is_error(outcome) != 0) {
        outcome_ = outcome;
        return false;
      }
      complete_ = outcome == 0;
      expected_ = complete_ ? kFirst : outcome;
      if (in.empty() && !out.empty()) return true;
    }
    return true;
  }
  bool complete() const noexcept override { return complete_; }
  Error failure() const override {
    const int code = library_.error_code != nullptr ? library_.error_code(outcome_) : 0;
    if (code == kWindowTooLarge) return window_too_large(Compression::kZstd, 0, most_window_);
    if (code == kNoMemory) return no_memory_for(Compression::kZstd);
    return damaged(Compression::kZstd, library_.error_name(outcome_));
  }

 private:
  static constexpr size_t kFirst = 5;  // what tells what begins
  static constexpr size_t kBlockHead = 3;

  const Zstd& library_;
  const uint64_t most_window_;
  void* context_ = nullptr;
  size_t expected_ = kFirst;
  bool complete_ = true;
  size_t outcome_ = 0;
};

class ZstdCompressor final : public Compressor {
 public:
  explicit ZstdCompressor(const Zstd& library) : library_(library) {}
  ~ZstdCompressor() override { library_.free_compression(context_); }

  bool begin(const CompressionRequest& request) {
    context_ = library_.make_compression();
    if (context_ == nullptr) return false;
    frames_ = request.sections == Sections::kFrames;
    // One worker, which begins each job anew where no job overlaps the one before: that is what makes a section of what
    // lies between two flushes. A library without threads refuses, and does without sections.
    sections_ = request.sections == Sections::kInside && set(kWorkers, 1) && set(kOverlapLog, kNoOverlap) &&
                set(kJobSize, kMostJobBytes);
    return set(kChecksum, 1) && set(kLevel, request.level);
  }

  bool run(std::span<const std::byte> in, After after, Packed& out) noexcept override {
    const bool is_end = after == After::kEnd || (after == After::kSection && frames_);
    const int end = is_end ? kEnd : after == After::kMore ? kContinue : kFlush;
    InBuffer from{.at = in.data(), .bytes = in.size(), .pos = 0};
    for (;;) {
      const size_t room = std::max(library_.out_bytes(), in.size() / 2);
      std::byte* const at = out.room(room);
      if (at == nullptr) return false;
      OutBuffer to{.at = at, .bytes = room, .pos = 0};
      const size_t outcome = library_.compress(context_, &to, &from, end);
      if (library_.is_error(outcome) != 0) return false;
      out.used(to.pos);
      if (end == kContinue ? from.pos == from.bytes : outcome == 0) return true;
    }
  }
  uint32_t head_bytes() const noexcept override { return sections_ ? kHeadBytes : 0; }

 private:
  // Magic number, descriptor, window: there is neither a length nor a dictionary.
  static constexpr uint32_t kHeadBytes = 6;
  static constexpr int kMostJobBytes = 8 << 20;

  bool set(int parameter, int value) {
    return library_.is_error(library_.set_compression(context_, parameter, value)) == 0;
  }

  const Zstd& library_;
  void* context_ = nullptr;
  bool frames_ = false;
  bool sections_ = false;
};

}  // namespace

Result<std::unique_ptr<Decompressor>> zstd_decompressor(uint64_t most_window) {
  auto library = need_library<Zstd>(names, bind);
  if (!library) return std::move(library).error();
  auto made = std::make_unique<ZstdDecompressor>(**library, most_window);
  if (!made->begin()) return no_memory_for(Compression::kZstd);
  return std::unique_ptr<Decompressor>(std::move(made));
}

Result<std::unique_ptr<Compressor>> zstd_compressor(const CompressionRequest& request) {
  auto library = need_library<Zstd>(names, bind);
  if (!library) return std::move(library).error();
  auto made = std::make_unique<ZstdCompressor>(**library);
  if (!made->begin(request)) return no_memory_for(Compression::kZstd);
  return std::unique_ptr<Compressor>(std::move(made));
}

}  // namespace ringtap
