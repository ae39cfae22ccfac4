#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "backends/rpcap/data.h"

namespace ringtap::rpcap {
namespace {

// Holds the longest message, and then as much as the kernel may have.
constexpr size_t kBufferBytes = 512u << 10;

class StreamData final : public Data {
 public:
  StreamData(UniqueFd connection, uint32_t most, uint32_t asked)
      : connection_(std::move(connection)), most_(most), asked_(asked) {}

  Got next(Packet& packet) noexcept override;
  int fd() const noexcept override { return connection_.get(); }
  uint64_t bytes() const noexcept override { return received_; }
  const Error& error() const noexcept override { return error_; }

 private:
  Got fill() noexcept;
  Got fail(Error error) noexcept {
    error_ = std::move(error);
    return Got::kFailed;
  }

  UniqueFd connection_;
  const uint32_t most_;
  const uint32_t asked_;
  // WHY not zeroed: of a thousand captures those that are idle take no memory.
  const std::unique_ptr<std::byte[]> buffer_ = std::make_unique_for_overwrite<std::byte[]>(kBufferBytes);
  size_t pos_ = 0;  // what was not read yet is [pos_, end_)
  size_t end_ = 0;
  uint64_t received_ = 0;
  Error error_;
};

Data::Got StreamData::next(Packet& packet) noexcept {
  for (;;) {
    const Message message = read_message({buffer_.get() + pos_, end_ - pos_}, most_, asked_);
    switch (message.kind) {
      case Message::Kind::kPacket:
        pos_ += message.bytes;
        packet = message.packet;
        return Got::kPacket;
      case Message::Kind::kDamaged:
        return fail({.code = Code::kRemoteProtocol,
                     .message = "byte " + std::to_string(received_ - (end_ - pos_)) +
                                " of the data connection: " + message.damage,
                     .hint = message.hint});
      case Message::Kind::kCut:
        break;
    }
    if (const Got got = fill(); got != Got::kPacket) return got;
  }
}

/// kPacket: there are more bytes now.
Data::Got StreamData::fill() noexcept {
  if (pos_ > 0) std::memmove(buffer_.get(), buffer_.get() + pos_, end_ - pos_);
  end_ -= pos_;
  pos_ = 0;
  const ssize_t n = recv(connection_.get(), buffer_.get() + end_, kBufferBytes - end_, MSG_DONTWAIT);
  if (n > 0) {
    end_ += static_cast<size_t>(n);
    received_ += static_cast<uint64_t>(n);
    return Got::kPacket;
  }
  if (n == 0) return Got::kEnd;
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return Got::kNothing;
  return fail(system_error(Code::kRemoteLost, "the data connection broke", "recv", errno));
}

}  // namespace

std::unique_ptr<Data> stream_data(UniqueFd connection, uint32_t most, uint32_t asked) {
  return std::make_unique<StreamData>(std::move(connection), most, asked);
}

}  // namespace ringtap::rpcap
