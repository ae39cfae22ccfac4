// What becomes of an interface's link while it is captured.
#pragma once

#include <cstdint>
#include <string>

#include "core/error.h"
#include "core/unique_fd.h"
#include "linux/interface.h"

namespace ringtap {

/// What became of an interface since it was last asked.
struct LinkNews {
  uint32_t downs = 0;  // how often it went down
  bool up = false;     // it came up, and is up
  bool gone = false;
};

/// Hears of every change of an interface, however short, as the kernel tells it.
class LinkEvents {
 public:
  /// Of an interface that was up a moment ago.
  static Result<LinkEvents> open(int index, const std::string& uri);
  /// Readable when there may be news.
  int fd() const noexcept { return fd_.get(); }
  LinkNews read() noexcept;

 private:
  void see(LinkState state, LinkNews& news) noexcept;

  UniqueFd fd_;
  int index_ = 0;
  bool up_ = true;
  bool missed_ = true;  // something was not heard: look
};

}  // namespace ringtap
