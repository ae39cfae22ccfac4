// ringtap-pktgen: sends an exact number of numbered frames. The last line of stdout is one JSON object.
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "frames.h"
#include "pacer.h"
#include "sender.h"

namespace {

constexpr const char* kUsage =
    "usage: ringtap-pktgen --iface NAME [options]\n"
    "  --count N      frames to send; 0 = until a signal (default 0)\n"
    "  --rate PPS     frames per second; 0 = flat out (default 0)\n"
    "  --size S       bytes without FCS: 60, a range a-b, or imix (7:4:1 of 60, 566, 1514) (default 60)\n"
    "  --proto P      udp tcp icmp udp6 tcp6 icmp6 (default udp)\n"
    "  --flows N      different source ports (default 4096)\n"
    "  --vlan ID      tag every frame\n"
    "  --stamp        CLOCK_TAI nanoseconds in the payload, after the frame's number\n"
    "  --method M     sendmmsg, txring or xdp (default sendmmsg)\n"
    "  --core N       stay on this CPU\n"
    "  --wait         say READY on stderr and start at the first line on stdin\n"
    "  --clock        print CLOCK_TAI - CLOCK_MONOTONIC in ns, and send nothing\n"
    "The payload starts with the frame's number, 64 bits, big-endian. A refused frame is sent again, so exactly\n"
    "--count frames arrive; with xdp the replacement has a new number.\n";

volatile sig_atomic_t stopped = 0;
void stop(int) { stopped = 1; }

struct Arguments {
  std::string iface;
  std::string method = "sendmmsg";
  uint64_t count = 0;
  double rate = 0;
  int core = -1;
  bool wait = false;
  pktgen::FrameOptions frames;
};

template <class T>
T number(const char* option, const char* text) {
  T value{};
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), value);
  if (error != std::errc() || *end != '\0')
    throw std::invalid_argument(std::string(option) + ": not a number: " + text);
  return value;
}

/// For readers that have no CLOCK_TAI to compare a stamp with.
void print_clock() {
  timespec tai{};
  timespec monotonic{};
  clock_gettime(CLOCK_TAI, &tai);
  clock_gettime(CLOCK_MONOTONIC, &monotonic);
  std::printf("%" PRId64 "\n", int64_t{tai.tv_sec - monotonic.tv_sec} * 1000000000 + (tai.tv_nsec - monotonic.tv_nsec));
}

Arguments parse(int argc, char** argv) {
  static const option kOptions[] = {
      {"iface", required_argument, nullptr, 'i'},  {"count", required_argument, nullptr, 'c'},
      {"rate", required_argument, nullptr, 'r'},   {"size", required_argument, nullptr, 's'},
      {"proto", required_argument, nullptr, 'p'},  {"flows", required_argument, nullptr, 'f'},
      {"vlan", required_argument, nullptr, 'v'},   {"stamp", no_argument, nullptr, 't'},
      {"method", required_argument, nullptr, 'm'}, {"core", required_argument, nullptr, 'C'},
      {"wait", no_argument, nullptr, 'w'},         {"clock", no_argument, nullptr, 'T'},
      {"help", no_argument, nullptr, 'h'},         {nullptr, 0, nullptr, 0}};
  Arguments a;
  for (int c = 0; (c = getopt_long(argc, argv, "h", kOptions, nullptr)) != -1;) {
    switch (c) {
      case 'i':
        a.iface = optarg;
        break;
      case 'c':
        a.count = number<uint64_t>("--count", optarg);
        break;
      case 'r':
        a.rate = number<double>("--rate", optarg);
        break;
      case 's':
        a.frames.size = optarg;
        break;
      case 'p':
        a.frames.proto = optarg;
        break;
      case 'f':
        a.frames.flows = number<uint32_t>("--flows", optarg);
        break;
      case 'v':
        a.frames.vlan = number<uint16_t>("--vlan", optarg);
        break;
      case 't':
        a.frames.stamp = true;
        break;
      case 'm':
        a.method = optarg;
        break;
      case 'C':
        a.core = number<int>("--core", optarg);
        break;
      case 'w':
        a.wait = true;
        break;
      case 'T':
        print_clock();
        std::exit(0);
      case 'h':
        std::fputs(kUsage, stdout);
        std::exit(0);
      default:
        std::exit(2);
    }
  }
  if (optind < argc) throw std::invalid_argument(std::string("unexpected argument: ") + argv[optind]);
  if (a.iface.empty()) throw std::invalid_argument("--iface is missing");
  return a;
}

std::unique_ptr<pktgen::Sender> make_sender(const Arguments& a, const pktgen::Frames& frames) {
  if (a.method == "sendmmsg") return pktgen::make_mmsg_sender(a.iface, frames);
  if (a.method == "txring") return pktgen::make_txring_sender(a.iface, frames);
  if (a.method == "xdp") return pktgen::make_xdp_sender(a.iface, frames, a.rate);
  throw std::invalid_argument("--method: expected sendmmsg, txring or xdp, got " + a.method);
}

void pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(core), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) pktgen::fail("--core " + std::to_string(core));
}

void wait_for_line() {
  std::fputs("READY\n", stderr);
  char c = 0;
  while (stopped == 0 && c != '\n') {
    if (read(STDIN_FILENO, &c, 1) <= 0) stopped = 1;  // end of input, or a signal
  }
}

int run(const Arguments& a) {
  const pktgen::Frames frames(a.frames);
  if (a.core >= 0) pin(a.core);
  const std::unique_ptr<pktgen::Sender> sender = make_sender(a, frames);
  if (a.wait) wait_for_line();

  pktgen::Pacer pacer(a.method == "xdp" ? 0 : a.rate);
  pktgen::Sent total;
  std::string failure;
  pacer.start();
  try {
    for (uint64_t next = 0; stopped == 0 && (a.count == 0 || total.frames < a.count);) {
      uint64_t burst = pacer.allowance(total.frames);
      if (a.count != 0) burst = std::min(burst, a.count - total.frames);
      if (burst > 0) next += sender->send(next, burst, total);
    }
  } catch (const std::runtime_error& error) {
    failure = error.what();
  }
  const double seconds = total.paced_ns > 0 ? static_cast<double>(total.paced_ns) / 1e9 : pacer.seconds();
  std::printf("{\"sent\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"seconds\":%.6f,\"pps\":%.0f,\"errors\":%" PRIu64 "}\n",
              total.frames, total.bytes, seconds, seconds > 0 ? static_cast<double>(total.frames) / seconds : 0,
              total.errors);
  if (failure.empty()) return 0;
  std::fprintf(stderr, "ringtap-pktgen: %s\n", failure.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  struct sigaction action {};
  action.sa_handler = stop;  // without SA_RESTART: waiting calls return
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  try {
    return run(parse(argc, argv));
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "ringtap-pktgen: %s\n%s", error.what(), kUsage);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ringtap-pktgen: %s\n", error.what());
    return 1;
  }
}
