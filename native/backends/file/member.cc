#include "backends/file/member.h"

namespace ringtap::file {
Rx Member::read(uint32_t most) {
  if (block_ == nullptr) {
    block_ = std::make_unique<DescBlock>(most);
    if (source_->info().origins) block_->tell_origins();
    keys_.resize(most);
  }
  read_.reset();  // what nobody else has of it may be read into
  next_ = count_ = 0;
  const RxBatch batch = source_->receive(*block_, most);
  if (batch.rx != Rx::kOk) return batch.rx;
  read_ = std::make_shared<Read>(*source_, batch.lease);
  count_ = batch.count;
  link_type_ = batch.link_type;
  segment_ = batch.segment;
  make_keys();
  return Rx::kOk;
}

void Member::make_keys() {
  const DescBlock& block = *block_;
  for (uint32_t i = 0; i < count_; i++) keys_[i] = key_of(block.time[i], block.rest[i], block.flags[i]);
}

}  // namespace ringtap::file
