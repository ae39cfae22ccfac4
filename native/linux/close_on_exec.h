// Descriptors that a library opens, and lets every child process inherit.
#pragma once

#include <vector>

namespace ringtap {

/// While it lives a library may open descriptors; then they are made close-on-exec, as ours are from the start.
class CloseOnExec {
 public:
  CloseOnExec();
  ~CloseOnExec();
  CloseOnExec(const CloseOnExec&) = delete;
  CloseOnExec& operator=(const CloseOnExec&) = delete;

 private:
  const std::vector<int> before_;  // what children inherited already
};

}  // namespace ringtap
