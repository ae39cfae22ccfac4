// Capture through PF_RING's library: each packet is copied once, because the library lends only one at a time.
#pragma once

#include <memory>
#include <optional>

#include "backends/pfring/library.h"
#include "backends/pfring/socket.h"
#include "backends/pfring/transmit.h"
#include "backends/pfring/watch.h"
#include "core/arena.h"
#include "core/source.h"
#include "filter/placement.h"

namespace ringtap::pfring {

struct CloseHandle {
  void operator()(Handle* handle) const { library()->close(handle); }
};
using UniqueHandle = std::unique_ptr<Handle, CloseHandle>;

class LibrarySource final : public Source {
 public:
  static Result<std::unique_ptr<Source>> open(const Library& library, Settings settings);
  ~LibrarySource() override { close(); }

  const SourceInfo& info() const noexcept override { return info_; }
  Result<FilterPlacement> set_filter(std::shared_ptr<Filter> filter) override;
  Result<Ok> start() override;
  Result<Ok> start_tx() override;
  RxBatch receive(DescBlock& block, uint32_t max) noexcept override;
  bool release(Lease lease) noexcept override { return arena_.release(lease); }
  Readiness readiness() const noexcept override;
  Stats stats() const noexcept override;
  const Error& error() const noexcept override { return error_; }
  Tx* tx() noexcept override { return tx_ ? &*tx_ : nullptr; }
  void close() noexcept override;

 private:
  LibrarySource(const Library& library, Settings settings, UniqueHandle handle, Arena arena);

  static Result<UniqueHandle> open_handle(const Library& library, const Settings& settings, uint32_t caplen);
  Result<Ok> prepare_tx();
  void read(DescBlock& block, uint32_t max) noexcept;
  void fail(Error error) noexcept;
  void collect() const noexcept;

  const Library& library_;
  const Settings settings_;
  UniqueHandle handle_;
  Arena arena_;
  SourceInfo info_;
  UserFilter filter_;
  std::optional<Watch> watch_;
  std::optional<RingTx> tx_;
  PacketHeader header_{};
  uint32_t count_ = 0;  // of the batch that read() fills
  bool started_ = false;
  bool failed_ = false;
  Error error_;
  uint64_t delivered_ = 0;
  uint64_t delivered_bytes_ = 0;
  mutable uint64_t dropped_ = 0;
  mutable uint64_t pending_ = 0;
};

}  // namespace ringtap::pfring
