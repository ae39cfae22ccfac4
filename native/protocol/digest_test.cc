#include "protocol/digest.h"

#include <doctest/doctest.h>

using namespace ringtap::protocol;

TEST_CASE("digests are those of their definitions") {
  CHECK(hex_of(md5(span_of(""))) == "d41d8cd98f00b204e9800998ecf8427e");
  CHECK(hex_of(md5(span_of("message digest"))) == "f96b697d7cb7938d525a2f31aaf161d0");
  CHECK(hex_of(sha1(span_of("abc"))) == "a9993e364706816aba3e25717850c26c9cd0d89d");
  CHECK(hex_of(sha1(span_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))) ==
        "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  CHECK(hex_of(sha256(span_of("abc"))) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hex_of(sha256(span_of(std::string(1'000'000, 'a')))) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("base64 has its padding") {
  CHECK(base64_of(span_of("f")) == "Zg==");
  CHECK(base64_of(span_of("fo")) == "Zm8=");
  CHECK(base64_of(span_of("foo")) == "Zm9v");
}
