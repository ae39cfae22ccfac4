// xz by liblzma, to read.
#include "io/compression/codec.h"

namespace ringtap {
namespace {

// What lzma/base.h says.
struct LzmaStream {
  const uint8_t* next_in;
  size_t avail_in;
  uint64_t total_in;
  uint8_t* next_out;
  size_t avail_out;
  uint64_t total_out;
  const void* allocator;
  void* internal;
  void* reserved_pointers[4];
  uint64_t seek_pos;
  uint64_t reserved_int2;
  size_t reserved_int3;
  size_t reserved_int4;
  int reserved_enum1;
  int reserved_enum2;
};
constexpr int kOk = 0;
constexpr int kStreamEnd = 1;
constexpr int kMemError = 5;
constexpr int kMemLimitError = 6;
constexpr int kFormatError = 7;
constexpr int kOptionsError = 8;
constexpr int kBufError = 10;
constexpr int kRun = 0;
constexpr int kFinish = 3;
constexpr uint32_t kConcatenated = 0x08;
// What a decoder takes beside its window.
constexpr uint64_t kBeside = 1u << 20;

struct Lzma {
  int (*stream_decoder)(LzmaStream*, uint64_t memlimit, uint32_t flags);
  int (*code)(LzmaStream*, int action);
  void (*end)(LzmaStream*);
  uint64_t (*memusage)(const LzmaStream*);
};

std::string bind(LibraryHandle library, Lzma& f) {
  Binder binder(library);
  binder.need(f.stream_decoder, "lzma_stream_decoder");
  binder.need(f.code, "lzma_code");
  binder.need(f.end, "lzma_end");
  binder.need(f.memusage, "lzma_memusage");
  return binder.missing();
}

const LibraryNames& names() {
  static const auto& names = *new LibraryNames {
    .compression = Compression::kXz,
#if defined(_WIN32)
    .files = {"liblzma.dll"},
#elif defined(__APPLE__)
    .files = {"/usr/lib/liblzma.5.dylib"},
#else
    .files = {"liblzma.so.5"},
#endif
    .variable = "RINGTAP_LIBLZMA", .telltale = "lzma_stream_decoder",
    .hint =
        "sudo apt-get install liblzma5 (Debian, Ubuntu), sudo dnf install xz-libs (Fedora), apk add xz-libs "
        "(Alpine); or xz -dc FILE | ringtap read -",
  };
  return names;
}

class XzDecompressor final : public Decompressor {
 public:
  XzDecompressor(const Lzma& library, uint64_t most_window) : library_(library), most_window_(most_window) {}
  ~XzDecompressor() override { library_.end(&stream_); }
  bool begin() { return library_.stream_decoder(&stream_, most_window_ + kBeside, kConcatenated) == kOk; }

  bool run(std::span<const std::byte>& in, std::span<std::byte>& out, bool is_last) noexcept override {
    if (ended_) return true;
    // SAFETY: the library takes bytes as uint8_t, which std::byte may be looked at as.
    stream_.next_in = reinterpret_cast<const uint8_t*>(in.data());
    stream_.avail_in = in.size();
    stream_.next_out = reinterpret_cast<uint8_t*>(out.data());
    stream_.avail_out = out.size();
    outcome_ = library_.code(&stream_, is_last ? kFinish : kRun);
    in = in.last(stream_.avail_in);
    out = out.last(stream_.avail_out);
    ended_ = outcome_ == kStreamEnd;
    return outcome_ == kOk || outcome_ == kStreamEnd || outcome_ == kBufError;
  }
  bool complete() const noexcept override { return ended_; }
  Error failure() const override {
    switch (outcome_) {
      case kMemError:
        return no_memory_for(Compression::kXz);
      case kMemLimitError:
        return window_too_large(Compression::kXz, library_.memusage(&stream_), most_window_);
      case kFormatError:
        return damaged(Compression::kXz, "no stream begins here");
      case kOptionsError:
        return damaged(Compression::kXz, "it takes what this version of the library does not know");
      default:
        return damaged(Compression::kXz, "it contradicts itself");
    }
  }

 private:
  const Lzma& library_;
  const uint64_t most_window_;
  LzmaStream stream_{};
  bool ended_ = false;
  int outcome_ = kOk;
};

}  // namespace

Result<std::unique_ptr<Decompressor>> xz_decompressor(uint64_t most_window) {
  auto library = need_library<Lzma>(names, bind);
  if (!library) return std::move(library).error();
  auto made = std::make_unique<XzDecompressor>(**library, most_window);
  if (!made->begin()) return no_memory_for(Compression::kXz);
  return std::unique_ptr<Decompressor>(std::move(made));
}

}  // namespace ringtap
