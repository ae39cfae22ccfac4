#include "addon/writer.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#ifndef _WIN32
#include "addon/connection.h"
#include "write/readers.h"
#endif
#include "addon/convert.h"
#include "addon/deferred.h"
#include "addon/elements.h"
#include "addon/errors.h"
#include "addon/session.h"
#include "core/text.h"
#include "format/checked_packet.h"
#include "format/pcapng_blocks.h"
#include "io/compressing_output.h"
#include "io/file_output.h"
#include "io/file_series.h"

namespace ringtap::addon {

namespace {

// Results of append() that are not an index; lib/native/native.ts knows them, too.
constexpr double kAllTaken = -1;
constexpr double kReleased = -2;

/// How long the end of a process or worker waits for a slow disk.
constexpr std::chrono::seconds kPatience{2};

/// Packets in arrays that JS owns, from argument `at` on: as many as the shortest of them has.
BatchView view_of(const Napi::CallbackInfo& info, size_t at) {
  const auto time = elements<double>(info[at]);
  const auto rest = elements<double>(info[at + 1]);
  const auto offset = elements<uint32_t>(info[at + 2]);
  const auto caplen = elements<uint32_t>(info[at + 3]);
  const auto wirelen = elements<uint32_t>(info[at + 4]);
  const auto flags = elements<uint32_t>(info[at + 5]);
  const auto bytes = elements<std::byte>(info[at + 6]);
  const size_t count = std::min({time.size(), rest.size(), offset.size(), caplen.size(), wirelen.size(), flags.size()});
  BatchView view;
  view.time = time.data();
  view.rest = rest.data();
  view.offset = offset.data();
  view.caplen = caplen.data();
  view.wirelen = wirelen.data();
  view.flags = flags.data();
  view.count = static_cast<uint32_t>(std::min<size_t>(count, UINT32_MAX));
  view.segment = bytes.data();
  view.segment_bytes = bytes.size();
  return view;
}

/// The nanoseconds of whole seconds that may be any number; what no int64_t holds is no time of a packet.
int64_t epoch_ns(double seconds, double nanos) {
  constexpr double kMostSeconds = 9.2e9;
  const double whole = seconds >= -kMostSeconds && seconds <= kMostSeconds ? seconds : 0;  // NaN is neither
  const double part = nanos >= -1e9 && nanos <= 1e9 ? nanos : 0;
  return static_cast<int64_t>(whole) * 1'000'000'000 + static_cast<int64_t>(part);
}

/// A whole number; 0 where there is none.
uint64_t whole(const Napi::Value& value) {
  constexpr double kMost = 9007199254740992;  // 2^53
  return value.IsNumber() ? static_cast<uint64_t>(std::clamp<double>(number(value), 0, kMost)) : 0;
}

/// Nothing of it where no rotation was asked for.
RotateRequest to_rotate(const Napi::Value& value) {
  if (!value.IsObject()) return {};
  const auto object = value.As<Napi::Object>();
  const uint64_t interval_ms = whole(object.Get("intervalMs"));
  const uint64_t period_ms = interval_ms > 0 ? interval_ms : whole(object.Get("periodMs"));
  return {.bytes = whole(object.Get("bytes")),
          .packets = whole(object.Get("packets")),
          .period_ns = static_cast<int64_t>(std::min<uint64_t>(period_ms, uint64_t{1} << 40) * 1'000'000),
          .on_clock = interval_ms > 0,
          .most_files = flag(object.Get("stop")) ? whole(object.Get("files")) : 0};
}

std::optional<uint32_t> link_type_of(const Napi::Object& object) {
  const Napi::Value link_type = object.Get("linkType");
  return link_type.IsNumber() ? std::optional(static_cast<uint32_t>(number(link_type))) : std::nullopt;
}

InterfaceInfo to_interface(const Napi::Value& value) {
  if (!value.IsObject()) return {};
  const auto object = value.As<Napi::Object>();
  return {.name = text(object.Get("name")),
          .description = text(object.Get("description")),
          .filter = text(object.Get("filter")),
          .bits_per_second = whole(object.Get("bitsPerSecond")),
          .link_type = link_type_of(object)};
}

std::vector<InterfaceInfo> to_interfaces(const Napi::Value& value) {
  std::vector<InterfaceInfo> interfaces;
  if (!value.IsArray()) return interfaces;
  const auto array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); i++) interfaces.push_back(to_interface(array.Get(i)));
  return interfaces;
}

/// One file, or one after the other.
Result<Destination> destination(const Napi::Object& request, const RotateRequest& rotate) {
  const std::string path = text(request.Get("path"));
  const bool overwrite = flag(request.Get("overwrite"));
  const FileWriting how{.direct = flag(request.Get("direct")), .preallocate = whole(request.Get("preallocateBytes"))};
  const Napi::Value options = request.Get("rotate");
  if (!options.IsObject()) return to_file(path, overwrite ? Existing::kEmptied : Existing::kRefused, how);
  const uint64_t files = whole(options.As<Napi::Object>().Get("files"));
  const int64_t period_ms = rotate.period_ns / 1'000'000;
  return to_files({.pattern = path,
                   .many = rotate.bytes > 0 || rotate.packets > 0 || period_ms % 1000 != 0,
                   .period_s = period_ms / 1000,
                   .keep = rotate.most_files > 0 ? 0 : static_cast<uint32_t>(std::min<uint64_t>(files, UINT32_MAX)),
                   .overwrite = overwrite,
                   .how = how,
                   .sync = flag(request.Get("sync"))});
}

/// Nothing where none is asked for.
std::optional<CompressionRequest> to_compression(const Napi::Value& given, bool may_have_index) {
  if (!given.IsObject()) return std::nullopt;
  const auto compression = given.As<Napi::Object>();
  const std::string sections = text(compression.Get("sections"));
  return CompressionRequest{
      .compression = compression_named(text(compression.Get("method"))).value_or(Compression::kNone),
      .level = static_cast<int>(number(compression.Get("level"))),
      .sections = sections == "frames"                    ? Sections::kFrames
                  : sections == "index" && may_have_index ? Sections::kInside
                                                          : Sections::kNone};
}

/// The same, compressed if that is asked for.
Result<Destination> compressed_if(const Napi::Object& request, Result<Destination> to) {
  const auto compression = to_compression(request.Get("compression"), to && to->path);
  if (!to || !compression) return to;
  return compressed(*std::move(to), *compression);
}

#ifndef _WIN32

/// Who reads it through connections.
Result<std::shared_ptr<Readers>> to_readers(const Napi::Object& request, const Napi::Object& readers) {
  const auto compression = to_compression(request.Get("compression"), false);
  if (compression) {
    // One is made now, for what may be missing.
    if (auto tried = make_compressor(*compression); !tried) return std::move(tried).error();
  }
  return Readers::create({.name = text(request.Get("path")),
                          .is_pcapng = text(request.Get("format")) == "pcapng",
                          .drops = flag(request.Get("drops")),
                          .listens = flag(readers.Get("listens")),
                          .comes_back = flag(readers.Get("comesBack")),
                          .queue_bytes = whole(request.Get("queueBytes")),
                          .compression = compression});
}

#endif

Napi::Object from_file(Napi::Env env, const FinishedFile& file) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("path", file.path);
  object.Set("packets", static_cast<double>(file.packets));
  object.Set("bytes", static_cast<double>(file.bytes));
  if (file.packets == 0) return object;
  object.Set("first", Napi::BigInt::New(env, file.earliest_ns));
  object.Set("last", Napi::BigInt::New(env, file.latest_ns));
  return object;
}

Napi::Value from_files(Napi::Env env, const std::vector<FinishedFile>& files) {
  Napi::Array array = Napi::Array::New(env, files.size());
  if (array.IsEmpty()) return array;  // the worker is being terminated
  for (size_t i = 0; i < files.size(); i++) array.Set(static_cast<uint32_t>(i), from_file(env, files[i]));
  return array;
}

}  // namespace

Napi::Function Writer::define(Napi::Env env) {
  return DefineClass(env, "Writer",
                     {
                         InstanceMethod<&Writer::tried>("tried"),
                         InstanceMethod<&Writer::is_open>("isOpen"),
                         InstanceMethod<&Writer::append>("append"),
                         InstanceMethod<&Writer::append_copy>("appendCopy"),
                         InstanceMethod<&Writer::room>("room"),
                         InstanceMethod<&Writer::flush>("flush"),
                         InstanceMethod<&Writer::close>("close"),
                         InstanceMethod<&Writer::cancel>("cancel"),
                         InstanceMethod<&Writer::give_up>("giveUp"),
                         InstanceMethod<&Writer::stats>("stats"),
                         InstanceMethod<&Writer::files>("files"),
                         InstanceMethod<&Writer::ledger>("ledger"),
                         InstanceMethod<&Writer::comment>("comment"),
                         InstanceMethod<&Writer::block>("block"),
                         InstanceMethod<&Writer::leaves_blocks_out>("leavesBlocksOut"),
                         InstanceMethod<&Writer::attach>("attach"),
                         InstanceMethod<&Writer::left>("left"),
                         InstanceMethod<&Writer::readers>("readers"),
                     });
}

std::shared_ptr<TraceWriter> Writer::of(const Napi::Value& value) {
  if (!value.IsObject()) return nullptr;
  const Writer* const writer = Unwrap(value.As<Napi::Object>());
  return writer == nullptr ? nullptr : writer->writer_;
}

Napi::Value Writer::open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Environment& environment = Environment::of(env);
  Napi::Object object = environment.writer_constructor.New({});
  Writer* made = object.IsEmpty() ? nullptr : Unwrap(object);
  if (made == nullptr) return {};  // the worker is being terminated
  const auto request = info[0].As<Napi::Object>();
  const std::string format = text(request.Get("format"));
  const RotateRequest rotate = to_rotate(request.Get("rotate"));
#ifndef _WIN32
  if (const Napi::Value given = request.Get("readers"); given.IsObject()) {
    auto readers = to_readers(request, given.As<Napi::Object>());
    if (!readers) {
      raise(env, readers.error());
      return {};
    }
    made->readers_ = *std::move(readers);
  }
  auto to =
      made->readers_ ? Result(made->readers_->destination()) : compressed_if(request, destination(request, rotate));
#else
  auto to = compressed_if(request, destination(request, rotate));
#endif
  if (!to) {
    raise(env, to.error());
    return {};
  }
  auto interfaces = to_interfaces(request.Get("interfaces"));
  const bool keeps_blocks = flag(request.Get("keepBlocks"));
  // Of several captures each is an interface, whatever it reads.
  const bool keeps_origins = keeps_blocks && interfaces.size() <= 1;
  auto writer =
      TraceWriter::create({.to = *std::move(to),
                           .format = format == "pcapng" ? TraceFormat::kPcapng
                                     : format == "erf"  ? TraceFormat::kErf
                                                        : TraceFormat::kPcap,
                           .link_type = link_type_of(request),
                           .snaplen = static_cast<uint32_t>(number(request.Get("snaplen"))),
                           .nanosecond = flag(request.Get("nanosecond")),
                           .delay = std::chrono::milliseconds(static_cast<int64_t>(number(request.Get("delayMs")))),
                           .application = text(request.Get("application")),
                           .comment = text(request.Get("comment")),
                           .hardware = text(request.Get("hardware")),
                           .os = text(request.Get("os")),
                           .interfaces = std::move(interfaces),
                           .lateness = std::chrono::milliseconds(whole(request.Get("latenessMs"))),
                           .packet_details = flag(request.Get("packetDetails")),
                           .rotate = rotate,
                           .queue_bytes = whole(request.Get("queueBytes")),
                           .drops = flag(request.Get("drops")),
                           .keeps = keeps_origins,
                           .keeps_resolution = flag(request.Get("keepResolution"))});
  if (!writer) {
    raise(env, writer.error());
    return {};
  }
  // WHY weakly: a writer that was collected, and is not done yet, has last words, too.
  const uint32_t last_words = environment.at_exit([weak = (*writer)->weak_from_this()] {
    if (const auto leaving = weak.lock()) leaving->leave(kPatience);
  });
  (*writer)->when_ended([mailbox = environment.mailbox(), last_words, readers = made->readers_](const Result<Ok>&) {
#ifndef _WIN32
    if (readers) readers->stop();
#endif
    mailbox->post([last_words](Napi::Env there) { Environment::of(there).forget(last_words); });
  });
  made->writer_ = *std::move(writer);
  made->tells_losses_ = format != "pcap";
  made->keeps_blocks_ = keeps_blocks;
  made->keeps_origins_ = keeps_origins;
  return object;
}

/// A promise for what the writer answers, by the number that cancel() knows it by. It keeps the event loop alive.
Napi::Value Writer::promise(const Napi::CallbackInfo& info,
                            const std::function<TraceWriter::Ticket(TraceWriter::Done)>& ask) {
  const Napi::Env env = info.Env();
  const auto key = static_cast<uint32_t>(number(info[0]));
  const auto& mailbox = Environment::of(env).mailbox();
  mailbox->hold();
  const Deferred deferred(env);
  promises_->emplace(key, Promised{.deferred = deferred});
  const auto ticket = ask([mailbox, promises = promises_, key](const Result<Ok>& outcome) {
    mailbox->post([mailbox, promises, key, outcome](Napi::Env there) {
      mailbox->release();
      auto settled = promises->extract(key);
      if (settled.empty()) return;
      if (outcome) {
        settled.mapped().deferred.resolve(there.Undefined());
      } else {
        settled.mapped().deferred.reject(to_js(there, outcome.error()).Value());
      }
    });
  });
  // WHY looked up: posted letters are read later, on this thread.
  if (const auto found = promises_->find(key); found != promises_->end()) found->second.ticket = ticket;
  return deferred.promise();
}

/// cancel(number): nobody waits for that promise any more, which resolves.
void Writer::cancel(const Napi::CallbackInfo& info) {
  const auto found = promises_->find(static_cast<uint32_t>(number(info[0])));
  if (found == promises_->end() || !writer_->forget(found->second.ticket)) return;
  found->second.deferred.resolve(info.Env().Undefined());
  promises_->erase(found);
  Environment::of(info.Env()).mailbox()->release();
}

/// tried(number) → Promise: when the file is open, or turned out to be a named pipe that nobody reads yet.
Napi::Value Writer::tried(const Napi::CallbackInfo& info) {
  return promise(info, [this](TraceWriter::Done done) { return writer_->when_tried(std::move(done)); });
}

Napi::Value Writer::is_open(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), writer_->is_open());
}

/// append(first, select, interface, session, slot, generation) → kAllTaken, kReleased, or how many were taken: go on
/// from there when there is room(). `select`: indices as a Uint32Array, a mask as a Uint8Array, undefined for all, or
/// null for what the call before has selected.
Napi::Value Writer::append(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Session* session = Session::Unwrap(info[3].As<Napi::Object>());
  if (session == nullptr) return {};  // the worker is being terminated
  auto view = session->view(static_cast<uint32_t>(number(info[4])), static_cast<uint32_t>(number(info[5])));
  if (!view) return Napi::Number::New(env, kReleased);
  view->source = static_cast<uint32_t>(whole(info[2]));
  if (tells_losses_) view->lost = lost_since(*session);
  if (!keeps_origins_) view->origin = nullptr;
  if (keeps_blocks_) keep_blocks(*session, *view);
  return append_view(env, *view, info[0], info[1]);
}

/// Packets that the capture has lost since it was asked last.
uint64_t Writer::lost_since(const Session& session) {
  const uint64_t lost = session.dropped();
  uint64_t& told = losses_told_[session.own_number()];
  return lost > told ? lost - std::exchange(told, lost) : 0;
}

/// What the trace of these packets told beside them goes in front of them.
void Writer::keep_blocks(const Session& session, BatchView& view) {
  Kept& kept = kept_[session.own_number()];
  for (TraceBlock& block : session.blocks(kept.told)) {
    kept.told++;
    if (block.type == pcapng::kInterface) {
      const auto number = view.origin != nullptr ? writer_->interface(block) : Result<uint32_t>(PacketOrigin::kNone);
      leaves_blocks_out_ |= !number;
      kept.interfaces.push_back(number ? *number : PacketOrigin::kNone);
    } else if (block.type == pcapng::kSection) {
      leaves_blocks_out_ |= !writer_->section(block);
    } else {
      leaves_blocks_out_ |= block.body.empty() || !writer_->block(std::move(block));
    }
  }
  view.interfaces = kept.interfaces.data();
  view.interface_count = static_cast<uint32_t>(kept.interfaces.size());
}

/// appendCopy(first, select, interface, length, linkType, epochSeconds, epochNanos, time, rest, offset, caplen,
/// wirelen, flags, bytes): the same with packets that JS owns. WHY arguments: to look at an object may run JS, which
/// may take the arrays away again.
Napi::Value Writer::append_copy(const Napi::CallbackInfo& info) {
  BatchView view = view_of(info, 7);
  view.source = static_cast<uint32_t>(whole(info[2]));
  const double length = number(info[3]);
  if (length > view.count) return Napi::Number::New(info.Env(), kReleased);  // its arrays were transferred away
  view.count = static_cast<uint32_t>(std::max(length, 0.0));
  view.link_type = static_cast<uint32_t>(std::clamp<double>(number(info[4]), 0, UINT32_MAX));
  view.epoch_ns = epoch_ns(number(info[5]), number(info[6]));
  return append_view(info.Env(), view, info[0], info[1]);
}

Napi::Value Writer::append_view(Napi::Env env, BatchView view, const Napi::Value& first, const Napi::Value& select) {
  const auto from = static_cast<uint32_t>(std::clamp<double>(number(first), 0, UINT32_MAX));
  if (!select.IsUndefined()) {
    if (!select.IsNull()) {
      if (auto refused = choose(select, view.count)) {
        raise(env, *refused);
        return {};
      }
    }
    static constexpr uint32_t kNone = 0;
    view.select = selected_.empty() ? &kNone : selected_.data();
    view.selected = static_cast<uint32_t>(selected_.size());
  }
  auto taken = writer_->append(view, std::min(from, view.size()));
  if (!taken) {
    raise(env, taken.error());
    return {};
  }
  return Napi::Number::New(env, *taken < view.size() ? static_cast<double>(*taken) : kAllTaken);
}

/// Keeps which packets of `count` were selected: JS may change the array while the write waits.
std::optional<Error> Writer::choose(const Napi::Value& select, uint32_t count) {
  const auto bad = [](std::string what) {
    return Error{.code = Code::kBadOption, .message = "write(): " + std::move(what)};
  };
  napi_typedarray_type type{};
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(select.Env(), select, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      (type != napi_uint32_array && type != napi_uint8_array)) {
    return bad("select is a Uint32Array of indices or a Uint8Array with a byte for each packet");
  }
  if (type == napi_uint8_array && length != count) {
    return bad("select is a mask of " + std::to_string(length) + " bytes, but the batch has " + std::to_string(count) +
               " packets");
  }
  if (length > UINT32_MAX) return bad("select has more than 2^32 indices");
  try {
    selected_.clear();
    selected_.reserve(length);
  } catch (const std::exception&) {
    return Error{.code = Code::kNoMemory, .message = "write(): no memory for what was selected"};
  }
  // SAFETY: another thread may write to a shared array. Each element is read once, and what was read is what is
  // checked.
  for (size_t i = 0; i < length; i++) {
    if (type == napi_uint8_array) {
      if (load_once(static_cast<const uint8_t*>(data) + i) != 0) selected_.push_back(static_cast<uint32_t>(i));
      continue;
    }
    const uint32_t index = load_once(static_cast<const uint32_t*>(data) + i);
    if (index >= count) {
      return bad("select[" + std::to_string(i) + "] is " + std::to_string(index) + ", but the batch has " +
                 std::to_string(count) + " packets");
    }
    selected_.push_back(index);
  }
  return std::nullopt;
}

/// room(number) → Promise: when append() may take more.
Napi::Value Writer::room(const Napi::CallbackInfo& info) {
  return promise(info, [this](TraceWriter::Done done) { return writer_->when_room(std::move(done)); });
}

/// flush(number) → Promise: when all that was taken has reached the file.
Napi::Value Writer::flush(const Napi::CallbackInfo& info) {
  return promise(info, [this](TraceWriter::Done done) { return writer_->flush(std::move(done)); });
}

/// ledger(interface, received, dropped, causes): of its capture by now; causes such as "ring=5", one on each line.
void Writer::ledger(const Napi::CallbackInfo& info) {
  DropCounts counts{.received = whole(info[1]), .dropped = whole(info[2])};
  counts.causes = lines_of(text(info[3]));
  writer_->set_drop_counts(static_cast<uint32_t>(whole(info[0])), std::move(counts));
}

/// comment(text)
void Writer::comment(const Napi::CallbackInfo& info) {
  if (const auto done = writer_->comment(text(info[0])); !done) raise(info.Env(), done.error());
}

/// leavesBlocksOut() → whether some of the traces that were read did not fit.
Napi::Value Writer::leaves_blocks_out(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), leaves_blocks_out_ || writer_->leaves_out());
}

/// block(type, body): in this host's byte order
void Writer::block(const Napi::CallbackInfo& info) {
  const auto bytes = elements<std::byte>(info[1]);
  // SAFETY: bytes are copied as characters, which may be any.
  std::string body(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto done = writer_->block({.type = static_cast<uint32_t>(whole(info[0])), .body = std::move(body)});
  if (!done) raise(info.Env(), done.error());
}

#ifndef _WIN32

/// attach(connection) → whether somebody reads through it now: else it is closed.
Napi::Value Writer::attach(const Napi::CallbackInfo& info) {
  const auto connection = ConnectionHandle::of(info[0]);
  return Napi::Boolean::New(info.Env(), connection && readers_ && readers_->add(connection));
}

/// left() → Promise: why a reader has left, once one has; undefined when there will be no more. WHY nothing is held:
/// who only watches keeps no process alive.
Napi::Value Writer::left(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Deferred deferred(env);
  readers_->when_left([mailbox = Environment::of(env).mailbox(), deferred](std::optional<std::string> why) {
    mailbox->post([deferred, why = std::move(why)](Napi::Env there) {
      Deferred settled = deferred;
      settled.resolve(why ? Napi::String::New(there, *why) : there.Undefined());
    });
  });
  return deferred.promise();
}

/// readers() → how many there are.
Napi::Value Writer::readers(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), readers_ ? readers_->count() : 0);
}

#else

Napi::Value Writer::attach(const Napi::CallbackInfo&) { return {}; }
Napi::Value Writer::left(const Napi::CallbackInfo&) { return {}; }
Napi::Value Writer::readers(const Napi::CallbackInfo&) { return {}; }

#endif

/// close(number) → Promise
Napi::Value Writer::close(const Napi::CallbackInfo& info) {
#ifndef _WIN32
  if (readers_) readers_->no_more();
#endif
  return promise(info, [this](TraceWriter::Done done) { return writer_->close(std::move(done)); });
}

/// giveUp(): closes, but waits for no reader any more. Returns at once.
void Writer::give_up(const Napi::CallbackInfo&) { writer_->leave({}); }

Napi::Value Writer::stats(const Napi::CallbackInfo& info) {
  const TraceWriter::Counts counts = writer_->counts();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("packets", static_cast<double>(counts.packets));
  object.Set("bytes", static_cast<double>(counts.bytes));
  object.Set("queued", static_cast<double>(counts.queued));
  object.Set("dropped", static_cast<double>(counts.dropped));
  object.Set("files", static_cast<double>(counts.files));
  object.Set("late", static_cast<double>(counts.late));
  return object;
}

/// files() → Promise: complete files that were not told yet, once there are any; an empty array when there will be no
/// more. WHY nothing is held: who only watches keeps no process alive.
Napi::Value Writer::files(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Deferred deferred(env);
  if (const auto files = writer_->take_files()) {
    deferred.resolve(from_files(env, *files));
    return deferred.promise();
  }
  writer_->when_files([mailbox = Environment::of(env).mailbox(), deferred](std::vector<FinishedFile> files) {
    mailbox->post([deferred, files = std::move(files)](Napi::Env there) {
      Deferred settled = deferred;
      settled.resolve(from_files(there, files));
    });
  });
  return deferred.promise();
}

}  // namespace ringtap::addon
