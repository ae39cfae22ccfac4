#include "libpcap/compile.h"

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <utility>

#include "filter/metadata.h"
#include "filter/opcodes.h"
#include "filter/text.h"
#include "filter/validate.h"
#include "libpcap/compiler.h"
#include "libpcap/detached.h"
#include "libpcap/library.h"
#include "libpcap/tunnel_words.h"

namespace ringtap {
namespace {

using std::chrono::milliseconds;

// How often to look whether anybody still waits.
constexpr milliseconds kSlice{50};
// How long an event loop may be kept.
constexpr milliseconds kShortWait{5};
// As much as a command line takes.
constexpr size_t kMostBytes = size_t{1} << 20;

/// An expression on its way through libpcap. WHY a thread of its own: names are looked up and may take minutes, and
/// nothing can break that off. It belongs to the thread and to whoever waits, each for as long as it likes.
class Compilation {
 public:
  static Result<std::shared_ptr<Compilation>> start(const LibPcap& library, std::string expression,
                                                    const FilterTarget& target, uint32_t snaplen) {
    auto compilation = std::make_shared<Compilation>();
    // SAFETY: `library` is never unloaded nor destroyed.
    auto started = run_detached([compilation, &library, expression = std::move(expression), target, snaplen] {
      compilation->run(library, expression, target, snaplen);
    });
    if (!started) return std::move(started).error();
    return compilation;
  }

  /// Nothing if it takes longer.
  std::optional<Result<Program>> wait(milliseconds time) {
    std::unique_lock lock(mutex_);
    finished_.wait_for(lock, time, [&] { return outcome_.has_value(); });
    return outcome_;
  }

 private:
  void run(const LibPcap& library, const std::string& expression, const FilterTarget& target, uint32_t snaplen) {
    std::unique_lock<std::mutex> in_turn;
    if (!compiles_in_parallel(library.lib_version())) in_turn = std::unique_lock(turn());
    Result<Program> outcome = Error{.code = Code::kNoMemory, .message = "filter: no memory to compile it"};
    try {
      outcome = compile_with(library, expression, target, snaplen);
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): that is what it says already
    }
    const std::scoped_lock lock(mutex_);
    outcome_ = std::move(outcome);
    finished_.notify_all();
  }

  // WHY never destroyed: somebody may have it while the process ends.
  static std::mutex& turn() {
    static std::mutex& instance = *new std::mutex;
    return instance;
  }

  std::mutex mutex_;
  std::condition_variable finished_;
  std::optional<Result<Program>> outcome_;
};

/// What needs no libpcap; nothing if it does.
std::optional<Result<Program>> without_libpcap(const std::string& expression, uint32_t snaplen) {
  if (expression.size() > kMostBytes) {
    return Error{.code = Code::kBadFilter,
                 .message = "filter: the expression has " + std::to_string(expression.size()) + " bytes, " +
                            std::to_string(kMostBytes) + " at most",
                 .hint = "Filter by fewer terms, by nets for example, and the rest in your program."};
  }
  const size_t nul = expression.find('\0');
  if (nul != std::string::npos) {
    return Error{.code = Code::kBadFilter,
                 .message = "filter: the expression contains a NUL character" + marked(expression, nul),
                 .hint = {},
                 .syscall = {},
                 .position = static_cast<int64_t>(nul)};
  }
  if (expression.find_first_not_of(" \t\r\n") == std::string::npos) {
    return Program{{.code = bpf::kRet | bpf::kK, .k = snaplen}};
  }
  return std::nullopt;
}

Result<std::shared_ptr<Compilation>> start(const std::string& expression, const FilterTarget& target,
                                           uint32_t snaplen) {
  const LibPcap* library = libpcap();
  if (library == nullptr) {
    Error error = libpcap_missing();
    error.message = "filter expressions are compiled by libpcap, and " + error.message;
    return error;
  }
  if (!has_tunnel_words(expression)) return Compilation::start(*library, expression, target, snaplen);
  if (target.place != FilterTarget::Place::kTunnel) {
    return Error{.code = Code::kBadFilter,
                 .message = "filter: `tunnel` asks for the tunnel that a packet came out of, and none is opened here" +
                            marked(expression, expression.find("tunnel")),
                 .hint =
                     "Open tunnels with decap: 'auto' (decap=auto in the URI), or receive a mirror with vxlan:, "
                     "geneve:, gre:, erspan: or tzsp:."};
  }
  auto translated = without_tunnel_words(expression);
  if (!translated) return std::move(translated).error();
  return Compilation::start(*library, *std::move(translated), target, snaplen);
}

class ExpressionFilter final : public Filter {
 public:
  ExpressionFilter(std::string expression, uint32_t snaplen, Cancelled cancelled)
      : expression_(std::move(expression)), snaplen_(snaplen), cancelled_(std::move(cancelled)) {}

  Result<const Program*> program(const FilterTarget& target) override {
    const std::scoped_lock lock(mutex_);
    const auto found = programs_.find(target);
    if (found != programs_.end()) return &found->second;
    return keep(target, compile_filter(expression_, target, snaplen_, cancelled_));
  }

  Result<const Program*> program_soon(const FilterTarget& target) override {
    const std::scoped_lock lock(mutex_);
    const auto found = programs_.find(target);
    if (found != programs_.end()) return &found->second;
    if (auto known = without_libpcap(expression_, snaplen_)) return keep(target, *std::move(known));
    std::shared_ptr<Compilation>& compilation = under_way_[target];
    if (compilation == nullptr) {
      auto started = start(expression_, target, snaplen_);
      if (!started) return std::move(started).error();
      compilation = *std::move(started);
    }
    auto outcome = compilation->wait(kShortWait);
    if (!outcome) return nullptr;
    return keep(target, *std::move(outcome));
  }

 private:
  Result<const Program*> keep(const FilterTarget& target, Result<Program> compiled) {
    if (!compiled) return std::move(compiled).error();
    return &programs_.emplace(target, *std::move(compiled)).first->second;
  }

  const std::string expression_;
  const uint32_t snaplen_;
  const Cancelled cancelled_;
  std::mutex mutex_;
  std::map<FilterTarget, Program> programs_;
  std::map<FilterTarget, std::shared_ptr<Compilation>> under_way_;
};

class ProgramFilter final : public Filter {
 public:
  explicit ProgramFilter(Program program)
      : program_(without_tag_metadata(std::move(program))), checked_(validate(program_)) {}

  Result<const Program*> program(const FilterTarget& target) override {
    if (!checked_) return checked_.error();
    const MetadataReads reads = metadata_reads(program_);
    const bool on_socket = target.place == FilterTarget::Place::kPacketSocket;
    const bool in_tunnel = target.place == FilterTarget::Place::kTunnel;
    if (reads.other) return unknown(*reads.other);
    if ((reads.packet_type || reads.interface) && !on_socket) return unknown(first_read());
    if (reads.tunnel && !in_tunnel) return unknown(first_read());
    return &program_;
  }

 private:
  size_t first_read() const {
    size_t at = 0;
    while (!metadata_reads({program_[at]}).any()) at++;
    return at;
  }

  Error unknown(size_t index) const {
    return Error{.code = Code::kBadFilter,
                 .message = "filter program, instruction " + std::to_string(index) +
                            ": what it reads is not in the packet's bytes, and not known here: " +
                            disassemble(program_[index], index),
                 .hint =
                     "afpacket: and pcap: on an interface know a packet's type and interface; the rest of Linux's "
                     "metadata nobody does.",
                 .position = static_cast<int64_t>(index)};
  }

  const Program program_;
  const Result<Ok> checked_;
};

}  // namespace

Result<Program> compile_filter(const std::string& expression, const FilterTarget& target, uint32_t snaplen,
                               const Cancelled& cancelled) {
  if (auto known = without_libpcap(expression, snaplen)) return *std::move(known);
  auto compilation = start(expression, target, snaplen);
  if (!compilation) return std::move(compilation).error();
  for (;;) {
    if (auto outcome = (*compilation)->wait(kSlice)) return *std::move(outcome);
    if (cancelled != nullptr && cancelled->load(std::memory_order_relaxed)) {
      return Error{.code = Code::kClosed, .message = "opening was given up"};
    }
  }
}

std::shared_ptr<Filter> make_filter(std::string expression, uint32_t snaplen, Cancelled cancelled) {
  return std::make_shared<ExpressionFilter>(std::move(expression), snaplen, std::move(cancelled));
}

std::shared_ptr<Filter> make_filter(Program program) { return std::make_shared<ProgramFilter>(std::move(program)); }

}  // namespace ringtap
