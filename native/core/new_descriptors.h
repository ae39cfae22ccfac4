// Descriptors that a library opens without O_CLOEXEC, so that child processes would get them.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

namespace ringtap {

/// While it lives a library may open descriptors; then they are made close-on-exec, as ours and Node's are from the
/// start: that tells whose is whose, too.
class NewDescriptors {
 public:
  NewDescriptors();
  ~NewDescriptors() { keep(); }
  NewDescriptors(const NewDescriptors&) = delete;
  NewDescriptors& operator=(const NewDescriptors&) = delete;

  /// Makes what was opened since close-on-exec, now. Which these were.
  std::vector<int> keep() noexcept;

 private:
  std::map<int, uint64_t> before_;  // what children inherited already, by inode
};

}  // namespace ringtap
