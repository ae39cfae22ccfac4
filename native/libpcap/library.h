// libpcap without linking to it: opened at run time, so that a host without it loses one backend and the filter
// compiler, not the package.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

#if defined(_WIN32)
#include <winsock2.h>
#else
#include <sys/time.h>
#endif

#include "core/error.h"
#include "core/program.h"

namespace ringtap {

// The parts of libpcap's stable ABI that are used, as its manual pages give them.
struct pcap_t;

struct PcapHeader {
  timeval ts;
  uint32_t caplen;
  uint32_t len;
};

struct PcapStat {
  unsigned recv;
  unsigned drop;
  unsigned ifdrop;
  // WHY: Npcap's structure is longer, and it fills in all of it.
  uint64_t reserved[32];
};

struct PcapInterface {
  PcapInterface* next;
  char* name;
  char* description;
  void* addresses;
  uint32_t flags;
};

/// BpfInsn has the layout of libpcap's struct bpf_insn.
struct PcapProgram {
  unsigned length;
  BpfInsn* instructions;
};
static_assert(sizeof(BpfInsn) == 8);

using PcapHandler = void (*)(unsigned char* user, const PcapHeader* header, const unsigned char* bytes);

inline constexpr int kPcapErrorBufferSize = 256;
inline constexpr uint32_t kPcapNetmaskUnknown = 0xffffffff;

enum PcapStatus : int {
  kPcapWarning = 1,
  kPcapWarningPromiscuous = 2,
  kPcapWarningTimestampType = 3,
  kPcapError = -1,
  kPcapErrorBreak = -2,
  kPcapErrorNoSuchDevice = -5,
  kPcapErrorPermission = -8,
  kPcapErrorNotUp = -9,
  kPcapErrorPromiscuousPermission = -11,
};
enum PcapTimestampType : int { kPcapAdapter = 3, kPcapAdapterUnsynced = 4 };
enum PcapTimestampPrecision : int { kPcapMicro = 0, kPcapNano = 1 };
enum PcapInterfaceFlag : uint32_t { kPcapLoopback = 1, kPcapUp = 2 };

/// The functions, by their names without the prefix. Those in the second list are null in old versions or on platforms
/// that have no such thing.
struct LibPcap {
  const char* (*lib_version)();
  pcap_t* (*create)(const char* source, char* error);
  int (*set_snaplen)(pcap_t*, int);
  int (*set_promisc)(pcap_t*, int);
  int (*set_timeout)(pcap_t*, int ms);
  int (*set_buffer_size)(pcap_t*, int bytes);
  int (*activate)(pcap_t*);
  int (*setnonblock)(pcap_t*, int on, char* error);
  int (*setdirection)(pcap_t*, int direction);
  int (*setfilter)(pcap_t*, PcapProgram*);
  int (*datalink)(pcap_t*);
  int (*dispatch)(pcap_t*, int count, PcapHandler, unsigned char* user);
  void (*breakloop)(pcap_t*);
  int (*stats)(pcap_t*, PcapStat*);
  char* (*geterr)(pcap_t*);
  const char* (*statustostr)(int status);
  void (*close)(pcap_t*);
  int (*findalldevs)(PcapInterface**, char* error);
  void (*freealldevs)(PcapInterface*);
  pcap_t* (*open_dead)(int link_type, int snaplen);
  int (*compile)(pcap_t*, PcapProgram*, const char* expression, int optimize, uint32_t netmask);
  void (*freecode)(PcapProgram*);

  int (*set_tstamp_type)(pcap_t*, int);
  int (*set_tstamp_precision)(pcap_t*, int);
  int (*list_tstamp_types)(pcap_t*, int** types);
  void (*free_tstamp_types)(int* types);
  int (*get_selectable_fd)(pcap_t*);
  const timeval* (*get_required_select_timeout)(pcap_t*);
  int (*set_protocol_linux)(pcap_t*, int protocol);
  int (*datalink_name_to_val)(const char* name);
  int (*inject)(pcap_t*, const void* bytes, size_t count);
  pcap_t* (*fopen_offline)(FILE*, char* error);
};

/// May pcap_compile() run on several threads at once? Not before libpcap 1.8, whose parser kept its state in globals.
bool compiles_in_parallel(const std::string& lib_version);

/// The library, loaded at the first call and never unloaded; null if this host has none. Any thread.
///
/// The environment variable RINGTAP_LIBPCAP names the one file to load instead of the platform's usual names; not in a
/// process with more rights than its user.
const LibPcap* libpcap();

/// The error to return when libpcap() is null.
Error libpcap_missing();

}  // namespace ringtap
