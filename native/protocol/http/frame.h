// A frame of HTTP 2: its head, and of those with header fields where these lie.
#pragma once

#include <optional>

#include "protocol/reader.h"

namespace ringtap::protocol::http {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t kFrameHead = 9;
/// RFC 9113 §4.2: what anybody may send without asking.
constexpr uint32_t kUsualFrame = 16 << 10;

enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kResetStream = 3,
  kSettings = 4,
  kPushPromise = 5,
  kContinuation = 9,
};

enum FrameFlag : uint8_t { kEndStream = 1, kEndHeaders = 4, kPadded = 8, kPriority = 0x20 };

struct Frame {
  uint32_t length = 0;
  uint8_t type = 0;
  uint8_t flags = 0;
  uint32_t stream = 0;

  bool has(FrameFlag flag) const noexcept { return (flags & flag) != 0; }
};

/// @param bytes at least kFrameHead
inline Frame frame_of(Span bytes) noexcept {
  Reader in(bytes);
  Frame frame;
  frame.length = in.u24();
  frame.type = in.u8();
  frame.flags = in.u8();
  frame.stream = in.u32() & 0x7fffffff;
  return frame;
}

/// The piece of a header block that a frame has.
struct Fragment {
  uint32_t promised = 0;  // the stream that it is about, of a promise
  Span bytes;
};

/// Nothing: lengths in it do not fit. @param payload of a frame of HEADERS, PUSH_PROMISE or CONTINUATION
inline std::optional<Fragment> fragment_of(const Frame& frame, Span payload) noexcept {
  Reader in(payload);
  Fragment found;
  const bool may_pad = frame.type != kContinuation;
  const size_t padding = may_pad && frame.has(kPadded) ? in.u8() : 0;
  if (frame.type == kPushPromise) found.promised = in.u32() & 0x7fffffff;
  if (frame.type == kHeaders && frame.has(kPriority)) in.skip(5);
  if (!in.ok() || padding > in.left()) return std::nullopt;
  found.bytes = in.take(in.left() - padding);
  return found;
}

}  // namespace ringtap::protocol::http
