#include "addon/datagrams.h"

#include <algorithm>
#include <array>

namespace ringtap::addon {

namespace {

/// Of one call to the socket.
constexpr size_t kAtOnce = 512;
/// Answers that are looked at in one go.
constexpr int kMostAnswers = 64;

}  // namespace

uint64_t Datagrams::waiting_records(const ipfix::Encoder& encoder) const noexcept {
  uint64_t records = 0;
  for (const ipfix::Message& message : encoder.messages().subspan(sent_)) records += message.records;
  return records;
}

void Datagrams::lost(const ipfix::Message& message) noexcept {
  counts_.lost_packets += message.packets;
  counts_.lost_octets += message.octets;
}

/// A collector says nothing; its host may, that there is none.
void Datagrams::listen() noexcept {
#ifdef __linux__
  for (int i = 0; i < kMostAnswers; i++) {
    std::array<std::byte, 64> answer;
    std::span<std::byte> into = answer;
    const auto heard = output_->receive(into);
    if (heard == DatagramOutput::Heard::kNothing) return;
    if (heard == DatagramOutput::Heard::kRefused) counts_.refusals++;
  }
#endif
}

void Datagrams::flush(const ipfix::Encoder& encoder) noexcept {
#ifdef __linux__
  if (!output_) return;
  listen();
  const auto messages = encoder.messages();
  while (sent_ < messages.size()) {
    std::array<DatagramOutput::Piece, kAtOnce> pieces;
    const size_t count = std::min(messages.size() - sent_, kAtOnce);
    for (size_t i = 0; i < count; i++) {
      const ipfix::Message& message = messages[sent_ + i];
      pieces[i] = {encoder.memory() + message.at, message.bytes};
    }
    const auto sent = output_->send({pieces.data(), count});
    for (const ipfix::Message& message : messages.subspan(sent_, sent.pieces)) {
      counts_.messages++;
      counts_.octets += message.bytes;
      counts_.records += message.records;
    }
    sent_ += sent.pieces;
    counts_.refusals += sent.refusals;
    if (sent.stopped == DatagramOutput::Stopped::kFull) break;
    if (sent.stopped == DatagramOutput::Stopped::kRefused) {
      const ipfix::Message& message = messages[sent_++];
      counts_.refused_records += message.records;
      counts_.last_errno = sent.err;
      lost(message);
    }
  }
  listen();
#else
  (void)encoder;
#endif
}

void Datagrams::drop(ipfix::Encoder& encoder) noexcept {
  for (const ipfix::Message& message : encoder.messages().subspan(sent_)) {
    counts_.dropped_records += message.records;
    lost(message);
  }
  encoder.clear();
  sent_ = 0;
}

void Datagrams::close(ipfix::Encoder& encoder) noexcept {
  drop(encoder);
#ifdef __linux__
  output_.reset();
#endif
}

}  // namespace ringtap::addon
