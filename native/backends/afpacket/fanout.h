// A fanout group: sockets that share an interface's packets among them.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/program.h"
#include "core/sharing.h"
#include "core/unique_fd.h"

namespace ringtap::afpacket {

/// Of sockets of this process. Until all have joined, and the program that chooses among them is set, none receives:
/// the kernel would give them packets that are another one's later on.
class FanoutGroup {
 public:
  /// Loads the program. Where this process may load no eBPF, it is a classic one that hashes addresses.
  static Result<std::shared_ptr<FanoutGroup>> create(const Sharing& sharing, const std::string& uri);

  /// "fanout-ebpf", "fanout-cbpf" or "fanout-lb".
  const char* method() const noexcept;
  /// What is hashed.
  ShareHash hash() const noexcept { return hash_; }
  uint32_t members() const noexcept { return count_; }
  /// Later fragments so far whose first one was not seen.
  uint64_t orphans() const noexcept;
  bool looks_for_orphans() const noexcept { return bool(orphans_); }

  /// A socket that is bound, and whose filter rejects all. With the last one `program` and those of the others come
  /// into force. Any thread.
  Result<Ok> join(int fd, const Program& program);

 private:
  FanoutGroup(const Sharing& sharing, std::string uri)
      : hash_(sharing.hash), count_(sharing.shares), uri_(std::move(uri)) {}

  Result<Ok> load();
  void load_maps();
  int set_program(int fd) const noexcept;
  uint32_t mode() const noexcept;

  struct Member {
    int fd;
    Program program;
  };

  ShareHash hash_;
  const uint32_t count_;
  const std::string uri_;
  UniqueFd fragments_;
  UniqueFd orphans_;
  UniqueFd ebpf_;
  Program classic_;
  std::mutex mutex_;  // guards what follows
  std::vector<Member> members_;
  uint32_t id_ = 0;
};

}  // namespace ringtap::afpacket
