#include "protocol/quic/quic.h"

#include <array>
#include <optional>
#include <string>

#include "protocol/client_hello.h"
#include "protocol/digest.h"
#include "protocol/quic/crypto_stream.h"
#include "protocol/quic/frames.h"
#include "protocol/quic/packet.h"

namespace ringtap::protocol::quic {

#include "generated/quic_fields.inc"

namespace {

constexpr uint16_t kHttps = 443;
/// Of a connection: who has not said all by then will not be understood.
constexpr size_t kMostDatagrams = 64;
constexpr size_t kMostRefused = 16;
constexpr size_t kMostVersions = 32;
/// Of the CRYPTO frames of both ends: 16 KiB.
constexpr size_t kMostOfClient = 12 << 10;
constexpr size_t kMostOfServer = 4 << 10;
/// A client's first datagram has as much at least.
constexpr size_t kLeastFirst = 1200;
constexpr size_t kLeastFirstId = 8;

enum MessageType : uint8_t { kClientHello = 1, kServerHello = 2 };

/// Drafts, and versions that are there to be refused.
constexpr bool is_told(uint32_t version) noexcept {
  return version >> 8 == 0xff0000 || (version & 0x0f0f0f0f) == 0x0a0a0a0a;
}

Match match(Span bytes, const Meeting& meeting) {
  if (bytes.size() < 7 || !is_long(bytes[0]) || !is_fixed(bytes[0])) return Match::kNo;
  const auto version = load_big<uint32_t>(bytes.data() + 1);
  LongPacket packet;
  if (is_known(version)) return packet.read(bytes) ? Match::kYes : Match::kNo;
  if (bytes.size() < kLeastFirst || version == 0) return Match::kNo;
  if (!is_told(version) && !meeting.has_port({kHttps})) return Match::kNo;
  return packet.read(bytes) && packet.destination.size() >= kLeastFirstId ? Match::kYes : Match::kNo;
}

std::string hex_number(uint32_t version) {
  std::array<std::byte, 4> bytes;
  store_big(bytes.data(), version);
  const std::string hex = hex_of(bytes);
  return hex.substr(std::min(hex.find_first_not_of('0'), hex.size() - 1));
}

class Conversing final : public Conversation {
 public:
  Progress take(Side side, Span bytes, bool is_cut, Output& out) override {
    if (bytes.empty()) return {};
    datagrams_++;
    // Behind the handshake there are short headers only: what has not been said by now was not captured.
    bool is_over = !is_long(bytes[0]) && is_fixed(bytes[0]) && has_client_;
    while (!bytes.empty() && is_long(bytes[0])) {
      LongPacket packet;
      if (!packet.read(bytes)) break;
      is_over = take_packet(side, packet, bytes, is_cut) || is_over;
      bytes = bytes.subspan(packet.size);
    }
    is_over = is_over || (has_client_ && has_server_);
    if (!is_over && datagrams_ < kMostDatagrams && refused_ < kMostRefused) return {};
    tell(out);
    return Progress::done();
  }

  void ended(Output& out) override { tell(out); }
  size_t memory() const noexcept override {
    size_t bytes = ways_[0].stream.memory() + ways_[1].stream.memory() + first_id_.capacity() + ja3_.capacity() +
                   ja3s_.capacity() + sni_.capacity() + versions_.capacity() * sizeof(uint32_t);
    for (const std::string& name : alpns_) bytes += sizeof(std::string) + name.capacity();
    return bytes + sizeof(*this);
  }

 private:
  /// Of the client, and of the server: as their packets say, not as the flow has them, of which the beginning may be
  /// missing.
  struct Way {
    CryptoStream stream;
    std::optional<InitialKeys> keys = std::nullopt;
    uint32_t version = 0;   // of the keys
    uint64_t expected = 0;  // packet number
  };

  /// True: nothing follows that can be read.
  bool take_packet(Side side, const LongPacket& packet, Span bytes, bool is_cut) {
    if (version_ == 0) version_ = packet.version;
    switch (packet.kind) {
      case Kind::kNegotiation:
        for (Reader in(packet.rest); in.left() >= 4 && versions_.size() < kMostVersions;) versions_.push_back(in.u32());
        return false;
      case Kind::kRetry:
        is_retried_ = true;
        return false;
      case Kind::kHandshake:
        // The client has heard the server, if we have not.
        return has_client_ && side == client_;
      case Kind::kInitial:
        if (!packet.is_cut) return take_initial(side, packet, bytes.first(packet.size));
        is_cut_ = is_cut_ || is_cut;
        refused_ += is_cut ? 0 : 1;
        return false;
      default:
        return false;
    }
  }

  bool take_initial(Side side, const LongPacket& packet, Span bytes) {
    std::optional<std::vector<std::byte>> frames;
    const bool is_servers = has_keys_ && side != client_;
    Way& way = ways_[is_servers ? 1 : 0];
    if (has_keys_) {
      // An end may go on with another version, of which the keys are made of the same id (RFC 9369).
      if (!way.keys || way.version != packet.version) {
        way.keys.emplace(packet.version, first_id_, is_servers);
        way.version = packet.version;
      }
      frames = way.keys->open(packet, bytes, way.expected);
    }
    if (!frames && (!has_client_ || is_retried_)) frames = open_first(side, packet, bytes);
    if (!frames) {
      // WHY not the server's without keys: the client's first packet, which makes them, was not captured.
      if (has_keys_ || side == Side::kClient) refused_++;
      return false;
    }
    Way& said = ways_[side == client_ ? 0 : 1];
    if (side == client_) {
      version_ = packet.version;
    } else {
      server_version_ = packet.version;
    }
    return !read_frames(*frames, said.stream) || !read_messages(said, side == client_);
  }

  /// With keys out of the packet itself: the client's first one, or its first one behind a retry.
  std::optional<std::vector<std::byte>> open_first(Side side, const LongPacket& packet, Span bytes) {
    Way made{.stream = CryptoStream(kMostOfClient), .version = packet.version};
    made.keys.emplace(packet.version, packet.destination, false);
    auto frames = made.keys->open(packet, bytes, made.expected);
    if (!frames) return frames;
    has_keys_ = true;
    client_ = side;
    first_id_.assign(packet.destination.begin(), packet.destination.end());
    ways_[0] = std::move(made);
    ways_[1] = {.stream = CryptoStream(kMostOfServer)};
    return frames;
  }

  /// False: no hello comes any more.
  bool read_messages(Way& way, bool is_clients) {
    for (Span message = way.stream.next(); !message.empty(); message = way.stream.next()) {
      const auto type = std::to_integer<uint8_t>(message[0]);
      if (type != (is_clients ? kClientHello : kServerHello)) return false;
      if (is_clients && !has_client_) read_client(message.subspan(4));
      if (!is_clients && !has_server_) read_server(message.subspan(4));
    }
    return true;
  }

  void read_client(Span body) {
    ClientHello hello;
    hello.read(body);
    if (hello.ciphers.empty()) return;
    has_client_ = true;
    sni_ = text_of(hello.sni);
    has_ech_ = hello.has_ech;
    resumes_ = hello.resumes;
    for (const Span name : hello.alpn) alpns_.emplace_back(text_of(name));
    ja3_ = hello.ja3();
    ja4_ = hello.ja4('q');
  }

  void read_server(Span body) {
    ServerHello hello;
    if (!hello.read(body) || hello.is_retry) return;
    has_server_ = true;
    cipher_ = hello.cipher;
    ja3s_ = hello.ja3s();
  }

  void tell(Output& out) {
    Event event = out.event(kProtocol.name);
    if (!event) return;
    event->put(kVersion, hex_number(version_));
    if (server_version_ != 0 && server_version_ != version_) event->put(kServerVersion, hex_number(server_version_));
    if (!versions_.empty()) {
      event->list(kVersions);
      for (const uint32_t version : versions_) event->add(std::string_view(hex_number(version)));
      event->end_list();
    }
    if (!sni_.empty()) event->put(kSni, sni_);
    if (!alpns_.empty()) {
      event->list(kClientAlpns);
      for (const std::string& name : alpns_) {
        if (event->has_room()) event->add(std::string_view(name));
      }
      event->end_list();
    }
    if (has_server_) {
      const std::byte cipher[] = {static_cast<std::byte>(cipher_ >> 8), static_cast<std::byte>(cipher_ & 255)};
      event->put(kCipher, "0x" + hex_of(cipher));
    }
    if (resumes_) event->put(kSessionResumed, true);
    if (has_ech_) event->put(kEch, true);
    if (is_retried_) event->put(kRetry, true);
    if (has_client_) {
      fingerprint(kJa3, ja3_, *event);
      event->put(kJa4, ja4_);
    }
    if (has_server_) fingerprint(kJa3s, ja3s_, *event);
    if (refused_ > 0) event->put(kRefused, refused_);
    if (is_cut_) event->put(kCut, true);
  }

  static void fingerprint(ObjectKey key, const std::string& text, Writer& out) {
    out.open(key);
    out.put(kHash, hex_of(md5(span_of(text))));
    out.put(kString, text);
    out.close();
  }

  std::array<Way, 2> ways_ = {Way{.stream = CryptoStream(kMostOfClient)}, Way{.stream = CryptoStream(kMostOfServer)}};
  std::vector<std::byte> first_id_;  // that keys are made of
  std::vector<uint32_t> versions_;
  std::vector<std::string> alpns_;
  std::string sni_;
  std::string ja3_;
  std::string ja3s_;
  std::string ja4_;
  size_t datagrams_ = 0;
  size_t refused_ = 0;
  uint32_t version_ = 0;
  uint32_t server_version_ = 0;
  uint16_t cipher_ = 0;
  Side client_ = Side::kClient;
  bool has_keys_ = false;
  bool has_client_ = false;
  bool has_server_ = false;
  bool has_ech_ = false;
  bool resumes_ = false;
  bool is_retried_ = false;
  bool is_cut_ = false;
};

std::unique_ptr<Conversation> open(const Meeting&) { return std::make_unique<Conversing>(); }

}  // namespace

const Protocol kProtocol = {.name = "quic", .match = match, .open = open, .on_udp = true};

}  // namespace ringtap::protocol::quic
