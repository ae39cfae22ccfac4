// peer-datagrams KIND PORT WARMUP COUNT
// peer-datagrams send KIND PORT COUNT RATE SIZE
// The least receiver of packets in datagrams, udpstr or vxlan, with recvmmsg; and what sends them, both on the
// loopback.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "peer.h"

namespace {

constexpr uint32_t kBurst = 32;
constexpr size_t kMost = 2048;
constexpr uint32_t kUdpstrBytes = 1472;
constexpr int kBuffer = 64 << 20;

void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

uint32_t load(const uint8_t* at) {
  uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return ntohl(value);
}
uint8_t* store(uint8_t* at, uint32_t value) {
  value = htonl(value);
  std::memcpy(at, &value, sizeof value);
  return at + sizeof value;
}

int open_socket(uint16_t port, bool receives) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kBuffer, sizeof kBuffer) != 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kBuffer, sizeof kBuffer);
  // SAFETY: the form that sockets have addresses in.
  const auto* at = reinterpret_cast<const sockaddr*>(&address);
  if ((receives ? bind(fd, at, sizeof address) : connect(fd, at, sizeof address)) != 0) fail("address");
  return fd;
}

/// A packet that goes on in the next datagram.
struct Partial {
  std::array<uint8_t, 65536> bytes{};
  uint32_t have = 0;
  uint32_t needs = 0;
};

void read_udpstr(const uint8_t* at, uint32_t bytes, Partial& partial, peer::NumberedWork& work) {
  if (bytes < 8) return;
  const uint8_t* const end = at + bytes;
  at += 8;
  if (partial.needs > 0) {
    const auto more = std::min<uint32_t>(partial.needs - partial.have, static_cast<uint32_t>(end - at));
    std::memcpy(partial.bytes.data() + partial.have, at, more);
    partial.have += more;
    at += more;
    if (partial.have < partial.needs) return;
    work.look(partial.bytes.data(), partial.needs);
    work.packets++;
    partial.needs = 0;
  }
  while (end - at >= 20) {
    const uint32_t caplen = load(at + 8);
    at += 20;
    const auto here = static_cast<uint32_t>(end - at);
    if (caplen > partial.bytes.size()) return;
    if (here < caplen) {
      std::memcpy(partial.bytes.data(), at, here);
      partial.have = here;
      partial.needs = caplen;
      return;
    }
    work.look(at, caplen);
    work.packets++;
    at += caplen;
  }
}

int receive(bool is_udpstr, uint16_t port, uint64_t warmup, uint64_t count) {
  const int fd = open_socket(port, true);
  std::vector<uint8_t> memory(kBurst * kMost);
  std::array<mmsghdr, kBurst> messages{};
  std::array<iovec, kBurst> parts{};
  for (uint32_t i = 0; i < kBurst; i++) {
    parts[i] = {memory.data() + i * kMost, kMost};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  static Partial partial;
  peer::Transfer transfer(warmup, count);
  pollfd readable{fd, POLLIN, 0};
  peer::say_ready();
  for (bool idle = false; transfer.go_on(idle);) {
    idle = false;
    const int n = recvmmsg(fd, messages.data(), kBurst, MSG_DONTWAIT, nullptr);
    if (n <= 0) {
      idle = poll(&readable, 1, peer::Transfer::kPatienceMs / 10) == 0;
      continue;
    }
    for (int i = 0; i < n; i++) {
      const uint8_t* at = memory.data() + static_cast<size_t>(i) * kMost;
      const uint32_t bytes = messages[static_cast<size_t>(i)].msg_len;
      if (is_udpstr) {
        read_udpstr(at, bytes, partial, transfer.work);
      } else if (bytes > 8 + 14 && (at[0] & 8) != 0) {
        transfer.work.look(at + 8, bytes - 8);
        transfer.work.packets++;
      }
    }
  }
  transfer.print(0);
  close(fd);
  return 0;
}

/// Ethernet, IPv4, UDP; a number at offset 42, as ringtap-pktgen has it.
void put_frame(uint8_t* at, uint32_t size, uint64_t number) {
  std::memset(at, 0, size);
  at[12] = 8;
  at[14] = 0x45;
  at[16] = static_cast<uint8_t>((size - 14) >> 8);
  at[17] = static_cast<uint8_t>(size - 14);
  at[22] = 64;
  at[23] = 17;
  store(at + 26, 0x0a000001);
  store(at + 30, 0x0a000002);
  at[39] = static_cast<uint8_t>(size - 34);
  store(at + 42, static_cast<uint32_t>(number >> 32));
  store(at + 46, static_cast<uint32_t>(number));
}

/// Datagrams that wait to be sent together, at a pace.
class Sender {
 public:
  Sender(uint16_t port, uint64_t rate) : fd_(open_socket(port, false)), rate_(rate) {
    for (uint32_t i = 0; i < kBurst; i++) {
      messages_[i].msg_hdr.msg_iov = &parts_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }
  uint8_t* room() { return memory_.data() + count_ * kMost; }
  void add(uint32_t bytes, uint64_t packets) {
    parts_[count_] = {room(), bytes};
    if (++count_ == kBurst) flush(packets);
  }
  void flush(uint64_t packets) {
    for (uint32_t sent = 0; sent < count_;) {
      const int n = sendmmsg(fd_, messages_.data() + sent, count_ - sent, 0);
      if (n > 0) sent += static_cast<uint32_t>(n);
    }
    count_ = 0;
    while (rate_ > 0 && elapsed() * static_cast<double>(rate_) < static_cast<double>(packets)) {
    }
  }

 private:
  double elapsed() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count(); }
  const int fd_;
  const uint64_t rate_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  std::vector<uint8_t> memory_ = std::vector<uint8_t>(kBurst * kMost);
  std::array<mmsghdr, kBurst> messages_{};
  std::array<iovec, kBurst> parts_{};
  uint32_t count_ = 0;
};

int send_all(bool is_udpstr, uint16_t port, uint64_t count, uint64_t rate, uint32_t size) {
  Sender sender(port, rate);
  if (!is_udpstr) {
    for (uint64_t i = 0; i < count; i++) {
      store(store(sender.room(), 0x08000000), 4711u << 8);
      put_frame(sender.room() + 8, size, i);
      sender.add(8 + size, i);
    }
    sender.flush(count);
    return 0;
  }
  // Packets run through full datagrams.
  std::vector<uint8_t> packet(20 + size);
  uint32_t used = 8;
  uint32_t first = 0xffff;
  uint32_t sequence = 0;
  const auto finish = [&](uint64_t packets) {
    store(store(sender.room(), 110u << 16 | first), sequence++);
    sender.add(used, packets);
    used = 8;
    first = 0xffff;
  };
  for (uint64_t i = 0; i < count; i++) {
    store(store(store(store(store(packet.data(), 1'700'000'000), 0), size), size), static_cast<uint32_t>(i + 1));
    put_frame(packet.data() + 20, size, i);
    if (used + 28 >= kUdpstrBytes) finish(i);
    if (first == 0xffff) first = used;
    for (uint32_t done = 0; done < packet.size();) {
      const uint32_t piece = std::min<uint32_t>(kUdpstrBytes - used, static_cast<uint32_t>(packet.size()) - done);
      std::memcpy(sender.room() + used, packet.data() + done, piece);
      used += piece;
      done += piece;
      if (used == kUdpstrBytes) finish(i);
    }
  }
  if (used > 8) finish(count);
  sender.flush(count);
  return 0;
}

bool is_udpstr(const char* kind) { return std::strcmp(kind, "udpstr") == 0; }

}  // namespace

int main(int argc, char** argv) {
  const auto port = [](const char* text) { return static_cast<uint16_t>(peer::number(text)); };
  if (argc == 7 && std::strcmp(argv[1], "send") == 0) {
    return send_all(is_udpstr(argv[2]), port(argv[3]), peer::number(argv[4]), peer::number(argv[5]),
                    static_cast<uint32_t>(peer::number(argv[6])));
  }
  if (argc == 5) return receive(is_udpstr(argv[1]), port(argv[2]), peer::number(argv[3]), peer::number(argv[4]));
  std::fputs("usage: peer-datagrams KIND PORT WARMUP COUNT | send KIND PORT COUNT RATE SIZE\n", stderr);
  return 2;
}
