// Filter expressions: pcap-filter(7), compiled by libpcap.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "core/program.h"

namespace ringtap {

/// Set from another thread when nobody waits for the answer any more.
using Cancelled = std::shared_ptr<const std::atomic<bool>>;

/// Compiles an expression for where it will run; accepted packets keep `snaplen` bytes. An empty one accepts all. Any
/// thread, several at once. An error carries libpcap's words, the expression and a caret, and the caret's place in
/// `position` where it can be told. Waits for name servers, but comes back within 50 ms once `cancelled`.
Result<Program> compile_filter(const std::string& expression, const FilterTarget& target, uint32_t snaplen,
                               const Cancelled& cancelled = nullptr);

/// A filter that is compiled for each target it meets.
std::shared_ptr<Filter> make_filter(std::string expression, uint32_t snaplen, Cancelled cancelled = nullptr);

/// A filter that is the same program for every link type. Its errors come from program().
std::shared_ptr<Filter> make_filter(Program program);

}  // namespace ringtap
