#include "io/compression/codec.h"

#include <cerrno>

namespace ringtap {

Result<std::unique_ptr<Decompressor>> make_decompressor(Compression compression, uint64_t most_window) {
  switch (compression) {
    case Compression::kGzip:
      return gzip_decompressor();
    case Compression::kZstd:
      return zstd_decompressor(most_window);
    case Compression::kLz4:
      return lz4_decompressor();
    case Compression::kXz:
      return xz_decompressor(most_window);
    case Compression::kBzip2:
      return bzip2_decompressor();
    case Compression::kNone:
      break;
  }
  return Error{.code = Code::kInternal, .message = "nothing to decompress"};
}

Result<std::unique_ptr<Compressor>> make_compressor(const CompressionRequest& request) {
  switch (request.compression) {
    case Compression::kGzip:
      return gzip_compressor(request);
    case Compression::kZstd:
      return zstd_compressor(request);
    case Compression::kLz4:
      return lz4_compressor(request);
    default:
      return Error{.code = Code::kUnsupported,
                   .message = std::string("traces are not written with ") + name_of(request.compression),
                   .hint = "Take zstd, lz4 or gzip."};
  }
}

Error library_missing(const LibraryNames& names, const std::string& why) {
  return Error{.code = Code::kLibraryMissing,
               .message = std::string("the library for ") + name_of(names.compression) + " cannot be used: " + why,
               .hint = names.hint};
}

Error damaged(Compression compression, const std::string& why) {
  return Error{.code = Code::kFileCorrupt,
               .message = std::string("the ") + name_of(compression) + " data is damaged: " + why};
}

Error window_too_large(Compression compression, uint64_t needs, uint64_t most) {
  return Error{.code = Code::kUnsupported,
               .message = std::string("the ") + name_of(compression) + " data needs " +
                          (needs > 0 ? std::to_string(needs) + " bytes" : "more") + " to be decompressed, and " +
                          std::to_string(most) + " are allowed",
               .hint = "If the file can be trusted: windowBytes allows more, such as file:PATH?windowBytes=" +
                       std::to_string(needs > 0 ? needs : 2 * most) + "."};
}

Error no_memory_for(Compression compression) {
  return Error{.code = Code::kNoMemory, .message = std::string("no memory for ") + name_of(compression)};
}

}  // namespace ringtap
