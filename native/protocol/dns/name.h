// Names in a message, which point backwards at each other.
#pragma once

#include <string>

#include "protocol/reader.h"

namespace ringtap::protocol::dns {

/// A name as text, labels with dots between. The root is empty.
class Name {
 public:
  /// Reads the name at `at`, which then is behind it. False: it ends in the middle, or is longer than a name can be.
  /// WHY pointers go only backwards: so no loop is possible, and each name is read in 128 steps at most.
  bool read(Span message, size_t& at) {
    text_.clear();
    size_t from = at;
    size_t barrier = at;  // pointers go before it
    bool has_jumped = false;
    size_t length = 0;
    for (;;) {
      if (from >= message.size()) return false;
      const auto count = std::to_integer<size_t>(message[from]);
      if (count == 0) {
        if (!has_jumped) at = from + 1;
        return true;
      }
      if ((count & 0xc0) == 0xc0) {
        if (from + 1 >= message.size()) return false;
        const size_t target = (count & 0x3f) << 8 | std::to_integer<size_t>(message[from + 1]);
        if (!has_jumped) at = from + 2;
        has_jumped = true;
        if (target >= barrier) return false;
        barrier = from = target;
        continue;
      }
      if ((count & 0xc0) != 0 || from + 1 + count > message.size()) return false;
      length += count + 1;
      if (length > 254) return false;
      if (!text_.empty()) text_ += '.';
      text_ += text_of(message.subspan(from + 1, count));
      from += 1 + count;
    }
  }

  const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
};

}  // namespace ringtap::protocol::dns
