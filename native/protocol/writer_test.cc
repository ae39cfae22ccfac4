#include "protocol/writer.h"

#include <doctest/doctest.h>

#include "protocol/arena.h"

using namespace ringtap::protocol;

namespace {

constexpr TextKey kText{"\"t\":"};
constexpr NumberKey kNumber{"\"n\":"};

std::string quoted(std::string_view text) {
  Writer writer;
  writer.quoted(span_of(text));
  return std::string(writer.text());
}

}  // namespace

TEST_CASE("what is text stays as it is, what is none or would be obeyed is \\xNN, a backslash too") {
  CHECK(quoted("plain / text") == "\"plain / text\"");
  CHECK(quoted("\"") == R"("\"")");
  CHECK(quoted("\\") == R"("\\x5c")");
  CHECK(quoted("\x01\n\x7f") == R"("\\x01\\x0a\\x7f")");
  CHECK(quoted("b\xc3\xbc"
               "cher \xf0\x9f\x99\x82") ==
        "\"b\xc3\xbc"
        "cher \xf0\x9f\x99\x82\"");
  CHECK(quoted("\xc3") == R"("\\xc3")");
  CHECK(quoted("\xc0\x80") == R"("\\xc0\\x80")");                    // longer than it has to be
  CHECK(quoted("\xed\xa0\x80") == R"("\\xed\\xa0\\x80")");           // half of a pair
  CHECK(quoted("\xf5\x80\x80\x80") == R"("\\xf5\\x80\\x80\\x80")");  // beyond Unicode
  CHECK(quoted("\xc2\x9b") == R"("\\xc2\\x9b")");                    // CSI
  CHECK(quoted("\xe2\x80\xae") == R"("\\xe2\\x80\\xae")");           // turns text round
}

TEST_CASE("commas stand between fields, and long texts are cut and say so") {
  Writer writer;
  writer.open();
  writer.put(kText, "a");
  writer.put(kNumber, 18446744073709551615u);
  writer.put_address(kText, span_of("\x0a\x01\x02\x03"));
  writer.put_seconds(kNumber, 1'234'567'891);
  writer.close();
  CHECK(writer.text() == R"({"t":"a","n":18446744073709551615,"t":"10.1.2.3","n":1.234567})");
  CHECK(!writer.was_cut());
  writer.put(kText, std::string(100'000, 'x'));
  CHECK(writer.was_cut());
}

TEST_CASE("the arena gives lines back in order, and counts what it has no room for") {
  Arena arena(1000);
  CHECK(arena.add("one\n"));
  CHECK(arena.add("two\n"));
  CHECK(!arena.add(std::string(1000, 'x')));
  CHECK(arena.lost() == 1);
  CHECK(arena.next() == 8);
  std::string text(arena.next(), ' ');
  CHECK(arena.take(text.data()).lines == 2);
  CHECK(text == "one\ntwo\n");
  CHECK(arena.waiting() == 0);
  CHECK(arena.add(std::string(1000, 'x')));
}
