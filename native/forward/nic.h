// An interface that frames are taken from and given to, by whichever method.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "forward/frame.h"
#include "forward/ledger.h"

namespace ringtap::forward {

/// Used by one thread, but for guard() and guard_tunnels().
class Nic {
 public:
  virtual ~Nic() = default;

  virtual const std::string& name() const noexcept = 0;
  virtual const Mac& mac() const noexcept = 0;
  /// Readable when there are frames.
  virtual int fd() const noexcept = 0;
  /// Readable when its link may have changed.
  virtual int news_fd() const noexcept = 0;

  /// As it is now: asked for once, and when there are news.
  struct State {
    bool is_up = false;
    uint32_t mtu = 0;
    uint32_t downs = 0;  // since it was asked last
  };
  virtual State state() noexcept = 0;

  /// Frames that have arrived, some; none when there are no more. Theirs is what receive() gives next.
  virtual std::span<Frame> receive() noexcept = 0;
  /// Frames that were lost before they were received, ever.
  virtual uint64_t missed() noexcept = 0;

  /// Sends it with the next flush(). `ledger` comes back with what became of it.
  virtual void queue(const Frame& frame, Ledger* ledger) = 0;
  /// Called with a frame as it was queued, and why it was not sent, if so.
  using Done = std::function<void(const Frame& frame, Ledger* ledger, std::optional<Drop> why)>;
  virtual void flush(const Done& done) = 0;

  /// From now on the host sees nothing that is for these addresses; any thread. It does again when this object is gone,
  /// or the process.
  virtual Result<Ok> guard(const std::vector<Address>& addresses) = 0;
  /// The same of GENEVE to these addresses, which are the host's; all else that is for them stays its own.
  virtual Result<Ok> guard_tunnels(const std::vector<Address>& addresses) = 0;
};

}  // namespace ringtap::forward
