#include "io/compression/train.h"

#include <algorithm>
#include <utility>

#include "core/byte_order.h"

namespace ringtap {
namespace {

constexpr size_t kLengthBytes = 2;
constexpr int kLevel = 1;
constexpr int kTries = 3;
/// Of what fits by the ratio of the last ones, so much is tried: another try costs more than a datagram that is not
/// full.
constexpr double kCareful = 0.9;
/// After one that got no shorter, so many are left as they are.
constexpr uint32_t kHopeless = 64;

}  // namespace

Result<std::unique_ptr<TrainWriter>> TrainWriter::make(size_t most) {
  auto compressor = make_compressor({.compression = Compression::kZstd, .level = kLevel});
  if (!compressor) return std::move(compressor).error();
  return std::unique_ptr<TrainWriter>(new TrainWriter(most, *std::move(compressor)));
}

size_t TrainWriter::write(std::span<const std::span<const std::byte>> datagrams) noexcept {
  if (hopeless_ > 0) {
    hopeless_--;
    return 0;
  }
  const auto wanted = static_cast<size_t>(static_cast<double>(most_) * ratio_ * kCareful);
  size_t count = 0;
  for (size_t bytes = 0; count < datagrams.size(); count++) {
    bytes += kLengthBytes + datagrams[count].size();
    if (bytes > raw_.size() || (bytes > wanted && count > 0)) break;
  }
  for (int i = 0; i < kTries && count > 0; i++) {
    if (!compress(datagrams.first(count))) return 0;
    size_t raw = 0;
    for (const auto& datagram : datagrams.first(count)) raw += datagram.size();
    ratio_ = std::clamp(static_cast<double>(raw) / static_cast<double>(packed_.bytes().size()), 1.0, 1000.0);
    if (packed_.bytes().size() <= most_ && packed_.bytes().size() < raw) return count;
    if (count == 1) break;
    const double fits = static_cast<double>(count * most_) / static_cast<double>(packed_.bytes().size()) * kCareful;
    count = std::clamp<size_t>(static_cast<size_t>(fits), 1, count - 1);
  }
  hopeless_ = kHopeless;
  return 0;
}

bool TrainWriter::compress(std::span<const std::span<const std::byte>> datagrams) noexcept {
  std::byte* at = raw_.data();
  for (const auto& datagram : datagrams) {
    at = store_big(at, static_cast<uint16_t>(datagram.size()));
    at = std::copy(datagram.begin(), datagram.end(), at);
  }
  packed_.clear();
  return compressor_->run({raw_.data(), static_cast<size_t>(at - raw_.data())}, After::kEnd, packed_);
}

Result<std::unique_ptr<TrainReader>> TrainReader::make() {
  auto decompressor = make_decompressor(Compression::kZstd, kMostTrainBytes);
  if (!decompressor) return std::move(decompressor).error();
  return std::unique_ptr<TrainReader>(new TrainReader(*std::move(decompressor)));
}

bool TrainReader::begin(std::span<const std::byte> bytes) noexcept {
  rest_ = {};
  if (decompressor_ != nullptr && !bytes.empty() && decompress(bytes)) return true;
  // It stands in the middle of something.
  rest_ = {};
  auto anew = make_decompressor(Compression::kZstd, kMostTrainBytes);
  decompressor_ = anew ? *std::move(anew) : nullptr;
  return false;
}

bool TrainReader::decompress(std::span<const std::byte> bytes) noexcept {
  std::span<std::byte> room(raw_);
  std::span<const std::byte> left = bytes;
  if (!decompressor_->run(left, room, true) || !left.empty() || !decompressor_->complete()) return false;
  rest_ = std::span<const std::byte>(raw_).first(raw_.size() - room.size());
  for (auto look = rest_; !look.empty();) {
    if (look.size() < kLengthBytes) return false;
    const size_t length = kLengthBytes + load_big<uint16_t>(look.data());
    if (length > look.size()) return false;
    look = look.subspan(length);
  }
  return true;
}

std::optional<std::span<const std::byte>> TrainReader::next() noexcept {
  if (rest_.empty()) return std::nullopt;
  const size_t length = load_big<uint16_t>(rest_.data());
  const auto datagram = rest_.subspan(kLengthBytes, length);
  rest_ = rest_.subspan(kLengthBytes + length);
  return datagram;
}

}  // namespace ringtap
