#include "backends/pcap/handle.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <system_error>

#include "backends/pcap/cooked.h"
#include "backends/pcap/packet_socket.h"
#include "backends/pcap/target.h"
#include "core/new_descriptors.h"
#include "core/snaplen.h"
#include "linux/silent_protocol.h"
#if defined(__linux__)
#include "linux/rights.h"
#endif

namespace ringtap::pcap {
namespace {

#if defined(_WIN32)
constexpr const char* kPermissionHint =
    "Run as Administrator, or install Npcap without \"restrict to Administrators\".";
#elif !defined(__linux__)
constexpr const char* kPermissionHint =
    "Run as root, or make /dev/bpf* readable for your user (on macOS: install Wireshark's ChmodBPF).";
#endif

/// libpcap's own words about the handle's last error, or its general ones about the status.
std::string words(const LibPcap& library, pcap_t* handle, int status) {
  const std::string own = library.geterr(handle);
  return own.empty() ? library.statustostr(status) : own;
}

#if defined(__linux__)

/// `text` is libpcap's. Its status does not tell every refusal: of nflog it is a general one.
Error right_error(const std::string& uri, const std::string& target, const std::string& text) {
  const bool other_right = text.find("CAP_NET_ADMIN") != std::string::npos || target.starts_with("nflog");
  const Capability needed = other_right ? Capability::kNetAdmin : Capability::kNetRaw;
  const Capabilities grant = {Capability::kNetRaw, Capability::kNetAdmin};
  Error error = right_refused(uri + ": \"" + target + "\" by libpcap", {needed}, grant, "pcap_activate", EPERM);
  if (text.find("CAP_NET_ADMIN") != std::string::npos) {
    error.hint = "Hardware timestamps need CAP_NET_ADMIN as well; or ask for timestamp: 'kernel'. " + error.hint;
  }
  return error;
}

#else

Error right_error(const std::string& uri, const std::string&, const std::string& text) {
  return Error{
      .code = Code::kNoPermission, .message = uri + ": " + text, .hint = kPermissionHint, .syscall = "pcap_activate"};
}

#endif

Error activation_error(const LibPcap& library, pcap_t* handle, int status, const OpenRequest& request) {
  const std::string text = words(library, handle, status);
  Error error{.code = Code::kSystem, .message = request.uri + ": " + text, .hint = {}, .syscall = "pcap_activate"};
  switch (status) {
    case kPcapErrorNoSuchDevice:
      error.code = Code::kNoInterface;
      error.message = request.uri + ": there is no interface \"" + request.target + "\"";
      break;
    case kPcapErrorNotUp:
      error.code = Code::kInterfaceDown;
      error.message = request.uri + ": interface \"" + request.target + "\" is down";
      break;
    case kPcapErrorPermission:
    case kPcapErrorPromiscuousPermission:
      return right_error(request.uri, request.target, text);
    default:
      if (text.ends_with(std::generic_category().message(EPERM))) {
        return right_error(request.uri, request.target, text);
      }
  }
  return error;
}

/// The NIC's clock in the better of libpcap's two kinds, 0 if the interface offers none.
int hardware_clock(const LibPcap& library, pcap_t* handle) {
  if (library.list_tstamp_types == nullptr || library.set_tstamp_type == nullptr) return 0;
  int* types = nullptr;
  const int count = library.list_tstamp_types(handle, &types);
  if (count <= 0) return 0;
  int best = 0;
  for (const int wanted : {kPcapAdapterUnsynced, kPcapAdapter}) {
    if (std::find(types, types + count, wanted) != types + count) best = wanted;
  }
  library.free_tstamp_types(types);
  return best;
}

void choose_clock(const LibPcap& library, const OpenRequest& request, PcapSession& session) {
  if (library.set_tstamp_precision != nullptr && library.set_tstamp_precision(session.handle.get(), kPcapNano) == 0) {
    session.fraction_ns = 1;
  } else {
    session.fraction_ns = 1000;
    session.notes.push_back("timestamps have microseconds only: this libpcap or interface offers no more");
  }
  if (request.options.text("timestamp", "auto") != "hardware") return;
  const int clock = hardware_clock(library, session.handle.get());
  session.hardware_time = clock != 0 && library.set_tstamp_type(session.handle.get(), clock) == 0;
  if (!session.hardware_time) {
    session.notes.push_back(request.target + " offers no hardware timestamps: the kernel stamps packets");
  } else if (clock == kPcapAdapterUnsynced) {
    session.notes.push_back("hardware timestamps come from the NIC's own clock, which is not the system's");
  }
}

}  // namespace

Result<PcapSession> open_session(const LibPcap& library, const OpenRequest& request) {
  const std::string& target = request.target;
  if (target.empty() || target.find('\0') != std::string::npos) {
    return Error{.code = Code::kNoInterface,
                 .message = request.uri + ": not the name of an interface",
                 .hint = {},
                 .syscall = {}};
  }
  if (auto refused = refused_target(target, request.uri)) return *std::move(refused);
  char text[kPcapErrorBufferSize] = "";
  const NewDescriptors inherits_nothing;
  PcapSession session{.handle = PcapHandle(library.create(target.c_str(), text))};
  pcap_t* const handle = session.handle.get();
  if (handle == nullptr)
    return Error{.code = Code::kSystem, .message = request.uri + ": " + text, .hint = {}, .syscall = "pcap_create"};

  const Options& options = request.options;
  library.set_snaplen(handle, kMaxSnaplen);
  // In force from activate() on.
  const bool promiscuous = options.flag("promiscuous", true) && request.purpose != Purpose::kExplain;
  library.set_promisc(handle, promiscuous ? 1 : 0);
  library.set_timeout(handle, static_cast<int>(std::clamp<int64_t>(options.integer("timeoutMs", 10), 1, 10000)));
  library.set_buffer_size(
      handle, static_cast<int>(std::clamp<int64_t>(options.integer("bufferBytes", 64 << 20), 65536, INT_MAX)));
  choose_clock(library, request, session);
  if (library.set_protocol_linux != nullptr) {
    session.silent = library.set_protocol_linux(handle, kSilentProtocol) == 0;
  }

  const int status = library.activate(handle);
  if (status < 0) return activation_error(library, handle, status, request);
  if (status > 0) session.notes.push_back(words(library, handle, status));
  if (status == kPcapWarningTimestampType) session.hardware_time = false;
  session.cooked = is_cooked(library, handle);

  if (library.setnonblock(handle, 1, text) < 0) {
    return Error{
        .code = Code::kSystem, .message = request.uri + ": " + text, .hint = {}, .syscall = "pcap_setnonblock"};
  }
  const Direction direction = requested_direction(options);
  if (direction != Direction::kBoth && library.setdirection(handle, static_cast<int>(direction)) < 0) {
    return Error{.code = Code::kUnsupported,
                 .message = request.uri + ": cannot tell directions apart: " + library.geterr(handle),
                 .hint = "Leave out `direction`.",
                 .syscall = "pcap_setdirection"};
  }
  return session;
}

}  // namespace ringtap::pcap
