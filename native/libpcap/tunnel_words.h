// `tunnel vni 4711` in a filter expression, which libpcap does not know.
#pragma once

#include <string>

#include "core/error.h"

namespace ringtap {

/// The expression as libpcap takes it: what it says of tunnels becomes comparisons of a TunnelRow's words. It is the
/// same expression where it says nothing of them.
///
///   tunnel                         it came out of one
///   tunnel KIND                    vxlan geneve gre erspan tzsp mpls gtp-u
///   tunnel vni|id|session|key|teid|label NUMBER
///   tunnel src ADDRESS             IPv4 or IPv6, in numbers
Result<std::string> without_tunnel_words(const std::string& expression);

/// Does it say anything of tunnels?
bool has_tunnel_words(const std::string& expression);

}  // namespace ringtap
