// An input that tests make.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "io/input.h"

namespace ringtap {

/// Bytes of which a piece comes now and then, with nothing in between.
class Pieces final : public Input {
 public:
  Pieces(std::string bytes, size_t piece) : bytes_(std::move(bytes)), piece_(piece) {}

  int64_t read(std::byte* to, size_t bytes, const std::shared_ptr<Region>&) noexcept override {
    quiet_ = !quiet_;
    if (quiet_) return kNothingYet;
    const size_t n = std::min({bytes, piece_, bytes_.size() - at_});
    std::memcpy(to, bytes_.data() + at_, n);
    at_ += n;
    return static_cast<int64_t>(n);
  }
  bool reading() const noexcept override { return quiet_; }
  bool wait(int) const noexcept override { return true; }
  Readiness readiness() const noexcept override { return {.kind = Readiness::Kind::kPoll}; }
  bool pending() const noexcept override { return true; }
  bool stream() const noexcept override { return true; }
  Error failure(uint64_t) const override { return {}; }
  void close() noexcept override {}

 private:
  const std::string bytes_;
  const size_t piece_;
  size_t at_ = 0;
  bool quiet_ = false;
};

}  // namespace ringtap
