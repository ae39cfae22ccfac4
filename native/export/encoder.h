// Records of flows as messages.
#pragma once

#include <optional>
#include <vector>

#include "export/announcement.h"
#include "export/messages.h"
#include "export/settings.h"
#include "flow/records.h"

namespace ringtap::ipfix {

/// Records that are to be exported. They may lie in memory that JavaScript can write.
struct Batch {
  const flow::Columns& columns;
  uint32_t count;
  int64_t epoch_ns;
};

class Encoder {
 public:
  explicit Encoder(Settings settings);

  const Settings& settings() const noexcept { return settings_; }

  /// Makes messages of the records, behind an announcement where there is an account. `now_ms` since 1970. What was
  /// made before is gone.
  void encode(const Batch& batch, int64_t now_ms, const std::optional<Account>& account);
  void announce(int64_t now_ms, const Account& account);
  void withdraw(int64_t now_ms);

  std::span<const Message> messages() const noexcept { return messages_.made(); }
  const std::byte* memory() const noexcept { return messages_.memory(); }
  size_t size() const noexcept { return messages_.size(); }
  /// The number that the next message of the domain would have, or one of domain 0.
  uint32_t next_sequence(bool of_zero) const noexcept { return messages_.next_sequence(of_zero); }
  void clear() noexcept { messages_.clear(); }

 private:
  HeaderTime header_time(int64_t now_ms) const noexcept;
  void begin_at(int64_t now_ms) noexcept;
  uint32_t set_boot(const Batch& batch, uint32_t first) noexcept;
  void put_block(const Batch& batch, uint32_t first, uint32_t count);
  void put_records(const Batch& batch, uint8_t kind, std::span<const uint32_t> entries);

  Settings settings_;
  Messages messages_;
  uint32_t record_bytes_[8] = {};  // of each kind
  // Of NetFlow v9, whose times count from a boot: a whole second before the first flow of those that it is told with.
  std::optional<int64_t> boot_ms_;
  int64_t latest_ms_ = 0;
};

}  // namespace ringtap::ipfix
