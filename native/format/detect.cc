// Which format a trace has, told from its first bytes and never from its name.
#include <string>

#include "core/byte_order.h"
#include "format/erf_reader.h"
#include "format/pcap_reader.h"
#include "format/pcapng_blocks.h"
#include "format/pcapng_reader.h"
#include "format/reader.h"

namespace ringtap {
namespace {

Error cut_header(size_t have, size_t of) {
  return Error{
      .code = Code::kFileTruncated,
      .message = "the file ends in its header, after " + std::to_string(have) + " of " + std::to_string(of) + " bytes",
      .position = 0};
}

}  // namespace

Result<std::unique_ptr<RecordReader>> detect_format(std::span<const std::byte> head, bool whole, Told told,
                                                    bool erf_records) {
  const auto more = [] { return std::unique_ptr<RecordReader>(); };
  if (head.empty() && whole) return Error{.code = Code::kFileFormat, .message = "the file is empty"};
  if (head.empty()) return more();
  // ERF has no magic number: nothing in it could confirm, or contradict, what was said.
  if (told == Told::kErf) return open_erf(erf_records);
  if (head.size() >= 4) {
    if (told != Told::kPcapng && is_pcap(head)) {
      auto reader = open_pcap(head);
      if (reader && *reader == nullptr && whole) return cut_header(head.size(), kPcapHeaderBytes);
      return reader;
    }
    if (told != Told::kPcap && load<uint32_t>(head.data()) == pcapng::kSection) {
      if (head.size() < pcapng::kAnyBytes) {
        if (whole) return cut_header(head.size(), pcapng::kSectionBytes);
        return more();
      }
      if (is_pcapng(head)) return open_pcapng(head);
    }
  }
  if (told != Told::kNothing) {
    if (head.size() < 4 && !whole) return more();
    return Error{
        .code = Code::kFileFormat,
        .message = std::string("the file does not begin as ") + (told == Told::kPcap ? "pcap" : "pcapng") + " does",
        .hint = "Leave out format=, and it is told from the content."};
  }
  switch (looks_like_erf(head, whole)) {
    case Likeness::kYes:
      return open_erf(erf_records);
    case Likeness::kUnsure:
      return more();
    case Likeness::kNo:
      break;
  }
  return Error{
      .code = Code::kFileFormat,
      .message = "the file begins like no known trace format",
      .hint =
          "Known formats are pcap, pcapng and ERF, which is only a guess: erf:PATH says that it is one. For others: "
          "editcap -F pcapng IN OUT.pcapng"};
}

}  // namespace ringtap
