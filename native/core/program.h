// Classic BPF as data: what a filter is once it is compiled. The machine is in native/filter.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"

namespace ringtap {

struct BpfInsn {
  uint16_t code = 0;
  uint8_t jt = 0;
  uint8_t jf = 0;
  uint32_t k = 0;
};

using Program = std::vector<BpfInsn>;

/// A filter as the user gave it, compiled for a link type on demand: a pcapng file has several.
class Filter {
 public:
  virtual ~Filter() = default;
  /// A validated program for this LINKTYPE_ value. Owned by the filter, valid as long as it is.
  virtual Result<const Program*> program(int link_type) = 0;
};

/// Where a filter runs, and why not closer to the wire.
struct FilterPlacement {
  std::string where = "none";  // hardware | xdp | xdp-load-bytes | kernel | user | none
  std::string reason;
};

}  // namespace ringtap
