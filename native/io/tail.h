// What becomes of a file that was read to its end, and may go on.
#pragma once

#include <cstdint>

namespace ringtap {

/// Decides at the end of one file; asked by the thread that reads it, which waits in between.
class Tail {
 public:
  enum class Next : uint8_t {
    kMore,  // read again
    kEnd,   // nothing will come any more
    kWait,  // ask again when changes() is readable, and after patience_ms() at the latest
  };

  virtual ~Tail() = default;

  /// `fd`: the file, read up to its position. May wait for the file system, and for nothing else.
  virtual Next at_end(int fd) noexcept = 0;
  /// Readable when something may have changed; -1: there is no such thing.
  virtual int changes() const noexcept = 0;
  virtual int patience_ms() const noexcept = 0;
};

}  // namespace ringtap
