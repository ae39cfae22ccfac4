// What trace formats make of a link type.
#pragma once

#include "core/link_type.h"
#include "core/snaplen.h"

namespace ringtap {

/// The longest packet that a trace may hold; a longer one is damage. The limits are libpcap's.
constexpr uint32_t max_caplen(uint32_t link_type) noexcept {
  switch (link_type) {
    case kLinkDbus:
      return 128u << 20;
    case kLinkEbhscr:
      return 8u << 20;
    case kLinkUsbPcap:
      return 1u << 20;
    default:
      return kMaxSnaplen;
  }
}

}  // namespace ringtap
