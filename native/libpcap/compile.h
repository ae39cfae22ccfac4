// Filter expressions: pcap-filter(7), compiled by libpcap.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/program.h"

namespace ringtap {

/// Compiles an expression for a LINKTYPE_ value; accepted packets keep `snaplen` bytes. An empty one accepts all. Any
/// thread. An error carries libpcap's words, the expression and a caret, and the caret's place in `position` where it
/// can be told.
Result<Program> compile_filter(const std::string& expression, int link_type, uint32_t snaplen);

/// A filter that is compiled for each link type it meets.
std::shared_ptr<Filter> make_filter(std::string expression, uint32_t snaplen);

/// A filter that is the same program for every link type. Its errors come from program().
std::shared_ptr<Filter> make_filter(Program program);

}  // namespace ringtap
