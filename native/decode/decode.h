// Link, network and transport headers of a batch, as numbers in columns.
//
// Everything that is read is checked first; nothing is allocated and nothing throws. What is malformed or cut short is
// a bit of `flags`, and the fields before it are right.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "decode/bytes.h"
#include "decode/headers.h"

namespace ringtap::decode {

/// One packet. @param bytes what was captured of it @param wirelen bytes on the wire @param link_type LINKTYPE_ value
Headers decode_packet(std::span<const std::byte> bytes, uint32_t wirelen, uint32_t link_type) noexcept;

/// A batch as it lies in memory that JS can write: every descriptor is read once and checked.
struct Packets {
  const uint32_t* offset = nullptr;
  const uint32_t* caplen = nullptr;
  const uint32_t* wirelen = nullptr;
  const uint32_t* flags = nullptr;  // PacketFlag
  const uint16_t* vlan = nullptr;
  uint32_t count = 0;
  const std::byte* segment = nullptr;  // where offsets count from
  size_t segment_bytes = 0;
  uint32_t link_type = 1;
};

/// Room for the headers of `capacity` packets in memory of the caller's, as a struct of arrays in the order of the
/// members. Offsets count from the batch's segment here. lib/decode/columns.ts knows the layout, too.
struct Columns {
  /// Bytes that `capacity` packets take; the memory is aligned to 4.
  static constexpr size_t bytes_for(uint32_t capacity) { return size_t{capacity} * 109; }
  static Columns over(std::byte* memory, uint32_t capacity) noexcept;

  uint32_t capacity = 0;
  uint32_t* flags = nullptr;
  uint32_t* network_offset = nullptr;
  uint32_t* transport_offset = nullptr;
  uint32_t* payload_offset = nullptr;
  uint32_t* payload_length = nullptr;
  uint32_t* payload_caplen = nullptr;
  uint32_t* total_length = nullptr;
  uint32_t* src4 = nullptr;
  uint32_t* dst4 = nullptr;
  uint32_t* fragment_id = nullptr;
  uint32_t* sequence = nullptr;
  uint32_t* acknowledgment = nullptr;
  uint32_t* flow_hash = nullptr;
  uint16_t* ether_type = nullptr;
  uint16_t* outer_tpid = nullptr;
  uint16_t* outer_tci = nullptr;
  uint16_t* inner_tpid = nullptr;
  uint16_t* inner_tci = nullptr;
  uint16_t* fragment_offset = nullptr;
  uint16_t* src_port = nullptr;
  uint16_t* dst_port = nullptr;
  uint16_t* window = nullptr;
  uint8_t* vlan_count = nullptr;
  uint8_t* ip_version = nullptr;
  uint8_t* ip_header_length = nullptr;
  uint8_t* traffic_class = nullptr;
  uint8_t* ttl = nullptr;
  uint8_t* protocol = nullptr;
  uint8_t* tcp_flags = nullptr;
  Address6* src6 = nullptr;  // written where ip_version is 6 only
  Address6* dst6 = nullptr;
};

/// One packet's headers, and where it lies: read once, so that both are about the same bytes.
struct Row {
  Headers headers;  // flow_hash stays 0
  Bytes bytes;
  uint32_t wirelen = 0;
};

/// Packets `from` to `from` + `count` of the batch as rows, for native code that goes on with each of them at once.
void decode_rows(const Packets& packets, uint32_t from, uint32_t count, Row* rows) noexcept;

/// Fills the columns with the first packets of the batch, as many as there are and fit. Gives how many.
uint32_t decode_batch(const Packets& packets, const Columns& columns) noexcept;

}  // namespace ringtap::decode
