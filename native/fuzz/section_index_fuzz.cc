// Reads arbitrary bytes as the index of a trace, and asks it for a time.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "io/section_index.h"

using namespace ringtap;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

constexpr size_t kLikeness = 16;  // where an index says which trace it is of, and how long that is
constexpr size_t kLikenessBytes = 24;
constexpr size_t kBounds = 2 * sizeof(int64_t);

/// A trace, and what a sound index of it says it is.
struct Trace {
  std::string path;
  std::string likeness;

  Trace() {
    char pattern[] = "/tmp/ringtap-fuzz-XXXXXX";
    require(mkdtemp(pattern) != nullptr);
    path = std::string(pattern) + "/trace";
    std::ofstream(path, std::ios::binary) << std::string(1000, 't');
    require(write_index(path, {.sections = {Section{}}}) == 0);
    std::ifstream index(index_path(path), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(index), {}};
    likeness = bytes.substr(kLikeness, kLikenessBytes);
  }
  ~Trace() {
    unlink(index_path(path).c_str());
    unlink(path.c_str());
    rmdir(path.substr(0, path.rfind('/')).c_str());
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  static const Trace trace;
  if (size < kBounds) return 0;
  int64_t bounds[2];
  std::memcpy(bounds, input, kBounds);
  std::string bytes(reinterpret_cast<const char*>(input) + kBounds, size - kBounds);
  if (bytes.size() >= kLikeness + kLikenessBytes) bytes.replace(kLikeness, kLikenessBytes, trace.likeness);
  std::ofstream(index_path(trace.path), std::ios::binary) << bytes;
  const auto index = read_index(trace.path);
  if (!index) {
    require(!index.error().message.empty());
    return 0;
  }
  const auto pieces = pieces_between(*index, std::min(bounds[0], bounds[1]), std::max(bounds[0], bounds[1]));
  // Each lies behind the one before it.
  for (size_t i = 1; i < pieces.size(); i++) {
    require(pieces[i - 1].bytes != UINT64_MAX);
    require(pieces[i].decompressed > pieces[i - 1].decompressed);
    require(pieces[i].decompressed - pieces[i - 1].decompressed >= pieces[i - 1].bytes);
    require(pieces[i].compressed > pieces[i - 1].compressed);
  }
  return 0;
}
