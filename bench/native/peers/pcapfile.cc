// peer-pcapfile FILE: reads the whole trace with pcap_dispatch() once for each line on stdin.
#include <pcap/pcap.h>

#include "peer.h"

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  peer::say_ready();
  char line[64];
  while (std::fgets(line, sizeof line, stdin) != nullptr) {
    const peer::Meter meter;
    peer::Work work;
    char error[PCAP_ERRBUF_SIZE];
    pcap_t* trace = pcap_open_offline(argv[1], error);
    if (trace == nullptr) {
      std::fprintf(stderr, "peer-pcapfile: %s\n", error);
      return 1;
    }
    const auto callback = [](u_char* user, const pcap_pkthdr* header, const u_char* bytes) {
      auto& seen = *reinterpret_cast<peer::Work*>(user);  // SAFETY: what is passed below
      seen.look(bytes, header->caplen);
      seen.packets++;
    };
    while (pcap_dispatch(trace, -1, callback, reinterpret_cast<u_char*>(&work)) > 0) {
    }
    pcap_close(trace);
    meter.print(work);
  }
  return 0;
}
