// The first messages of TLS, alone or in QUIC, and the fingerprints that are made of them.
#pragma once

#include <string>
#include <vector>

#include "protocol/reader.h"

namespace ringtap::protocol {

/// What a ClientHello says. Spans point into it.
struct ClientHello {
  uint16_t version = 0;  // of the field that is too old for TLS 1.3
  std::vector<uint16_t> ciphers;
  std::vector<uint16_t> extensions;
  std::vector<uint16_t> groups;
  std::vector<uint16_t> signatures;
  std::vector<uint16_t> versions;
  Span point_formats;
  std::vector<Span> alpn;
  Span sni;
  bool has_sni = false;
  bool has_ech = false;
  bool resumes = false;  // pre_shared_key

  /// @param body behind the type and the length. False: it is none; what was read is there.
  bool read(Span body);

  /// The text that JA3 is the MD5 of.
  std::string ja3() const;
  /// @param over 't' TCP, 'q' QUIC
  std::string ja4(char over) const;
};

/// Numbers that are sent to be ignored.
constexpr bool is_grease(uint16_t value) noexcept { return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff); }

/// Extensions of a hello, each once: what(type, data).
template <class What>
bool read_extensions(Reader& in, What&& what) {
  if (in.left() == 0) return in.ok();
  Reader list(in.take(in.u16()));
  while (list.ok() && list.left() > 0) {
    const uint16_t type = list.u16();
    const Span data = list.take(list.u16());
    if (list.ok()) what(type, data);
  }
  return in.ok() && list.ok();
}

/// What a ServerHello says. Spans point into it.
struct ServerHello {
  uint16_t field_version = 0;  // of the field that is too old for TLS 1.3
  uint16_t version = 0;        // chosen
  uint16_t cipher = 0;
  std::vector<uint16_t> extensions;
  Span alpn;
  bool is_retry = false;  // the client is to begin anew

  /// @param body behind the type and the length. False: it is none.
  bool read(Span body);

  /// The text that JA3S is the MD5 of.
  std::string ja3s() const;
};

/// Names behind a length each, in a list behind its length.
std::vector<Span> read_alpn(Span data);

}  // namespace ringtap::protocol
