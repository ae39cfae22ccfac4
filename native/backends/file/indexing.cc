#include "backends/file/indexing.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include "backends/file/bytes.h"
#include "backends/file/file_source.h"
#include "core/desc.h"
#include "io/section_index.h"

namespace ringtap {
namespace {

// Of a trace that is not compressed: what is read for one packet.
constexpr uint64_t kPlainSection = 1u << 20;
constexpr uint32_t kChunkBytes = 1u << 20;
constexpr uint32_t kChunks = 4;
constexpr uint32_t kPackets = 512;
constexpr int kWaitMs = 50;

/// The sections, while packets come in the order that they lie in.
class Sections {
 public:
  explicit Sections(std::vector<Section> known) : sections_(std::move(known)), are_known_(!sections_.empty()) {
    if (sections_.empty()) sections_.emplace_back();
    for (Section& section : sections_) {
      section.first_time = Section::kNoTime;
      section.earliest = std::numeric_limits<int64_t>::max();
      section.latest = std::numeric_limits<int64_t>::min();
      section.describes = false;
    }
  }

  void add(uint64_t at, int64_t time) noexcept {
    go_to(at);
    sections_[now_].add(time, time, time);
  }
  void describes(uint64_t at) noexcept { sections_[of(at)].describes = true; }
  /// A record begins here, where another section may.
  void may_begin(uint64_t at) {
    if (are_known_ || at - sections_.back().decompressed < kPlainSection) return;
    sections_.push_back({.compressed = at,
                         .decompressed = at,
                         .earliest = std::numeric_limits<int64_t>::max(),
                         .latest = std::numeric_limits<int64_t>::min()});
  }
  std::vector<Section> take() { return std::move(sections_); }

 private:
  void go_to(uint64_t at) noexcept {
    while (now_ + 1 < sections_.size() && sections_[now_ + 1].decompressed <= at) now_++;
  }
  size_t of(uint64_t at) const noexcept {
    const auto next = std::upper_bound(sections_.begin(), sections_.end(), at,
                                       [](uint64_t place, const Section& s) { return place < s.decompressed; });
    return next == sections_.begin() ? 0 : static_cast<size_t>(next - sections_.begin()) - 1;
  }

  std::vector<Section> sections_;
  const bool are_known_;
  size_t now_ = 0;
};

Result<Ok> check(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return system_error(Code::kFileOpen, path + ": cannot open", "stat", errno);
  if ((status.st_mode & S_IFMT) == S_IFREG) return Ok{};
  return Error{.code = Code::kUnsupported,
               .message = path + ": only a file has an index",
               .hint = "Name files; a shell makes a list of a pattern."};
}

int64_t place_in_time(const file::FileSource& source, const DescBlock& block, uint32_t i) noexcept {
  int64_t at = 0;
  const int64_t time = file::key_of(block.time[i], block.rest[i], block.flags[i]);
  if (__builtin_add_overflow(time, source.info().epoch_ns, &at)) return time < 0 ? INT64_MIN + 1 : INT64_MAX;
  return std::max(at, INT64_MIN + 1);
}

}  // namespace

Result<IndexFacts> index_trace(const std::string& path, const std::shared_ptr<const std::atomic<bool>>& cancelled) {
  if (auto checked = check(path); !checked) return std::move(checked).error();
  OpenRequest request{.uri = "file:" + path, .target = path, .options = {}};
  request.cancelled = cancelled;
  auto input = file::open_bytes(path, request);
  if (!input) return std::move(input).error();
  auto region = Region::allocate(size_t{kChunks} * kChunkBytes);
  if (!region) return std::move(region).error();
  file::FileSource source(
      path, *std::move(input),
      file::Chunks::Layout{
          .region = *region, .count = kChunks, .bytes = kChunkBytes, .first = 0, .stride = kChunkBytes},
      {.grows = true, .snaplen = UINT32_MAX});
  if (auto prepared = source.prepare(request); !prepared) return std::move(prepared).error();
  // WHY the old one: where the sections of a compressed trace begin is known to nobody but its writer.
  SectionIndex index;
  const bool is_compressed = source.is_compressed();
  if (is_compressed) {
    if (auto before = read_index(path)) index = *std::move(before);
    if (index.sections.empty()) index = {.sections = {Section{}}};
  }
  index.before_first = source.first_second() && source.record_begins() ? source.next_place() : 0;
  Sections sections(std::move(index.sections));
  source.reader().take_descriptions();
  IndexFacts facts{.path = index_path(path)};
  DescBlock block(kPackets);
  for (;;) {
    if (request.is_cancelled()) return Error{.code = Code::kClosed, .message = "indexing was given up"};
    const RxBatch batch = source.receive(block, kPackets);
    if (batch.rx == Rx::kError) return source.error();
    for (const uint64_t at : source.reader().take_descriptions()) sections.describes(at);
    if (batch.rx == Rx::kEof) break;
    if (batch.rx == Rx::kAgain) {
      source.wait(kWaitMs);
      continue;
    }
    facts.packets += batch.count;
    for (uint32_t i = 0; i < batch.count; i++)
      sections.add(source.place_of(block.offset[i]), place_in_time(source, block, i));
    if (source.record_begins()) sections.may_begin(source.next_place());
    source.release(batch.lease);
  }
  source.close();
  index.sections = sections.take();
  facts.sections = index.sections.size();
  if (const int err = write_index(path, index))
    return system_error(Code::kFileWrite, facts.path + ": cannot be written", "open", err);
  return facts;
}

}  // namespace ringtap
