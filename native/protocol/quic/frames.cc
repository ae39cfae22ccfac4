#include "protocol/quic/frames.h"

#include "protocol/quic/packet.h"

namespace ringtap::protocol::quic {

namespace {

enum Frame : uint8_t { kPadding = 0, kPing = 1, kAck = 2, kAckEcn = 3, kCrypto = 6 };

void skip_ack(Reader& in, size_t counts) {
  read_varint(in);  // largest
  read_varint(in);  // delay
  const uint64_t ranges = read_varint(in);
  read_varint(in);
  for (uint64_t i = 0; i < ranges && in.ok(); i++) {
    read_varint(in);
    read_varint(in);
  }
  for (size_t i = 0; i < counts; i++) read_varint(in);
}

}  // namespace

bool read_frames(Span frames, CryptoStream& stream) {
  Reader in(frames);
  while (in.left() > 0) {
    switch (read_varint(in)) {
      case kPadding:
      case kPing:
        break;
      case kAck:
        skip_ack(in, 0);
        break;
      case kAckEcn:
        skip_ack(in, 3);
        break;
      case kCrypto: {
        const uint64_t offset = read_varint(in);
        const uint64_t length = read_varint(in);
        if (length > in.left() || !stream.add(offset, in.take(length))) return false;
        break;
      }
      default:
        return false;  // the connection is closed, or it is none
    }
    if (!in.ok()) return false;
  }
  return true;
}

}  // namespace ringtap::protocol::quic
