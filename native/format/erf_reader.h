// ERF files, as Endace DAG cards write them: no file header, so they are recognised by their records.
#pragma once

#include <memory>
#include <span>

#include "core/error.h"
#include "format/reader.h"

namespace ringtap {

enum class Likeness : uint8_t { kNo, kYes, kUnsure };

/// Do these bytes look like a run of ERF records? kUnsure asks for more of them, never when `whole`.
Likeness looks_like_erf(std::span<const std::byte> head, bool whole) noexcept;

/// `whole`: packets are whole records, of LINKTYPE_ERF.
std::unique_ptr<RecordReader> open_erf(bool whole);

}  // namespace ringtap
