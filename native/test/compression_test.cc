// Compressing and decompressing without the addon, so that sanitizers see it. The tools that the world has are in
// test/unit/compressed.test.ts.
#include <atomic>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>

#include "io/compressing_output.h"
#include "io/decompressing_input.h"
#include "io/file_output.h"
#include "io/section_index.h"
#include "pieces.h"
#include "traces.h"

using namespace traces;

namespace {

constexpr Compression kWritten[] = {Compression::kGzip, Compression::kZstd, Compression::kLz4};
const std::atomic<bool> kNever{false};

std::span<const std::byte> bytes_of(const Bytes& bytes) {
  return {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()};
}

/// Like a trace: half of it was there before, half was not.
Bytes sample(size_t size, uint32_t seed = 1) {
  std::mt19937 random(seed);
  Bytes bytes;
  while (bytes.size() < size) {
    if (bytes.size() > 5000 && random() % 2 == 0) {
      bytes += bytes.substr(random() % (bytes.size() - 1000), random() % 1000);
    } else {
      for (uint32_t i = random() % 300; i > 0; i--) bytes.push_back(static_cast<char>(random()));
    }
  }
  bytes.resize(size);
  return bytes;
}

/// Compresses through an output, in writes of such a size.
Bytes packed(const Bytes& bytes, const CompressionRequest& request, size_t piece, const std::string& path) {
  auto destination = compressed(to_file(path), request);
  REQUIRE(destination);
  auto output = destination->open();
  REQUIRE(output);
  for (size_t at = 0; at < bytes.size(); at += piece) {
    const auto part = bytes_of(bytes).subspan(at, std::min(piece, bytes.size() - at));
    REQUIRE((*output)->write(part, kNever) == part.size());
  }
  REQUIRE((*output)->finish(kNever));
  CHECK_FALSE((*output)->keeps_back());
  REQUIRE((*output)->close() == 0);
  Bytes made = load_file(path);
  CHECK((*output)->bytes_out() == made.size());
  return made;
}

struct Unpacked {
  Bytes bytes;
  std::optional<Error> error;
};

Unpacked unpacked(const Bytes& bytes, size_t piece = 100'000, uint64_t most_window = kMostWindow) {
  const auto input = decompressed(std::make_unique<Pieces>(bytes, piece), most_window);
  auto region = Region::allocate(1u << 20);
  REQUIRE(region);
  Unpacked all;
  for (;;) {
    const int64_t n = input->read((*region)->base(), (*region)->bytes(), *region);
    if (n == Input::kNothingYet) {
      input->wait(100);
    } else if (n == Input::kFailed) {
      all.error = input->failure(all.bytes.size());
      return all;
    } else if (n == 0) {
      return all;
    } else {
      all.bytes.append(reinterpret_cast<const char*>((*region)->base()), static_cast<size_t>(n));
    }
  }
}

}  // namespace

TEST_CASE("what was compressed comes back, whatever the pieces") {
  const TempDir dir;
  const Bytes bytes = sample(3'000'000);
  for (const Compression compression : kWritten) {
    for (const Sections sections : {Sections::kNone, Sections::kInside, Sections::kFrames}) {
      if (sections == Sections::kFrames && compression != Compression::kZstd) continue;
      for (const size_t piece : {size_t{20'000}, size_t{1} << 20}) {
        INFO(name_of(compression), " sections ", static_cast<int>(sections), " in ", piece);
        const Bytes made = packed(bytes, {.compression = compression, .sections = sections}, piece, dir.file("a"));
        CHECK(made.size() < bytes.size());
        for (const size_t in : {size_t{1000}, size_t{1} << 20}) {
          const Unpacked back = unpacked(made, in);
          CHECK_FALSE(back.error);
          CHECK(back.bytes == bytes);
        }
      }
    }
    const Unpacked none = unpacked(packed({}, {.compression = compression}, 1, dir.file("empty")), 3);
    CHECK_FALSE(none.error);
    CHECK(none.bytes.empty());
  }
}

TEST_CASE("what is not compressed passes as it is, also where it begins as if it were") {
  for (const Bytes& bytes : {Bytes("BZ"), Bytes("\x1f\x8b", 2), Bytes("\xfd\x37zXY", 5), Bytes("x"), sample(500'000)}) {
    for (const size_t piece : {size_t{1}, size_t{70'000}}) {
      const Unpacked back = unpacked(bytes, piece);
      CHECK_FALSE(back.error);
      CHECK(back.bytes == bytes);
    }
  }
  CHECK(unpacked({}).bytes.empty());
}

TEST_CASE("cut anywhere, it gives what was before, and an error with both positions") {
  const TempDir dir;
  const Bytes bytes = sample(400'000);
  for (const Compression compression : kWritten) {
    const Bytes made = packed(bytes, {.compression = compression}, 50'000, dir.file("a"));
    size_t longest = 0;
    for (size_t cut = 8; cut < made.size(); cut += 1 + made.size() / 60) {
      const Unpacked back = unpacked(made.substr(0, cut), 4096);
      REQUIRE(back.error);
      CHECK(back.error->code == Code::kFileTruncated);
      CHECK(back.error->position == static_cast<int64_t>(cut));
      CHECK(back.error->decompressed_position == static_cast<int64_t>(back.bytes.size()));
      CHECK(bytes.compare(0, back.bytes.size(), back.bytes) == 0);
      CHECK(back.bytes.size() >= longest);
      longest = back.bytes.size();
    }
    // All writes but the last, which each did show.
    CHECK(longest >= bytes.size() - 50'000);
  }
}

TEST_CASE("damaged anywhere, it ends by itself, and what was before the damage is right") {
  const TempDir dir;
  const Bytes bytes = sample(300'000);
  std::mt19937 random(3);
  for (const Compression compression : kWritten) {
    const Bytes made = packed(bytes, {.compression = compression}, 20'000, dir.file("a"));
    for (int round = 0; round < 60; round++) {
      Bytes hurt = made;
      const size_t at = 12 + random() % (made.size() - 12);
      hurt[at] = static_cast<char>(hurt[at] ^ (1 + random() % 255));
      const Unpacked back = unpacked(hurt);
      if (back.error)
        CHECK((back.error->code == Code::kFileCorrupt || back.error->code == Code::kFileTruncated ||
               back.error->code == Code::kUnsupported));
      // What lies in front of it by far was put out, and is right.
      const size_t sound = at > 30'000 ? at - 30'000 : 0;
      CHECK(back.bytes.substr(0, sound) == bytes.substr(0, sound));
    }
    const Unpacked trailing = unpacked(made + "garbage at the end of it");
    REQUIRE(trailing.error);
    CHECK(trailing.bytes == bytes);
  }
}

TEST_CASE("each section decompresses alone, as its index says") {
  const TempDir dir;
  const Bytes bytes = sample(14'000'000);
  for (const Compression compression : {Compression::kZstd, Compression::kLz4}) {
    const std::string path = dir.file("a");
    const Bytes made = packed(bytes, {.compression = compression, .sections = Sections::kInside}, 1'000'000, path);
    const auto index = read_index(path);
    REQUIRE(index);
    CHECK(index->sections.size() >= 4);
    for (size_t i = 0; i < index->sections.size(); i++) {
      const Section& section = index->sections[i];
      CHECK(section.decompressed % 1'000'000 == 0);  // as it was written
      const Bytes alone = made.substr(0, index->head_bytes) + made.substr(section.compressed);
      CHECK(unpacked(alone).bytes == bytes.substr(section.decompressed));
    }
    save(path, made + "x");
    CHECK(read_index(path).error().message.find("another trace") != Bytes::npos);
    save(path, made);
    CHECK(read_index(path).error().message.find("older") != Bytes::npos);
    std::filesystem::last_write_time(path, std::filesystem::last_write_time(index_path(path)));
    CHECK(read_index(path));
    const Bytes written = load_file(index_path(path));
    for (size_t cut = 0; cut < written.size(); cut += 7) {
      save(index_path(path), written.substr(0, cut));
      CHECK_FALSE(read_index(path));
    }
    forget_index(path);
  }
}

TEST_CASE("bzip2 whose head is damaged is called damaged, and not unknown") {
  const TempDir dir;
  save(dir.file("a"), sample(50'000));
  const Bytes sound = run("bzip2 -c " + dir.file("a"));
  for (const size_t at : {size_t{0}, size_t{1}, size_t{2}, size_t{3}}) {
    Bytes bytes = sound;
    bytes[at] = 'x';
    const Unpacked got = unpacked(bytes);
    REQUIRE(got.error);
    CHECK(got.error->code == Code::kFileCorrupt);
    CHECK(got.error->message.find("bzip2") != Bytes::npos);
    CHECK(got.bytes.empty());
  }
}

TEST_CASE("closing does not wait for an input that says nothing") {
  const TempDir dir;
  const Bytes made = packed(sample(100'000), {.compression = Compression::kZstd}, 10'000, dir.file("a"));
  const auto begun = std::chrono::steady_clock::now();
  {
    const auto input = decompressed(std::make_unique<Pieces>(made.substr(0, 30'000), 10'000));
    auto region = Region::allocate(1u << 20);
    REQUIRE(region);
    while (input->read((*region)->base(), 100, *region) == Input::kNothingYet) input->wait(10);
    input->close();
  }
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(5));
}
