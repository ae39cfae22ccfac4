// gzip by zlib: mostly that of Node itself.
#include <cstring>

#include "io/compression/codec.h"

namespace ringtap {
namespace {

// What zlib.h says, whose binary interface has stood since 1.2.
struct ZStream {
  const unsigned char* next_in;
  unsigned avail_in;
  unsigned long total_in;
  unsigned char* next_out;
  unsigned avail_out;
  unsigned long total_out;
  const char* msg;
  void* state;
  void* zalloc;
  void* zfree;
  void* opaque;
  int data_type;
  unsigned long adler;
  unsigned long reserved;
};
constexpr int kOk = 0;
constexpr int kStreamEnd = 1;
constexpr int kBufError = -5;
constexpr int kMemError = -4;
constexpr int kNoFlush = 0;
constexpr int kSyncFlush = 2;
constexpr int kFinish = 4;
constexpr int kDeflated = 8;
constexpr int kGzip = 15 + 16;  // the largest window, with gzip's header
constexpr int kMemLevel = 8;
constexpr const char* kVersion = "1.2.0";  // its first digit counts

struct Zlib {
  int (*inflate_init)(ZStream*, int window_bits, const char* version, int size);
  int (*inflate)(ZStream*, int flush);
  int (*inflate_reset)(ZStream*);
  int (*inflate_end)(ZStream*);
  int (*deflate_init)(ZStream*, int level, int method, int window_bits, int mem_level, int strategy,
                      const char* version, int size);
  int (*deflate)(ZStream*, int flush);
  int (*deflate_end)(ZStream*);
};

std::string bind(LibraryHandle library, Zlib& f) {
  Binder binder(library);
  binder.need(f.inflate_init, "inflateInit2_");
  binder.need(f.inflate, "inflate");
  binder.need(f.inflate_reset, "inflateReset");
  binder.need(f.inflate_end, "inflateEnd");
  binder.need(f.deflate_init, "deflateInit2_");
  binder.need(f.deflate, "deflate");
  binder.need(f.deflate_end, "deflateEnd");
  return binder.missing();
}

const LibraryNames& names() {
  static const auto& names = *new LibraryNames {
    .compression = Compression::kGzip,
#if defined(_WIN32)
    .files = {"zlib1.dll"},
#elif defined(__APPLE__)
    .files = {"/usr/lib/libz.1.dylib"},
#else
    .files = {"libz.so.1"},
#endif
    .variable = "RINGTAP_LIBZ", .telltale = "deflateInit2_",
    .hint = "sudo apt-get install zlib1g (Debian, Ubuntu), sudo dnf install zlib (Fedora), apk add zlib (Alpine).",
  };
  return names;
}

// SAFETY: zlib takes bytes as unsigned char, which std::byte may be looked at as.
const unsigned char* to_zlib(const std::byte* at) { return reinterpret_cast<const unsigned char*>(at); }
unsigned char* to_zlib(std::byte* at) { return reinterpret_cast<unsigned char*>(at); }

class GzipDecompressor final : public Decompressor {
 public:
  explicit GzipDecompressor(const Zlib& zlib) : zlib_(zlib) {}
  ~GzipDecompressor() override {
    if (begun_) zlib_.inflate_end(&stream_);
  }
  bool begin() {
    begun_ = zlib_.inflate_init(&stream_, kGzip, kVersion, sizeof stream_) == kOk;
    return begun_;
  }

  bool run(std::span<const std::byte>& in, std::span<std::byte>& out, bool) noexcept override {
    while (!out.empty()) {
      if (ended_) {
        while (!in.empty() && in.front() == std::byte{0}) in = in.subspan(1);  // as a tape pads it
        if (in.empty()) return true;
        zlib_.inflate_reset(&stream_);
        ended_ = false;
      }
      stream_.next_in = to_zlib(in.data());
      stream_.avail_in = static_cast<unsigned>(in.size());
      stream_.next_out = to_zlib(out.data());
      stream_.avail_out = static_cast<unsigned>(out.size());
      const int outcome = zlib_.inflate(&stream_, kNoFlush);
      in = in.last(stream_.avail_in);
      out = out.last(stream_.avail_out);
      if (outcome == kStreamEnd) {
        ended_ = true;
      } else if (outcome != kOk && outcome != kBufError) {
        outcome_ = outcome;
        return false;
      } else if (in.empty() || outcome == kBufError) {
        return true;
      }
    }
    return true;
  }
  bool complete() const noexcept override { return ended_; }
  Error failure() const override {
    if (outcome_ == kMemError) return no_memory_for(Compression::kGzip);
    return damaged(Compression::kGzip, stream_.msg != nullptr ? stream_.msg : "it contradicts itself");
  }

 private:
  const Zlib& zlib_;
  ZStream stream_{};
  bool begun_ = false;
  bool ended_ = false;
  int outcome_ = kOk;
};

class GzipCompressor final : public Compressor {
 public:
  explicit GzipCompressor(const Zlib& zlib) : zlib_(zlib) {}
  ~GzipCompressor() override {
    if (begun_) zlib_.deflate_end(&stream_);
  }
  bool begin(int level) {
    begun_ = zlib_.deflate_init(&stream_, level, kDeflated, kGzip, kMemLevel, 0, kVersion, sizeof stream_) == kOk;
    return begun_;
  }

  bool run(std::span<const std::byte> in, After after, Packed& out) noexcept override {
    const int flush = after == After::kEnd ? kFinish : after == After::kMore ? kNoFlush : kSyncFlush;
    stream_.next_in = to_zlib(in.data());
    stream_.avail_in = static_cast<unsigned>(in.size());
    for (;;) {
      constexpr size_t kLeast = 64u << 10;
      const size_t room = stream_.avail_in / 2 + kLeast;
      std::byte* const at = out.room(room);
      if (at == nullptr) return false;
      stream_.next_out = to_zlib(at);
      stream_.avail_out = static_cast<unsigned>(room);
      const int outcome = zlib_.deflate(&stream_, flush);
      out.used(room - stream_.avail_out);
      if (outcome == kStreamEnd) return true;
      if (outcome != kOk && outcome != kBufError) return false;
      if (stream_.avail_out > 0 && flush != kFinish) return true;
    }
  }

 private:
  const Zlib& zlib_;
  ZStream stream_{};
  bool begun_ = false;
};

}  // namespace

Result<std::unique_ptr<Decompressor>> gzip_decompressor() {
  auto zlib = need_library<Zlib>(names, bind);
  if (!zlib) return std::move(zlib).error();
  auto made = std::make_unique<GzipDecompressor>(**zlib);
  if (!made->begin()) return no_memory_for(Compression::kGzip);
  return std::unique_ptr<Decompressor>(std::move(made));
}

Result<std::unique_ptr<Compressor>> gzip_compressor(const CompressionRequest& request) {
  auto zlib = need_library<Zlib>(names, bind);
  if (!zlib) return std::move(zlib).error();
  auto made = std::make_unique<GzipCompressor>(**zlib);
  if (!made->begin(request.level)) return no_memory_for(Compression::kGzip);
  return std::unique_ptr<Compressor>(std::move(made));
}

}  // namespace ringtap
