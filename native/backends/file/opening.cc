// What FileSource does before its first packet, which on a pipe takes as long as its writer does.
#include <algorithm>
#include <chrono>
#include <span>
#include <utility>

#include "backends/file/file_source.h"
#include "core/clock.h"

namespace ringtap::file {
namespace {

using Clock = std::chrono::steady_clock;

// How long to wait for the first packet of a pipe, once there is a header.
constexpr auto kPacketPatience = std::chrono::milliseconds(250);
// How often to look whether anybody still waits for the header.
constexpr int kSliceMs = 50;

Told told_format(const std::string& name) {
  if (name == "pcap") return Told::kPcap;
  if (name == "pcapng") return Told::kPcapng;
  return name == "erf" ? Told::kErf : Told::kNothing;
}

int milliseconds_until(Clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::max<int64_t>(left, 0));
}

}  // namespace

Result<Ok> FileSource::prepare(const OpenRequest& request) {
  if (auto detected = detect(request); !detected) {
    Error error = std::move(detected).error();
    error.message = name() + ": " + error.message;
    return error;
  }
  // The first packet decides the epoch. On a quiet pipe it may be long in coming: then it is now.
  DescBlock none(1);
  const auto deadline = Clock::now() + kPacketPatience;
  for (;;) {
    if (skip_ == 0 && !is_between_) {
      reader_->walk(walk_, none, 0);
      if (walk_.stop == Stop::kFull) break;
      if (walk_.stop == Stop::kSkip) begin_skip();
    }
    const Fill filled = advance();
    if (filled == Fill::kEnd || filled == Fill::kFailed) break;
    if (filled != Fill::kNothingYet) continue;
    if (auto error = given_up(request)) return *std::move(error);
    // Without a link type there is nothing that a filter could be made for.
    const int left_ms = milliseconds_until(deadline);
    if (left_ms == 0 && input_->stream() && reader_->link_type()) break;
    input_->wait(left_ms == 0 ? kSliceMs : std::min(kSliceMs, left_ms));
  }
  first_second_ = reader_->epoch();
  if (!first_second_) reader_->set_epoch(error_ || ended_ ? 0 : unix_now_s());
  describe();
  return Ok{};
}

/// Nobody waits for it any more, or the other end of a connection has kept silent for too long.
std::optional<Error> FileSource::given_up(const OpenRequest& request) const {
  if (request.is_cancelled()) return Error{.code = Code::kClosed, .message = "opening was given up"};
  const int64_t most_ms = request.options.integer("replyMs", 0);
  // A header that is there, and a link type: then it may take its time with packets.
  if (most_ms <= 0 || (reader_ != nullptr && reader_->link_type())) return std::nullopt;
  if (Clock::now() - begun_ < std::chrono::milliseconds(most_ms)) return std::nullopt;
  return Error{
      .code = Code::kRemoteLost,
      .message = "no header of a trace for " + std::to_string(most_ms) + " ms",
      .hint = "Check that it sends pcap or pcapng, and whether with TLS (tls); replyMs says how long to wait."};
}

std::optional<int64_t> FileSource::first_time() {
  if (!first_second_ || walk_.stop != Stop::kFull) return std::nullopt;
  DescBlock block(1);
  Walk ahead = walk_;
  ahead.filter = nullptr;
  reader_->walk(ahead, block, 1);
  if (ahead.count == 0) return std::nullopt;
  return info_.epoch_ns + key_of(block.time[0], block.rest[0], block.flags[0]);
}

Result<Ok> FileSource::detect(const OpenRequest& request) {
  bool whole = false;
  told_ = told_format(request.options.text("format", "auto"));
  erf_records_ = request.options.text("erf", "packets") == "records";
  for (;;) {
    // SAFETY: [pos, end) was read, and is in one chunk.
    const std::span<const std::byte> head(walk_.base + walk_.pos, walk_.end - walk_.pos);
    auto reader = detect_format(head, whole || head.size() == chunks_.chunk_bytes(), told_, erf_records_);
    if (!reader) return std::move(reader).error();
    if (*reader != nullptr) {
      if (request.options.flag("reconnect") && is_compressed()) {
        return Error{.code = Code::kUnsupported,
                     .message = "a compressed trace cannot go on in another connection",
                     .hint = "Leave reconnect out, or have it sent as it is: over TLS or a compressed tunnel."};
      }
      reader_ = *std::move(reader);
      walk_.pos += reader_->header_bytes();
      return Ok{};
    }
    switch (fill(static_cast<uint32_t>(head.size()) + 1)) {
      case Fill::kMore:
        break;
      case Fill::kEnd:
        whole = true;
        break;
      case Fill::kNothingYet:
        if (auto error = given_up(request)) return *std::move(error);
        input_->wait(kSliceMs);
        break;
      case Fill::kFailed:
        return *std::exchange(error_, std::nullopt);
    }
  }
}

void FileSource::describe() {
  walk_.link_type = reader_->link_type().value_or(info_.link_type);
  info_.link_type = walk_.link_type;
  info_.epoch_ns = *reader_->epoch() * 1'000'000'000;
  info_.snaplen = std::min(reader_->snaplen(), walk_.snaplen);
  info_.max_leases = chunks_.max_leases();
  info_.mode = input_->stream() ? "stream" : "read";
  info_.timestamp_source = "file";
  info_.origins = reader_->tells_origins();
  info_.notes = {reader_->description()};
  if (const auto compression = input_->compression(); !compression.empty())
    info_.notes.push_back("compressed with " + std::string(compression));
}

}  // namespace ringtap::file
