// Which parts of a file are read.
#pragma once

#include <cstdint>
#include <vector>

#include "io/section_index.h"

namespace ringtap {

struct Parts {
  uint32_t head_bytes = 0;         // as of the index
  uint64_t length = 0;             // of the file
  std::vector<Piece> pieces = {};  // empty: all
};

}  // namespace ringtap
