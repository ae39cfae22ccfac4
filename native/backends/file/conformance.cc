#include "test/conformance.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "backends/file/file.h"
#include "core/unique_fd.h"

namespace ringtap::test {
namespace {

constexpr uint32_t kPackets = 20'000;

class TemporaryFolder {
 public:
  TemporaryFolder() { REQUIRE(mkdtemp(path_.data()) != nullptr); }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::string file(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_ = std::filesystem::temp_directory_path().string() + "/ringtap-XXXXXX";
};

void append(Bytes& out, std::initializer_list<uint32_t> words) {
  for (const uint32_t word : words) {
    std::byte bytes[4];
    std::memcpy(bytes, &word, 4);
    out.insert(out.end(), bytes, bytes + 4);
  }
}

/// The header of a pcap file with nanoseconds, in this machine's byte order.
Bytes pcap_header() {
  Bytes out;
  append(out, {0xa1b23c4d, 4u << 16 | 2, 0, 0, 262144, 1});
  return out;
}

Bytes pcap_records(uint64_t first, uint32_t count) {
  Bytes out;
  for (uint64_t number = first; number < first + count; number++) {
    const Bytes frame = numbered_frame(number);
    const auto size = static_cast<uint32_t>(frame.size());
    append(out, {1'600'000'000, static_cast<uint32_t>(number), size, size});
    out.insert(out.end(), frame.begin(), frame.end());
  }
  return out;
}

void write_all(int fd, const Bytes& bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::write(fd, bytes.data() + done, bytes.size() - done);
    REQUIRE(n > 0);
    done += static_cast<size_t>(n);
  }
}

Result<std::unique_ptr<Source>> open_path(const std::string& path, Options options) {
  return open_file({.uri = "file:" + path, .target = path, .options = std::move(options)});
}

Fixture regular_file(const std::string& path) {
  const UniqueFd out(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  write_all(out.get(), pcap_header());
  write_all(out.get(), pcap_records(0, kPackets));
  Fixture fixture;
  fixture.name = "file";
  fixture.open = [path](Options options) { return open_path(path, std::move(options)); };
  fixture.endless = true;
  fixture.ends_after = kPackets;
  return fixture;
}

/// A pipe that somebody writes to while it is read. Its first packet is there at open(), which would wait for it.
Fixture named_pipe(const std::string& path) {
  struct State {
    UniqueFd in;
    uint64_t written = 0;
    uint64_t fed = 0;
  };
  auto state = std::make_shared<State>();
  const auto write = [state](uint32_t count) {
    write_all(state->in.get(), pcap_records(state->written, count));
    state->written += count;
  };
  Fixture fixture;
  fixture.name = "file (pipe)";
  fixture.open = [=](Options options) {
    std::filesystem::remove(path);
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
    *state = {.in = UniqueFd(::open(path.c_str(), O_RDWR | O_CLOEXEC))};
    fcntl(state->in.get(), F_SETPIPE_SZ, 1 << 20);
    write_all(state->in.get(), pcap_header());
    write(1);
    return open_path(path, std::move(options));
  };
  fixture.feed = [=](uint32_t n) {
    state->fed += n;
    write(static_cast<uint32_t>(state->fed - state->written));
    return n;
  };
  return fixture;
}

}  // namespace

std::vector<Fixture> fixtures() {
  static const TemporaryFolder folder;
  return {regular_file(folder.file("trace.pcap")), named_pipe(folder.file("pipe"))};
}

}  // namespace ringtap::test
