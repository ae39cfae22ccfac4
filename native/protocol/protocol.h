// What a protocol is: a folder beside this file. It finds its messages by their content, reads them, and writes events.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>

#include "protocol/reader.h"
#include "protocol/writer.h"

namespace ringtap::protocol {

/// Who began, and the other end.
enum class Side : uint8_t { kClient, kServer };
constexpr Side opposite(Side side) noexcept { return side == Side::kClient ? Side::kServer : Side::kClient; }
constexpr size_t index_of(Side side) noexcept { return static_cast<size_t>(side); }

/// Whose bytes they are.
struct Meeting {
  uint16_t client_port = 0;
  uint16_t server_port = 0;
  bool is_tcp = false;
  Side side = Side::kClient;

  bool has_port(std::initializer_list<uint16_t> ports) const noexcept {
    for (const uint16_t port : ports) {
      if (client_port == port || server_port == port) return true;
    }
    return false;
  }
};

/// An event that is being written; it is done when this goes. False: it is withheld.
class Output;
class Event {
 public:
  Event(Output* output, Writer* writer) noexcept : output_(output), writer_(writer) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event();
  explicit operator bool() const noexcept { return writer_ != nullptr; }
  Writer* operator->() const noexcept { return writer_; }
  Writer& operator*() const noexcept { return *writer_; }

 private:
  Output* output_;
  Writer* writer_;
};

/// Where events go to.
class Output {
 public:
  virtual ~Output() = default;
  /// Begins the event of this type, in the object of the same name.
  Event event(std::string_view type) { return {this, begin(type)}; }
  /// An event that is not made, for there are too many of them: it is counted.
  virtual void withhold() {}
  /// An event that is made without fields that a library would have read, which is not here: it is counted.
  virtual void lack_fields() {}
  /// Of the packet, in ns since 1970.
  int64_t now() const noexcept { return now_; }

 protected:
  friend class Event;
  virtual Writer* begin(std::string_view type) = 0;
  virtual void commit() = 0;
  int64_t now_ = 0;
};

inline Event::~Event() {
  if (writer_ != nullptr) output_->commit();
}

/// How far a conversation has got with the bytes that it was given.
struct Progress {
  size_t consumed = 0;       // of them
  uint64_t skip = 0;         // bytes behind the consumed ones that nobody needs
  size_t need = 1;           // bytes beyond those consumed, before there is any use in asking again
  bool is_done = false;      // there is nothing more to be had from this flow
  bool begins_anew = false;  // what follows is another protocol
  bool has_lost = false;     // messages that could not be followed: the flow is counted, once

  static Progress done() noexcept { return {.is_done = true}; }
  static Progress lost() noexcept { return {.is_done = true, .has_lost = true}; }
};

/// A flow as a protocol knows it. What it keeps is bounded by its messages.
class Conversation {
 public:
  virtual ~Conversation() = default;
  /// Bytes of a stream that come next, from the first one on that was not consumed; or a datagram, of which Progress
  /// tells only whether it is done.
  /// @param is_cut of a datagram: there was more of it
  virtual Progress take(Side side, Span bytes, bool is_cut, Output& out) = 0;
  /// Of those that it skips, so many have gone by, whether they were captured or not.
  virtual void passed(Side, uint64_t) {}
  /// Bytes of a stream are missing. False: it cannot go on.
  virtual bool gap(Side, uint64_t) { return false; }
  /// One end sends nothing more.
  virtual void closed(Side, Output&) {}
  /// Nor does anybody.
  virtual void ended(Output&) {}
  /// Bytes that it keeps, beyond a few hundred.
  virtual size_t memory() const noexcept { return 0; }
};

/// What it is without a flow, or of a whole packet.
struct Packet {
  Span bytes;  // from its header on: of ARP, of ICMP
  bool is_cut = false;
  uint8_t ip_version = 0;
};

/// One for each meter: it knows what many packets have said.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void packet(const Packet& packet, Output& out) = 0;
};

enum class Match : uint8_t { kNo, kMore, kYes };

struct Protocol {
  std::string_view name;  // the type of its events
  /// Do these bytes begin one? kMore: they are too few to tell. Of datagrams that is no.
  Match (*match)(Span bytes, const Meeting& meeting) = nullptr;
  std::unique_ptr<Conversation> (*open)(const Meeting& meeting) = nullptr;
  /// Instead of the two, where it is no conversation.
  std::unique_ptr<Watcher> (*watch)() = nullptr;
  uint16_t ether_type = 0;  // what it watches
  bool watches_icmp = false;
  bool on_udp = false;
  bool on_tcp = false;
};

/// All that there are, in the order of their names.
std::span<const Protocol* const> protocols() noexcept;

}  // namespace ringtap::protocol
