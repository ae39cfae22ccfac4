#include <doctest/doctest.h>

#include <cstdlib>

#include "libpcap/compile.h"
#include "libpcap/library.h"

using namespace ringtap;

TEST_CASE("without libpcap an expression is an error that says how to install it, and a program still works") {
  setenv("RINGTAP_LIBPCAP", "/nonexistent/libpcap.so", 1);
  CHECK(libpcap() == nullptr);
  const Error missing = libpcap_missing();
  CHECK(missing.code == Code::kBackendMissing);
  CHECK(missing.message.find("/nonexistent/libpcap.so") != std::string::npos);
  CHECK_FALSE(missing.hint.empty());

  const auto compiled = compile_filter("udp port 53", 1, 65535);
  REQUIRE_FALSE(compiled);
  CHECK(compiled.error().code == Code::kBackendMissing);
  CHECK(compile_filter("", 1, 65535));

  const auto given = make_filter(Program{{.code = 6, .k = 100}});
  CHECK(given->program(1));
}
