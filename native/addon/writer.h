// A trace file being written.
#pragma once

#include <napi.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "addon/deferred.h"
#include "addon/environment.h"
#include "write/writer.h"

namespace ringtap {
class Readers;
}

namespace ringtap::addon {

class Session;

/// append() copies a batch on the JS thread; the rest happens on the writer's own, and settles promises.
class Writer final : public Napi::ObjectWrap<Writer> {
 public:
  static Napi::Function define(Napi::Env env);
  /// openWriter({path, format, linkType, snaplen, nanosecond, delayMs, application, comment, hardware, os, interfaces,
  /// latenessMs, packetDetails, keepBlocks, keepResolution, overwrite, sync, rotate, direct, preallocateBytes,
  /// queueBytes, drops, readers}) → Writer, whose tried() tells what came of it. Throws where no thread can be made.
  static Napi::Value open(const Napi::CallbackInfo& info);

  /// The writer of one; null where it is none.
  static std::shared_ptr<TraceWriter> of(const Napi::Value& value);

  explicit Writer(const Napi::CallbackInfo& info) : ObjectWrap(info) {}

 private:
  Napi::Value tried(const Napi::CallbackInfo& info);
  Napi::Value is_open(const Napi::CallbackInfo& info);
  Napi::Value append(const Napi::CallbackInfo& info);
  Napi::Value append_copy(const Napi::CallbackInfo& info);
  Napi::Value room(const Napi::CallbackInfo& info);
  Napi::Value flush(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  void cancel(const Napi::CallbackInfo& info);
  void give_up(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  Napi::Value files(const Napi::CallbackInfo& info);
  void ledger(const Napi::CallbackInfo& info);
  void comment(const Napi::CallbackInfo& info);
  void block(const Napi::CallbackInfo& info);
  Napi::Value leaves_blocks_out(const Napi::CallbackInfo& info);
  Napi::Value attach(const Napi::CallbackInfo& info);
  Napi::Value left(const Napi::CallbackInfo& info);
  Napi::Value readers(const Napi::CallbackInfo& info);

  /// Promises on their way, by the number that JS gave them. Shared with what settles them.
  struct Promised {
    Deferred deferred;
    TraceWriter::Ticket ticket = 0;
  };
  using Promises = std::map<uint32_t, Promised>;

  Napi::Value append_view(Napi::Env env, BatchView view, const Napi::Value& first, const Napi::Value& select);
  uint64_t lost_since(const Session& session);
  void keep_blocks(const Session& session, BatchView& view);
  std::optional<Error> choose(const Napi::Value& select, uint32_t count);
  Napi::Value promise(const Napi::CallbackInfo& info, const std::function<TraceWriter::Ticket(TraceWriter::Done)>& ask);

  std::shared_ptr<TraceWriter> writer_;
  std::shared_ptr<Readers> readers_;  // null: it goes into files
  const std::shared_ptr<Promises> promises_ = std::make_shared<Promises>();
  bool tells_losses_ = false;                 // the format has a place for them
  std::map<uint32_t, uint64_t> losses_told_;  // by the number of the session
  bool keeps_blocks_ = false;                 // names and secrets of the traces that packets are read from
  bool keeps_origins_ = false;                // their interfaces and options, too
  bool leaves_blocks_out_ = false;            // as they did not fit
  /// Of a session.
  struct Kept {
    size_t told = 0;                   // blocks
    std::vector<uint32_t> interfaces;  // numbers of the writer
  };
  std::map<uint32_t, Kept> kept_;   // by the number of the session
  std::vector<uint32_t> selected_;  // of the write that is under way
};

}  // namespace ringtap::addon
