#include "protocol/http/http.h"

#include <algorithm>
#include <memory>

#include "protocol/http/http1.h"
#include "protocol/http/http2.h"

namespace ringtap::protocol::http {

namespace {

Match match(Span bytes, const Meeting&) {
  const Match second = match_http2(bytes);
  return second != Match::kNo ? second : match_http1(bytes);
}

/// Of whichever version; it goes on as HTTP 2 where both ends agree on that.
class Conversing final : public Conversation {
 public:
  Progress take(Side side, Span bytes, bool is_cut, Output& out) override {
    if (inner_ == nullptr) {
      const Match second = match_http2(bytes);
      // The other end's first bytes have told; these are too few to tell which version.
      if (second == Match::kMore) return {.need = bytes.size() + 1};
      // No head of HTTP 1 begins with a frame's length.
      if (second == Match::kYes || (!bytes.empty() && bytes[0] == std::byte{0})) {
        inner_ = open_http2(nullptr);
      } else {
        auto first = open_http1();
        first_ = first.get();
        inner_ = std::move(first);
      }
    }
    const Progress progress = inner_->take(side, bytes, is_cut, out);
    if (!progress.begins_anew || first_ == nullptr) return progress;
    auto request = first_->upgraded();
    if (request == nullptr) return progress;
    first_->ended(out);
    first_ = nullptr;
    inner_ = open_http2(std::move(request));
    const size_t before = std::min(progress.consumed, bytes.size());
    Progress next = inner_->take(side, bytes.subspan(before), is_cut, out);
    next.consumed += before;
    return next;
  }
  void passed(Side side, uint64_t bytes) override {
    if (inner_ != nullptr) inner_->passed(side, bytes);
  }
  bool gap(Side side, uint64_t bytes) override { return inner_ != nullptr && inner_->gap(side, bytes); }
  void closed(Side side, Output& out) override {
    if (inner_ != nullptr) inner_->closed(side, out);
  }
  void ended(Output& out) override {
    if (inner_ != nullptr) inner_->ended(out);
  }
  size_t memory() const noexcept override { return inner_ != nullptr ? inner_->memory() : 0; }

 private:
  std::unique_ptr<Conversation> inner_;
  Http1* first_ = nullptr;  // where it is that
};

std::unique_ptr<Conversation> open(const Meeting&) { return std::make_unique<Conversing>(); }

}  // namespace

const Protocol kProtocol = {.name = kType, .match = match, .open = open, .on_tcp = true};

}  // namespace ringtap::protocol::http
