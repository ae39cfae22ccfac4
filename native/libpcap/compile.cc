#include "libpcap/compile.h"

#include <map>
#include <mutex>
#include <optional>

#include "filter/opcodes.h"
#include "filter/validate.h"
#include "libpcap/blame.h"
#include "libpcap/library.h"
#include "libpcap/link_type.h"

namespace ringtap {
namespace {

/// A handle for compiling only. Owns libpcap's compiler for as long as it lives.
class Compiler {
 public:
  Compiler(const LibPcap& library, int link_type, uint32_t snaplen)
      : library_(library),
        lock_(mutex()),
        handle_(library.open_dead(linktype_to_dlt(link_type), static_cast<int>(snaplen))) {}
  ~Compiler() {
    if (handle_ != nullptr) library_.close(handle_);
  }
  Compiler(const Compiler&) = delete;
  Compiler& operator=(const Compiler&) = delete;

  explicit operator bool() const { return handle_ != nullptr; }

  /// The program, or nothing and error() says why.
  std::optional<Program> compile(const std::string& expression) {
    PcapProgram compiled{};
    if (library_.compile(handle_, &compiled, expression.c_str(), 1, kPcapNetmaskUnknown) < 0) return std::nullopt;
    Program program(compiled.instructions, compiled.instructions + compiled.length);
    library_.freecode(&compiled);
    return program;
  }
  std::string error() const { return library_.geterr(handle_); }

 private:
  // WHY: before 1.8 the parser kept its state in globals, and name look-ups are still not thread-safe everywhere.
  static std::mutex& mutex() {
    static std::mutex instance;
    return instance;
  }

  const LibPcap& library_;
  std::lock_guard<std::mutex> lock_;
  pcap_t* handle_;
};

/// The expression on one line, and a caret below the offending character.
std::string marked(const std::string& expression, size_t position) {
  std::string line = "\n  ";
  std::string below = "\n  ";
  for (size_t i = 0; i < expression.size(); i++) {
    const auto byte = static_cast<unsigned char>(expression[i]);
    line += byte < ' ' ? ' ' : expression[i];
    const bool continues_a_character = (byte & 0xc0) == 0x80;
    if (i < position && !continues_a_character) below += ' ';
  }
  return line + below + "^";
}

Error bad_filter(Compiler& compiler, const std::string& expression) {
  const std::string words = compiler.error();
  const auto position = blame(expression, words, [&](const std::string& attempt) {
    return compiler.compile(attempt) ? std::string() : compiler.error();
  });
  Error error{.code = Code::kBadFilter, .message = "filter: " + words, .hint = {}, .syscall = {}};
  if (position) {
    error.message += marked(expression, *position);
    error.position = static_cast<int64_t>(*position);
  } else {
    error.message += ": " + expression;
  }
  return error;
}

class ExpressionFilter final : public Filter {
 public:
  ExpressionFilter(std::string expression, uint32_t snaplen) : expression_(std::move(expression)), snaplen_(snaplen) {}

  Result<const Program*> program(int link_type) override {
    std::lock_guard lock(mutex_);
    auto found = programs_.find(link_type);
    if (found == programs_.end()) {
      auto compiled = compile_filter(expression_, link_type, snaplen_);
      if (!compiled) return std::move(compiled).error();
      found = programs_.emplace(link_type, *std::move(compiled)).first;
    }
    return &found->second;
  }

 private:
  const std::string expression_;
  const uint32_t snaplen_;
  std::mutex mutex_;
  std::map<int, Program> programs_;
};

class ProgramFilter final : public Filter {
 public:
  explicit ProgramFilter(Program program) : program_(std::move(program)), checked_(validate(program_)) {}

  Result<const Program*> program(int) override {
    if (!checked_) return checked_.error();
    return &program_;
  }

 private:
  const Program program_;
  const Result<Ok> checked_;
};

}  // namespace

Result<Program> compile_filter(const std::string& expression, int link_type, uint32_t snaplen) {
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
  const LibPcap* library = libpcap();
  if (library == nullptr) {
    Error error = libpcap_missing();
    error.message = "filter expressions are compiled by libpcap, and " + error.message;
    return error;
  }
  Compiler compiler(*library, link_type, snaplen);
  if (!compiler)
    return Error{
        .code = Code::kNoMemory, .message = "filter: pcap_open_dead failed", .hint = {}, .syscall = "pcap_open_dead"};
  auto program = compiler.compile(expression);
  if (!program) return bad_filter(compiler, expression);
  const auto checked = validate(*program);
  if (!checked) return checked.error();
  return *std::move(program);
}

std::shared_ptr<Filter> make_filter(std::string expression, uint32_t snaplen) {
  return std::make_shared<ExpressionFilter>(std::move(expression), snaplen);
}

std::shared_ptr<Filter> make_filter(Program program) { return std::make_shared<ProgramFilter>(std::move(program)); }

}  // namespace ringtap
