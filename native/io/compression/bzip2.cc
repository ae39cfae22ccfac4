// bzip2, to read.
#include "io/compression/codec.h"

namespace ringtap {
namespace {

// What bzlib.h says.
struct BzStream {
  const char* next_in;
  unsigned avail_in;
  unsigned total_in_lo32;
  unsigned total_in_hi32;
  char* next_out;
  unsigned avail_out;
  unsigned total_out_lo32;
  unsigned total_out_hi32;
  void* state;
  void* bzalloc;
  void* bzfree;
  void* opaque;
};
constexpr int kOk = 0;
constexpr int kStreamEnd = 4;
constexpr int kMemError = -3;
constexpr int kDataErrorMagic = -5;

struct Bzip2 {
  int (*init)(BzStream*, int verbosity, int small);
  int (*decompress)(BzStream*);
  int (*end)(BzStream*);
};

std::string bind(LibraryHandle library, Bzip2& f) {
  Binder binder(library);
  binder.need(f.init, "BZ2_bzDecompressInit");
  binder.need(f.decompress, "BZ2_bzDecompress");
  binder.need(f.end, "BZ2_bzDecompressEnd");
  return binder.missing();
}

const LibraryNames& names() {
  static const auto& names = *new LibraryNames {
    .compression = Compression::kBzip2,
#if defined(_WIN32)
    .files = {"libbz2.dll"},
#elif defined(__APPLE__)
    .files = {"/usr/lib/libbz2.1.0.dylib"},
#else
    .files = {"libbz2.so.1.0", "libbz2.so.1"},
#endif
    .variable = "RINGTAP_LIBBZ2", .telltale = "BZ2_bzDecompressInit",
    .hint =
        "sudo apt-get install libbz2-1.0 (Debian, Ubuntu), sudo dnf install bzip2-libs (Fedora), apk add libbz2 "
        "(Alpine); or bzip2 -dc FILE | ringtap read -",
  };
  return names;
}

class Bzip2Decompressor final : public Decompressor {
 public:
  explicit Bzip2Decompressor(const Bzip2& library) : library_(library) {}
  ~Bzip2Decompressor() override { end(); }

  bool run(std::span<const std::byte>& in, std::span<std::byte>& out, bool) noexcept override {
    while (!out.empty()) {
      if (!begun_) {
        if (in.empty()) return true;
        stream_ = {};
        outcome_ = library_.init(&stream_, 0, 0);
        if (outcome_ != kOk) return false;
        begun_ = true;
      }
      // SAFETY: the library takes bytes as char, which std::byte may be looked at as.
      stream_.next_in = reinterpret_cast<const char*>(in.data());
      stream_.avail_in = static_cast<unsigned>(in.size());
      stream_.next_out = reinterpret_cast<char*>(out.data());
      stream_.avail_out = static_cast<unsigned>(out.size());
      outcome_ = library_.decompress(&stream_);
      in = in.last(stream_.avail_in);
      out = out.last(stream_.avail_out);
      if (outcome_ == kStreamEnd) {
        end();
      } else if (outcome_ != kOk) {
        return false;
      } else if (in.empty()) {
        return true;
      }
    }
    return true;
  }
  bool complete() const noexcept override { return !begun_; }
  Error failure() const override {
    if (outcome_ == kMemError) return no_memory_for(Compression::kBzip2);
    return damaged(Compression::kBzip2,
                   outcome_ == kDataErrorMagic ? "no stream begins here" : "its checksum is wrong");
  }

 private:
  void end() noexcept {
    if (begun_) library_.end(&stream_);
    begun_ = false;
  }

  const Bzip2& library_;
  BzStream stream_{};
  bool begun_ = false;
  int outcome_ = kOk;
};

}  // namespace

Result<std::unique_ptr<Decompressor>> bzip2_decompressor() {
  auto library = need_library<Bzip2>(names, bind);
  if (!library) return std::move(library).error();
  return std::unique_ptr<Decompressor>(std::make_unique<Bzip2Decompressor>(**library));
}

}  // namespace ringtap
