// Any text as an expression: what is divided covers it in order, each part within its own, and joins to a sound
// program.
#include <cstdlib>
#include <string>

#include "filter/opcodes.h"
#include "filter/validate.h"
#include "libpcap/split.h"

using namespace ringtap;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

Program check(const Part& part, const std::string& text) {  // NOLINT(misc-no-recursion)
  require(part.begin <= part.end && part.end <= text.size());
  require(part.prefix.empty() || text.find(part.prefix) != std::string::npos);
  if (part.kind == Part::Kind::kLeaf) {
    require(part.parts.empty());
    const bool accepts = (part.end - part.begin) % 2 == 0;
    return {{.code = bpf::kRet | bpf::kK, .k = accepts ? 100u : 0u}};
  }
  require(part.kind == Part::Kind::kNot ? part.parts.size() == 1 : part.parts.size() > 1);
  std::vector<Program> programs;
  size_t at = part.begin;
  for (const Part& inner : part.parts) {
    require(inner.begin >= at && inner.end <= part.end);
    at = inner.end;
    programs.push_back(check(inner, text));
  }
  Program joined = join(part.kind, programs, 100);
  require(bool(validate(joined, bpf::kMostInstructions)));
  return joined;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  // Bytes of the upper half are words that expressions are made of.
  static const char* const kWords[] = {" or ",  " and ",  " not ",   " ( ",    " ) ",  " host ", " src ", " 10.0.0.1 ",
                                       " udp ", " port ", " 1 > 2 ", " vlan ", " || ", " && ",   "!",     " name "};
  std::string text;
  for (size_t i = 1; i < size; i++) {
    if (data[i] < 128) {
      text += static_cast<char>(data[i]);
    } else {
      text += kWords[data[i] % 16];
    }
  }
  check(split(text, 1 + data[0] % 8), text);
  return 0;
}
