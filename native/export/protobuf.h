// Records of flows as protobuf: ringtap.v1.Flow of packages/wire, whose fields have the names of the columns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "flow/records.h"

namespace ringtap::wire {

/// No record takes more, with its length.
constexpr size_t kLongestFlow = 400;

/// Writes records `from` to `from` + `count`, as many as fit, each as an element of `repeated Flow flows = 8`: bytes
/// that are a part of the message that has this field, wherever they are put in it. Gives how many bytes.
/// @param records of memory that JS can write @param epoch_ns what their times count from
size_t write_flows(const flow::Columns& records, uint32_t from, uint32_t count, int64_t epoch_ns,
                   std::span<std::byte> into) noexcept;

}  // namespace ringtap::wire
