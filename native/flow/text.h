// Records as lines of text: Suricata's EVE, and CSV.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "flow/records.h"

namespace ringtap::flow {

enum class Format : uint8_t { kJson, kCsv };

/// No line is longer.
constexpr size_t kLongestLine = 1536;

/// The names of the columns of CSV, with a line end.
std::string_view csv_head() noexcept;

/// Writes records `from` to `from` + `count`, a line each, as many as fit whole. Gives the bytes.
/// @param records of memory that JS can write @param epoch_ns what their times count from
size_t write_lines(const Columns& records, uint32_t from, uint32_t count, int64_t epoch_ns, Format format,
                   std::span<char> into) noexcept;

}  // namespace ringtap::flow
