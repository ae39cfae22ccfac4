// The running kernel's type information (BTF): by it programs name the kernel's functions (kfuncs).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/error.h"

namespace ringtap::afxdp {

/// The type id of a function. Whatever the bytes are, nothing beyond them is read.
std::optional<uint32_t> find_function(std::span<const std::byte> btf, std::string_view name);

/// The same in the running kernel. UNSUPPORTED: no such function, or no BTF.
Result<uint32_t> kernel_function(const std::string& name);

}  // namespace ringtap::afxdp
