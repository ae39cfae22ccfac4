#include "serve/resending.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "core/byte_order.h"

namespace ringtap {
namespace {

/// Of one call: who asks without end does not keep others waiting.
constexpr int kMostAsks = 32;
constexpr uint32_t kMostAgain = 512;
/// How often he is told how far we are while he has not got everything: twice as late each time.
constexpr uint64_t kTellMs = 20;
constexpr uint64_t kMostTellMs = 200;
/// Who answers nothing for so long is gone, or has stopped reading.
constexpr uint64_t kPatienceMs = 2000;

uint64_t now_ms() noexcept {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

}  // namespace

void Resending::keep(std::span<const std::byte> datagram) noexcept {
  window_.keep(load_big<uint32_t>(&datagram[4]), datagram);
  is_new_ = true;
}

bool Resending::attend(DatagramOutput& output) noexcept {
  const uint64_t now = now_ms();
  if (is_new_) {
    heard_ms_ = told_ms_ = now;
    pause_ms_ = kTellMs;
    is_new_ = false;
  }
  if (!hear(output, now) || window_.is_acknowledged() || now - heard_ms_ > kPatienceMs) return false;
  if (now - told_ms_ < pause_ms_) return true;
  told_ms_ = now;
  pause_ms_ = std::min(2 * pause_ms_, kMostTellMs);
  const auto message = rpcap::put_sent(window_.state(), token_);
  const DatagramOutput::Piece piece{message.data(), static_cast<uint32_t>(message.size())};
  output.send({&piece, 1});
  return true;
}

/// False: nobody is there any more.
bool Resending::hear(DatagramOutput& output, uint64_t now) noexcept {
  for (int i = 0; i < kMostAsks; i++) {
    std::array<std::byte, rpcap::kMostAskBytes + 1> memory;
    std::span<std::byte> bytes(memory);
    switch (output.receive(bytes)) {
      case DatagramOutput::Heard::kNothing:
        return true;
      case DatagramOutput::Heard::kRefused:
        return false;
      case DatagramOutput::Heard::kDatagram:
        break;
    }
    const auto ask = rpcap::read_ask(bytes, token_);
    if (!ask) continue;
    if (window_.acknowledge(ask->next)) heard_ms_ = now;
    if (!send_again(output, *ask, now)) return true;
  }
  return true;
}

/// False: it was enough for now.
bool Resending::send_again(DatagramOutput& output, const rpcap::Ask& ask, uint64_t now) noexcept {
  uint32_t looked = 0;
  for (size_t i = 0; i < ask.count; i++) {
    const auto [first, count] = ask.ranges[i];
    for (uint32_t step = 0; step < count; step++) {
      if (looked++ == kMostAgain) return false;
      const auto datagram = window_.again(first + step, now);
      if (datagram.empty()) continue;
      const DatagramOutput::Piece piece{datagram.data(), static_cast<uint32_t>(datagram.size())};
      if (output.send({&piece, 1}).pieces == 0) return false;
      again_++;
    }
  }
  return true;
}

}  // namespace ringtap
