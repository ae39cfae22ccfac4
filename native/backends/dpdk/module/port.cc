#include "backends/dpdk/module/port.h"

#include <rte_alarm.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <mutex>
#include <semaphore>
#include <set>
#include <thread>

#include "backends/dpdk/module/log.h"
#include "backends/dpdk/module/pci.h"
#include "core/new_descriptors.h"
#include "linux/interface.h"

namespace ringtap::dpdk {

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kDefaultMbufs = 131072;
constexpr uint32_t kFewestMbufs = 256;
constexpr uint32_t kDefaultDescriptors = 1024;
constexpr std::chrono::milliseconds kAfterEvent{20};
constexpr uint32_t kSlack = 4096;               // packets in drivers' hands and caches, beyond their descriptors
constexpr uint32_t kOverhead = 14 + 2 * 4 + 4;  // Ethernet, two VLAN tags, checksum
constexpr uint32_t kSendFrames = 1024;
constexpr auto kReleaseTime = std::chrono::seconds(2);
constexpr auto kRetryPause = std::chrono::milliseconds(50);
constexpr std::chrono::milliseconds kPatience(5000);  // with another port's driver, and with one that is to end

// Toeplitz with this key gives both directions of a flow the same hash.
constexpr uint8_t kSymmetricKey[] = {0x6d, 0x5a};

/// Devices that captures of this process have, and a lock for DPDK's device list, which has none of its own.
struct Devices {
  std::mutex mutex;
  std::set<std::string> taken;
  uint64_t serial = 0;
};

Devices& devices() {
  static auto* instance = new Devices;
  return *instance;
}

bool is_pci(const std::string& device) { return device.find(':') != std::string::npos; }

/// The value of iface= among the parameters of af_packet, af_xdp and pcap.
std::string interface_in(const std::string& devargs) {
  const size_t at = ("," + devargs).find(",iface=");
  if (at == std::string::npos) return {};
  const std::string value = devargs.substr(at + 6);
  return value.substr(0, value.find(','));
}

std::string pool_name(const char* role) { return std::string("ringtap") + role + std::to_string(devices().serial++); }

}  // namespace

Port::Port(Port&& other) noexcept
    : settings_(std::move(other.settings_)),
      id_(other.id_),
      device_(other.device_),
      driver_(std::move(other.driver_)),
      interface_(std::move(other.interface_)),
      interface_index_(other.interface_index_),
      query_(std::move(other.query_)),
      virtual_(other.virtual_),
      claimed_(std::exchange(other.claimed_, false)),
      plugged_(std::exchange(other.plugged_, false)),
      started_(std::exchange(other.started_, false)),
      promiscuous_(std::exchange(other.promiscuous_, false)),
      hardware_time_(other.hardware_time_),
      receive_descriptors_(other.receive_descriptors_),
      send_descriptors_(other.send_descriptors_),
      ring_size_(other.ring_size_),
      memory_(std::move(other.memory_)),
      receive_pool_(std::move(other.receive_pool_)),
      send_pool_(std::move(other.send_pool_)),
      xdp_sockets_(std::move(other.xdp_sockets_)),
      notes_(std::move(other.notes_)) {}

Error Port::failed(Code code, const std::string& what, const char* call, int result, std::string hint) const {
  return {.code = code,
          .message = settings_.uri + ": " + what,
          .hint = std::move(hint),
          .syscall = call,
          .err = result < 0 ? -result : 0};
}

Result<Port> Port::plug(const PortSettings& settings) {
  // WHY: the kernel frees the queue of an AF_XDP socket some time after close(). And WHY anew from the start: once it
  // has failed, this driver's queue fails for ever.
  const auto until = Clock::now() + kReleaseTime;
  for (;;) {
    bool is_waiting = false;
    auto port = plug_once(settings, is_waiting);
    if (port || !is_waiting || Clock::now() >= until || is_set(settings.cancelled)) return port;
    std::this_thread::sleep_for(kRetryPause);
  }
}

Result<Port> Port::plug_once(const PortSettings& settings, bool& is_waiting) {
  Port port;
  port.settings_ = settings;
  const std::string& device = port.settings_.device;
  port.virtual_ = !is_pci(device);
  const auto lock = lock_within(devices().mutex, kPatience, settings.cancelled);
  if (!lock) {
    return Error{.code = Code::kBusy,
                 .message = port.settings_.uri + ": DPDK is busy with another port",
                 .hint = "Try again: one driver opens or closes its device at a time."};
  }
  if (!devices().taken.insert(device).second) {
    return Error{.code = Code::kBusy,
                 .message = port.settings_.uri + ": another capture of this process has the port " + device,
                 .hint = "One capture per port: use queues=0-3 for four queues, capture.transmit to send."};
  }
  port.claimed_ = true;
  if (port.virtual_) port.interface_ = interface_in(port.settings_.devargs);
  NewDescriptors inherits_nothing;
  const LogMark mark;
  if (rte_eth_dev_get_port_by_name(device.c_str(), &port.id_) != 0) {
    const std::string with_arguments = port.settings_.devargs.empty() ? device : device + "," + port.settings_.devargs;
    const int result = rte_dev_probe(with_arguments.c_str());
    if (result != 0 || rte_eth_dev_get_port_by_name(device.c_str(), &port.id_) != 0) {
      const std::string said = mark.lines();
      const bool unknown =
          said.find("no driver found") != std::string::npos || said.find("failed to parse device") != std::string::npos;
      if (!port.virtual_) {
        return port.failed(Code::kSystem, mark.explain("DPDK cannot open \"" + with_arguments + "\""), "rte_dev_probe",
                           result,
                           "vfio-pci needs an IOMMU and the module vfio_iommu_type1; without an IOMMU bind the card to "
                           "uio_pci_generic. The words after the colon are DPDK's own.");
      }
      return port.failed(
          unknown ? Code::kNoInterface : Code::kBadOption, mark.explain("DPDK cannot open \"" + with_arguments + "\""),
          "rte_dev_probe", result,
          unknown ? "A virtual device is called as its driver and a number, such as net_pcap0; each driver is a "
                    "package of its own (librte-net-…)."
                  : "The words after the colon are DPDK's own; https://doc.dpdk.org/guides/nics lists "
                    "the parameters of each driver.");
    }
  }
  port.plugged_ = true;
  if (!port.interface_.empty()) {
    port.query_ = query_socket();
    port.interface_index_ = interface_index(port.query_.get(), port.interface_);
    if (port.interface_index_ == 0) port.interface_.clear();  // vhost's iface is a path
  }
  if (auto configured = port.configure(); !configured) return std::move(configured).error();
  auto set_up = port.set_up_queues();
  port.xdp_sockets_ = xdp_sockets_of(inherits_nothing.keep());
  is_waiting = !set_up && port.driver_ == "net_af_xdp";
  if (!set_up) return std::move(set_up).error();
  return port;
}

Result<Ok> Port::configure() {
  rte_eth_dev_info info{};
  int result = rte_eth_dev_info_get(id_, &info);
  if (result != 0) return failed(Code::kSystem, "no information about the port", "rte_eth_dev_info_get", result);
  device_ = info.device;
  driver_ = info.driver_name;
  if (settings_.queues > info.max_rx_queues) {
    return failed(Code::kUnsupported,
                  "queues: the port has " + std::to_string(info.max_rx_queues) + " receive queues, not " +
                      std::to_string(settings_.queues),
                  "rte_eth_dev_configure", 0, "Name fewer queues.");
  }
  rte_eth_conf conf{};
  uint8_t key[128];
  if (settings_.queues > 1 && info.flow_type_rss_offloads != 0) {
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf =
        info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP);
    if (settings_.symmetric && info.hash_key_size <= sizeof key) {
      const uint8_t length = info.hash_key_size == 0 ? 40 : info.hash_key_size;
      for (uint8_t i = 0; i < length; i++) key[i] = kSymmetricKey[i % 2];
      conf.rx_adv_conf.rss_conf.rss_key = key;
      conf.rx_adv_conf.rss_conf.rss_key_len = length;
    }
  } else if (settings_.queues > 1) {
    notes_.push_back(driver_ + " has no RSS: it decides itself which packets come on which queue");
  }
  conf.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
  if (settings_.hardware_time && (info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_TIMESTAMP) != 0) {
    conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_TIMESTAMP;
    hardware_time_ = true;
  } else if (settings_.hardware_time) {
    notes_.push_back("no hardware timestamps from " + driver_ + ": the polling thread's clock is used");
  }
  if (settings_.mtu != 0) conf.rxmode.mtu = settings_.mtu;
  const LogMark mark;
  result = rte_eth_dev_configure(id_, settings_.queues, info.max_tx_queues > 0 ? 1 : 0, &conf);
  if (result != 0) {
    return failed(result == -EBUSY ? Code::kBusy : Code::kUnsupported, mark.explain("the port cannot be configured"),
                  "rte_eth_dev_configure", result,
                  "Name fewer queues or lower mtu; the words after the colon are DPDK's own.");
  }
  if (settings_.mtu != 0) {
    const LogMark mtu_mark;
    result = rte_eth_dev_set_mtu(id_, settings_.mtu);
    if (result != 0) {
      return failed(Code::kUnsupported,
                    mtu_mark.explain(driver_ + " cannot set the MTU to " + std::to_string(settings_.mtu)),
                    "rte_eth_dev_set_mtu", result, "Leave mtu out.");
    }
  }
  receive_descriptors_ = settings_.descriptors != 0 ? settings_.descriptors : kDefaultDescriptors;
  send_descriptors_ = kDefaultDescriptors;
  result = rte_eth_dev_adjust_nb_rx_tx_desc(id_, &receive_descriptors_, &send_descriptors_);
  if (result != 0) {
    return failed(Code::kSystem, "no descriptor rings", "rte_eth_dev_adjust_nb_rx_tx_desc", result);
  }
  if (settings_.descriptors != 0 && receive_descriptors_ != settings_.descriptors) {
    notes_.push_back("descriptors: " + driver_ + " takes " + std::to_string(receive_descriptors_));
  }
  return Ok{};
}

int Port::set_up_receive_queues(rte_mempool* pool) {
  for (uint16_t queue = 0; queue < settings_.queues; queue++) {
    const int result =
        rte_eth_rx_queue_setup(id_, queue, receive_descriptors_, rte_eth_dev_socket_id(id_), nullptr, pool);
    if (result != 0) return result;
  }
  return 0;
}

Result<Ok> Port::set_up_queues() {
  uint16_t mtu = 1500;
  rte_eth_dev_get_mtu(id_, &mtu);
  const uint32_t most = settings_.mtu != 0 ? settings_.mtu : std::min<uint32_t>(mtu, 1500);
  const uint32_t room =
      RTE_PKTMBUF_HEADROOM + std::max<uint32_t>(RTE_MBUF_DEFAULT_DATAROOM, (most + kOverhead + 63) & ~63u);
  const uint32_t in_driver = uint32_t{receive_descriptors_} * settings_.queues + kSlack;
  ring_size_ = std::bit_ceil(std::max(settings_.mbufs != 0 ? settings_.mbufs : kDefaultMbufs, kFewestMbufs));
  MemoryPlan plan{
      .name = pool_name("_rx"), .mbufs = ring_size_ + in_driver, .room = room, .socket = rte_eth_dev_socket_id(id_)};
  auto memory = PacketMemory::reserve(settings_.uri, plan);
  if (!memory) return std::move(memory).error();
  memory_.emplace(*std::move(memory));
  LogMark mark;
  int result = set_up_receive_queues(memory_->pool());
  if (result == -EINVAL) {
    plan.name = pool_name("_in");
    plan.mbufs = 2 * in_driver;
    mark = LogMark();
    auto pool = plain_pool(settings_.uri, plan);
    if (!pool) return std::move(pool).error();
    receive_pool_ = *std::move(pool);
    result = set_up_receive_queues(receive_pool_.get());
    if (result == 0) notes_.push_back(driver_ + " takes no pool of ours: packets are copied once");
  }
  if (result != 0) {
    return failed(result == -EBUSY ? Code::kBusy : Code::kSystem, mark.explain("no receive queues"),
                  "rte_eth_rx_queue_setup", result);
  }
  rte_eth_dev_info info{};
  if (rte_eth_dev_info_get(id_, &info) != 0 || info.nb_tx_queues == 0) return Ok{};
  plan.name = pool_name("_tx");
  plan.mbufs = kSendFrames + send_descriptors_;
  auto pool = plain_pool(settings_.uri, plan);
  if (!pool) return std::move(pool).error();
  send_pool_ = *std::move(pool);
  result = rte_eth_tx_queue_setup(id_, 0, send_descriptors_, rte_eth_dev_socket_id(id_), nullptr);
  if (result != 0) {
    return failed(Code::kSystem, mark.explain("no send queue"), "rte_eth_tx_queue_setup", result);
  }
  return Ok{};
}

std::vector<DropCause> Port::xstats() const {
  const int count = rte_eth_xstats_get_names(id_, nullptr, 0);
  if (count <= 0) return {};
  std::vector<rte_eth_xstat_name> names(static_cast<size_t>(count));
  std::vector<rte_eth_xstat> values(static_cast<size_t>(count));
  if (rte_eth_xstats_get_names(id_, names.data(), names.size()) != count) return {};
  if (rte_eth_xstats_get(id_, values.data(), values.size()) != count) return {};
  std::vector<DropCause> list;
  for (const rte_eth_xstat& value : values) {
    if (value.id < names.size()) list.push_back({names[value.id].name, value.value});
  }
  return list;
}

std::optional<std::string> Port::removed() const {
  if (!interface_.empty() && is_gone(query_.get(), interface_index_)) return "the interface " + interface_;
  // Most drivers of cards do not notice.
  const bool gone = rte_eth_dev_is_removed(id_) == 1 || (!virtual_ && !is_plugged_in(settings_.device));
  return gone ? std::optional<std::string>("the port") : std::nullopt;
}

Result<Ok> Port::start(bool receive) {
  const NewDescriptors inherits_nothing;
  const LogMark mark;
  int result = rte_eth_dev_start(id_);
  if (result != 0) {
    return failed(result == -EBUSY ? Code::kBusy : Code::kSystem, mark.explain("the port does not start"),
                  "rte_eth_dev_start", result);
  }
  started_ = true;
  if (!receive || !settings_.promiscuous) return Ok{};
  result = rte_eth_promiscuous_enable(id_);
  promiscuous_ = result == 0;
  if (!promiscuous_ && rte_eth_promiscuous_get(id_) != 1)
    notes_.push_back("no promiscuous mode: " + driver_ + " has none");
  return Ok{};
}

void Port::remove() noexcept {
  // WHY: drivers of virtual devices set the interface's own flag, and leave it.
  if (promiscuous_) rte_eth_promiscuous_disable(id_);
  if (started_) rte_eth_dev_stop(id_);
  if (plugged_) {
    rte_eth_dev_close(id_);
    if (device_ != nullptr) rte_dev_remove(device_);
    close_sockets(xdp_sockets_);
  }
  claimed_ = plugged_ = started_ = promiscuous_ = false;
  receive_pool_.reset();
  send_pool_.reset();
}

void Port::unplug() noexcept {
  if (!claimed_) return;
  const auto lock = lock_within(devices().mutex, kPatience);
  // WHY: this driver waits for ever for a card that was pulled out to reset. The port stays, and stays taken.
  if (driver_ == "net_virtio" && !virtual_ && !is_plugged_in(settings_.device)) {
    claimed_ = false;
    return;
  }
  const NewDescriptors inherits_nothing;
  // What is left of this port: it may take longer than anybody waits for it.
  struct Removal {
    std::optional<Port> port;
    std::binary_semaphore done{0};
  };
  const std::string device = settings_.device;
  const auto removal = std::make_shared<Removal>();
  removal->port.emplace(std::move(*this));
  const auto run = [](void* at) {
    const std::unique_ptr<std::shared_ptr<Removal>> own(static_cast<std::shared_ptr<Removal>*>(at));
    (*own)->port->remove();
    (*own)->done.release();
  };
  // WHY on EAL's event thread, where alarms run: drivers free there, too (memif, when its peer goes), without a lock.
  auto own = std::make_unique<std::shared_ptr<Removal>>(removal);
  if (rte_eal_alarm_set(1, run, own.get()) == 0) {
    static_cast<void>(own.release());
    if (!removal->done.try_acquire_for(kPatience)) return;
  } else {
    removal->port->remove();
  }
  // WHY: EAL's event thread makes a new epoll set, which children would inherit, once it is back from there.
  std::this_thread::sleep_for(kAfterEvent);
  removal->port.reset();  // here: the process may end, and DPDK with it, before the other thread goes on
  if (lock) devices().taken.erase(device);
}

}  // namespace ringtap::dpdk
