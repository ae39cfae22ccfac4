// What a URI and its options may ask of DPDK. Needs no rights and starts nothing.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "backends/dpdk/module/devargs.h"
#include "backends/dpdk/module/eal_arguments.h"
#include "backends/dpdk/module/pci.h"

namespace ringtap::dpdk {

namespace {

/// A file with a name of its own, gone at the end.
class TemporaryFile {
 public:
  TemporaryFile() { close(mkstemp(path_.data())); }
  ~TemporaryFile() { unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/ringtap-untrusted-XXXXXX";
};

std::string device(const std::string& name, const std::string& text, const std::string& unsafe = {}) {
  const auto checked = virtual_devargs("dpdk:test", name, {.text = text, .unsafe = unsafe});
  if (checked) return *checked;
  CHECK(checked.error().code == Code::kBadOption);
  CHECK(checked.error().message.size() < 300);
  CHECK_FALSE(checked.error().hint.empty());
  return "refused";
}

std::string card(const std::string& text, const std::string& unsafe = {}) {
  const auto checked = nic_devargs("dpdk:test", {.text = text, .unsafe = unsafe});
  return checked ? *checked : "refused";
}

std::string eal(const std::string& text) {
  const auto checked = checked_arguments("dpdk:test", text);
  if (!checked) {
    CHECK(checked.error().message.size() < 300);
    return "refused";
  }
  std::string words;
  for (const std::string& word : *checked) words.append(words.empty() ? "" : " ").append(word);
  return words;
}

/// What others have tried, and worse. Each is planted as a driver's name, a parameter, a value, and an argument.
std::vector<std::string> hostile() {
  std::vector<std::string> texts = {
      "exec(id >/tmp/x; echo net_null0)",
      "fd(3)",
      "dev(net_null0)",
      ";id",
      "|id",
      "$(id)",
      "`id`",
      "&",
      "\n",
      "\r\n--vdev=net_null1",
      std::string("a\0b", 3),
      "%00",
      "../../etc/passwd",
      "/etc/passwd",
      "/dev/stdin",
      "-",
      "--",
      "-d /tmp/evil.so",
      "--vdev=net_null1",
      "[1,2",
      "]",
      "a=b=c",
      "=",
      ",,,",
      "bus=vdev,name=net_failsafe0",
      "/bus=vdev/driver=net_failsafe",
      "0x7f0000000000",
      "-1",
      "18446744073709551616",
      "99999999999999999999999999",
      "1e9",
      " 1",
      "1 ",
      "\x1b[31m",
      "\xff\xfe",
      "()",
      "'",
      "\"",
      "\\",
      "\t",
  };
  for (const char c : {'9', ',', '(', 'a', '='}) texts.emplace_back(1 << 20, c);
  return texts;
}

/// Hostile as it looks, it is what it says: a file to read, a name, an address.
bool is_harmless(const std::string& planted) {
  for (const char* known :
       {"rx_pcap=/etc/passwd", "iface=0x7f0000000000", "iface=1e9", "--base-virtaddr=0x7f0000000000"}) {
    if (planted == known) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("drivers that run programs, load objects or read pointers cannot be had, whoever asks") {
  for (const char* name : {"net_failsafe0", "net_failsafe", "net_bonding0", "net_softnic0", "net_vdev_netvsc0",
                           "net_pcap0x", "net_pcap_0", "eth_pcap0", "net_kni0", "crypto_null0", "mempool_ring",
                           "net_null12345678901", "NET_NULL0", "net_null-1", ""}) {
    CAPTURE(name);
    CHECK(device(name, "") == "refused");
    CHECK(device(name, "exec(id)") == "refused");
    CHECK(device(name, "", "exec(id)") == "refused");
  }
}

TEST_CASE("parameters that write, load or point elsewhere are refused, and named") {
  for (const auto& planted : {std::pair("net_pcap0", "tx_pcap=/tmp/x"),
                              {"net_pcap0", "tx_iface=lo"},
                              {"net_pcap0", "rx_iface_out=lo"},
                              {"net_af_xdp0", "xdp_prog=/tmp/x.o"},
                              {"net_af_xdp0", "dp_path=/tmp/x"},
                              {"net_ring0", "internal=0x7f0000000000"},
                              {"net_ring0", "nodeaction=a:0:CREATE"},
                              {"net_tap0", "persist"},
                              {"net_tap0", "remote=lo"},
                              {"net_null0", "size"},
                              {"net_null0", "size=2049"},
                              {"net_af_packet0", "iface"}}) {
    const std::string name = planted.first;
    const std::string parameter = planted.second;
    CAPTURE(name);
    CAPTURE(parameter);
    CHECK(device(name, parameter) == "refused");
    const auto checked = virtual_devargs("dpdk:test", name, {.text = parameter});
    const std::string driver = name.substr(0, name.size() - 1);
    REQUIRE_FALSE(checked);
    CHECK(checked.error().message.find(driver) != std::string::npos);
    CHECK(checked.error().hint.find(driver + " takes ") != std::string::npos);
  }
  for (const char* name : {"net_memif0", "net_vhost0", "net_virtio_user0"}) CHECK(device(name, "") == "refused");
}

TEST_CASE("what writes or connects is passed on from unsafeDevargs alone, where nothing starts a program either") {
  CHECK(device("net_pcap0", "phy_mac=1", "tx_pcap=/tmp/x") == "phy_mac=1,tx_pcap=/tmp/x");
  CHECK(device("net_vhost0", "queues=1", "iface=/tmp/socket") == "queues=1,iface=/tmp/socket");
  CHECK(device("net_vhost0", "iface=/tmp/socket", "queues=1") == "refused");
  CHECK(device("net_virtio_user1", "", "path=/tmp/socket,server=1") == "path=/tmp/socket,server=1");
  CHECK(device("net_memif0", "id=0", "socket=/tmp/socket,socket-abstract=no") ==
        "id=0,socket=/tmp/socket,socket-abstract=no");
  for (const char* unsafe :
       {"tx_pcap=a(b)", "tx_pcap=a,exec(id)", "exec(id)", "xdp_prog=/tmp/x.o", "tx_pcap=", "tx_pcap", "tx_pcap=a\nb"}) {
    CAPTURE(unsafe);
    CHECK(device("net_pcap0", "", unsafe) == "refused");
  }
}

TEST_CASE("harmless parameters are passed on as they are") {
  const TemporaryFile trace;
  CHECK(device("net_null0", "") == "");
  CHECK(device("net_null12", "size=64,copy=1,no-rx=0") == "size=64,copy=1,no-rx=0");
  CHECK(device("net_pcap0", "rx_pcap=" + trace.path() + ",,infinite_rx=1,") ==
        "rx_pcap=" + trace.path() + ",infinite_rx=1");
  CHECK(device("net_pcap0", "rx_pcap=" + trace.path() + ",rx_pcap=" + trace.path()) != "refused");
  CHECK(device("net_pcap0", "iface=lo") == "iface=lo");
  CHECK(device("net_af_packet0", "iface=lo,blocksz=4096,framesz=2048,framecnt=65536") != "refused");
  CHECK(device("net_tap0", "iface=dtap7,mac=02:00:00:00:00:01") != "refused");
  CHECK(device("net_pcap0", "rx_pcap=/no/such.pcap") == "refused");
  CHECK(device("net_pcap0", "rx_pcap=/dev/null") == "refused");
  CHECK(device("net_af_packet0", "iface=no-such-if") == "refused");
  CHECK(card("large_llq_hdr=1,mprq_en=1") == "large_llq_hdr=1,mprq_en=1");
  CHECK(card("Pkt_gen=/tmp/x") == "refused");
  CHECK(card("ddp_pkg_file=/tmp/x") == "refused");
  CHECK(card("", "representor=[0-3]") == "refused");
}

TEST_CASE("hostile text is refused everywhere, in a message that shows little of it") {
  for (const std::string& text : hostile()) {
    CAPTURE(text.substr(0, 60));
    CHECK(device(text, "") == "refused");
    CHECK_FALSE(pci_address(text));
    for (const char* name : {"net_null0", "net_pcap0", "net_af_xdp0", "net_tap0", "net_ring0"}) {
      for (const char* before : {"", "size=", "rx_pcap=", "iface=", "mac=", "start_queue=", "x="}) {
        const std::string planted = before + text;
        if (planted.find_first_not_of(',') == std::string::npos && planted.size() < 4096) continue;  // nothing at all
        if (is_harmless(planted)) continue;
        CAPTURE(before);
        CHECK(device(name, planted) == "refused");
        CHECK(card(planted) == "refused");
      }
    }
    for (const char* before :
         {"-a ", "--allow=", "-a 00:00.0,", "-a 00:00.0,a=", "-m ", "-n ", "-r ",
          "--base-virtaddr=", "--log-level=", "--iova-mode=", "--mbuf-pool-ops-name=", "--socket-mem=",
          "--socket-limit=", "--vfio-vf-token=", "--vfio-intr=", "--force-max-simd-bitwidth=", "--no-hpet=", ""}) {
      CAPTURE(before);
      const std::string planted = before + text;
      // The words are separated by blanks, so that a blank around a number is none of it.
      if (is_harmless(planted) || text == "\n" || text == "\t" ||
          ((text == " 1" || text == "1 ") && before[0] != '\0' && before[0] != ' '))
        continue;
      CHECK(eal(planted) == "refused");
    }
  }
}

TEST_CASE("whatever is passed on has the form key=value, with nothing in a value that is syntax to DPDK") {
  std::mt19937 random(11);
  const std::string alphabet = "iface=size,=rx_pcap=tmp/0123459()[];|$`\n\x01\xff copy";
  for (int i = 0; i < 200'000; i++) {
    std::string text;
    for (size_t length = random() % 24; text.size() < length;) text += alphabet[random() % alphabet.size()];
    for (const char* name : {"net_null0", "net_pcap0", "net_tap1"}) {
      const auto checked = virtual_devargs("dpdk:test", name, {.text = text});
      if (!checked || checked->empty()) continue;
      CAPTURE(text);
      REQUIRE(checked->find_first_of("()[];|$`\n\x01\xff ") == std::string::npos);
      REQUIRE(std::count(checked->begin(), checked->end(), '=') ==
              std::count(checked->begin(), checked->end(), ',') + 1);
    }
  }
}

TEST_CASE("EAL gets no value that it could not read") {
  for (const char* good :
       {"-m 256", "-n 4 -r 16", "--log-level debug", "--log-level lib.eal:8 -m 1", "--log-level pmd.net.*:info",
        "--iova-mode va", "--base-virtaddr 0x100000000", "--socket-mem 1,0,7", "--vfio-intr msix", "--no-hpet",
        "--vfio-vf-token 14d63f20-8445-11ea-8900-1f9ce7d5650d", "--mbuf-pool-ops-name stack"}) {
    CHECK(eal(good) == good);
  }
  for (const char* bad : {"-r 17",
                          "-r 0",
                          "-r 99",
                          "-n 0",
                          "-n 100",
                          "-m 0",
                          "-m 10000000",
                          "-m 1k",
                          "-m +1",
                          "-m",
                          "-m 1 -m 2",
                          "-m 1 --socket-mem 1",
                          "--log-level help",
                          "--log-level lib,8",
                          "--log-level (a+)+$:info",
                          "--log-level :8",
                          "--log-level 9",
                          "--socket-mem 1,,2",
                          "--socket-mem ,1",
                          "--socket-mem 1,",
                          "--vfio-vf-token aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                          "--vfio-vf-token ------------------------------------",
                          "--base-virtaddr 1",
                          "--base-virtaddr 0x",
                          "--base-virtaddr 0xffffffffffffffff",
                          "--mbuf-pool-ops-name ring_sp_sc",
                          "--no-hpet=1",
                          "-h",
                          "--help",
                          "--hel",
                          "-d /tmp/x.so",
                          "--vdev net_null1",
                          "--file-prefix x",
                          "--huge-dir /tmp",
                          "--proc-type secondary",
                          "--trace=.*",
                          "-a 00:00.8"}) {
    CAPTURE(bad);
    CHECK(eal(bad) == "refused");
  }
  CHECK(eal("--socket-limit " + std::string(63, '1').replace(1, 1, ",")) == "refused");
  std::string nodes = "1";
  for (int i = 1; i < 32; i++) nodes += ",1";
  CHECK(eal("--socket-limit " + nodes) == "--socket-limit " + nodes);
  CHECK(eal("--socket-limit " + nodes + ",1") == "refused");
}

TEST_CASE("EAL is not asked for memory that there is not, nor for what it does in huge pages alone") {
  CHECK(check_memory("dpdk:test", {"-m", "64"}, false));
  const auto too_much = check_memory("dpdk:test", {"-m", "9999999"}, false);
  REQUIRE_FALSE(too_much);
  CHECK(too_much.error().code == Code::kNoMemory);
  CHECK(check_memory("dpdk:test", {"--socket-mem", "9000000,9000000"}, true).error().code == Code::kNoMemory);
  for (const char* name : {"--socket-mem", "--socket-limit"}) {
    CHECK(check_memory("dpdk:test", {name, "1"}, false).error().code == Code::kBadOption);
  }
  CHECK(check_memory("dpdk:test", {"--match-allocations"}, false).error().code == Code::kBadOption);
}

TEST_CASE("a PCI address is read in both forms, and nothing else is one") {
  CHECK(pci_address("01:00.0") == "0000:01:00.0");
  CHECK(pci_address("0000:AF:1f.7") == "0000:af:1f.7");
  CHECK(pci_address("10000:01:00.0") == "10000:01:00.0");
  for (const char* text :
       {"", "1:00.0", "01:00.8", "01:00.", "01.00.0", "0:01:00.0", "000:01:00.0", "123456789:01:00.0", "0000:01:00.0 ",
        " 01:00.0", "g000:01:00.0", "0000-01:00.0", ":01:00.0", "0000:01:00.0/..", "../:01:00.0"}) {
    CAPTURE(text);
    CHECK_FALSE(pci_address(text));
  }
}

}  // namespace ringtap::dpdk
