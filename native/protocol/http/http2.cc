#include "protocol/http/http2.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>

#include "protocol/http/frame.h"
#include "protocol/http/hpack.h"

namespace ringtap::protocol::http {

namespace {

/// Of one with header fields; one with other things is passed over, however long it is.
constexpr uint32_t kLongestFrame = 128 << 10;
/// Header fields of one message, as they are sent.
constexpr size_t kLongestBlock = 256 << 10;
/// Requests that wait for the end of their responses; beyond, an exchange is counted as withheld.
constexpr size_t kMostStreams = 256;
constexpr size_t kMostSettings = 64;
constexpr std::string_view kName = "HTTP/2";

constexpr std::string_view kErrorNames[] = {"NO_ERROR",
                                            "PROTOCOL_ERROR",
                                            "INTERNAL_ERROR",
                                            "FLOW_CONTROL_ERROR",
                                            "SETTINGS_TIMEOUT",
                                            "STREAM_CLOSED",
                                            "FRAME_SIZE_ERROR",
                                            "REFUSED_STREAM",
                                            "CANCEL",
                                            "COMPRESSION_ERROR",
                                            "CONNECT_ERROR",
                                            "ENHANCE_YOUR_CALM",
                                            "INADEQUATE_SECURITY",
                                            "HTTP_1_1_REQUIRED"};

std::string_view error_name(uint32_t code) noexcept {
  return code < std::size(kErrorNames) ? kErrorNames[code] : "UNKNOWN";
}

/// Numbers that are in use, and those that are sent so that nobody relies on there being no others.
bool is_setting(uint16_t id) noexcept { return (id >= 1 && id <= 0x10) || (id & 0x0f0f) == 0x0a0a; }

/// The frame that a server begins with. Of one without anything in it the next one tells more.
Match match_settings(Span bytes) noexcept {
  // Its length is below 64 KiB, its type 4, it has no flags and no stream.
  constexpr std::array<int, kFrameHead> kHead = {0, -1, -1, kSettings, 0, 0, 0, 0, 0};
  for (size_t i = 0; i < std::min(bytes.size(), kFrameHead); i++) {
    if (kHead[i] >= 0 && static_cast<int>(bytes[i]) != kHead[i]) return Match::kNo;
  }
  if (bytes.size() < kFrameHead) return Match::kMore;
  const Frame frame = frame_of(bytes);
  if (frame.length % 6 != 0 || frame.length > kMostSettings * 6) return Match::kNo;
  Reader in(bytes.subspan(kFrameHead));
  if (frame.length > 0) {
    if (in.left() < 2) return Match::kMore;
    return is_setting(in.u16()) ? Match::kYes : Match::kNo;
  }
  if (in.left() < kFrameHead) return Match::kMore;
  const Frame next = frame_of(in.rest());
  return next.length <= kUsualFrame && next.type <= kContinuation ? Match::kYes : Match::kNo;
}

struct Stream {
  Exchange exchange;
  std::string_view request_error;
  std::string_view response_error;
  bool is_asked = false;     // the client is done
  bool is_answered = false;  // … and the server
};

/// A header block that is being read.
struct Block {
  Head head;
  uint32_t stream = 0;  // that its frames are of
  uint32_t about = 0;   // … and that it is about
  size_t bytes = 0;
  bool is_open = false;
  bool is_request = false;
  bool ends_stream = false;
};

class Conversing final : public Conversation {
 public:
  explicit Conversing(std::unique_ptr<Exchange> request) {
    if (request == nullptr) return;
    request->request.protocol = kName;
    Stream& first = streams_[1];
    first.exchange.has_request = true;
    first.exchange.request = std::move(request->request);
    first.exchange.request_length = request->request_length;
    first.exchange.asked_at = request->asked_at;
    first.is_asked = true;
    last_[1] = 1;
    memory_ += size_of(first);
  }

  Progress take(Side side, Span bytes, bool, Output& out) override {
    Progress progress;
    for (;;) {
      const Span left = bytes.subspan(progress.consumed);
      progress.need = 1;
      progress.skip = 0;
      if (left.empty()) return progress;
      const size_t before = progress.consumed;
      if (!step(side, left, progress, out)) {
        ended(out);
        return Progress::lost();
      }
      if (progress.skip > 0) {
        const auto there = static_cast<size_t>(std::min<uint64_t>(progress.skip, bytes.size() - progress.consumed));
        progress.consumed += there;
        progress.skip -= there;
        passed(side, there);
        if (progress.skip > 0) return progress;
      } else if (progress.consumed == before) {
        return progress;
      }
    }
  }

  void passed(Side side, uint64_t bytes) override {
    Way& way = ways_[index_of(side)];
    const uint64_t of_data = std::min(way.data_left, bytes);
    way.data_left -= of_data;
    count(way, of_data);
  }

  void ended(Output& out) override {
    while (!streams_.empty()) finish(streams_.begin(), out);
  }

  size_t memory() const noexcept override {
    return sizeof(Conversing) + memory_ + ways_[0].fields.memory() + ways_[1].fields.memory() +
           ways_[0].block.head.memory() + ways_[1].block.head.memory();
  }

 private:
  using Streams = std::map<uint32_t, Stream>;
  struct Way {
    Hpack fields;
    Block block;
    uint64_t data_left = 0;  // of what is skipped
    uint32_t data_stream = 0;
    bool has_begun = false;
    bool is_client = false;
    bool has_last_byte = false;  // of data that ends a stream
    uint8_t padding = 0;         // behind it
  };

  static size_t size_of(const Stream& stream) noexcept { return sizeof(Stream) + stream.exchange.memory(); }

  Streams::iterator add(uint32_t id) {
    const auto at = streams_.try_emplace(id).first;
    memory_ += size_of(at->second);
    return at;
  }

  /// One frame, or a part of it. False: it is none.
  bool step(Side side, Span left, Progress& progress, Output& out) {
    Way& way = ways_[index_of(side)];
    if (!way.has_begun) {
      if (!begin(side, left, progress)) return false;
      if (!way.has_begun || way.is_client) return true;
    }
    if (way.has_last_byte) {
      way.has_last_byte = false;
      progress.consumed++;
      progress.skip = way.padding;
      count(way, 1);
      end_stream(way, way.data_stream, out);
      return true;
    }
    if (left.size() < kFrameHead) {
      progress.need = kFrameHead;
      return true;
    }
    const Frame frame = frame_of(left);
    const bool goes_on = frame.type == kContinuation;
    if (way.block.is_open != goes_on || (goes_on && frame.stream != way.block.stream)) return false;
    switch (frame.type) {
      case kData:
        return data(way, frame, left, progress, out);
      case kHeaders:
      case kPushPromise:
      case kContinuation:
      case kResetStream:
        if (frame.length > kLongestFrame || frame.stream == 0) return false;
        progress.need = kFrameHead + frame.length;
        if (left.size() < progress.need) return true;
        progress.consumed += progress.need;
        progress.need = 1;
        return frame.type == kResetStream ? reset(way, frame, left.subspan(kFrameHead, frame.length), out)
                                          : fields(way, frame, left.subspan(kFrameHead, frame.length), out);
      default:
        progress.consumed += kFrameHead;
        progress.skip = frame.length;
        return true;
    }
  }

  /// Whoever began with the preface is the client, whatever the flow says.
  bool begin(Side side, Span left, Progress& progress) {
    Way& way = ways_[index_of(side)];
    const std::string_view text = text_of(left).substr(0, kPreface.size());
    if (text[0] == kPreface[0]) {
      if (kPreface.substr(0, text.size()) != text) return false;
      if (text.size() < kPreface.size()) {
        progress.need = kPreface.size();
        return true;
      }
      progress.consumed += kPreface.size();
      way.is_client = true;
    }
    way.has_begun = true;
    const Way& other = ways_[index_of(opposite(side))];
    return !other.has_begun || other.is_client != way.is_client;
  }

  /// WHY all but the last byte where the stream ends with it: when that comes the message is complete, and is told
  /// then.
  bool data(Way& way, const Frame& frame, Span left, Progress& progress, Output& out) {
    if (frame.stream == 0) return false;
    const bool is_padded = frame.has(kPadded);
    if (is_padded && frame.length == 0) return false;
    if (is_padded && left.size() <= kFrameHead) {
      progress.need = kFrameHead + 1;
      return true;
    }
    way.padding = is_padded ? static_cast<uint8_t>(left[kFrameHead]) : uint8_t{0};
    const uint32_t behind = frame.length - (is_padded ? 1 : 0);
    if (way.padding > behind) return false;
    progress.consumed += kFrameHead + (is_padded ? 1 : 0);
    way.data_stream = frame.stream;
    way.data_left = behind - way.padding;
    progress.skip = behind;
    if (!frame.has(kEndStream)) return true;
    if (way.data_left == 0) {
      end_stream(way, frame.stream, out);
      return true;
    }
    way.has_last_byte = true;
    progress.skip = --way.data_left;
    return true;
  }

  bool fields(Way& way, const Frame& frame, Span payload, Output& out) {
    const auto found = fragment_of(frame, payload);
    if (!found) return false;
    Block& block = way.block;
    if (frame.type != kContinuation) {
      block = {};
      block.is_open = true;
      block.stream = frame.stream;
      block.about = frame.type == kPushPromise ? found->promised : frame.stream;
      block.is_request = way.is_client != (frame.type == kPushPromise);
      block.ends_stream = frame.type == kHeaders && frame.has(kEndStream);
      block.head.protocol = kName;
      if (block.about == 0) return false;
    }
    block.bytes += found->bytes.size();
    if (block.bytes > kLongestBlock) return false;
    if (why_no_hpack().empty()) {
      const auto each = [&block](std::string_view name, std::string_view value) {
        block.head.read_field2(name, value);
      };
      if (!way.fields.read(found->bytes, frame.has(kEndHeaders), each)) return false;
    }
    if (!frame.has(kEndHeaders)) return true;
    block.is_open = false;
    message(way, block, out);
    block.head = {};
    return true;
  }

  /// A whole header block: of a request, of a response, or what comes behind their bodies.
  void message(Way& way, Block& block, Output& out) {
    const bool is_interim = !block.is_request && block.head.status >= 100 && block.head.status < 200;
    if (is_interim && !block.ends_stream) return;
    auto at = streams_.find(block.about);
    if (at == streams_.end()) {
      uint32_t& last = last_[block.about & 1];
      if (block.about <= last) return;  // it has been told
      last = block.about;
      if (streams_.size() >= kMostStreams) return out.withhold();
      at = add(block.about);
    }
    Stream& stream = at->second;
    Exchange& exchange = stream.exchange;
    memory_ -= size_of(stream);
    if (block.is_request && !exchange.has_request && !exchange.has_response) {
      exchange.has_request = true;
      exchange.request = std::move(block.head);
      exchange.asked_at = out.now();
      // Nothing follows a promise.
      if (!way.is_client) stream.is_asked = true;
    } else if (!block.is_request && !exchange.has_response) {
      exchange.has_response = true;
      exchange.response = std::move(block.head);
      exchange.answered_at = out.now();
    }
    memory_ += size_of(stream);
    if (block.ends_stream) end_stream(way, block.about, out);
  }

  void count(const Way& way, uint64_t bytes) {
    if (bytes == 0) return;
    const auto at = streams_.find(way.data_stream);
    if (at == streams_.end()) return;
    (way.is_client ? at->second.exchange.request_length : at->second.exchange.length) += bytes;
  }

  void end_stream(const Way& way, uint32_t id, Output& out) {
    const auto at = streams_.find(id);
    if (at == streams_.end()) return;
    Stream& stream = at->second;
    (way.is_client ? stream.is_asked : stream.is_answered) = true;
    if (stream.is_answered && (stream.is_asked || !stream.exchange.has_request)) finish(at, out);
  }

  bool reset(const Way& way, const Frame& frame, Span payload, Output& out) {
    Reader in(payload);
    const uint32_t code = in.u32();
    if (!in.ok()) return false;
    const auto at = streams_.find(frame.stream);
    if (at == streams_.end()) return true;
    // A server that needs no more of a request says so with this, behind a response that is whole.
    if (code != 0) (way.is_client ? at->second.request_error : at->second.response_error) = error_name(code);
    finish(at, out);
    return true;
  }

  void finish(Streams::iterator at, Output& out) {
    const Stream stream = std::move(at->second);
    const uint32_t id = at->first;
    memory_ -= size_of(stream);
    streams_.erase(at);
    if (!why_no_hpack().empty()) out.lack_fields();
    const StreamPlace place{id, stream.request_error, stream.response_error};
    tell(stream.exchange, stream.exchange.has_response && !stream.is_answered, &place, out);
  }

  std::array<Way, 2> ways_;
  Streams streams_;
  std::array<uint32_t, 2> last_{};  // that began, of servers and of clients
  size_t memory_ = 0;               // of streams
};

}  // namespace

Match match_http2(Span bytes) {
  const std::string_view text = text_of(bytes).substr(0, kPreface.size());
  if (kPreface.substr(0, text.size()) == text) return text.size() == kPreface.size() ? Match::kYes : Match::kMore;
  return match_settings(bytes);
}

std::unique_ptr<Conversation> open_http2(std::unique_ptr<Exchange> request) {
  return std::make_unique<Conversing>(std::move(request));
}

}  // namespace ringtap::protocol::http
