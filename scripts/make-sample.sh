#!/usr/bin/env bash
# Records examples/sample.pcap: ARP, ICMP, DNS and TCP over IPv4 and IPv6 between two lab hosts.
# Run as root: npm run lab -- scripts/make-sample.sh   (needs tcpdump and ping)
set -euo pipefail
out="$(dirname "$0")/../examples/sample.pcap"

# A second host: rt0 moves to a namespace of its own, or the kernel would answer over lo.
unshare --net sleep 60 &
peer=$!
sleep 0.3
on_peer() { nsenter --net="/proc/$peer/ns/net" "$@"; }
ip link set rt0 netns "$peer"
echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6
echo 0 > /proc/sys/net/ipv6/conf/rt1/disable_ipv6
ip link set rt1 address 02:00:00:00:00:01 up
on_peer ip link set rt0 address 02:00:00:00:00:02 up
ip address add 10.0.0.1/24 dev rt1
ip address add fd00::1/64 dev rt1 nodad
on_peer ip address add 10.0.0.2/24 dev rt0
on_peer ip address add fd00::2/64 dev rt0 nodad
# Checksums as on a wire, not left to a NIC that isn't there.
ethtool -K rt1 tx off tso off gso off > /dev/null
on_peer ethtool -K rt0 tx off tso off gso off > /dev/null
sleep 3 # router solicitations and the like go by first

tcpdump -i rt1 -w "$out" --nano -U -Z root 2> /dev/null &
dump=$!
sleep 1
on_peer node -e '
  const answer = (query, info, socket) => {
    const reply = Buffer.concat([query, Buffer.from("c00c000100010000003c0004", "hex"), Buffer.from([10, 0, 0, 2])]);
    reply.writeUInt16BE(0x8180, 2); // a response without an error …
    reply.writeUInt16BE(1, 6); // … with one answer
    socket.send(reply, info.port, info.address);
  };
  for (const type of ["udp4", "udp6"]) {
    const socket = require("dgram").createSocket({ type, ipv6Only: type === "udp6" });
    socket.on("message", (query, info) => answer(query, info, socket)).bind(53);
  }
  require("http").createServer((_, response) => response.end("hello from the lab\n")).listen(80, "::");
  setTimeout(() => process.exit(), 8000);
' &
sleep 1
ping -c 3 -i 0.2 -q 10.0.0.2 > /dev/null
ping -c 3 -i 0.2 -q fd00::2 > /dev/null
node -e '
  const dns = require("dns"), http = require("http");
  const get = (host) => new Promise((done) => http.get({ host, headers: { host: "sample.test" } }, (r) => r.resume().on("end", done)));
  (async () => {
    for (const server of ["10.0.0.2", "[fd00::2]"]) {
      const resolver = new dns.promises.Resolver();
      resolver.setServers([server]);
      console.log(await resolver.resolve4("sample.test"));
    }
    await get("10.0.0.2");
    await get("fd00::2");
    process.exit();
  })();
'
sleep 1
kill -INT "$dump"
wait "$dump" || true
kill "$peer"
