// The messages in which SMB agrees upon a dialect.
#pragma once

#include <string>
#include <vector>

#include "protocol/reader.h"

namespace ringtap::protocol::smb {

/// What one or both ends have said.
struct Negotiation {
  std::vector<std::string> dialects;  // of the client
  std::string client_guid;
  std::string server_guid;
  std::string dialect;  // that the server has chosen
  uint32_t status = 0;
  uint32_t max_read = 0;
  uint32_t max_write = 0;
  bool is_smb1 = false;  // of whoever was seen first
  bool has_request = false;
  bool has_response = false;
  bool requires_signing = false;
  bool goes_on = false;  // the server wants it negotiated anew, by SMB 2

  size_t memory() const noexcept;
};

enum class Kind : uint8_t { kRequest, kResponse, kOther };

/// Reads a message from its header on into what is known by now. Only a request that none was before, and a response to
/// it, are of the same negotiation. kOther: it is no negotiation, or what is in it does not fit.
Kind read_message(Span message, Negotiation& known);

/// What the first bytes of a message say of it, 4 of them at least.
bool begins_message(Span bytes) noexcept;

}  // namespace ringtap::protocol::smb
