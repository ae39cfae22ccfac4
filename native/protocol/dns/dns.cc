#include "protocol/dns/dns.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "protocol/dns/name.h"
#include "protocol/dns/record.h"

namespace ringtap::protocol::dns {

#include "generated/dns_fields.inc"

namespace {

constexpr uint16_t kDns = 53;
constexpr uint16_t kMdns = 5353;
constexpr uint16_t kLlmnr = 5355;
constexpr uint16_t kNetBios = 137;  // looks alike
constexpr size_t kHeader = 12;
constexpr uint16_t kIsResponse = 0x8000;
constexpr uint16_t kUnicastBit = 0x8000;  // of a class, in mDNS

struct Header {
  uint16_t id, flags, queries, answers, authorities, additionals;

  static Header of(Reader& in) noexcept {
    Header header{};
    header.id = in.u16();
    header.flags = in.u16();
    header.queries = in.u16();
    header.answers = in.u16();
    header.authorities = in.u16();
    header.additionals = in.u16();
    return header;
  }
  bool is_response() const noexcept { return (flags & kIsResponse) != 0; }
  unsigned opcode() const noexcept { return flags >> 11 & 15u; }
};

/// A record without its data.
struct Record {
  Name name;
  uint16_t type = 0;
  uint16_t of_class = 0;
  uint32_t ttl = 0;
  size_t data_at = 0;
  size_t data_length = 0;

  bool read(Span message, size_t& at) {
    if (!name.read(message, at)) return false;
    Reader in(message.subspan(at));
    type = in.u16();
    of_class = in.u16();
    ttl = in.u32();
    data_length = in.u16();
    data_at = at + in.at();
    in.skip(data_length);
    at += in.at();
    return in.ok();
  }
};

/// Could it be one? On any port all of it has to fit; on its own ports the header has to.
Match match_message(Span bytes, bool is_own_port, bool is_whole) {
  if (bytes.size() < kHeader) return Match::kNo;
  Reader in(bytes);
  const Header header = Header::of(in);
  if (header.opcode() > 6 || header.opcode() == 3) return Match::kNo;
  // A datagram on a port of its own is one, damaged or not, where its question can be read or all is too short for one.
  if (is_own_port && is_whole && bytes.size() < kHeader + 5) return Match::kYes;
  if (is_own_port && is_whole && header.queries > 64) {
    size_t at = kHeader;
    Name name;
    return name.read(bytes, at) && at + 4 <= bytes.size() ? Match::kYes : Match::kNo;
  }
  if (header.queries > 64 || (header.queries == 0 && header.answers == 0 && !header.is_response())) return Match::kNo;
  if (is_own_port && bytes.size() < kHeader + 5) return Match::kYes;
  size_t at = kHeader;
  Name name;
  for (unsigned i = 0; i < header.queries; i++) {
    if (!name.read(bytes, at) || at + 4 > bytes.size()) return is_own_port ? Match::kYes : Match::kNo;
    const uint16_t of_class = load_big<uint16_t>(bytes.data() + at + 2) & 0x7fff;
    if (!is_own_port && of_class != 1 && of_class != 255 && of_class != 3) return Match::kNo;
    at += 4;
  }
  if (is_own_port) return Match::kYes;
  if (header.queries != 1 || name.text().empty() || (header.flags & 0x40) != 0) return Match::kNo;
  const unsigned records = unsigned{header.answers} + header.authorities + header.additionals;
  if (records > 512 || (!header.is_response() && header.answers + header.authorities > 0)) return Match::kNo;
  Record record;
  for (unsigned i = 0; i < records && is_whole; i++) {
    if (!record.read(bytes, at)) return Match::kNo;
  }
  return at == bytes.size() || !is_whole ? Match::kYes : Match::kNo;
}

Match match(Span bytes, const Meeting& meeting) {
  const bool is_own_port = meeting.has_port({kDns, kMdns, kLlmnr});
  if (meeting.has_port({kNetBios})) return Match::kNo;
  if (!meeting.is_tcp) return match_message(bytes, is_own_port, true);
  // On other ports than its own a length in front says too little.
  if (!meeting.has_port({kDns})) return Match::kNo;
  if (bytes.size() < 2 + kHeader + 5) return Match::kMore;
  if (load_big<uint16_t>(bytes.data()) < kHeader) return Match::kNo;
  return match_message(bytes.subspan(2), is_own_port, false);
}

/// One message as an event.
class Message {
 public:
  Message(Span bytes, const Meeting& meeting, Writer& out) : bytes_(bytes), meeting_(meeting), out_(out) {}

  void write(const Header& header, bool is_cut, int64_t latency_ns) {
    out_.put(kVersion, 3);
    out_.put(kType, header.is_response() ? "response" : "request");
    out_.put(kId, header.id);
    const std::array<std::byte, 2> flags = {std::byte(header.flags >> 8), std::byte(header.flags & 255)};
    out_.put_hex(kFlags, flags);
    out_.put(kQr, header.is_response());
    const auto flag = [&](FlagKey key, uint16_t bit) {
      if ((header.flags & bit) != 0) out_.put(key, true);
    };
    flag(kAa, 0x400);
    flag(kTc, 0x200);
    flag(kRd, 0x100);
    flag(kRa, 0x80);
    flag(kZ, 0x40);
    flag(kAd, 0x20);
    flag(kCd, 0x10);
    out_.put(kOpcode, header.opcode());
    out_.put(kRcode, std::string_view(rcode_name(code_of(header))));
    if (latency_ns >= 0) out_.put(kLatencyUs, static_cast<uint64_t>(latency_ns / 1000));
    if (meeting_.has_port({kMdns})) out_.put(kService, "mdns");
    if (meeting_.has_port({kLlmnr})) out_.put(kService, "llmnr");
    const bool is_empty = (header.queries | header.answers | header.authorities | header.additionals) == 0;
    bool is_whole = queries(header.queries) && (header.is_response() || !is_empty);
    is_whole = is_whole && section(kAnswers, header.answers);
    is_whole = is_whole && section(kAuthorities, header.authorities);
    is_whole = is_whole && section(kAdditionals, header.additionals);
    grouped();
    if (edns_.data_at != 0) edns();
    if (is_cut) {
      out_.put(kCut, true);
    } else if (!is_whole) {
      out_.put(kMalformed, true);
    }
  }

 private:
  /// With the upper bits of OPT.
  uint16_t code_of(const Header& header) {
    const uint16_t low = header.flags & 15;
    if (header.additionals == 0) return low;
    size_t at = kHeader;
    Name name;
    for (unsigned i = 0; i < header.queries; i++) {
      if (!name.read(bytes_, at)) return low;
      at += 4;
    }
    Record record;
    const unsigned records = unsigned{header.answers} + header.authorities + header.additionals;
    for (unsigned i = 0; i < records; i++) {
      if (at > bytes_.size() || !record.read(bytes_, at)) return low;
      if (record.type == kTypeOpt) return static_cast<uint16_t>((record.ttl >> 24) << 4 | low);
    }
    return low;
  }

  bool queries(unsigned count) {
    if (count == 0) return true;
    bool is_whole = true;
    out_.list(kQueries);
    Name name;
    for (unsigned i = 0; i < count && is_whole; i++) {
      if (!name.read(bytes_, at_) || at_ + 4 > bytes_.size()) {
        is_whole = false;
        break;
      }
      const auto type = load_big<uint16_t>(bytes_.data() + at_);
      const auto of_class = load_big<uint16_t>(bytes_.data() + at_ + 2);
      at_ += 4;
      if (!out_.has_room()) continue;
      out_.open();
      out_.put(kRrname, name.text());
      out_.put(kRrtype, std::string_view(type_name(type)));
      const bool is_unicast = meeting_.has_port({kMdns}) && (of_class & kUnicastBit) != 0;
      put_class(is_unicast ? of_class & 0x7fff : of_class);
      if (is_unicast) out_.put(kUnicast, true);
      out_.close();
    }
    out_.end_list();
    return is_whole;
  }

  bool section(ListKey key, unsigned count) {
    if (count == 0) return true;
    out_.list(key);
    bool is_whole = true;
    Record record;
    for (unsigned i = 0; i < count && is_whole; i++) {
      is_whole = record.read(bytes_, at_);
      if (!is_whole) break;
      if (record.type == kTypeOpt) {
        edns_ = record;
      } else if (out_.has_room()) {
        is_whole = write_record(record);
        if (key.json == kAnswers.json && record.data_length > 0 && answers_.size() < kMostGrouped) {
          answers_.push_back({record.type, record.data_at, record.data_length});
        }
      }
    }
    out_.end_list();
    return is_whole;
  }

  bool write_record(const Record& record) {
    out_.open();
    out_.put(kRrname, record.name.text());
    out_.put(kRrtype, std::string_view(type_name(record.type)));
    put_class(meeting_.has_port({kMdns}) ? record.of_class & 0x7fff : record.of_class);
    out_.put(kTtl, record.ttl);
    const bool is_good = data_text(bytes_, record.data_at, record.data_length, record.type, text_);
    // An update may name a type without data.
    if (record.data_length > 0 && is_good) {
      out_.put(kRdata, text_);
      more(record);
    }
    out_.close();
    return is_good || record.data_length == 0;
  }

  void more(const Record& record) {
    Reader in(bytes_.subspan(record.data_at, record.data_length));
    if (record.type == kTypeSoa) {
      size_t at = record.data_at;
      Name name;
      out_.open(kSoa);
      name.read(bytes_, at);
      out_.put(kMname, name.text());
      name.read(bytes_, at);
      out_.put(kRname, name.text());
      Reader numbers(bytes_.subspan(at));
      for (const NumberKey key : {kSerial, kRefresh, kRetry, kExpire, kMinimum}) out_.put(key, numbers.u32());
      out_.close();
    } else if (record.type == kTypeSrv) {
      out_.open(kSrv);
      for (const NumberKey key : {kPriority, kWeight, kPort}) out_.put(key, in.u16());
      size_t at = record.data_at + 6;
      Name name;
      name.read(bytes_, at);
      out_.put(kName, name.text());
      out_.close();
    } else if (record.type == kTypeSshfp) {
      const uint8_t algorithm = in.u8();
      const uint8_t hash = in.u8();
      out_.open(kSshfp);
      out_.put_hex(kFingerprint, in.rest(), ':');
      out_.put(kAlgo, algorithm);
      out_.put(kHash, hash);
      out_.close();
    }
  }

  /// What the answers say, by type.
  void grouped() {
    struct Group {
      uint16_t type;
      ListKey key;
    };
    constexpr Group kGroups[] = {{kTypeA, kA},   {kTypeAaaa, kAAAA}, {kTypeCname, kCNAME}, {kTypeMx, kMX},
                                 {kTypeNs, kNS}, {kTypePtr, kPTR},   {kTypeTxt, kTXT}};
    bool is_open = false;
    for (const Group& group : kGroups) {
      bool has_some = false;
      for (const Answer& answer : answers_) {
        if (answer.type != group.type || !out_.has_room()) continue;
        if (!data_text(bytes_, answer.at, answer.length, answer.type, text_)) continue;
        if (!is_open) out_.open(kGrouped);
        if (!has_some) out_.list(group.key);
        is_open = has_some = true;
        out_.add(span_of(text_));
      }
      if (has_some) out_.end_list();
    }
    if (is_open) out_.close();
  }

  void edns() {
    out_.open(kEdns);
    out_.put(kUdpSize, edns_.of_class);
    out_.put(kVersion, edns_.ttl >> 16 & 255);
    if ((edns_.ttl & 0x8000) != 0) out_.put(kDo, true);
    Reader in(bytes_.subspan(edns_.data_at, edns_.data_length));
    if (in.left() >= 4) {
      constexpr size_t kMostShown = 64;
      out_.list(kOptions);
      while (in.ok() && in.left() >= 4 && out_.has_room()) {
        const uint16_t code = in.u16();
        const Span data = in.take(in.u16());
        out_.open();
        out_.put(kCode, code);
        out_.put_hex(kData, data.first(std::min(data.size(), kMostShown)));
        out_.close();
      }
      out_.end_list();
    }
    out_.close();
  }

  void put_class(unsigned of_class) {
    if (of_class == 1) return;
    constexpr std::string_view kNames[] = {"", "IN", "CS", "CH", "HS"};
    const std::string name = of_class == 255                                ? "ANY"
                             : of_class == 254                              ? "NONE"
                             : of_class > 0 && of_class < std::size(kNames) ? std::string(kNames[of_class])
                                                                            : "CLASS" + std::to_string(of_class);
    out_.put(kRrclass, std::string_view(name));
  }

  Span bytes_;
  const Meeting& meeting_;
  Writer& out_;
  struct Answer {
    uint16_t type;
    size_t at;
    size_t length;
  };
  static constexpr size_t kMostGrouped = 512;

  size_t at_ = kHeader;
  std::vector<Answer> answers_;
  Record edns_;
  std::string text_;
};

/// Requests of which no response came yet, by their ids. It grows with them: kMost wait for certain, unless somebody
/// aims at one place of it; of those that share a place the oldest one goes.
class Waiting {
 public:
  void ask(uint16_t id, int64_t time) {
    for (;;) {
      Asked* best = nullptr;
      for (size_t i = 0; i < kProbes && i < asked_.size(); i++) {
        Asked& each = at(id, i);
        if (each.is_open && each.id == id) {
          each.time = time;
          return;
        }
        if (best == nullptr || is_better(each, *best)) best = &each;
      }
      if (best != nullptr && (!best->is_open || asked_.size() >= kMost)) {
        *best = {.time = time, .id = id, .is_open = true};
        return;
      }
      grow();
    }
  }
  /// ns since it was asked; -1: it was not.
  int64_t answer(uint16_t id, int64_t time) noexcept {
    for (size_t i = 0; i < kProbes && i < asked_.size(); i++) {
      Asked& each = at(id, i);
      if (!each.is_open || each.id != id || time < each.time) continue;
      each.is_open = false;
      return time - each.time;
    }
    return -1;
  }
  size_t memory() const noexcept { return asked_.capacity() * sizeof(Asked); }

 private:
  static constexpr size_t kMost = 1024;  // places, of which a quarter is used without any meeting
  static constexpr size_t kProbes = 16;

  struct Asked {
    int64_t time = 0;
    uint16_t id = 0;
    bool is_open = false;
  };

  static bool is_better(const Asked& a, const Asked& b) noexcept {
    return a.is_open == b.is_open ? a.is_open && a.time < b.time : !a.is_open;
  }
  Asked& at(uint16_t id, size_t probe) noexcept {
    // Ids count up, in either byte order, or are random: a product spreads them all.
    const uint32_t hash = id * 0x9e3779b1u >> 16;
    return asked_[(hash + probe) & (asked_.size() - 1)];
  }
  void grow() {
    std::vector<Asked> old(asked_.empty() ? 4 : asked_.size() * 2);
    old.swap(asked_);
    for (const Asked& each : old) {
      if (!each.is_open) continue;
      for (size_t i = 0; i < kProbes && i < asked_.size(); i++) {
        Asked& place = at(each.id, i);
        if (place.is_open) continue;
        place = each;
        break;
      }
    }
  }

  std::vector<Asked> asked_;  // a power of two
};

class Conversing final : public Conversation {
 public:
  explicit Conversing(const Meeting& meeting) : meeting_(meeting) {}

  Progress take(Side side, Span bytes, bool is_cut, Output& out) override {
    if (!meeting_.is_tcp) {
      message(side, bytes, is_cut, out);
      return {};
    }
    Progress progress;
    for (;;) {
      const Span left = bytes.subspan(progress.consumed);
      const size_t whole = left.size() < 2 ? 2 : size_t{2} + load_big<uint16_t>(left.data());
      progress.need = whole;
      if (left.size() < whole || left.size() < 2) return progress;
      message(side, left.subspan(2, whole - 2), false, out);
      progress.consumed += whole;
    }
  }
  size_t memory() const noexcept override { return waiting_.memory(); }

 private:
  void message(Side side, Span bytes, bool is_cut, Output& out) {
    (void)side;
    if (bytes.size() < kHeader) return;
    Reader in(bytes);
    const Header header = Header::of(in);
    int64_t latency = -1;
    if (header.is_response()) {
      latency = waiting_.answer(header.id, out.now());
    } else {
      waiting_.ask(header.id, out.now());
    }
    if (Event event = out.event(kProtocol.name)) Message(bytes, meeting_, *event).write(header, is_cut, latency);
  }

  Meeting meeting_;
  Waiting waiting_;
};

std::unique_ptr<Conversation> open(const Meeting& meeting) { return std::make_unique<Conversing>(meeting); }

}  // namespace

const Protocol kProtocol = {.name = "dns", .match = match, .open = open, .on_udp = true, .on_tcp = true};

}  // namespace ringtap::protocol::dns
