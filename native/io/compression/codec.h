// What the libraries of the compressions have in common. Each is a file beside this one, which binds its library at run
// time and declares of it what it uses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/shared_library.h"
#include "io/compression/compression.h"

namespace ringtap {

/// Bytes that are compressed, of one method: any number of frames or members, one after the other.
class Decompressor {
 public:
  virtual ~Decompressor() = default;

  /// Takes from the front of `in` and puts to the front of `out` as much as it can, which both shrink; `out` is full,
  /// or else all of `in` is done with. `is_last`: nothing comes after `in`. False: they are damaged, or more than
  /// memory is allowed for; what is in front of `out` was sound.
  virtual bool run(std::span<const std::byte>& in, std::span<std::byte>& out, bool is_last) noexcept = 0;

  /// Whether what was taken so far can be all there is.
  virtual bool complete() const noexcept = 0;

  /// Why run() answered false, without saying where.
  virtual Error failure() const = 0;
};

/// `most_window`: bytes that it may keep of what it has put out.
Result<std::unique_ptr<Decompressor>> make_decompressor(Compression compression, uint64_t most_window);

/// What a compressor puts out.
class Packed {
 public:
  std::span<const std::byte> bytes() const noexcept { return {bytes_.data(), used_}; }
  void clear() noexcept { used_ = 0; }
  /// Room for so many more bytes; null when there is no memory for it.
  std::byte* room(size_t bytes) noexcept {
    try {
      if (bytes_.size() - used_ < bytes) bytes_.resize(used_ + bytes);
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
    return bytes_.data() + used_;
  }
  void used(size_t bytes) noexcept { used_ += bytes; }

 private:
  std::vector<std::byte> bytes_;
  size_t used_ = 0;
};

/// How the compressed bytes go on.
enum class After : uint8_t {
  kMore,     // it may keep some back
  kShown,    // a decompressor gives back all that was taken, when it gets what was put out
  kSection,  // and what comes next can be decompressed without it
  kEnd,      // that is all
};

class Compressor {
 public:
  virtual ~Compressor() = default;
  /// Puts out what comes of these bytes. False when it has no memory.
  virtual bool run(std::span<const std::byte> in, After after, Packed& out) noexcept = 0;
  /// What a decompressor is given before the bytes of a section that is not the first; 0: there are no such sections.
  virtual uint32_t head_bytes() const noexcept { return 0; }
};

/// Into how many pieces that can be decompressed alone.
enum class Sections : uint8_t {
  kNone,    // one piece
  kInside,  // sections of one frame, which any reader takes for an ordinary one
  kFrames,  // a frame each, and a table of them at the end: zstd's seekable format
};

struct CompressionRequest {
  Compression compression = Compression::kNone;
  int level = 1;
  Sections sections = Sections::kNone;  // kInside becomes kNone where the library cannot do it
};

Result<std::unique_ptr<Compressor>> make_compressor(const CompressionRequest& request);

/// The library of a compression, or the error that names its package. `What`: its functions, with bind(). It stays
/// loaded, so that a thread may still use it while the process ends.
struct LibraryNames {
  Compression compression;
  std::vector<std::string> files;
  const char* variable;  // of the environment: another file
  const char* telltale;  // a function that tells that the process brings it
  const char* hint;
};

Error library_missing(const LibraryNames& names, const std::string& why);

template <class Functions>
Result<const Functions*> need_library(const LibraryNames& (*names)(), std::string (*bind)(LibraryHandle, Functions&)) {
  static const auto& loaded =
      *new Loaded<Functions>(load_own_or_library<Functions>(names().files, names().variable, names().telltale, bind));
  if (!loaded.functions) return library_missing(names(), loaded.why);
  return &*loaded.functions;
}

/// Each in its own file.
Result<std::unique_ptr<Decompressor>> gzip_decompressor();
Result<std::unique_ptr<Decompressor>> zstd_decompressor(uint64_t most_window);
Result<std::unique_ptr<Decompressor>> lz4_decompressor();
Result<std::unique_ptr<Decompressor>> xz_decompressor(uint64_t most_window);
Result<std::unique_ptr<Decompressor>> bzip2_decompressor();
Result<std::unique_ptr<Compressor>> gzip_compressor(const CompressionRequest& request);
Result<std::unique_ptr<Compressor>> zstd_compressor(const CompressionRequest& request);
Result<std::unique_ptr<Compressor>> lz4_compressor(const CompressionRequest& request);

/// Errors that several have.
Error damaged(Compression compression, const std::string& why);
Error window_too_large(Compression compression, uint64_t needs, uint64_t most);
Error no_memory_for(Compression compression);

}  // namespace ringtap
