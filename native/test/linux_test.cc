// Runs in a lab (scripts/lab.mjs), on interfaces that it makes itself.
#include <doctest/doctest.h>
#include <linux/if_ether.h>
#include <net/if_arp.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "core/clock.h"
#include "filter/opcodes.h"
#include "linux/hardware_stamps.h"
#include "linux/interface.h"
#include "linux/link_news.h"
#include "linux/link_type.h"
#include "linux/list.h"
#include "linux/packet_socket.h"
#include "linux/promiscuous.h"
#include "linux/rights.h"
#include "linux/silent_protocol.h"
#include "linux/wait_set.h"
#include "test/conformance_lab.h"

using namespace ringtap;
using namespace ringtap::test;
using namespace std::chrono_literals;

namespace {

#define NEEDS_LAB()                                     \
  if (!in_lab()) {                                      \
    MESSAGE("not run: needs a lab, see `npm run lab`"); \
    return;                                             \
  }

const std::string kHere = "ln0";
const std::string kThere = "ln1";

void shell(const std::string& command) { REQUIRE_MESSAGE(std::system(command.c_str()) == 0, command); }

std::string output_of(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  for (int c = 0; (c = std::fgetc(pipe)) != EOF;) text += static_cast<char>(c);
  REQUIRE_MESSAGE(pclose(pipe) == 0, command);
  return text;
}

/// A veth pair that is up, ln0 ↔ ln1, for as long as it lives.
struct Link {
  Link() {
    shell("ip link add " + kHere + " type veth peer name " + kThere);
    shell("ip link set " + kHere + " up && ip link set " + kThere + " up");
  }
  ~Link() {
    if (std::system(("ip link del " + kHere + " 2>/dev/null").c_str()) != 0) gone = true;
  }

  int index() const { return interface_index(query_socket().get(), kHere); }
  bool gone = false;  // a test removed it
};

/// A packet socket that hears what arrives on ln0.
UniqueFd listener(int interface, uint16_t protocol = ETH_P_ALL) {
  UniqueFd fd = open_packet_socket(SOCK_RAW);
  REQUIRE(fd);
  REQUIRE(bind_packet_socket(fd.get(), interface, protocol) == 0);
  return fd;
}

bool readable(int fd, int ms) {
  pollfd ask{.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&ask, 1, ms) == 1;
}

/// How many numbered frames can be read.
int heard(int fd) {
  int count = 0;
  std::byte bytes[2048];
  while (readable(fd, 50)) {
    const ssize_t length = recv(fd, bytes, sizeof bytes, 0);
    if (length > 14 && bytes[12] == std::byte{0x88} && bytes[13] == std::byte{0xb5}) count++;
  }
  return count;
}

bool is_promiscuous(const std::string& name) {
  return output_of("ip -d link show dev " + name).find("promiscuity 0") == std::string::npos;
}

}  // namespace

TEST_CASE("an interface is known by its name and by an alternative one, with what the kernel says about it") {
  NEEDS_LAB();
  Link link;
  shell("ip link property add dev " + kHere + " altname ringtapalt0");
  shell("ip link set " + kHere + " mtu 1234");
  const UniqueFd fd = query_socket();
  for (const std::string& name : {kHere, std::string("ringtapalt0")}) {
    const auto interface = query_interface(fd.get(), name, "x:" + name);
    REQUIRE_MESSAGE(bool(interface), interface.error().message);
    CHECK(interface->name == kHere);
    CHECK(interface->index == static_cast<int>(if_nametoindex(kHere.c_str())));
    CHECK(interface->mtu == 1234);
    CHECK(interface->hardware == ARPHRD_ETHER);
    CHECK(interface->up);
    CHECK_FALSE(interface->loopback);
  }
  shell("ip link set " + kHere + " down");
  CHECK_FALSE(query_interface(fd.get(), kHere, "x")->up);
}

TEST_CASE("the loopback interface is one, and has the number that it has everywhere") {
  NEEDS_LAB();
  const auto interface = query_interface(query_socket().get(), "lo", "x:lo");
  REQUIRE(interface);
  CHECK(interface->loopback);
  CHECK(interface->index == static_cast<int>(kLoopbackIndex));
}

TEST_CASE("an interface that is not there is an error that names it, however long its name is") {
  for (const std::string& name : {std::string("nosuch0"), std::string(40, 'x'), std::string()}) {
    const auto missing = query_interface(query_socket().get(), name, "x:" + name);
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == Code::kNoInterface);
    CHECK(missing.error().message.find("\"" + name + "\"") != std::string::npos);
    CHECK(missing.error().syscall == "ioctl(SIOCGIFINDEX)");
  }
}

TEST_CASE("the list of interfaces has each of them once") {
  NEEDS_LAB();
  Link link;
  shell("ip link set " + kThere + " down");
  const auto list = list_interfaces();
  const auto find = [&](const std::string& name) {
    CHECK(std::count_if(list.begin(), list.end(), [&](const auto& one) { return one.name == name; }) == 1);
    return *std::find_if(list.begin(), list.end(), [&](const auto& one) { return one.name == name; });
  };
  CHECK(find("lo").loopback);
  CHECK(find(kHere).up);
  CHECK_FALSE(find(kThere).up);
}

TEST_CASE("a link type follows from the hardware, and is unknown where there is no header that we know") {
  CHECK(link_type_of(ARPHRD_ETHER) == kLinkEthernet);
  CHECK(link_type_of(ARPHRD_LOOPBACK) == kLinkEthernet);
  CHECK(link_type_of(ARPHRD_NONE) == kLinkRaw);
  CHECK(link_type_of(ARPHRD_IEEE80211_RADIOTAP) == kLinkRadiotap);
  CHECK(link_type_of(ARPHRD_CAN) == kLinkCan);
  CHECK_FALSE(link_type_of(ARPHRD_SIT).has_value());
}

TEST_CASE("promiscuous mode lasts as long as its holder, with a socket of its own or with another's") {
  NEEDS_LAB();
  Link link;
  const std::vector<int> both = {link.index(), static_cast<int>(if_nametoindex(kThere.c_str()))};
  CHECK_FALSE(is_promiscuous(kHere));
  Promiscuous holder;
  {
    Promiscuous own;
    REQUIRE(own.enter(both) == 0);
    CHECK(is_promiscuous(kHere));
    CHECK(is_promiscuous(kThere));
    holder = std::move(own);
  }
  CHECK(is_promiscuous(kHere));
  holder.leave();
  CHECK_FALSE(is_promiscuous(kHere));
  CHECK_FALSE(is_promiscuous(kThere));

  const UniqueFd socket = listener(link.index());
  {
    Promiscuous borrowed;
    REQUIRE(borrowed.enter(socket.get(), link.index()) == 0);
    CHECK(is_promiscuous(kHere));
  }
  CHECK_FALSE(is_promiscuous(kHere));
}

TEST_CASE("promiscuous mode is for all interfaces that are named, or for none") {
  NEEDS_LAB();
  Link link;
  Promiscuous mode;
  CHECK(mode.enter(std::vector<int>{link.index(), 0x7ffffff0}) == ENODEV);
  CHECK_FALSE(is_promiscuous(kHere));
}

TEST_CASE("a NIC that stamps nothing says so, and one that is not there as well") {
  NEEDS_LAB();
  Link link;
  CHECK(enable_hardware_stamps(kHere) == EOPNOTSUPP);
  CHECK(enable_hardware_stamps("nosuch0") == ENODEV);
}

TEST_CASE("a packet socket hears nothing before it is bound, and nothing when it is bound to silence") {
  NEEDS_LAB();
  Link link;
  Sender sender(kThere);
  const UniqueFd unbound = open_packet_socket(SOCK_RAW);
  const UniqueFd silent = listener(link.index(), kSilentProtocol);
  const UniqueFd bound = listener(link.index());
  sender.send_numbered(0, 5);
  CHECK(heard(bound.get()) == 5);
  CHECK(heard(silent.get()) == 0);
  CHECK(heard(unbound.get()) == 0);
  CHECK(packet_socket_refused() == 0);
  CHECK(socket_domain(bound.get()) == AF_PACKET);
  CHECK(socket_domain(query_socket().get()) == AF_INET);
  CHECK(socket_domain(0) == -1);
}

TEST_CASE("a kernel program takes the place of the one before, and one that is too long is refused") {
  NEEDS_LAB();
  Link link;
  Sender sender(kThere);
  const UniqueFd fd = listener(link.index());
  REQUIRE(reject_all(fd.get()) == 0);
  heard(fd.get());
  sender.send_numbered(0, 3);
  CHECK(heard(fd.get()) == 0);
  REQUIRE(attach_filter(fd.get(), {{.code = bpf::kRet | bpf::kK, .k = 4096}}) == 0);
  sender.send_numbered(3, 3);
  CHECK(heard(fd.get()) == 3);
  CHECK(attach_filter(fd.get(), Program(65536 + 1, {.code = bpf::kRet | bpf::kK, .k = 1})) == EINVAL);
  CHECK(attach_filter(fd.get(), {}) == EINVAL);
}

TEST_CASE("the kernel's counts are of the time since they were taken last") {
  NEEDS_LAB();
  Link link;
  Sender sender(kThere);
  const UniqueFd fd = listener(link.index(), ETH_P_802_EX1);  // what numbered frames are
  CHECK(take_packet_counts(fd.get())->packets == 0);
  sender.send_numbered(0, 7);
  CHECK(heard(fd.get()) == 7);
  const auto counts = take_packet_counts(fd.get());
  REQUIRE(counts);
  CHECK(counts->packets == 7);
  CHECK(counts->drops == 0);
  CHECK(take_packet_counts(fd.get())->packets == 0);
  CHECK_FALSE(take_packet_counts(query_socket().get()).has_value());
}

TEST_CASE("an interface that goes down and one that is removed are told apart") {
  NEEDS_LAB();
  Link link;
  const UniqueFd fd = listener(link.index());
  const UniqueFd query = query_socket();
  const int index = link.index();
  CHECK(take_socket_error(fd.get()) == 0);
  CHECK(link_state(query.get(), index) == LinkState::kUp);
  shell("ip link set " + kHere + " down");
  CHECK(take_socket_error(fd.get()) == ENETDOWN);
  CHECK(take_socket_error(fd.get()) == 0);
  CHECK_FALSE(lost_interface(fd.get()));
  CHECK(link_state(query.get(), index) == LinkState::kDown);
  CHECK_FALSE(is_gone(query.get(), index));
  shell("ip link del " + kHere);
  CHECK(lost_interface(fd.get()));
  CHECK(link_state(query.get(), index) == LinkState::kGone);
  CHECK(is_gone(query.get(), index));
}

TEST_CASE("news of a link tell each time that it went down, that it is up again, and that it is gone") {
  NEEDS_LAB();
  Link link;
  auto events = LinkEvents::open(link.index(), "x:" + kHere);
  REQUIRE(events);
  CHECK(events->read().downs == 0);
  for (const std::string state : {"down", "up", "down", "up"}) shell("ip link set " + kHere + " " + state);
  REQUIRE(readable(events->fd(), 1000));
  LinkNews news = events->read();
  CHECK(news.downs == 2);
  CHECK(news.up);
  CHECK_FALSE(news.gone);
  CHECK(events->read().downs == 0);
  shell("ip link del " + kHere);
  news = events->read();
  CHECK(news.gone);
  CHECK_FALSE(news.up);
}

TEST_CASE("news of other links are none") {
  NEEDS_LAB();
  Link link;
  auto events = LinkEvents::open(link.index(), "x:" + kHere);
  REQUIRE(events);
  events->read();
  shell("ip link add ln2 type veth peer name ln3 && ip link set ln2 up && ip link set ln2 down && ip link del ln2");
  const LinkNews news = events->read();
  CHECK(news.downs == 0);
  CHECK_FALSE(news.up);
  CHECK_FALSE(news.gone);
}

TEST_CASE("one descriptor waits for several and for a timer, which runs out once each time that it is set") {
  auto set = WaitSet::open("x");
  REQUIRE(set);
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const UniqueFd out(ends[0]);
  const UniqueFd in(ends[1]);
  REQUIRE(set->add(out.get()));
  CHECK_FALSE(readable(set->fd(), 0));
  REQUIRE(write(in.get(), "x", 1) == 1);
  CHECK(readable(set->fd(), 0));
  char byte = 0;
  REQUIRE(read(out.get(), &byte, 1) == 1);
  CHECK_FALSE(readable(set->fd(), 0));
  CHECK_FALSE(set->timer_ran_out());
  const auto start = std::chrono::steady_clock::now();
  set->wake_after(1050ms);
  CHECK(readable(set->fd(), 5000));
  CHECK(std::chrono::steady_clock::now() - start >= 1s);
  CHECK(set->timer_ran_out());
  CHECK_FALSE(set->timer_ran_out());
  CHECK_FALSE(readable(set->fd(), 0));
  const auto failed = set->add(-1);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().message.starts_with("x: cannot wait for packets"));
}

TEST_CASE("an epoch is the whole second that it is") {
  const int64_t before = unix_now_ns();
  const int64_t epoch = epoch_now_ns();
  CHECK(epoch % 1'000'000'000 == 0);
  CHECK(before - epoch < 1'000'000'000);
  CHECK(epoch <= unix_now_ns());
}

namespace {

constexpr uint64_t kEverything = ~uint64_t{0};
constexpr Capabilities kRaw = {Capability::kNetRaw};
constexpr Capabilities kBoth = {Capability::kNetRaw, Capability::kNetAdmin};

uint64_t all_but(Capability capability) { return ~(uint64_t{1} << static_cast<unsigned>(capability)); }

bool says(const Surroundings& around, const std::string& part) {
  const std::string hint = how_to_grant(around, kRaw, kBoth);
  CAPTURE(hint);
  return hint.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("what grants a right depends on where the process runs") {
  const uint64_t without = all_but(Capability::kNetRaw);
  const std::string setcap = "sudo setcap cap_net_raw,cap_net_admin+ep";
  const Surroundings user{.effective = 0, .bounding = kEverything};
  CHECK(says(user, "Run as root, or grant the capabilities: " + setcap));
  CHECK(says({.bounding = kEverything, .container = true}, "Run as root of the container"));
  CHECK(says({.bounding = without, .root = true, .container = true}, "--cap-add NET_RAW --cap-add NET_ADMIN"));
  CHECK(says({.bounding = without, .root = true}, "Nothing that is started from here can have CAP_NET_RAW"));
  CHECK(says({.bounding = kEverything, .service = true}, "AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN"));
  CHECK(says({.bounding = without, .service = true}, "CapabilityBoundingSet="));
  CHECK(says({.bounding = kEverything, .no_new_privs = true}, "no_new_privs"));
  CHECK_FALSE(says({.bounding = without, .root = true, .container = true}, "setcap"));
  CHECK_FALSE(says({.bounding = kEverything, .no_new_privs = true}, "sudo setcap"));
}

TEST_CASE("who has the right is told of policies instead") {
  CHECK(says({.effective = kEverything, .bounding = kEverything, .user_namespace = true}, "user namespace"));
  CHECK(says({.effective = kEverything, .bounding = kEverything, .service = true}, "RestrictAddressFamilies="));
  CHECK(says({.effective = kEverything, .bounding = kEverything, .container = true}, "--security-opt"));
  CHECK(says({.effective = kEverything, .bounding = kEverything, .seccomp = true}, "seccomp"));
  CHECK(says({.effective = kEverything, .bounding = kEverything}, "security module"));
  CHECK_FALSE(says({.effective = kEverything, .bounding = kEverything, .container = true}, "setcap"));
}

TEST_CASE("CAP_SYS_ADMIN stands in for CAP_BPF, and for nothing else") {
  const uint64_t admin = uint64_t{1} << static_cast<unsigned>(Capability::kSysAdmin);
  CHECK(missing_of({.effective = admin}, {Capability::kBpf}).empty());
  CHECK(missing_of({.effective = admin}, {Capability::kNetRaw, Capability::kBpf}) == "CAP_NET_RAW");
  CHECK(missing_of({}, {Capability::kNetRaw, Capability::kBpf}) == "CAP_NET_RAW and CAP_BPF");
}

TEST_CASE("the surroundings are those of this process") {
  const Surroundings here = surroundings();
  CHECK(here.root == (geteuid() == 0));
  CHECK(here.has(Capability::kNetRaw) == has_capability(Capability::kNetRaw));
  CHECK((here.effective & ~here.bounding) == 0);
}
