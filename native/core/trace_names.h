// What the names of traces end with.
#pragma once

#include <string_view>

namespace ringtap {

/// Suffixes of compressions, which stand behind that of a format.
constexpr std::string_view kCompressedSuffixes[] = {
#define RINGTAP_COMPRESSED_SUFFIX(suffix) suffix,
#include "generated/compressed_suffixes.inc"
#undef RINGTAP_COMPRESSED_SUFFIX
};

}  // namespace ringtap
