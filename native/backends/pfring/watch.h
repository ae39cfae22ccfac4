// Waiting for a ring, and noticing that its interface is gone: the module is silent about that.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/unique_fd.h"
#include "linux/wait_set.h"

namespace ringtap::pfring {

class Watch {
 public:
  /// Readable when `fd` is, and now and then. Borrows `fd`.
  static Result<Watch> start(int fd, std::vector<std::string> interfaces, const std::string& uri);

  int fd() const noexcept { return waiting_.fd(); }
  /// Why no packet can come any more, if that is so. Looks only now and then, so it may be called at each empty read.
  std::optional<Error> check();

 private:
  struct Named {
    std::string name;
    int index;
  };

  explicit Watch(WaitSet waiting) : waiting_(std::move(waiting)) {}

  WaitSet waiting_;
  UniqueFd query_;
  std::vector<Named> interfaces_;
  std::string uri_;
};

}  // namespace ringtap::pfring
