// The Source of the rpcap: backend.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>

#include "backends/rpcap/data.h"
#include "backends/rpcap/listener.h"
#include "core/arena.h"
#include "core/remote.h"
#include "core/source.h"
#include "filter/placement.h"
#include "format/rpcap.h"
#include "io/address.h"

namespace ringtap::rpcap {

class RpcapSource final : public Source, private Remote {
 public:
  struct Setup {
    std::string local;  // addresses in numbers: ours, as the daemon sees it
    std::string peer;
    bool datagrams = false;
    bool awaits = false;      // of a connection: the daemon makes it
    bool big_endian = false;  // the daemon's host
    int64_t buffer_bytes = 0;
    std::chrono::milliseconds patience{};           // how long a connection may take
    bool trains = false;                            // datagrams may be compressed together
    std::chrono::milliseconds recovery_patience{};  // how long a datagram that was lost is waited for
  };
  RpcapSource(SourceInfo info, Arena arena, Setup setup);
  ~RpcapSource() override { close(); }

  /// Makes what start() must not fail for.
  Result<Ok> prepare();

  const SourceInfo& info() const noexcept override { return info_; }
  Result<FilterPlacement> set_filter(std::shared_ptr<Filter> filter) override;
  Result<Ok> start() override { return Ok{}; }
  RxBatch receive(DescBlock& block, uint32_t max) noexcept override;
  bool release(Lease lease) noexcept override { return arena_.release(lease); }
  Readiness readiness() const noexcept override;
  Stats stats() const noexcept override;
  const Error& error() const noexcept override { return error_; }
  Remote* remote() noexcept override { return this; }
  void close() noexcept override;

 private:
  const Program& filter() const noexcept override { return program_; }
  Compiling compiling(std::shared_ptr<Filter> filter) const override;
  void look(bool on) noexcept override { looks_ = on; }
  void adopt(Program program) override;
  uint16_t port() const noexcept override { return port_; }
  Result<Ok> agree(const RemoteAgreement& agreed) override;
  Connecting connecting(uint16_t port) const override;
  Result<Ok> attach(std::shared_ptr<Connection> connection) override;
  Result<UniqueFd> pipe() override;
  std::optional<uint64_t> arrived() const noexcept override;
  void counted(const RemoteCounters& counters) noexcept override;
  bool settle() noexcept override;
  void end(Error why) noexcept override;
  void finish() noexcept override;

  bool accept() noexcept;
  bool pull() noexcept;
  bool take(DescBlock& block, uint32_t i, uint32_t& offset, uint32_t room) noexcept;
  Rx outcome() noexcept;
  bool rest_may_come() noexcept;
  bool is_waiting() const noexcept;
  bool is_lacking() const noexcept;
  Result<Ok> watch(int fd) noexcept;

  SourceInfo info_;
  Arena arena_;
  const Setup setup_;
  const std::shared_ptr<std::atomic<bool>> given_up_ = std::make_shared<std::atomic<bool>>(false);
  Program program_;  // the daemon's; it accepts all unless set_filter() says otherwise
  UserFilter filter_;
  bool looks_ = true;  // at what has passed the daemon's filter
  UniqueFd epoll_;
  UniqueFd woken_;  // an eventfd: readable once end() was called
  UniqueFd timer_;  // how long the reason for the end of the data is waited for
  uint16_t port_ = 0;
  std::optional<Listener> listener_;  // until the daemon has connected
  Address peer_;
  std::unique_ptr<Data> data_;
  Data::Got got_ = Data::Got::kNothing;  // what the data said last
  std::optional<Packet> head_;           // it was read, and not lent yet
  bool hurrying_ = false;                // the last receive() came back with work left

  Numbers numbers_{setup_.datagrams ? Numbers::Way::kDatagrams : Numbers::Way::kStream, 0};
  RemoteCounters last_counters_;
  /// What the daemon has told that it had sent, and when.
  struct Told {
    uint32_t sent = 0;
    std::chrono::steady_clock::time_point at;
  };
  std::optional<Told> told_;       // what is waited for
  std::optional<Told> told_last_;  // the newest
  uint64_t interface_dropped_ = 0;
  uint64_t kernel_dropped_ = 0;
  uint64_t delivered_ = 0;
  uint64_t delivered_bytes_ = 0;
  std::vector<DropCause> last_details_;

  bool is_waiting_for_reason_ = false;
  std::optional<Error> ended_;
  bool finished_ = false;             // it has ended, and nothing is wrong
  bool rest_is_over_ = false;         // it was waited for
  uint64_t rest_bytes_ = UINT64_MAX;  // of the data, when it was last looked at after that
  bool closed_ = false;
  Error error_;
};

}  // namespace ringtap::rpcap
