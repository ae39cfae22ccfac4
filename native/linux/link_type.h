// What kind of packets an interface carries.
#pragma once

#include <optional>

#include "core/link_type.h"

namespace ringtap {

/// The link type of packets with this hardware type (an ARPHRD_ value). Nothing where the link has no header that we
/// know: such packets are captured cooked, with an SLL2 header.
std::optional<LinkType> link_type_of(int hardware) noexcept;

}  // namespace ringtap
