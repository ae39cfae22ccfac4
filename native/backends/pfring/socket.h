// A socket of the kernel module, and its ring.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "backends/pfring/abi.h"
#include "backends/pfring/target.h"
#include "core/program.h"
#include "core/region.h"
#include "core/source.h"
#include "core/unique_fd.h"
#include "filter/placement.h"

namespace ringtap::pfring {

/// What an open request asks of the module, whichever way leads to it.
struct Settings {
  Target target;
  uint32_t snaplen = kMaxCaplen;
  bool promiscuous = true;
  Direction direction = Direction::kBoth;
  uint16_t cluster = 0;  // 0 joins none
  uint32_t cluster_mode = 0;
  uint16_t watermark = 1;
  bool hardware_time = false;
  Purpose purpose = Purpose::kCapture;
  std::string name{};  // of the application, for /proc/net/pf_ring
  uint32_t gather_ms = 1;
  uint32_t batch_size = 256;
  std::string uri{};                 // for messages
  std::vector<std::string> notes{};  // what the plan must say
};

/// Nothing if the kernel has the module. Whether it lets us use it is what open() says.
std::optional<Error> module_missing(const std::string& uri);
/// Nothing if this process has the right that a socket of the module needs.
std::optional<Error> right_missing(const std::string& uri);

class RingSocket {
 public:
  /// Bound and set up, but not active: no packet arrives. Keeps `caplen` bytes of each.
  static Result<RingSocket> open(const Settings& settings, uint32_t caplen);

  int fd() const noexcept { return fd_.get(); }
  /// The mapped ring, whose header has been checked. Shared with whoever shows it.
  const std::shared_ptr<Region>& region() const noexcept { return region_; }

  /// Packets arrive from here on.
  Result<Ok> activate() const;
  /// For good. WHY: the mapping keeps the socket alive in the kernel for as long as somebody holds the region.
  void silence() const noexcept;
  void close() noexcept;

 private:
  explicit RingSocket(UniqueFd fd, std::string uri) : fd_(std::move(fd)), uri_(std::move(uri)) {}

  Result<Ok> bind(const Target& target) const;
  Result<Ok> set_up(const Settings& settings) const;
  Result<Ok> map(uint32_t caplen);
  Error failed(const std::string& what, const char* call) const;

  UniqueFd fd_;
  std::string uri_;
  std::shared_ptr<Region> region_;
};

/// How a filter gets in front of a socket of the module.
///
/// WHY not the kernel alone: it strips VLAN tags before the filter runs and the module puts them back behind it, so
/// that a tagged packet can only be decided in user space. And the module takes a filter's answer for yes or no.
KernelFilter module_filter(int fd);

/// Joins, or creates, a cluster. Returns errno.
int join_cluster(int fd, uint16_t cluster, uint32_t mode);

}  // namespace ringtap::pfring
