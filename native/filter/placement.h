// Where a filter runs: the kernel decides which packets it can, user space the rest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "core/error.h"
#include "core/program.h"
#include "core/snaplen.h"
#include "filter/vm.h"

namespace ringtap {

/// Which packets are left for user space to decide.
enum class Judged : uint8_t {
  kNone,    // there is no filter, or one nearer to the wire has decided them all
  kTagged,  // those with a VLAN tag: Linux takes it out before its filters run, and it is put back behind them
  kAll,
};

/// How a program gets in front of a kernel's packets.
struct KernelFilter {
  /// Installs a program, from then on, behind whatever the source itself puts in front of it. Says why it was refused;
  /// nothing if it was not.
  std::function<std::string(const Program&)> attach;
  Judged left = Judged::kTagged;  // what it cannot decide
  /// The kernel cuts packets to what the program keeps. False: it takes the answer for yes or no.
  bool cuts = true;
};

/// Has this Ethernet frame a VLAN tag in its bytes?
inline bool has_vlan_tag(const std::byte* data, uint32_t caplen) noexcept {
  if (caplen < 14) return false;
  const auto type = std::to_integer<uint32_t>(data[12]) << 8 | std::to_integer<uint32_t>(data[13]);
  return type == 0x8100 || type == 0x88a8;
}

/// Is the expression sound, but not about packets of this link type? Then they do not match. A name that cannot be
/// looked up now says nothing about them.
bool does_not_speak_of(const Error& error);

/// How many bytes a program keeps of every packet that it accepts; nothing if that differs from packet to packet.
std::optional<uint32_t> common_length(const Program& program);

/// The part of a filter that runs in user space: the machine, which packets are left for it, what one receive() may
/// spend on them, and how many it has rejected.
class UserFilter {
 public:
  explicit UserFilter(FilterVm::Metadata metadata = FilterVm::Metadata::kRejects) : metadata_(metadata) {}

  /// As much of it in the kernel as goes there, before the first packet. `program` has passed validate().
  FilterPlacement place(const Program& program, const KernelFilter& kernel);
  /// All of it here, because of `reason`.
  FilterPlacement place_here(const Program& program, std::string reason);
  /// Nothing of it here: it is decided elsewhere, and at most `keep` bytes are kept of each packet that comes.
  void place_elsewhere(uint32_t keep);

  Judged judged() const noexcept { return judged_; }
  /// Is a packet left for us? Then run() decides it, else kept() bytes of it are kept.
  bool judges(bool tagged) const noexcept { return judged_ == Judged::kAll || (judged_ == Judged::kTagged && tagged); }
  uint32_t kept() const noexcept { return kept_; }
  /// A single packet may use up what a receive() has.
  bool takes_long() const noexcept { return takes_long_; }

  /// At each receive().
  void renew() noexcept { budget_.renew(); }
  /// It has taken long enough: receive() comes back with what there is.
  bool used_up() const noexcept { return budget_.used_up(); }

  /// How many bytes to keep of a packet whose tag, if it has one, is in its bytes; 0 rejects it.
  uint32_t keep(const std::byte* data, uint32_t wirelen, uint32_t caplen) noexcept {
    if (judged_ == Judged::kAll || (judged_ == Judged::kTagged && has_vlan_tag(data, caplen))) {
      return run(data, wirelen, caplen);
    }
    return kept_;
  }
  /// The same of a packet that is left for us.
  uint32_t run(const std::byte* data, uint32_t wirelen, uint32_t caplen, const PacketMetadata& metadata = {}) noexcept {
    const uint32_t keep = vm_->run(data, wirelen, caplen, budget_, metadata);
    filtered_ += keep == 0;
    return keep;
  }
  /// The same where nobody tells which of these the packet's metadata is: the most that is kept with any of them.
  uint32_t run(const std::byte* data, uint32_t wirelen, uint32_t caplen,
               std::span<const PacketMetadata> possible) noexcept;

  /// Packets that were rejected here.
  uint64_t filtered() const noexcept { return filtered_; }

 private:
  void load(const Program& program, Judged judged, uint32_t kept);

  FilterVm::Metadata metadata_;
  Judged judged_ = Judged::kNone;
  bool takes_long_ = false;
  uint32_t kept_ = kMaxSnaplen;
  std::optional<FilterVm> vm_;
  FilterBudget budget_;
  uint64_t filtered_ = 0;
};

}  // namespace ringtap
