// peer-cores CORE: how long a cache line takes from this core to CORE and back, over as many turns as each line on
// stdin asks for. On one chip it differs by a factor of five, and a virtual machine's cores move while it runs.
#include <sched.h>

#include <atomic>
#include <thread>

#include "peer.h"

namespace {

alignas(128) std::atomic<uint64_t> turn{0};

void pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) {
    std::perror("peer-cores: sched_setaffinity");
    std::exit(1);
  }
}

/// Waits for the other's turn number, and answers with the next.
void answer(uint64_t seen) {
  while (turn.load(std::memory_order_acquire) != seen) continue;
  turn.store(seen + 1, std::memory_order_release);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const int core = std::atoi(argv[1]);
  peer::say_ready();
  char line[64];
  while (std::fgets(line, sizeof line, stdin) != nullptr) {
    const uint64_t turns = peer::number(line);
    turn = 0;
    std::thread other([core, turns] {
      pin(core);
      for (uint64_t i = 0; i < turns; i++) answer(2 * i + 1);
    });
    answer(0);  // the other has started when the next turn comes
    while (turn.load(std::memory_order_acquire) != 2) continue;
    const peer::Meter meter;
    for (uint64_t i = 1; i < turns; i++) answer(2 * i);
    peer::Work work;
    work.packets = turns - 1;
    meter.print(work);
    other.join();
  }
  return 0;
}
