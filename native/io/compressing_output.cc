#include "io/compressing_output.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <memory>
#include <utility>

#include "io/section_index.h"

namespace ringtap {
namespace {

// A section of zstd costs half a window of what could be found again, and its start: a quarter of the speed at 1 MiB.
constexpr uint64_t kSectionBytes = 4u << 20;
// zstd's seekable format: a skippable frame of lengths behind the last frame.
constexpr uint32_t kSkippable = 0x184D2A5E;
constexpr uint32_t kSeekTable = 0x8F92EAB1;
constexpr uint64_t kMostTableEntries = 0x8000000;

class CompressingOutput final : public Output {
 public:
  CompressingOutput(std::unique_ptr<Output> to, std::unique_ptr<Compressor> compressor,
                    const CompressionRequest& request, std::string path)
      : to_(std::move(to)), compressor_(std::move(compressor)), path_(std::move(path)) {
    has_frames_ = request.sections == Sections::kFrames;
    index_.head_bytes = has_frames_ ? 0 : compressor_->head_bytes();
    has_sections_ = has_frames_ || (request.sections == Sections::kInside && index_.head_bytes > 0);
    // lz4 makes a section of each write anyway.
    keeps_ = has_sections_ && request.compression == Compression::kZstd;
  }

  size_t bytes_at_once(const std::atomic<bool>&) noexcept override { return 0; }
  void holds(const Held& held) noexcept override { held_ = held; }
  size_t write(std::span<const std::byte> bytes, const std::atomic<bool>& give_up) noexcept override;
  bool take_back(size_t) noexcept override { return false; }
  bool keeps_back() const noexcept override { return section_bytes_ > 0; }
  bool flush(const std::atomic<bool>& give_up) noexcept override {
    return section_bytes_ == 0 || put({}, After::kSection, give_up);
  }
  bool finish(const std::atomic<bool>& give_up) noexcept override;
  std::optional<uint64_t> bytes_out() const noexcept override { return bytes_out_; }
  int close() noexcept override;

 private:
  bool put(std::span<const std::byte> bytes, After after, const std::atomic<bool>& give_up) noexcept;
  bool put_table(const std::atomic<bool>& give_up) noexcept;
  bool write_packed(const std::atomic<bool>& give_up) noexcept;

  const std::unique_ptr<Output> to_;
  const std::unique_ptr<Compressor> compressor_;
  const std::string path_;
  SectionIndex index_;
  Held held_;
  bool has_packets_ = false;
  bool has_frames_ = false;
  bool has_sections_ = false;
  bool keeps_ = false;  // a section is of several writes
  bool is_complete_ = false;
  Packed packed_;
  uint64_t bytes_in_ = 0;
  uint64_t bytes_out_ = 0;
  uint64_t section_bytes_ = 0;  // of the section that has begun, and does not show,
  uint64_t section_out_ = 0;    // and what of it is in the file already
};

size_t CompressingOutput::write(std::span<const std::byte> bytes, const std::atomic<bool>& give_up) noexcept {
  if (bytes.empty()) return 0;
  if (has_sections_ && section_bytes_ == 0) {
    const uint64_t at = bytes_out_ == 0 ? index_.head_bytes : bytes_out_;
    try {
      index_.sections.push_back({.compressed = at,
                                 .decompressed = bytes_in_,
                                 .earliest = std::numeric_limits<int64_t>::max(),
                                 .latest = std::numeric_limits<int64_t>::min()});
    } catch (const std::bad_alloc&) {
      errno = ENOMEM;
      return 0;
    }
  }
  if (has_sections_) {
    Section& section = index_.sections.back();
    if (held_.any) section.add(held_.first, held_.earliest, held_.latest);
    section.describes |= held_.describes;
    if (held_.any && !has_packets_) index_.before_first = bytes_in_ + held_.before_first;
    has_packets_ |= held_.any;
    held_ = {};
  }
  // Whole writes, so that a section begins with a record.
  const bool is_last = !keeps_ || section_bytes_ + 2 * bytes.size() > kSectionBytes;
  return put(bytes, !is_last ? After::kMore : keeps_ ? After::kSection : After::kShown, give_up) ? bytes.size() : 0;
}

bool CompressingOutput::finish(const std::atomic<bool>& give_up) noexcept {
  const bool is_ended = has_frames_ && section_bytes_ == 0 && bytes_in_ > 0;
  if (!is_ended && !put({}, After::kEnd, give_up)) return false;
  if (has_frames_ && !put_table(give_up)) return false;
  is_complete_ = true;
  return true;
}

/// WHY the index only then: closing may touch the file, and one that is older than its trace is not used.
int CompressingOutput::close() noexcept {
  const int err = to_->close();
  if (err != 0 || !std::exchange(is_complete_, false)) return err;
  try {
    if (has_sections_ && !has_frames_ && !path_.empty()) write_index(path_, index_);
  } catch (const std::bad_alloc&) {
    return 0;  // without an index it is read as any other
  }
  return 0;
}

/// False with errno: then what is in the file ends with what did show before, and what was kept back stays so for ever.
bool CompressingOutput::put(std::span<const std::byte> bytes, After after, const std::atomic<bool>& give_up) noexcept {
  packed_.clear();
  if (!compressor_->run(bytes, after, packed_)) {
    errno = ENOMEM;
    return false;
  }
  if (!write_packed(give_up)) return false;
  bytes_in_ += bytes.size();
  section_bytes_ = after == After::kMore ? section_bytes_ + bytes.size() : 0;
  section_out_ = after == After::kMore ? section_out_ + packed_.bytes().size() : 0;
  return true;
}

bool CompressingOutput::write_packed(const std::atomic<bool>& give_up) noexcept {
  const auto bytes = packed_.bytes();
  if (bytes.empty()) return true;
  const size_t written = to_->write(bytes, give_up);
  bytes_out_ += written;
  if (written == bytes.size()) return true;
  const int err = errno;
  // WHY the section, too: nobody has been told of its packets, and a frame without an end is damage to other readers.
  const uint64_t unseen = section_out_ + written;
  if (to_->take_back(unseen)) bytes_out_ -= unseen;
  errno = err;
  return false;
}

bool CompressingOutput::put_table(const std::atomic<bool>& give_up) noexcept {
  const auto& sections = index_.sections;
  if (sections.size() >= kMostTableEntries) return true;
  packed_.clear();
  constexpr size_t kAround = 8 + 9;
  std::byte* at = packed_.room(kAround + 8 * sections.size());
  if (at == nullptr) {
    errno = ENOMEM;
    return false;
  }
  const auto add = [&at](uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) *at++ = static_cast<std::byte>(value >> (8 * i));
  };
  add(kSkippable, 4);
  add(8 * sections.size() + 9, 4);
  for (size_t i = 0; i < sections.size(); i++) {
    const bool is_last = i + 1 == sections.size();
    add((is_last ? bytes_out_ : sections[i + 1].compressed) - sections[i].compressed, 4);
    add((is_last ? bytes_in_ : sections[i + 1].decompressed) - sections[i].decompressed, 4);
  }
  add(sections.size(), 4);
  add(0, 1);
  add(kSeekTable, 4);
  packed_.used(kAround + 8 * sections.size());
  return write_packed(give_up);
}

}  // namespace

Result<Destination> compressed(Destination to, const CompressionRequest& request) {
  // One is made now, for what may be missing.
  if (auto tried = make_compressor(request); !tried) {
    Error error = std::move(tried).error();
    error.message = to.name + ": " + error.message;
    return error;
  }
  Destination made = std::move(to);
  made.open = [open = std::move(made.open), path_of = made.path, request]() -> Result<std::unique_ptr<Output>> {
    auto opened = open();
    if (!opened || *opened == nullptr) return opened;
    auto compressor = make_compressor(request);
    if (!compressor) return std::move(compressor).error();
    const std::string path = path_of ? path_of() : std::string();
    if (!path.empty()) forget_index(path);
    return std::unique_ptr<Output>(
        std::make_unique<CompressingOutput>(*std::move(opened), *std::move(compressor), request, path));
  };
  return made;
}

}  // namespace ringtap
