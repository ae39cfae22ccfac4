// pcapng files: sections of either byte order, each with interfaces that have their own link type and clock.
#pragma once

#include <memory>
#include <span>

#include "core/error.h"
#include "format/reader.h"

namespace ringtap {

/// True when the bytes begin with a section header block. Takes 12 bytes.
bool is_pcapng(std::span<const std::byte> head) noexcept;

Result<std::unique_ptr<RecordReader>> open_pcapng(std::span<const std::byte> head);

}  // namespace ringtap
