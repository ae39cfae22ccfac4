// An Ethernet port of DPDK, plugged in for one capture.
#pragma once

#include <rte_ethdev.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/dpdk/module/memory.h"
#include "backends/dpdk/module/patience.h"
#include "backends/dpdk/module/xdp_sockets.h"
#include "core/source.h"
#include "core/unique_fd.h"

namespace ringtap::dpdk {

struct PortSettings {
  std::string uri;
  std::string device;   // net_pcap0, 0000:01:00.0
  std::string devargs;  // rx_pcap=…,…
  uint16_t queues = 1;
  uint16_t descriptors = 0;
  uint16_t mtu = 0;
  bool promiscuous = true;
  bool symmetric = true;
  bool hardware_time = false;  // ask the NIC
  bool driver_time = true;     // take the driver's times
  uint32_t mbufs = 0;
  /// OpenRequest's: nobody waits for the port any more.
  Cancelled cancelled = {};
};

/// Plugged in by plug(), unplugged by unplug().
class Port {
 public:
  /// Waits for a queue that an AF_XDP socket has just left, unless that is given up.
  static Result<Port> plug(const PortSettings& settings);
  Port(Port&& other) noexcept;
  Port& operator=(Port&&) = delete;
  ~Port() { unplug(); }

  uint16_t id() const noexcept { return id_; }
  uint16_t queues() const noexcept { return settings_.queues; }
  const PortSettings& settings() const noexcept { return settings_; }
  /// Whether the card, or the interface behind a virtual device, was removed: what, or nothing. From any thread.
  std::optional<std::string> removed() const;
  const std::string& driver() const noexcept { return driver_; }
  const PacketMemory& memory() const noexcept { return *memory_; }
  rte_mempool* send_pool() const noexcept { return send_pool_.get(); }
  uint32_t ring_size() const noexcept { return ring_size_; }
  /// The driver refuses our pool, so that packets are copied.
  bool copies() const noexcept { return receive_pool_ != nullptr; }
  bool virtual_device() const noexcept { return virtual_; }
  bool hardware_time() const noexcept { return hardware_time_; }
  const std::vector<std::string>& notes() const noexcept { return notes_; }

  /// Every counter of the driver, by the driver's names.
  std::vector<DropCause> xstats() const;

  Result<Ok> start(bool receive);
  /// Stops, closes and removes the port; one that does not end within seconds ends when it does, and stays taken until
  /// the process ends. The memory lives on with its region, and with the port.
  void unplug() noexcept;

 private:
  Port() = default;
  static Result<Port> plug_once(const PortSettings& settings, bool& is_waiting);
  void remove() noexcept;
  Result<Ok> configure();
  Result<Ok> set_up_queues();
  int set_up_receive_queues(rte_mempool* pool);
  Error failed(Code code, const std::string& what, const char* call, int result, std::string hint = {}) const;

  PortSettings settings_;
  uint16_t id_ = RTE_MAX_ETHPORTS;
  rte_device* device_ = nullptr;
  std::string driver_;
  std::string interface_;  // behind a virtual device, empty if there is none
  int interface_index_ = 0;
  UniqueFd query_;
  bool virtual_ = true;
  bool claimed_ = false;
  bool plugged_ = false;
  bool started_ = false;
  bool promiscuous_ = false;
  bool hardware_time_ = false;
  uint16_t receive_descriptors_ = 0;
  uint16_t send_descriptors_ = 0;
  uint32_t ring_size_ = 0;
  std::optional<PacketMemory> memory_;
  Pool receive_pool_;
  Pool send_pool_;
  XdpSockets xdp_sockets_;
  std::vector<std::string> notes_;
};

}  // namespace ringtap::dpdk
