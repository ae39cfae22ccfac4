// peer-pcapdump FILE: holds the packets of a trace in memory, and writes as many of them as a line on stdin says, over
// and over, with pcap_dump() to where it says: COUNT PATH.
#include <pcap/pcap.h>

#include <string>
#include <vector>

#include "peer.h"

namespace {

struct Kept {
  pcap_pkthdr header{};
  size_t at = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  char error[PCAP_ERRBUF_SIZE];
  pcap_t* trace = pcap_open_offline_with_tstamp_precision(argv[1], PCAP_TSTAMP_PRECISION_NANO, error);
  if (trace == nullptr) {
    std::fprintf(stderr, "peer-pcapdump: %s\n", error);
    return 1;
  }
  std::vector<Kept> packets;
  std::vector<u_char> bytes;
  pcap_pkthdr* header = nullptr;
  const u_char* data = nullptr;
  while (pcap_next_ex(trace, &header, &data) == 1) {
    packets.push_back({.header = *header, .at = bytes.size()});
    bytes.insert(bytes.end(), data, data + header->caplen);
  }
  if (packets.empty()) return 1;
  peer::say_ready();
  char line[4096];
  while (std::fgets(line, sizeof line, stdin) != nullptr) {
    char* end = nullptr;
    const uint64_t count = std::strtoull(line, &end, 10);
    std::string path(end + 1);
    path.resize(path.find_last_not_of('\n') + 1);
    const peer::Meter meter;
    peer::Work work;
    pcap_dumper_t* dumper = pcap_dump_open(trace, path.c_str());
    if (dumper == nullptr) {
      std::fprintf(stderr, "peer-pcapdump: %s\n", pcap_geterr(trace));
      return 1;
    }
    size_t next = 0;
    for (; work.packets < count; work.packets++) {
      const Kept& packet = packets[next];
      if (++next == packets.size()) next = 0;
      // SAFETY: a dumper is a user argument of callbacks: libpcap's own interface.
      pcap_dump(reinterpret_cast<u_char*>(dumper), &packet.header, &bytes[packet.at]);
      work.bytes += packet.header.caplen;
    }
    pcap_dump_close(dumper);
    meter.print(work);
  }
  pcap_close(trace);
  return 0;
}
