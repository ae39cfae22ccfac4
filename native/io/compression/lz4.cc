// lz4's frames.
#include <algorithm>

#include "io/compression/codec.h"

namespace ringtap {
namespace {

// What lz4frame.h says.
constexpr unsigned kVersion = 100;
struct FrameInfo {
  int block_size_id;
  int block_mode;
  int content_checksum;
  int frame_type;
  unsigned long long content_size;
  unsigned dict_id;
  int block_checksum;
};
struct Preferences {
  FrameInfo frame;
  int level;
  unsigned auto_flush;
  unsigned favor_decompression;
  unsigned reserved[3];
};
constexpr int kMaxMiB = 6;
constexpr int kIndependent = 1;
constexpr size_t kNoMemory = 9;  // ERROR_allocation_failed; its outcome is the size_t that is 0 less so much
constexpr size_t kBlockHead = 4;

struct Lz4 {
  unsigned (*is_error)(size_t);
  const char* (*error_name)(size_t);
  size_t (*make_decompression)(void**, unsigned version);
  size_t (*free_decompression)(void*);
  size_t (*decompress)(void*, void* to, size_t* to_bytes, const void* from, size_t* from_bytes, const void* options);
  size_t (*make_compression)(void**, unsigned version);
  size_t (*free_compression)(void*);
  size_t (*bound)(size_t bytes, const Preferences*);
  size_t (*begin)(void*, void* to, size_t bytes, const Preferences*);
  size_t (*update)(void*, void* to, size_t bytes, const void* from, size_t from_bytes, const void* options);
  size_t (*end)(void*, void* to, size_t bytes, const void* options);
};

std::string bind(LibraryHandle library, Lz4& f) {
  Binder binder(library);
  binder.need(f.is_error, "LZ4F_isError");
  binder.need(f.error_name, "LZ4F_getErrorName");
  binder.need(f.make_decompression, "LZ4F_createDecompressionContext");
  binder.need(f.free_decompression, "LZ4F_freeDecompressionContext");
  binder.need(f.decompress, "LZ4F_decompress");
  binder.need(f.make_compression, "LZ4F_createCompressionContext");
  binder.need(f.free_compression, "LZ4F_freeCompressionContext");
  binder.need(f.bound, "LZ4F_compressBound");
  binder.need(f.begin, "LZ4F_compressBegin");
  binder.need(f.update, "LZ4F_compressUpdate");
  binder.need(f.end, "LZ4F_compressEnd");
  return binder.missing();
}

const LibraryNames& names() {
  static const auto& names = *new LibraryNames {
    .compression = Compression::kLz4,
#if defined(_WIN32)
    .files = {"liblz4.dll"},
#elif defined(__APPLE__)
    .files = {"/opt/homebrew/lib/liblz4.1.dylib", "/usr/local/lib/liblz4.1.dylib"},
#else
    .files = {"liblz4.so.1"},
#endif
    .variable = "RINGTAP_LIBLZ4", .telltale = "LZ4F_compressBegin",
    .hint =
        "sudo apt-get install liblz4-1 (Debian, Ubuntu), sudo dnf install lz4-libs (Fedora), apk add lz4-libs "
        "(Alpine), brew install lz4 (macOS).",
  };
  return names;
}

class Lz4Decompressor final : public Decompressor {
 public:
  explicit Lz4Decompressor(const Lz4& library) : library_(library) {}
  ~Lz4Decompressor() override { library_.free_decompression(context_); }
  bool begin() { return library_.is_error(library_.make_decompression(&context_, kVersion)) == 0; }

  /// WHY piece by piece: when a block is damaged, the library does not say what it has put out before it. Given no
  /// more than what it waits for without the head of the next block, it has put out nothing.
  bool run(std::span<const std::byte>& in, std::span<std::byte>& out, bool) noexcept override {
    while (!out.empty()) {
      size_t took = std::min(in.size(), expected_ > kBlockHead ? expected_ - kBlockHead : expected_);
      size_t put = out.size();
      if (complete_ && took == 0) return true;
      const size_t outcome = library_.decompress(context_, out.data(), &put, in.data(), &took, nullptr);
      if (library_.is_error(outcome) != 0) {
        outcome_ = outcome;
        return false;
      }
      in = in.subspan(took);
      out = out.subspan(put);
      complete_ = outcome == 0;
      expected_ = complete_ ? kFirst : outcome;
      if (in.empty() && !out.empty()) return true;
    }
    return true;
  }
  bool complete() const noexcept override { return complete_; }
  Error failure() const override {
    if (outcome_ == size_t{0} - kNoMemory) return no_memory_for(Compression::kLz4);
    return damaged(Compression::kLz4, library_.error_name(outcome_));
  }

 private:
  static constexpr size_t kFirst = 4;  // what tells what begins

  const Lz4& library_;
  void* context_ = nullptr;
  size_t expected_ = kFirst;
  bool complete_ = true;
  size_t outcome_ = 0;
};

/// Each piece of input becomes a block at once that needs no other one, or several.
class Lz4Compressor final : public Compressor {
 public:
  Lz4Compressor(const Lz4& library, int level) : library_(library) {
    preferences_.frame.block_size_id = kMaxMiB;
    preferences_.frame.block_mode = kIndependent;
    preferences_.frame.block_checksum = 1;  // of each block, so that damage ends the trace where it is
    preferences_.level = level;
    preferences_.auto_flush = 1;
  }
  ~Lz4Compressor() override { library_.free_compression(context_); }
  bool begin() { return library_.is_error(library_.make_compression(&context_, kVersion)) == 0; }

  bool run(std::span<const std::byte> in, After after, Packed& out) noexcept override {
    const size_t room = kMostHeadBytes + library_.bound(in.size(), &preferences_) + library_.bound(0, &preferences_);
    std::byte* const at = out.room(room);
    if (at == nullptr) return false;
    size_t done = 0;
    const auto add = [&](size_t bytes) {
      if (library_.is_error(bytes) != 0) return false;
      done += bytes;
      return true;
    };
    if (!begun_ && !add(library_.begin(context_, at, room, &preferences_))) return false;
    begun_ = true;
    if (!in.empty() && !add(library_.update(context_, at + done, room - done, in.data(), in.size(), nullptr)))
      return false;
    if (after == After::kEnd && !add(library_.end(context_, at + done, room - done, nullptr))) return false;
    out.used(done);
    return true;
  }
  uint32_t head_bytes() const noexcept override { return kHeadBytes; }

 private:
  static constexpr uint32_t kHeadBytes = 7;
  static constexpr size_t kMostHeadBytes = 19;  // what the library wants room for

  const Lz4& library_;
  Preferences preferences_{};
  void* context_ = nullptr;
  bool begun_ = false;
};

}  // namespace

Result<std::unique_ptr<Decompressor>> lz4_decompressor() {
  auto library = need_library<Lz4>(names, bind);
  if (!library) return std::move(library).error();
  auto made = std::make_unique<Lz4Decompressor>(**library);
  if (!made->begin()) return no_memory_for(Compression::kLz4);
  return std::unique_ptr<Decompressor>(std::move(made));
}

Result<std::unique_ptr<Compressor>> lz4_compressor(const CompressionRequest& request) {
  auto library = need_library<Lz4>(names, bind);
  if (!library) return std::move(library).error();
  auto made = std::make_unique<Lz4Compressor>(**library, request.level);
  if (!made->begin()) return no_memory_for(Compression::kLz4);
  return std::unique_ptr<Compressor>(std::move(made));
}

}  // namespace ringtap
