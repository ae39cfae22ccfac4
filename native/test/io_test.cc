#include <doctest/doctest.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#endif

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "io/file_names.h"
#include "io/file_output.h"
#include "io/file_series.h"

using namespace ringtap;

namespace {

constexpr int64_t kWhen = 1'600'000'000;  // 2020-09-13 12:26:40 UTC

struct Utc {
  Utc() {
    setenv("TZ", "UTC", 1);
    tzset();
  }
};

std::string name(const std::string& pattern, bool many = true) {
  const Utc utc;
  return FileNames(pattern, many).name(kWhen, 7);
}

}  // namespace

TEST_CASE("number and time stand before the suffix of the last part of a path") {
  CHECK(name("a.pcap") == "a_00007_20200913122640.pcap");
  CHECK(name("/x.y/a") == "/x.y/a_00007_20200913122640");
  CHECK(name("/x.y/.hidden") == "/x.y/.hidden_00007_20200913122640");
  CHECK(name("a.b.pcapng.zst") == "a.b_00007_20200913122640.pcapng.zst");
  CHECK(name("a.gz") == "a_00007_20200913122640.gz");
  CHECK(name("100%%.pcap") == "100%_00007_20200913122640.pcap");
  CHECK(name("%H/a.pcap") == "12/a_00007.pcap");
  CHECK(name("%H%M.pcap", false) == "1226.pcap");
  CHECK(FileNames("a.pcap", true).name(kWhen, 123456) == "a_123456_20200913122640.pcap");
}

TEST_CASE("a pattern is refused when two files in a row, or one of another day, have its name") {
  const auto refused = [](const std::string& pattern, int64_t period_s, int64_t kept_s = 0, bool overwrite = false) {
    return FileNames(pattern, false).check(period_s, kept_s, overwrite).has_value();
  };
  CHECK_FALSE(refused("a.pcap", 1));
  CHECK_FALSE(refused("%s", 1));
  CHECK_FALSE(refused("%Y%m%d%H%M%S", 1));
  CHECK_FALSE(refused("%F-%T", 90));
  CHECK(refused("%F-%H", 3599));
  CHECK(refused("%F-%H", 3599, 0, true));
  CHECK_FALSE(refused("%F-%H", 3600));
  CHECK(refused("%F-%M", 60));
  CHECK(refused("%H%M%S", 60));
  CHECK_FALSE(refused("%H%M%S", 60, 0, true));
  CHECK(refused("%a-%H", 3600));
  CHECK(refused("%d-%H", 3600));
  CHECK(refused("%m%d-%H", 3600));
  CHECK_FALSE(refused("%H", 3600, 23 * 3600));
  CHECK(refused("%H", 3600, 24 * 3600));
  CHECK(refused("a%", 1));
  CHECK(refused("%Q", 1));
}

TEST_CASE("a file is begun beside its name, which it gets when it is complete, and takes nobody else's") {
  const Utc utc;
  char folder[] = "/tmp/ringtap-io-XXXXXX";
  REQUIRE(mkdtemp(folder) != nullptr);
  const std::string at = folder;
  const std::string pattern = at + "/%Y-%H.pcap";  // of this year, too, files are begun
  const std::atomic<bool> give_up{false};
  auto series = to_files({.pattern = pattern, .many = false, .period_s = 3600, .keep = 2, .sync = true});
  REQUIRE(series);
  const auto make = [&](int64_t hour) {
    auto output = series->open();
    REQUIRE(output);
    const std::byte content{'x'};
    CHECK((*output)->write({&content, 1}, give_up) == 1);
    CHECK((*output)->close() == 0);
    auto complete = series->complete(hour * 3'600'000'000'000);
    REQUIRE(complete);
    return *complete;
  };
  CHECK(make(1) == at + "/1970-01.pcap");
  CHECK(make(2) == at + "/1970-02.pcap");
  CHECK(make(26) == at + "/1970-02_00002.pcap");
  CHECK_FALSE(std::filesystem::exists(at + "/1970-01.pcap"));
  CHECK(std::filesystem::exists(at + "/1970-02.pcap"));
  SUBCASE("nor those of a writer that was killed") {
    auto first = series->open();
    REQUIRE(first);
    auto other = to_files({.pattern = pattern, .many = false, .period_s = 3600, .keep = 2});
    REQUIRE(other);
    REQUIRE(other->open());
    size_t parts = 0;
    for (const auto& entry : std::filesystem::directory_iterator(at)) parts += entry.path().extension() == ".part";
    CHECK(parts == 2);
  }
  SUBCASE("and says so when it cannot have its name") {
    REQUIRE(series->open());
    std::filesystem::remove_all(at);
    const auto complete = series->complete(0);
    REQUIRE_FALSE(complete);
    CHECK(complete.error().code == Code::kFileWrite);
    CHECK(complete.error().err == ENOENT);
  }
#ifndef _WIN32
  SUBCASE("and leaves alone what another put in its place") {
    REQUIRE(series->open());
    std::filesystem::path part;
    for (const auto& entry : std::filesystem::directory_iterator(at))
      if (entry.path().extension() == ".part") part = entry.path();
    // The old one stays under a name of its own: a file system gives the number of one that is gone to the next.
    std::filesystem::rename(part, at + "/kept");
    std::ofstream(part) << "theirs";
    const auto complete = series->complete(0);
    REQUIRE_FALSE(complete);
    CHECK(complete.error().err == ESTALE);
    series->discard();
    CHECK(std::filesystem::exists(part));
  }
#endif
  std::filesystem::remove_all(at);
}

#ifdef __linux__
TEST_CASE("of a large file more of the disk is claimed than it has, no more is seen, and the rest is given back") {
  constexpr size_t kPiece = 8u << 20;
  char folder[] = "/var/tmp/ringtap-io-XXXXXX";
  REQUIRE(mkdtemp(folder) != nullptr);
  const std::string path = std::string(folder) + "/a";
  struct statfs system {};
  REQUIRE(statfs(folder, &system) == 0);
  auto opened = to_file(path).open();
  REQUIRE(opened);
  Output& output = **opened;
  const std::atomic<bool> never{false};
  const std::vector<std::byte> piece(kPiece, std::byte{0x5a});
  struct stat status {};
  const auto on_disk = [&] {
    REQUIRE(stat(path.c_str(), &status) == 0);
    return uint64_t{512} * static_cast<uint64_t>(status.st_blocks);
  };
  for (uint64_t size = kPiece; size <= 10 * kPiece; size += kPiece) {
    REQUIRE(output.write(piece, never) == kPiece);
    if (size > (64u << 20) && system.f_type == EXT4_SUPER_MAGIC) CHECK(on_disk() >= (128u << 20));
    REQUIRE(stat(path.c_str(), &status) == 0);
    CHECK(static_cast<uint64_t>(status.st_size) == size);
  }
  CHECK(output.close() == 0);
  CHECK(on_disk() <= 10 * kPiece + (1u << 20));
  CHECK(status.st_size == 10 * kPiece);
  std::filesystem::remove_all(folder);
}
#endif

TEST_CASE("what is written past the page cache, in pieces of any length, is the file at any moment") {
  char folder[] = "/tmp/ringtap-io-XXXXXX";
  REQUIRE(mkdtemp(folder) != nullptr);
  const std::string path = std::string(folder) + "/a";
  auto opened = to_file(path, Existing::kEmptied, {.direct = true, .preallocate = 1 << 20}).open();
  REQUIRE(opened);
  Output& output = **opened;
  const std::atomic<bool> never{false};
  std::string expected;
  const auto read_back = [&] {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  uint32_t random = 1;
  for (const size_t fixed : {size_t{1}, size_t{4095}, size_t{4096}, size_t{4097}, size_t{1} << 20, size_t{3} << 20,
                             size_t{0}, size_t{0}, size_t{0}, size_t{0}, size_t{0}, size_t{0}}) {
    random = random * 1664525 + 1013904223;
    const size_t length = fixed > 0 ? fixed : random % 300'000;
    std::string piece(length, '\0');
    for (char& c : piece) c = static_cast<char>((random = random * 1664525 + 1013904223) >> 24);
    expected += piece;
    CHECK(output.write(std::as_bytes(std::span(piece)), never) == length);
    CHECK(read_back() == expected);
  }
  CHECK(output.take_back(1000));
  expected.resize(expected.size() - 1000);
  CHECK(output.write(std::as_bytes(std::span("end", 3)), never) == 3);
  expected += "end";
  CHECK(output.close() == 0);
  CHECK(read_back() == expected);
  std::filesystem::remove_all(folder);
}
