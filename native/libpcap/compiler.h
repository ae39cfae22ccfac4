// One expression through libpcap, on whatever thread can wait for it.
#pragma once

#include <cstdint>
#include <string>

#include "core/program.h"

namespace ringtap {

struct LibPcap;

/// Compiles an expression that is not empty. Takes as long as it takes: names are looked up.
Result<Program> compile_with(const LibPcap& library, const std::string& expression, const FilterTarget& target,
                             uint32_t snaplen);

/// A part of an expression that is shown in a message: on a line of its own, with a caret below the offending
/// character.
std::string marked(const std::string& expression, size_t position);

}  // namespace ringtap
