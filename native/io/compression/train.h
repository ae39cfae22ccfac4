// Datagrams compressed together into one, and taken out of it again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "io/compression/codec.h"

namespace ringtap {

/// What a train is at most before it is compressed: what somebody may be made to have memory for.
inline constexpr size_t kMostTrainBytes = 64u << 10;

class TrainWriter {
 public:
  /// zstd; `most`: how long what comes out may be.
  static Result<std::unique_ptr<TrainWriter>> make(size_t most);

  /// Compresses as many of the datagrams, from the first one on, as fit, and answers how many these are. 0: the first
  /// one alone gets no shorter.
  size_t write(std::span<const std::span<const std::byte>> datagrams) noexcept;
  /// What write() made of them. Valid until the next call.
  std::span<const std::byte> bytes() const noexcept { return packed_.bytes(); }

 private:
  TrainWriter(size_t most, std::unique_ptr<Compressor> compressor)
      : most_(most), compressor_(std::move(compressor)), raw_(kMostTrainBytes) {}
  bool compress(std::span<const std::span<const std::byte>> datagrams) noexcept;

  const size_t most_;
  const std::unique_ptr<Compressor> compressor_;
  std::vector<std::byte> raw_;
  Packed packed_;
  double ratio_ = 2;       // of what was compressed last
  uint32_t hopeless_ = 0;  // datagrams that are not tried, because the last ones got no shorter
};

class TrainReader {
 public:
  static Result<std::unique_ptr<TrainReader>> make();

  /// What write() made. False: it is damaged, or was no train; then nothing of it is given.
  bool begin(std::span<const std::byte> bytes) noexcept;
  /// The next datagram of it. Valid until the next begin().
  std::optional<std::span<const std::byte>> next() noexcept;

 private:
  explicit TrainReader(std::unique_ptr<Decompressor> decompressor)
      : decompressor_(std::move(decompressor)), raw_(kMostTrainBytes) {}
  bool decompress(std::span<const std::byte> bytes) noexcept;

  std::unique_ptr<Decompressor> decompressor_;
  std::vector<std::byte> raw_;
  std::span<const std::byte> rest_;
};

}  // namespace ringtap
