// A source whose packets come out of their tunnels: descriptors move to the innermost packet, and no byte is copied.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/source.h"
#include "core/tunnel.h"

namespace ringtap {

struct DecapSetup {
  TunnelKinds kinds = kAllTunnels;
  bool drop_others = false;  // what comes out of no tunnel is rejected, and counted as filtered
  uint32_t snaplen = kMaxSnaplen;
  uint32_t batch_size = 256;  // the most packets that a receive() will ask for
};

/// Bytes that outer headers may take beside those that a snaplen asks for.
inline constexpr uint32_t kDecapHeadroom = 512;

/// What an option says: `auto`, or names of kinds with commas in between. The error is the name that is none.
Result<TunnelKinds> tunnel_kinds(const std::string& text);

/// Takes the source over. The filter is run behind it, on what comes out; the source itself gets none.
std::unique_ptr<Source> make_decap(std::unique_ptr<Source> source, const DecapSetup& setup);

}  // namespace ringtap
