// bpf(2), as far as an XDP program needs it: maps, programs, links, test runs. No libbpf, no object files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "core/error.h"
#include "core/unique_fd.h"
#include "filter/ebpf_asm.h"
#include "linux/rights.h"

namespace ringtap::afxdp {

/// Errors of everything here: NO_PERMISSION names the capabilities that this process lacks, NO_MEMORY the limit.

/// Does this process lack a right that a capture needs?
bool lacks_rights();

/// NO_PERMISSION: the kernel refused `what`. It names what is missing, and how to grant it.
Error rights_error(const std::string& what, const char* syscall, int err);

struct MapSpec {
  uint32_t type = 0;  // BPF_MAP_TYPE_…
  uint32_t key_size = 4;
  uint32_t value_size = 4;
  uint32_t entries = 1;
  uint32_t flags = 0;
  const char* name = "ringtap";
};
Result<UniqueFd> create_map(const MapSpec& spec);

/// Sets the value of a map with 32-bit keys and values; for an XSKMAP, the socket that receives what queue `key` gets.
Result<Ok> set_map(int map, uint32_t key, uint32_t value);

/// Loads an XDP program. If the verifier refuses it, the message ends in the verifier's last words, and the hint has
/// the last lines of its log. `frags`: the program can stand packets in several fragments. `device`: the index of the
/// one interface that it is for, native mode only, whose driver answers kernel functions; 0: any.
Result<UniqueFd> load_program(const EbpfProgram& program, bool frags, int device = 0);

enum class AttachMode : uint8_t { kNative, kGeneric };

/// Attaches an XDP program until the link is closed, at the latest when the process ends. BUSY: another program is
/// attached. UNSUPPORTED: not in this mode, or not with this MTU.
Result<UniqueFd> attach_xdp(int program, int interface_index, const std::string& interface_name, AttachMode mode);

/// What became of a link: somebody else may detach it or give it another program (bpftool link detach).
enum class LinkOf : uint8_t { kProgram, kAnotherProgram, kNothing };
LinkOf inspect_link(int link, int program);

/// Takes the program off its interface while the link stays open.
void detach_link(int link);

/// Has this kernel the helper, for XDP programs, and may the process use it? Good for helpers that take nothing, or
/// (context, number, stack, number).
bool has_helper(uint32_t helper);

struct TestRun {
  std::span<const std::byte> packet = {};   // at least 14 bytes
  std::span<const std::byte> context = {};  // a struct xdp_md, or nothing
  std::span<std::byte> output = {};         // gets the metadata and the packet as the program leaves them
  uint32_t repeat = 1;
  bool live_frames = false;  // with the effects of the verdict; `repeat` packets are sent
};
struct TestResult {
  uint32_t verdict = 0;      // XDP_…
  uint32_t output_size = 0;  // what was to be written; `output` may be shorter
  uint32_t nanoseconds = 0;  // of one run, on average
};
Result<TestResult> test_run(int program, const TestRun& run);

}  // namespace ringtap::afxdp
