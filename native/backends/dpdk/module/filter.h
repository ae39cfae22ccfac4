// A filter in the polling thread: machine code by DPDK where it can, our interpreter otherwise.
#pragma once

#include <memory>
#include <optional>

#include "core/program.h"
#include "filter/vm.h"

struct rte_bpf;
struct rte_mbuf;

namespace ringtap::dpdk {

struct FreeBpf {
  void operator()(rte_bpf* bpf) const noexcept;
};

class MbufFilter {
 public:
  explicit MbufFilter(const Program& program);

  /// Bytes of the packet to keep; 0 rejects it.
  uint32_t keep(rte_mbuf* packet) const noexcept;
  /// Of a packet in one piece.
  uint32_t keep(const std::byte* data, uint32_t bytes) const noexcept { return vm_.run(data, bytes, bytes); }

  FilterPlacement placement() const;
  bool compiled() const noexcept { return code_ != nullptr; }

 private:
  FilterVm vm_;
  std::unique_ptr<rte_bpf, FreeBpf> bpf_;
  uint64_t (*code_)(void*) = nullptr;
};

}  // namespace ringtap::dpdk
