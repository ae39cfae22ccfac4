#include <sys/socket.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "backends/rpcap/data.h"
#include "backends/rpcap/recovery.h"
#include "core/byte_order.h"
#include "format/rpcap_wire.h"
#include "io/address.h"
#include "io/compression/train.h"

namespace ringtap::rpcap {
namespace {

constexpr uint32_t kBurst = 32;
constexpr size_t kDatagramBytes = 65536;
// WHY more: starts that are a power of two apart would share the lines of a cache.
constexpr size_t kStride = kDatagramBytes + 4096 + 64;

class DatagramData final : public Data {
 public:
  DatagramData(UniqueFd socket, const Address& peer, uint32_t most, std::unique_ptr<TrainReader> trains)
      : socket_(std::move(socket)), peer_(peer), reader_(most), trains_(std::move(trains)) {
    for (uint32_t i = 0; i < kBurst; i++) {
      parts_[i] = {buffer_.get() + i * kStride, kDatagramBytes};
      messages_[i].msg_hdr.msg_iov = &parts_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
      messages_[i].msg_hdr.msg_name = &senders_[i].storage;
      messages_[i].msg_hdr.msg_control = controls_[i].data();
    }
  }

  Got next(Packet& packet) noexcept override;
  int fd() const noexcept override { return socket_.get(); }
  uint64_t bytes() const noexcept override { return received_; }
  const Error& error() const noexcept override { return error_; }
  std::vector<DropCause> details() const override;
  Result<Ok> recover(const RemoteAgreement& agreed, uint64_t bytes, std::chrono::milliseconds patience) override;
  int timer() const noexcept override { return recovery_ ? recovery_->timer() : -1; }
  bool is_waiting() const noexcept override { return begun_ < count_ || (recovery_ && recovery_->is_waiting()); }
  bool give_up() noexcept override { return recovery_ && recovery_->give_up(); }

 private:
  Got fill() noexcept;
  void begin(uint32_t i) noexcept;
  void take(std::span<const std::byte> datagram) noexcept;

  UniqueFd socket_;
  const Address peer_;
  DatagramReader reader_;
  const std::unique_ptr<TrainReader> trains_;  // null: none are expected
  std::optional<Recovery> recovery_;
  Address from_;  // who has sent what is read now
  uint64_t compressed_ = 0;
  uint64_t damaged_ = 0;  // of those
  // WHY not zeroed: of a thousand captures those that are idle take no memory.
  const std::unique_ptr<std::byte[]> buffer_ = std::make_unique_for_overwrite<std::byte[]>(kBurst * kStride);
  mmsghdr messages_[kBurst] = {};
  iovec parts_[kBurst] = {};
  Address senders_[kBurst];
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(uint32_t))> controls_[kBurst] = {};
  uint32_t begun_ = 0;  // of the datagrams that were received together
  uint32_t count_ = 0;
  uint64_t received_ = 0;
  uint64_t strangers_ = 0;
  uint32_t overflowed_ = 0;
  Error error_;
};

Data::Got DatagramData::next(Packet& packet) noexcept {
  for (;;) {
    if (reader_.next(packet)) return Got::kPacket;
    if (recovery_) {
      if (const auto waited = recovery_->next()) {
        reader_.begin(*waited);
        continue;
      }
    }
    if (trains_ != nullptr) {
      if (const auto datagram = trains_->next()) {
        take(*datagram);
        continue;
      }
    }
    if (begun_ == count_) {
      if (recovery_) recovery_->attend(socket_.get());
      if (const Got got = fill(); got != Got::kPacket) return got;
    }
    begin(begun_++);
  }
}

void DatagramData::begin(uint32_t i) noexcept {
  const msghdr& header = messages_[i].msg_hdr;
  if (const cmsghdr* control = CMSG_FIRSTHDR(&header);
      control != nullptr && control->cmsg_level == SOL_SOCKET && control->cmsg_type == SO_RXQ_OVFL) {
    std::memcpy(&overflowed_, CMSG_DATA(control), sizeof overflowed_);
  }
  senders_[i].bytes = header.msg_namelen;
  if (!senders_[i].same_host(peer_)) {
    strangers_++;
    return;
  }
  from_ = senders_[i];
  const std::span<const std::byte> datagram{buffer_.get() + i * kStride, messages_[i].msg_len};
  if (trains_ == nullptr || datagram.size() <= kStretchBytes || load_big<uint16_t>(datagram.data()) != kTrainType) {
    take(datagram);
    return;
  }
  compressed_++;
  if (!trains_->begin(datagram.subspan(kStretchBytes))) damaged_++;
}

void DatagramData::take(std::span<const std::byte> datagram) noexcept {
  if (!recovery_ || recovery_->take(datagram, from_)) reader_.begin(datagram);
}

Result<Ok> DatagramData::recover(const RemoteAgreement& agreed, uint64_t bytes, std::chrono::milliseconds patience) {
  UniqueFd timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) return system_error(Code::kSystem, "no timer to ask for lost packets by", "timerfd_create", errno);
  recovery_.emplace(bytes, patience, agreed, std::move(timer));
  return Ok{};
}

/// kPacket: there are more datagrams now.
Data::Got DatagramData::fill() noexcept {
  for (mmsghdr& message : messages_) {
    message.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    message.msg_hdr.msg_controllen = sizeof controls_[0];
  }
  begun_ = count_ = 0;
  const int n = recvmmsg(socket_.get(), messages_, kBurst, MSG_DONTWAIT, nullptr);
  if (n > 0) {
    count_ = static_cast<uint32_t>(n);
    for (uint32_t i = 0; i < count_; i++) received_ += messages_[i].msg_len;
    return Got::kPacket;
  }
  if (n == 0 || errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return Got::kNothing;
  error_ = system_error(Code::kRemoteLost, "datagrams cannot be received", "recvmmsg", errno);
  return Got::kFailed;
}

std::vector<DropCause> DatagramData::details() const {
  const DatagramReader::Counters& counters = reader_.counters();
  const ArrivedWindow::Counters asked = recovery_ ? recovery_->counters() : ArrivedWindow::Counters{};
  std::vector<DropCause> all{{"datagrams", counters.datagrams},
                             {"datagramsLost", counters.lost},
                             {"datagramsLate", counters.late + asked.late},
                             {"datagramsDamaged", counters.damaged + damaged_},
                             {"datagramsOfStrangers", strangers_},
                             {"datagramsOverflowed", overflowed_}};
  if (recovery_) {
    all.push_back({"datagramsRecovered", asked.recovered});
    all.push_back({"datagramsGivenUp", asked.given_up});
    all.push_back({"datagramsAskedFor", asked.asked});
  }
  if (trains_ != nullptr) all.push_back({"datagramsCompressed", compressed_});
  return all;
}

/// As large as it is allowed to be; what it got.
int64_t enlarge(int fd, int64_t bytes) noexcept {
  const int wanted = static_cast<int>(std::min<int64_t>(bytes, INT32_MAX / 2));
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &wanted, sizeof wanted) != 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &wanted, sizeof wanted);
  int got = 0;
  socklen_t size = sizeof got;
  getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &size);
  return got / 2;  // the kernel doubles it, for its own bookkeeping
}

}  // namespace

Result<Listening> datagram_data(const std::string& local, const std::string& peer, int64_t buffer_bytes, uint32_t most,
                                bool trains) {
  std::unique_ptr<TrainReader> reader;
  if (trains) {
    auto made = TrainReader::make();
    if (!made) return std::move(made).error();
    reader = *std::move(made);
  }
  auto own = address_of(local, 0);
  if (!own) return std::move(own).error();
  auto theirs = address_of(peer, 0);
  if (!theirs) return std::move(theirs).error();
  UniqueFd socket(::socket(own->family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return system_error(Code::kSystem, "no socket for the packets", "socket", errno);
  if (bind(socket.get(), own->get(), own->bytes) != 0)
    return system_error(Code::kSystem, "no port at " + local + " for the packets", "bind", errno);
  Address bound;
  bound.bytes = sizeof bound.storage;
  if (getsockname(socket.get(), bound.get(), &bound.bytes) != 0)
    return system_error(Code::kSystem, "no port at " + local + " for the packets", "getsockname", errno);
  const int on = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
  Listening listening{.data = nullptr, .port = bound.port()};
  if (const int64_t got = enlarge(socket.get(), buffer_bytes); got < buffer_bytes) {
    listening.note = "the kernel gives the socket a buffer of " + std::to_string(got) + " of " +
                     std::to_string(buffer_bytes) + " bytes: sysctl net.core.rmem_max allows more";
  }
  listening.data = std::make_unique<DatagramData>(std::move(socket), *theirs, most, std::move(reader));
  return listening;
}

}  // namespace ringtap::rpcap
