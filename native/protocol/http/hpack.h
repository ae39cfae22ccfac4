// Header fields of HTTP 2, by libnghttp2: that which Node brings, or the system's. It is opened at run time.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "protocol/reader.h"

namespace ringtap::protocol::http {

/// Why header fields of HTTP 2 cannot be read here; empty: they can.
const std::string& why_no_hpack();

/// What one end has said of its fields so far: what it says next builds upon it.
class Hpack {
 public:
  /// Of a table beyond, the connection is given up. Browsers take as much.
  static constexpr size_t kLargestTable = 64 << 10;
  using Field = std::function<void(std::string_view name, std::string_view value)>;

  Hpack();
  ~Hpack();
  Hpack(Hpack&&) noexcept;
  Hpack& operator=(Hpack&&) noexcept;

  /// A piece of a block; each field that it completes is told. False: it is none, or there is no library.
  bool read(Span bytes, bool is_last, const Field& field);
  /// Bytes that it keeps.
  size_t memory() const noexcept;

 private:
  struct Close {
    void operator()(void* inflater) const noexcept;
  };
  std::unique_ptr<void, Close> inflater_;
};

}  // namespace ringtap::protocol::http
