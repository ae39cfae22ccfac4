// Descriptors that a library opens without O_CLOEXEC, so that child processes would get them.
#pragma once

#include <vector>

namespace ringtap {

/// Remembers which descriptors there are, so that those that a library opens meanwhile can be told. What other threads
/// open at the same time is taken for the library's: whoever wants a descriptor inherited says so behind fork().
class NewDescriptors {
 public:
  NewDescriptors();
  /// No process that is started from now on gets those that were opened since.
  void close_on_exec() const noexcept;

 private:
  std::vector<int> before_;
};

}  // namespace ringtap
