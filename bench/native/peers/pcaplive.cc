// peer-pcaplive INTERFACE WARMUP COUNT: libpcap with a buffer of 64 MiB.
#include <pcap/pcap.h>
#include <poll.h>

#include "peer.h"

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  char error[PCAP_ERRBUF_SIZE] = "";
  pcap_t* capture = pcap_create(argv[1], error);
  if (capture == nullptr) {
    std::fprintf(stderr, "peer-pcaplive: %s\n", error);
    return 1;
  }
  pcap_set_snaplen(capture, 262144);
  pcap_set_promisc(capture, 1);
  pcap_set_timeout(capture, 10);
  pcap_set_buffer_size(capture, 64 << 20);
  if (pcap_activate(capture) < 0 || pcap_setnonblock(capture, 1, error) < 0) {
    std::fprintf(stderr, "peer-pcaplive: %s %s\n", pcap_geterr(capture), error);
    return 1;
  }
  const auto callback = [](u_char* user, const pcap_pkthdr* header, const u_char* bytes) {
    auto& seen = *reinterpret_cast<peer::NumberedWork*>(user);  // SAFETY: what is passed below
    seen.look(bytes, header->caplen);
    seen.packets++;
  };
  peer::Transfer transfer(peer::number(argv[2]), peer::number(argv[3]));
  pollfd readable{pcap_get_selectable_fd(capture), POLLIN, 0};
  peer::say_ready();
  for (bool idle = false; transfer.go_on(idle);) {
    const int got = pcap_dispatch(capture, -1, callback, reinterpret_cast<u_char*>(&transfer.work));
    if (got < 0) return 1;
    idle = got == 0 && poll(&readable, 1, peer::Transfer::kPatienceMs / 10) == 0;
  }
  pcap_stat statistics{};
  pcap_stats(capture, &statistics);
  transfer.print(statistics.ps_drop);
  pcap_close(capture);
  return 0;
}
