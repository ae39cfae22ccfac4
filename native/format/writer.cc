#include "format/writer.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace ringtap {
namespace {

constexpr uint32_t kMostSnaplen = 262144;  // libpcap reads no longer packets

std::string shown(const std::string& path) { return path == "-" ? "standard output" : path; }

}  // namespace

Result<std::unique_ptr<TraceWriter>> TraceWriter::create(const WriterRequest& request) {
  const EncoderOptions options{.link_type = request.link_type,
                               .snaplen = std::clamp(request.snaplen, uint32_t{1}, kMostSnaplen),
                               .nanosecond = request.nanosecond,
                               .application = request.application,
                               .comment = request.comment};
  if (request.link_type > UINT16_MAX) {
    return Error{
        .code = Code::kBadOption,
        .message = shown(request.path) + ": link type " + std::to_string(request.link_type) + " is above 65535"};
  }
  auto encoder = request.format == TraceFormat::kPcap ? make_pcap_encoder(options) : make_pcapng_encoder(options);
  auto region = Region::allocate(size_t{kBuffers} * kBufferBytes);
  if (!region) return std::move(region).error();
  auto file = OutputFile::open(request.path, request.append);
  if (!file) return std::move(file).error();
  const bool fresh = file->existing().empty();
  if (!fresh) {
    if (auto error = encoder->continues(file->existing())) {
      error->message = shown(request.path) + ": " + error->message;
      return *std::move(error);
    }
  }
  std::unique_ptr<TraceWriter> writer(
      new TraceWriter(shown(request.path), *std::move(file), std::move(encoder), *std::move(region)));
  // A pcapng file goes on with a section of its own.
  if (fresh || request.format == TraceFormat::kPcapng) {
    writer->encoder_->header(*writer->filling_);
    writer->filling_->begins_file = true;
  }
  return writer;
}

TraceWriter::TraceWriter(std::string name, OutputFile file, std::unique_ptr<Encoder> encoder,
                         std::shared_ptr<Region> region)
    : name_(std::move(name)), file_(std::move(file)), encoder_(std::move(encoder)), region_(std::move(region)) {
  for (uint32_t i = 0; i < kBuffers; i++) {
    buffers_[i] = {.data = region_->base() + size_t{i} * kBufferBytes, .capacity = kBufferBytes};
    free_.push_back(&buffers_[i]);
  }
  take_free();
}

Result<uint32_t> TraceWriter::append(const BatchView& batch, uint32_t first) {
  constexpr int64_t kFar = int64_t{1} << 62;
  if (batch.epoch_ns > kFar || batch.epoch_ns < -kFar) {
    return Error{.code = Code::kBadOption, .message = name_ + ": the batch has an epoch that no format can hold"};
  }
  uint32_t next = first;
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (error_) return *error_;
      if (closed_) return Error{.code = Code::kClosed, .message = name_ + ": the writer is closed"};
      if (filling_ == nullptr && !take_free()) return next;
    }
    if (auto error = encoder_->encode(batch, next, *filling_)) {
      error->message = name_ + ": " + error->message;
      return *std::move(error);
    }
    if (next >= batch.count) return next;
    const std::lock_guard lock(mutex_);
    hand_over();
  }
}

/// Begins another buffer. False when none is free. With mutex_ held.
bool TraceWriter::take_free() {
  if (free_.empty()) return false;
  filling_ = free_.back();
  free_.pop_back();
  return true;
}

bool TraceWriter::must_wait() const {
  const std::lock_guard lock(mutex_);
  return full_.size() == kBuffers;
}

bool TraceWriter::ready() const {
  const std::lock_guard lock(mutex_);
  return !full_.empty();
}

/// Queues the buffer that is being filled. With mutex_ held.
void TraceWriter::hand_over() {
  if (filling_ != nullptr && filling_->used > 0) full_.push_back(std::exchange(filling_, nullptr));
}

void TraceWriter::flush() {
  const std::lock_guard lock(mutex_);
  if (!closed_) hand_over();
}

Result<Ok> TraceWriter::drain() {
  const std::lock_guard one_at_a_time(drain_mutex_);
  for (;;) {
    EncodeBuffer* buffer = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (error_) return *error_;
      if (full_.empty()) return Ok{};
      buffer = full_.front();
    }
    auto error = write_out(*buffer);
    const std::lock_guard lock(mutex_);
    if (error) {
      error_ = std::move(error);
      return *error_;
    }
    packets_ += buffer->packets;
    bytes_ += buffer->used;
    buffer->used = 0;
    buffer->packets = 0;
    buffer->begins_file = false;
    full_.pop_front();
    free_.push_back(buffer);
  }
}

std::optional<Error> TraceWriter::write_out(EncodeBuffer& buffer) {
  const size_t written = file_.write({buffer.data, buffer.used});
  if (written == buffer.used) return std::nullopt;
  const int err = errno;
  const Encoder::Whole whole = encoder_->whole_records(buffer, static_cast<uint32_t>(written));
  const bool clean = written == whole.bytes || file_.take_back(written - whole.bytes);
  const std::lock_guard lock(mutex_);
  packets_ += whole.packets;
  bytes_ += whole.bytes;
  Error error =
      system_error(Code::kFileWrite,
                   name_ + ": cannot write beyond " + std::to_string(packets_) + " packets, " + std::to_string(bytes_) +
                       " bytes, which are " + (clean ? "kept" : "followed by part of a record"),
                   "write", err);
  error.position = static_cast<int64_t>(bytes_);
  return error;
}

void TraceWriter::set_drop_counts(uint64_t received, uint64_t dropped) {
  const std::lock_guard lock(mutex_);
  drop_counts_ = DropCounts{.received = received, .dropped = dropped};
}

Result<Ok> TraceWriter::close() {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) {
      if (error_) return *error_;
      return Ok{};
    }
    closed_ = true;
    hand_over();
  }
  auto drained = drain();
  if (drained && drop_counts_) {
    const std::lock_guard lock(mutex_);
    take_free();
    encoder_->trailer(*drop_counts_, *filling_);
    hand_over();
  }
  if (drained) drained = drain();
  const int err = file_.close();
  if (drained && err != 0) {
    const std::lock_guard lock(mutex_);
    error_ = system_error(Code::kFileWrite, name_ + ": cannot close", "close", err);
    return *error_;
  }
  return drained;
}

uint64_t TraceWriter::packets_written() const {
  const std::lock_guard lock(mutex_);
  return packets_;
}

uint64_t TraceWriter::bytes_written() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace ringtap
