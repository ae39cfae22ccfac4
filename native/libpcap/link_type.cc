#include "libpcap/link_type.h"

namespace ringtap {
namespace {

struct Pair {
  int dlt;
  int link_type;
};

// All other values are the same on both sides.
constexpr Pair kDiffering[] = {
    {11, 100},  // ATM_RFC1483
#if defined(__OpenBSD__)
    {14, 101},  // RAW
    {12, 108},  // LOOP
#else
    {12, 101},  // RAW
#endif
#if defined(__NetBSD__) || defined(__FreeBSD__)
    {13, 102},  // SLIP_BSDOS
    {14, 103},  // PPP_BSDOS
#else
    {15, 102},  // SLIP_BSDOS
    {16, 103},  // PPP_BSDOS
#endif
    {19, 106},  // ATM_CLIP
#if defined(__APPLE__)
    {149, 258},  // PKTAP: Apple uses the number of DLT_USER2
#endif
#if defined(__FreeBSD__)
    {121, 246},  // PFSYNC
#elif defined(__APPLE__) || defined(__OpenBSD__) || defined(__NetBSD__) || defined(__DragonFly__)
    {18, 246},  // PFSYNC
#endif
};

}  // namespace

int dlt_to_linktype(int dlt) noexcept {
  for (const Pair& pair : kDiffering) {
    if (pair.dlt == dlt) return pair.link_type;
  }
  return dlt;
}

int linktype_to_dlt(int link_type) noexcept {
  for (const Pair& pair : kDiffering) {
    if (pair.link_type == link_type) return pair.dlt;
  }
  return link_type;
}

}  // namespace ringtap
