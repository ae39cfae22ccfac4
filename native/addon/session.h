// An open capture: a Source, its wait strategy and the memory that JS sees.
#pragma once

#include <napi.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "addon/environment.h"
#include "addon/memory.h"
#include "addon/sending.h"
#include "addon/waiter.h"
#include "core/source.h"
#include "format/encoder.h"

namespace ringtap::addon {

class Session final : public Napi::ObjectWrap<Session>, public Tenant {
 public:
  /// What open() produced off the JS thread.
  struct Opened {
    std::string uri;  // as the user wrote it
    std::unique_ptr<Source> source;
    FilterPlacement filter;
    uint32_t batch_size = 256;
    bool external = true;  // false: copy each batch as if the runtime refused external buffers
  };

  static Napi::Function define(Napi::Env env);
  /// Empty when the environment is ending; the source is closed then.
  static Napi::Object make(Napi::Env env, Opened opened);
  static Napi::Value next(const Napi::CallbackInfo& info);
  static void wait(const Napi::CallbackInfo& info);
  static Napi::Value send(const Napi::CallbackInfo& info);

  explicit Session(const Napi::CallbackInfo& info);
  ~Session() override;

  void abandon() override;

  /// The open session with this number; null when there is none any more.
  static Session* find(Napi::Env env, uint32_t number) {
    // SAFETY: only sessions are added to an environment.
    return static_cast<Session*>(Environment::of(env).tenant(number));
  }

  /// A slot's batch, for a writer or decoding. Nothing when the slot lends none, or lends another one by now than that
  /// of this generation.
  std::optional<BatchView> view(uint32_t slot, uint32_t generation) const;

  /// What its trace told beside packets, from that block on.
  std::vector<TraceBlock> blocks(size_t first) const {
    return source_ ? source_->blocks(first) : std::vector<TraceBlock>();
  }
  /// Null where it cannot send, or was closed.
  const std::shared_ptr<Sending>& sending() const noexcept { return sending_; }
  uint32_t own_number() const noexcept { return number_; }
  /// Packets that it has lost by now.
  uint64_t dropped() const { return source_ ? source_->stats().dropped : last_stats_.dropped; }

 private:
  struct Slot {
    std::unique_ptr<DescBlock> block;
    Lease lease = 0;
    uint32_t generation = 0;  // of the batch that it lends, or lent last
    uint32_t count = 0;
    uint32_t segment = 0;
    uint32_t link_type = 0;
    ExposedMemory shown;                              // the descriptors
    Napi::Reference<Napi::ArrayBuffer> copied_desc;   // without external buffers: a copy of them …
    Napi::Reference<Napi::ArrayBuffer> copied_bytes;  // … and of the packets, made anew for each batch
    std::unique_ptr<std::byte[]> kept;                // … and ours, for a writer
    size_t kept_bytes = 0;
  };

  void adopt(Opened opened);
  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value add_slot(const Napi::CallbackInfo& info);
  Napi::Value copied(const Napi::CallbackInfo& info);
  Napi::Value segment(const Napi::CallbackInfo& info);
  void release(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  Napi::Value error(const Napi::CallbackInfo& info);
  void set_ref(const Napi::CallbackInfo& info);
  void on_ready(const Napi::CallbackInfo& info);
  Napi::Value send_batch(const Napi::CallbackInfo& info);
  Napi::Value send_owned(const Napi::CallbackInfo& info);
  Napi::Value send_frames(const Napi::CallbackInfo& info);
  Napi::Value flush_tx(const Napi::CallbackInfo& info);
  Napi::Value has_room_tx(const Napi::CallbackInfo& info);
  Napi::Value drain_tx(const Napi::CallbackInfo& info);
  void steer_tx(const Napi::CallbackInfo& info);
  Napi::Value tx_stats(const Napi::CallbackInfo& info);
  Napi::Value remote(const Napi::CallbackInfo& info);
  void remote_agree(const Napi::CallbackInfo& info);
  Napi::Value remote_connect(const Napi::CallbackInfo& info);
  Napi::Value remote_pipe(const Napi::CallbackInfo& info);
  Napi::Value remote_compile(const Napi::CallbackInfo& info);
  void remote_look(const Napi::CallbackInfo& info);
  void remote_adopt(const Napi::CallbackInfo& info);
  Napi::Value remote_arrived(const Napi::CallbackInfo& info);
  void remote_counted(const Napi::CallbackInfo& info);
  Napi::Value remote_settle(const Napi::CallbackInfo& call);
  void remote_end(const Napi::CallbackInfo& info);
  void remote_finish(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  Sending* sending(Napi::Env env, const char* what);
  TxStats tx_stats_now() const;
  void raise_at(Napi::Env env, Error error) const;
  Napi::Value next_into(Napi::Env env, Slot& slot, int wait_ms, bool goes_on);
  void wait_for_packets();
  Slot* slot_of(const Napi::CallbackInfo& info);
  void release_slot(Slot& slot);
  bool copy_out(Napi::Env env, Slot& slot);
  uint32_t nap_ms() const;
  void block(int timeout_ms);
  void call_back();
  Waiter& waiter();
  std::unique_ptr<Source> shut_down(bool detach);

  Environment& environment_;
  uint32_t number_ = 0;
  std::string uri_;
  std::unique_ptr<Source> source_;
  std::shared_ptr<Sending> sending_;  // while it is open, of what can send
  FilterPlacement filter_;
  uint32_t batch_size_ = 256;
  bool external_ = true;
  std::vector<ExposedMemory> segments_;
  std::optional<Program> remote_program_;  // of remote_compile()
  std::vector<std::unique_ptr<Slot>> slots_;
  uint32_t outstanding_ = 0;
  bool woken_ = false;        // the last wake-up has not led to a packet yet
  uint32_t nap_left_ms_ = 0;  // of a sleep that block() cut short
  Waiter* waiter_ = nullptr;
  Napi::FunctionReference on_ready_;
  bool waiting_ = false;  // on_ready_ is strong
  std::optional<Napi::AsyncContext> context_;
  Stats last_stats_;
  TxStats last_tx_stats_;
};

}  // namespace ringtap::addon
