#include "libpcap/compiler.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "filter/metadata.h"
#include "filter/opcodes.h"
#include "filter/validate.h"
#include "libpcap/blame.h"
#include "libpcap/library.h"
#include "libpcap/link_type.h"
#include "libpcap/split.h"
#include "libpcap/tokens.h"

namespace ringtap {
namespace {

// What libpcap's optimizer is given at once: half a second at worst (64 port ranges); 64 hosts take 30 ms.
constexpr size_t kMostOptimized = 192;
// The leaves of what has more: sixteen hosts each, half a millisecond. Smaller ones would make a longer program.
constexpr size_t kLeaf = 48;
// What libpcap is given without optimizing: three seconds at worst, and 2 MiB of stack.
constexpr size_t kMostAtOnce = 768;
constexpr size_t kMostShown = 400;  // bytes of an expression in a message

constexpr const char* kRejectsAll = "expression rejects all packets";

/// The header of a pcap file: what libpcap knows of the place where a file's packets come from.
struct FileHeader {
  FileHeader(const FilterTarget& target, uint32_t snaplen) {
    const auto put = [&](size_t at, size_t size, uint32_t value) {
      for (size_t i = 0; i < size; i++) {
        bytes[at + i] = static_cast<char>(value >> 8 * (target.big_endian ? size - 1 - i : i));
      }
    };
    put(0, 4, 0xa1b2c3d4);
    put(4, 2, 2);
    put(6, 2, 4);
    put(16, 4, snaplen);
    put(20, 4, static_cast<uint32_t>(target.link_type));
  }
  char bytes[24] = {};
};

/// A handle for compiling only.
class Compiler {
 public:
  Compiler(const LibPcap& library, const FilterTarget& target, uint32_t snaplen)
      : library_(library), header_(target, snaplen) {
    const int bytes = static_cast<int>(std::min<uint32_t>(snaplen, INT32_MAX));
#if !defined(_WIN32)
    if (target.place == FilterTarget::Place::kFile && library.fopen_offline != nullptr) {
      FILE* file = fmemopen(header_.bytes, sizeof header_.bytes, "rb");
      char error[kPcapErrorBufferSize];
      if (file == nullptr) return;
      handle_ = library.fopen_offline(file, error);
      if (handle_ == nullptr) std::fclose(file);
      return;
    }
#endif
    handle_ = library.open_dead(linktype_to_dlt(target.link_type), bytes);
  }
  ~Compiler() {
    if (handle_ != nullptr) library_.close(handle_);
  }
  Compiler(const Compiler&) = delete;
  Compiler& operator=(const Compiler&) = delete;

  explicit operator bool() const { return handle_ != nullptr; }

  /// The program, or nothing and error() says why.
  std::optional<Program> compile(const std::string& expression, bool optimize) {
    PcapProgram compiled{};
    if (library_.compile(handle_, &compiled, expression.c_str(), optimize ? 1 : 0, kPcapNetmaskUnknown) < 0) {
      return std::nullopt;
    }
    Program program(compiled.instructions, compiled.instructions + compiled.length);
    library_.freecode(&compiled);
    return program;
  }
  std::string error() const { return library_.geterr(handle_); }

 private:
  const LibPcap& library_;
  FileHeader header_;
  pcap_t* handle_ = nullptr;
};

std::string shortened(const std::string& expression) {
  if (expression.size() <= kMostShown) return expression;
  return expression.substr(0, kMostShown) + "…";
}

Error bad_filter(std::string message, std::string hint = {}) {
  return Error{.code = Code::kBadFilter, .message = "filter: " + std::move(message), .hint = std::move(hint)};
}

/// Compiles an expression part by part.
class PartCompiler {
 public:
  PartCompiler(Compiler& compiler, const std::string& expression, uint32_t snaplen)
      : compiler_(compiler), expression_(expression), snaplen_(snaplen) {}

  Result<Program> compile() {
    const bool is_long = tokens_of(expression_).size() > kMostOptimized;
    const Part whole = split(expression_, is_long ? kLeaf : kMostOptimized);
    is_divided_ = whole.kind != Part::Kind::kLeaf;
    auto program = compile(whole);
    if (!program) return program;
    if (is_divided_ && !accepts_something(*program)) {
      return bad_filter(std::string(kRejectsAll) + ": " + shortened(expression_));
    }
    return program;
  }

 private:
  Result<Program> compile(const Part& part) {  // NOLINT(misc-no-recursion)
    if (part.kind == Part::Kind::kLeaf) return compile_leaf(part);
    std::vector<Program> programs;
    for (const Part& inner : part.parts) {
      auto program = compile(inner);
      if (!program) return program;
      programs.push_back(*std::move(program));
    }
    return join(part.kind, programs, snaplen_);
  }

  Result<Program> compile_leaf(const Part& part) {
    const std::string text =
        is_divided_ ? part.prefix + expression_.substr(part.begin, part.end - part.begin) : expression_;
    if (part.words > kMostAtOnce) {
      return bad_filter("a part of " + std::to_string(part.words) +
                            " words cannot be divided, and libpcap takes too long for more than " +
                            std::to_string(kMostAtOnce) + ": " + shortened(text),
                        "Join complete terms by `or`, as in `host 10.0.0.1 or host 10.0.0.2`, without `vlan`, `mpls` "
                        "and the like, and with addresses instead of names.");
    }
    if (auto program = compiler_.compile(text, part.words <= kMostOptimized)) return *std::move(program);
    const std::string words = compiler_.error();
    if (is_divided_ && words == kRejectsAll) return Program{{.code = bpf::kRet | bpf::kK}};
    return refused(part, text, words);
  }

  Error refused(const Part& part, const std::string& text, const std::string& words) {
    const auto place = blame(text, words, [&](const std::string& attempt) {
      return compiler_.compile(attempt, false) ? std::string() : compiler_.error();
    });
    if (!place) return bad_filter(words + ": " + shortened(text));
    Error error = bad_filter(words + marked(text, *place));
    const size_t before = is_divided_ ? part.begin : 0;
    if (*place >= part.prefix.size()) error.position = static_cast<int64_t>(before + *place - part.prefix.size());
    return error;
  }

  static bool accepts_something(const Program& program) {
    return std::any_of(program.begin(), program.end(), [](const BpfInsn& insn) {
      return bpf::instruction_class(insn.code) == bpf::kRet && (insn.code != (bpf::kRet | bpf::kK) || insn.k != 0);
    });
  }

  Compiler& compiler_;
  const std::string& expression_;
  const uint32_t snaplen_;
  bool is_divided_ = false;
};

/// libpcap compiles `inbound` and `ifindex` for a live handle: to what Linux alone can tell.
Result<Ok> place_can_tell(const Program& program, const FilterTarget& target, const std::string& expression) {
  const MetadataReads reads = metadata_reads(program);
  const bool on_socket = target.place == FilterTarget::Place::kPacketSocket;
  const bool in_tunnel = target.place == FilterTarget::Place::kTunnel;
  const bool asks_linux = reads.packet_type || reads.interface;
  if (!reads.other && (!asks_linux || on_socket) && (!reads.tunnel || in_tunnel)) return Ok{};
  if (reads.other || reads.tunnel) return bad_filter("it reads what no packet has: " + shortened(expression));
  if (reads.packet_type) {
    return bad_filter(
        "`inbound` and `outbound` ask which way a packet went, which is not known here: " + shortened(expression),
        "Where the scheme has it, the option direction=in or direction=out says the same; afpacket: and "
        "pcap: on an interface know both words.");
  }
  return bad_filter("`ifindex` asks for a packet's interface, which is not known here: " + shortened(expression),
                    "Open the interface that you mean; afpacket:any knows the word, too.");
}

}  // namespace

std::string marked(const std::string& expression, size_t position) {
  const bool all = expression.size() <= kMostShown;
  const size_t begin = all || position < kMostShown / 2 ? 0 : position - kMostShown / 2;
  const size_t end = all ? expression.size() : std::min(expression.size(), begin + kMostShown);
  std::string line = begin > 0 ? "\n …" : "\n  ";
  std::string below = "\n  ";
  for (size_t i = begin; i < end; i++) {
    const auto byte = static_cast<unsigned char>(expression[i]);
    line += byte < ' ' ? ' ' : expression[i];
    const bool continues_a_character = (byte & 0xc0) == 0x80;
    if (i < position && !continues_a_character) below += ' ';
  }
  if (end < expression.size()) line += "…";
  return line + below + "^";
}

Result<Program> compile_with(const LibPcap& library, const std::string& expression, const FilterTarget& target,
                             uint32_t snaplen) {
  Compiler compiler(library, target, snaplen);
  if (!compiler) return Error{.code = Code::kNoMemory, .message = "filter: no memory for libpcap's compiler"};
  auto program = PartCompiler(compiler, expression, snaplen).compile();
  if (!program) return program;
  if (program->size() > bpf::kMostInstructions) {
    return bad_filter("it takes " + std::to_string(program->size()) + " instructions, and there is room for " +
                          std::to_string(bpf::kMostInstructions) + ": " + shortened(expression),
                      "Filter by fewer terms, by nets for example, and the rest in your program.");
  }
  if (auto checked = validate(*program, bpf::kMostInstructions); !checked) return checked.error();
  if (auto told = place_can_tell(*program, target, expression); !told) return told.error();
  return program;
}

}  // namespace ringtap
