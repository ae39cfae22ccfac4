#include "backends/mirror/mirror.h"

#include <algorithm>
#include <string_view>

#include "backends/mirror/source.h"
#include "core/clock.h"
#include "core/link_type.h"

namespace ringtap {
namespace {

struct Kind {
  std::string_view name;
  TunnelKind kind;
  uint16_t port;  // 0: it is an IP protocol of its own
};

constexpr Kind kKinds[] = {{"vxlan", TunnelKind::kVxlan, 4789},
                           {"geneve", TunnelKind::kGeneve, 6081},
                           {"tzsp", TunnelKind::kTzsp, 37008},
                           {"gre", TunnelKind::kGre, 0},
                           {"erspan", TunnelKind::kErspan, 0}};

}  // namespace

Result<std::unique_ptr<Source>> open_mirror(const OpenRequest& request) {
  const Options& options = request.options;
  const std::string name = options.text("kind", "vxlan");
  const auto* kind = std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& k) { return k.name == name; });
  if (kind == std::end(kKinds)) return Error{.code = Code::kBadOption, .message = "there is no kind " + name};
  auto endpoint = mirror::endpoint_of(request.target, kind->port);
  if (!endpoint) return std::move(endpoint).error();
  const bool shares = options.integer("share") != 0;
  if (shares && kind->port == 0) {
    return Error{.code = Code::kUnsupported,
                 .message = name + ": has no ports, so that captures cannot share one",
                 .hint = "Each capture gets all of it: let one read, or filter in each."};
  }
  auto source = std::make_unique<mirror::MirrorSource>(mirror::MirrorSource::Setup{
      .kind = kind->kind,
      .name = name,
      .endpoint = *endpoint,
      .is_raw = kind->port == 0,
      .shares = shares,
      .health_port = static_cast<uint16_t>(options.integer("healthPort")),
      .snaplen = static_cast<uint32_t>(std::clamp<int64_t>(options.integer("snaplen", kMaxSnaplen), 1, kMaxSnaplen)),
      .timeout_ms = static_cast<uint32_t>(std::clamp<int64_t>(options.integer("timeoutMs", 10), 1, 10'000)),
      .buffer_bytes = std::clamp<int64_t>(options.integer("bufferBytes", 64 << 20), 16 << 20, int64_t{2} << 30)});
  if (auto prepared = source->prepare(); !prepared) return std::move(prepared).error();
  return std::unique_ptr<Source>(std::move(source));
}

Probe probe_mirror() { return {.detail = "VXLAN, GENEVE and TZSP by UDP; GRE and ERSPAN with CAP_NET_RAW"}; }

// Whatever sends here: there is nothing to list.
std::vector<Device> devices_mirror() { return {}; }

}  // namespace ringtap
