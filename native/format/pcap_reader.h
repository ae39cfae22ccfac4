// pcap files: both byte orders, micro- and nanoseconds, and the variants with their own magic number.
#pragma once

#include <memory>
#include <span>

#include "core/error.h"
#include "format/reader.h"

namespace ringtap {

/// True when the bytes begin with the magic number of pcap or one of its variants. Takes 4 bytes.
bool is_pcap(std::span<const std::byte> head) noexcept;

/// The reader for these bytes, for which is_pcap() holds. Null when the file header is not all there.
Result<std::unique_ptr<RecordReader>> open_pcap(std::span<const std::byte> head);

inline constexpr uint32_t kPcapHeaderBytes = 24;

}  // namespace ringtap
