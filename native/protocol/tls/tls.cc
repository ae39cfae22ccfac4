#include "protocol/tls/tls.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "protocol/client_hello.h"
#include "protocol/digest.h"
#include "protocol/tls/certificate.h"

namespace ringtap::protocol::tls {

#include "generated/tls_fields.inc"

namespace {

constexpr size_t kRecordHeader = 5;
constexpr size_t kLongestRecord = (16 << 10) + 2048;
/// Of a handshake message: a chain of certificates may have several records.
constexpr size_t kLongestMessage = 128 << 10;

/// Records without anything in them: so many are TLS, too, and more than so many are not read on.
constexpr size_t kEnoughEmpty = 4;
constexpr size_t kMostEmpty = 4096;

enum ContentType : uint8_t { kChangeCipher = 20, kAlert = 21, kHandshake = 22, kData = 23 };
enum MessageType : uint8_t { kClientHello = 1, kServerHello = 2, kCertificate = 11, kRequest = 13, kHelloDone = 14 };

std::string version_name(uint16_t version) {
  switch (version) {
    case 0x0300:
      return "SSLv3";
    case 0x0301:
      return "TLSv1";
    case 0x0302:
      return "TLS 1.1";
    case 0x0303:
      return "TLS 1.2";
    case 0x0304:
      return "TLS 1.3";
    default: {
      const std::byte bytes[] = {static_cast<std::byte>(version >> 8), static_cast<std::byte>(version & 255)};
      return "0x" + hex_of(bytes);
    }
  }
}

bool is_empty(Span record) noexcept {
  return record[0] == std::byte{22} && record[1] == std::byte{3} && record[2] <= std::byte{4} &&
         load_big<uint16_t>(record.data() + 3) == 0;
}

Match match(Span bytes, const Meeting&) {
  constexpr std::array<std::byte, 2> kBegin = {std::byte{22}, std::byte{3}};
  for (size_t i = 0; i < std::min<size_t>(2, bytes.size()); i++) {
    if (bytes[i] != kBegin[i]) return Match::kNo;
  }
  // Empty records come before anything else where somebody wants to be overlooked.
  size_t empty = 0;
  while (bytes.size() > kRecordHeader && is_empty(bytes)) {
    bytes = bytes.subspan(kRecordHeader);
    if (++empty >= kEnoughEmpty) return Match::kYes;
  }
  if (empty > 0 && (bytes[0] != kBegin[0] || (bytes.size() > 1 && bytes[1] != kBegin[1]))) return Match::kNo;
  if (bytes.size() < kRecordHeader + 1) return Match::kMore;
  const auto length = load_big<uint16_t>(bytes.data() + 3);
  const auto type = std::to_integer<unsigned>(bytes[5]);
  const bool is_hello = type == kClientHello || type == kServerHello;
  return bytes[2] <= std::byte{4} && length >= 1 && length <= kLongestRecord && is_hello ? Match::kYes : Match::kNo;
}

struct Fingerprint {
  std::string text;
  std::string hash() const { return hex_of(md5(span_of(text))); }
};

class Conversing final : public Conversation {
 public:
  Progress take(Side side, Span bytes, bool, Output& out) override {
    Progress progress;
    Way& way = ways_[index_of(side)];
    for (;;) {
      const Span left = bytes.subspan(progress.consumed);
      progress.need = kRecordHeader;
      if (left.size() < kRecordHeader) return progress;
      const auto type = std::to_integer<uint8_t>(left[0]);
      const size_t length = load_big<uint16_t>(left.data() + 3);
      if (type < kChangeCipher || type > 24 || left[1] != std::byte{3} || length > kLongestRecord) return lose(out);
      // What is encrypted is not looked at: neither copied nor waited for.
      if (type != kHandshake || way.is_encrypted) {
        // A client may send this message, and early data, before it has heard the server's hello.
        const bool is_change = type == kChangeCipher && side == Side::kServer && has_server_;
        way.is_encrypted = way.is_encrypted || type == kData || is_change;
        way.has_changed = way.has_changed || type == kChangeCipher;
        if (is_over(side)) return stop(out);
        const size_t there = std::min(left.size(), kRecordHeader + length);
        progress.consumed += there;
        progress.skip = kRecordHeader + length - there;
        if (progress.skip > 0) return progress;
        continue;
      }
      progress.need = kRecordHeader + length;
      if (left.size() < progress.need) return progress;
      way.messages.insert(way.messages.end(), left.begin() + kRecordHeader,
                          left.begin() + static_cast<ptrdiff_t>(kRecordHeader + length));
      progress.consumed += kRecordHeader + length;
      if (length == 0 && ++way.empty > kMostEmpty) return lose(out);
      if (read_messages(way)) continue;
      if (!has_lost_) return stop(out);
      if (!way.has_changed || !has_client_) return lose(out);
      // Of a client that was heard to its end before the server: this is encrypted, and no message.
      has_lost_ = false;
      way.is_encrypted = true;
      way.messages.clear();
    }
  }

  bool gap(Side side, uint64_t) override {
    // What was encrypted anyway is no loss.
    return ways_[index_of(side)].is_encrypted;
  }
  size_t memory() const noexcept override {
    return ways_[0].messages.capacity() + ways_[1].messages.capacity() + certificate_.capacity() +
           ja3_.text.capacity() + ja3s_.text.capacity() + client_alpns_.capacity() * sizeof(std::string);
  }
  void ended(Output& out) override { tell(out); }

 private:
  struct Way {
    std::vector<std::byte> messages;
    size_t empty = 0;          // records
    bool has_changed = false;  // the cipher, or so it says
    bool is_encrypted = false;
  };

  Progress stop(Output& out) {
    tell(out);
    return Progress::done();
  }

  Progress lose(Output& out) {
    tell(out);
    return Progress::lost();
  }

  /// Has everything been said that can be read?
  bool is_over(Side side) const noexcept {
    return ways_[index_of(side)].is_encrypted && (side == Side::kServer || has_server_);
  }

  /// False: nothing more is to be had.
  bool read_messages(Way& way) {
    size_t at = 0;
    while (way.messages.size() - at >= 4) {
      Reader in(Span(way.messages).subspan(at));
      const uint8_t type = in.u8();
      const size_t length = in.u24();
      has_lost_ = length > kLongestMessage;
      if (has_lost_) return false;
      if (in.left() < length) break;
      if (!read_message(type, in.take(length))) return false;
      at += 4 + length;
    }
    way.messages.erase(way.messages.begin(), way.messages.begin() + static_cast<ptrdiff_t>(at));
    return true;
  }

  bool read_message(uint8_t type, Span body) {
    switch (type) {
      case kClientHello:
        if (!has_client_) read_client(body);
        return true;
      case kServerHello:
        return read_server(body);
      case kCertificate:
        if (!has_certificate_ && has_server_) read_certificate(body);
        return true;
      case kRequest:
        wants_certificate_ = true;
        return true;
      case kHelloDone:
        return false;
      default:
        return true;
    }
  }

  void read_client(Span body) {
    ClientHello hello;
    hello.read(body);
    if (hello.ciphers.empty()) return;
    has_client_ = true;
    sni_ = text_of(hello.sni);
    has_ech_ = hello.has_ech;
    resumes_ = hello.resumes;
    for (const Span name : hello.alpn) client_alpns_.emplace_back(text_of(name));
    client_version_ = hello.version;
    for (const uint16_t version : hello.versions) {
      if (!is_grease(version)) client_version_ = std::max(client_version_, version);
    }
    ja3_.text = hello.ja3();
    ja4_ = hello.ja4('t');
  }

  /// False: what follows is encrypted.
  bool read_server(Span body) {
    ServerHello hello;
    if (!hello.read(body) || hello.is_retry) return true;
    has_server_ = true;
    version_ = hello.version;
    cipher_ = hello.cipher;
    alpn_ = text_of(hello.alpn);
    ja3s_.text = hello.ja3s();
    return version_ < 0x0304;
  }

  void read_certificate(Span body) {
    Reader in(body);
    Reader list(in.take(in.u24()));
    while (list.ok() && list.left() > 0) {
      const Span der = list.take(list.u24());
      if (!list.ok()) break;
      if (chain_length_++ > 0) continue;
      has_certificate_ = true;
      certificate_.assign(der.begin(), der.end());
    }
  }

  void tell(Output& out) {
    if (is_told_ || (!has_client_ && !has_server_)) return;
    is_told_ = true;
    Event event = out.event(kProtocol.name);
    if (!event) return;
    if (has_client_) {
      if (!sni_.empty()) event->put(kSni, sni_);
      event->put(kClientVersion, version_name(client_version_));
    }
    if (has_server_) {
      event->put(kVersion, version_name(version_));
      const std::byte cipher[] = {static_cast<std::byte>(cipher_ >> 8), static_cast<std::byte>(cipher_ & 255)};
      event->put(kCipher, "0x" + hex_of(cipher));
      if (!alpn_.empty()) event->put(kAlpn, alpn_);
    }
    if (!client_alpns_.empty()) {
      event->list(kClientAlpns);
      for (const std::string& name : client_alpns_) {
        if (event->has_room()) event->add(std::string_view(name));
      }
      event->end_list();
    }
    if (resumes_) event->put(kSessionResumed, true);
    if (has_ech_) event->put(kEch, true);
    if (has_client_) {
      fingerprint(kJa3, ja3_, *event);
      event->put(kJa4, ja4_);
    }
    if (has_server_) fingerprint(kJa3s, ja3s_, *event);
    if (has_certificate_) tell_certificate(*event);
    if (wants_certificate_) event->put(kClientCertificate, true);
  }

  static void fingerprint(ObjectKey key, const Fingerprint& of, Writer& out) {
    out.open(key);
    out.put(kHash, of.hash());
    out.put(kString, of.text);
    out.close();
  }

  void tell_certificate(Writer& out) {
    Certificate found;
    found.read(certificate_);
    if (!found.subject.empty()) out.put(kSubject, found.subject);
    if (!found.issuer.empty()) out.put(kIssuerdn, found.issuer);
    if (!found.serial.empty()) out.put_hex(kSerial, found.serial.first(std::min<size_t>(found.serial.size(), 64)), ':');
    out.put_hex(kFingerprint, sha1(certificate_), ':');
    out.put_hex(kFingerprintSha256, sha256(certificate_), ':');
    if (!found.not_before.empty()) out.put(kNotbefore, found.not_before);
    if (!found.not_after.empty()) out.put(kNotafter, found.not_after);
    if (!found.names.empty() || !found.addresses.empty()) {
      out.list(kSubjectaltname);
      for (const Span name : found.names) {
        if (out.has_room()) out.add(name);
      }
      for (const Span address : found.addresses) out.add_address(address);
      out.end_list();
    }
    out.put(kChainLength, chain_length_);
  }

  std::array<Way, 2> ways_;
  std::string sni_;
  std::string alpn_;
  std::vector<std::string> client_alpns_;
  Fingerprint ja3_;
  Fingerprint ja3s_;
  std::string ja4_;
  std::vector<std::byte> certificate_;
  size_t chain_length_ = 0;
  uint16_t client_version_ = 0;
  uint16_t version_ = 0;
  uint16_t cipher_ = 0;
  bool has_client_ = false;
  bool has_server_ = false;
  bool has_certificate_ = false;
  bool wants_certificate_ = false;
  bool has_ech_ = false;
  bool resumes_ = false;
  bool has_lost_ = false;
  bool is_told_ = false;
};

std::unique_ptr<Conversation> open(const Meeting&) { return std::make_unique<Conversing>(); }

}  // namespace

const Protocol kProtocol = {.name = "tls", .match = match, .open = open, .on_tcp = true};

}  // namespace ringtap::protocol::tls
