// Arbitrary bytes as datagrams; and, as no fuzzer finds a right tag, as what is behind one.
#include "fuzz/protocol_fuzz.h"
#include "protocol/client_hello.h"
#include "protocol/quic/frames.h"
#include "protocol/quic/quic.h"

namespace {

using namespace ringtap::protocol;

/// Packets behind two bytes of their length each.
void fuzz_frames(const uint8_t* data, size_t size) {
  quic::CryptoStream stream(4096);
  while (size > 2) {
    const size_t count = std::min<size_t>(data[0] | (data[1] & 0x0f) << 8, size - 2);
    const auto exact = std::make_unique<std::byte[]>(count);
    if (count > 0) std::memcpy(exact.get(), data + 2, count);
    if (!quic::read_frames({exact.get(), count}, stream)) return;
    for (Span message = stream.next(); !message.empty(); message = stream.next()) {
      ClientHello client;
      if (client.read(message.subspan(4)) && client.ja4('q').size() != 36) std::abort();
      client.ja3();
      ServerHello server;
      if (server.read(message.subspan(4))) server.ja3s();
    }
    data += 2 + count;
    size -= 2 + count;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 0 && (data[0] & 0x80) != 0) {
    fuzz_frames(data + 1, size - 1);
  } else {
    fuzz_protocol(quic::kProtocol, data, size);
  }
  return 0;
}
