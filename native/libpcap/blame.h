// Where a filter expression goes wrong: libpcap says what, but not where.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

namespace ringtap {

/// Compiles an attempt; answers with libpcap's words, or with nothing if it compiles.
using CompileAttempt = std::function<std::string(const std::string& expression)>;

/// The offset of the token that `words` complain about; the length of the expression if it ends too early; nothing if
/// this libpcap gives no means to tell.
std::optional<size_t> blame(const std::string& expression, const std::string& words, const CompileAttempt& attempt);

}  // namespace ringtap
