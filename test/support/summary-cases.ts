// Packets for which `ringtap read` and `tcpdump -nn -S` print the same lines. Ports are ones that tcpdump decodes
// nothing on.
import { bytes, ethernet, ipv4, ipv6, LinkType, MAC, tcp, u16, u32, udp } from './trace.js';

export interface SummaryCase {
  readonly name: string;
  readonly packets: readonly Buffer[];
  readonly linkType?: number;
  /** tcpdump 4.99 does not say, or says wrongly, where these are cut. */
  readonly silentCuts?: boolean;
}

const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const ARP = 0x0806;

const over4 = (protocol: number, payload: Uint8Array) => ethernet(IPV4, ipv4({ protocol }, payload));
const over6 = (next: number, payload: Uint8Array) => ethernet(IPV6, ipv6({ next }, payload));
const someUdp = udp(40000, 40001, Buffer.alloc(22));
const unreachable = (code: number) =>
  over4(1, bytes(3, code, u16(0), u16(0), u16(1400), ipv4({ protocol: 17 }, someUdp.subarray(0, 8))));
const arp = (operation: number, target: string) =>
  ethernet(ARP, bytes(u16(1), u16(IPV4), 6, 4, u16(operation), MAC.a, '0a000001', target, '0a000002', '00'.repeat(18)));
const address6 = `20010db8${'0'.repeat(23)}9`;
const quoted6 = ipv6({ next: 17, source: address6 }, someUdp.subarray(0, 8));
const icmp6 = (type: number, code: number, ...rest: (number | string | Uint8Array)[]) =>
  over6(58, bytes(type, code, u16(0), ...rest));
const tcpOptions = bytes('020405b4 0402 080a 00000001 ffffffff 01 030307 050a 00000064 000000c8 fd02');

export const tcpdumpCases: readonly SummaryCase[] = [
  {
    name: 'UDP',
    packets: [over4(17, someUdp), over6(17, someUdp), over4(17, udp(40000, 40001, Buffer.alloc(0)))],
  },
  {
    name: 'UDP whose length is a lie',
    packets: [over4(17, udp(40000, 40001, Buffer.alloc(4), 100)), over4(17, udp(40000, 40001, Buffer.alloc(4), 3))],
  },
  {
    name: 'every combination of TCP flags',
    packets: Array.from({ length: 256 }, (_, flags) => over4(6, tcp({ flags, acknowledged: 4294967295, urgent: 3 }))),
  },
  {
    name: 'TCP with data across the end of sequence space',
    packets: [
      over4(6, tcp({ flags: 0x18, sequence: 4294967290, acknowledged: 17 }, Buffer.alloc(20))),
      over6(6, tcp({})),
    ],
  },
  {
    name: 'TCP options',
    packets: [over4(6, tcp({ options: tcpOptions })), over6(6, tcp({ options: bytes('01010101') }, Buffer.alloc(9)))],
  },
  {
    name: 'TCP with impossible header lengths and options',
    packets: [
      over4(6, tcp({ headerLength: 16 })),
      over4(6, tcp({ headerLength: 60 })),
      over4(6, tcp({ options: bytes('02ff05b4') })),
      over4(6, tcp({ options: bytes('02ff05b4') }, Buffer.alloc(3))),
      over4(6, tcp({ options: bytes('02010000') })),
    ],
  },
  {
    name: 'ARP',
    packets: [...[1, 2, 3, 4, 8, 9].map((operation) => arp(operation, MAC.b)), arp(1, '000000000000')],
  },
  {
    name: 'ARP for other protocols, lengths and operations',
    packets: [
      ...[0, 10, 11].map((operation) => arp(operation, MAC.b)),
      ...[
        [1, IPV6, 6, 16],
        [1, IPV4, 0, 4],
        [1, IPV4, 6, 0],
        [24, 0x1000, 8, 4],
        [32, IPV4, 20, 4],
        [77, 0x1234, 3, 5],
      ].map(([hardware, protocol, hardwareLength, protocolLength]) =>
        ethernet(
          ARP,
          bytes(u16(hardware!), u16(protocol!), hardwareLength!, protocolLength!, u16(1), Buffer.alloc(64, 7)),
        ),
      ),
    ],
  },
  {
    name: 'ICMP router advertisements',
    packets: [
      ...[59, 61, 3599, 3600, 36_061].map((lifetime) =>
        over4(1, bytes(9, 0, u16(0), 2, 2, u16(lifetime), '0a000001', u32(7), '0a000002', u32(0xffffffff))),
      ),
      over4(1, bytes(9, 0, u16(0), 1, 3, u16(60), Buffer.alloc(12))),
      over4(1, bytes(9, 0, u16(0), 0, 2, u16(60))),
    ],
  },
  {
    name: 'ICMP echo, time and parameter messages',
    packets: [
      over4(1, bytes(8, 0, u16(0), u16(77), u16(5), Buffer.alloc(56))),
      over4(1, bytes(0, 0, u16(0), u16(77), u16(5), Buffer.alloc(56))),
      over4(1, bytes(13, 0, u16(0), u16(77), u16(5), u32(1), u32(0), u32(0))),
      over4(1, bytes(14, 0, u16(0), u16(77), u16(5), u32(1), u32(86399999), u32(3600001))),
      over4(1, bytes(12, 0, u16(0), 5, 0, u16(0), Buffer.alloc(28))),
      over4(1, bytes(12, 1, u16(0), 5, 0, u16(0), Buffer.alloc(28))),
      ...[0, 1, 2].map((code) =>
        over4(1, bytes(11, code, u16(0), u32(0), ipv4({ protocol: 17 }, someUdp.subarray(0, 8)))),
      ),
      over4(1, bytes(18, 0, u16(0), u32(0), 'ffffff00')),
      ...[4, 10, 15, 16, 17, 99].map((type) => over4(1, bytes(type, 0, u16(0), u32(0)))),
    ],
  },
  {
    name: 'ICMP errors and redirects',
    packets: [
      ...Array.from({ length: 18 }, (_, code) => unreachable(code)),
      over4(1, bytes(3, 3, u16(0), u32(0), ipv4({ protocol: 6 }, tcp({}).subarray(0, 8)))),
      over4(1, bytes(3, 3, u16(0), u32(0), ipv4({ protocol: 132 }, Buffer.alloc(8)))),
      over4(1, bytes(3, 4, u16(0), u32(0), ipv4({ protocol: 6 }, tcp({}).subarray(0, 8)))),
      ...[0, 1, 2, 3, 4].map((code) =>
        over4(1, bytes(5, code, u16(0), '0a000063', ipv4({ protocol: 17 }, someUdp.subarray(0, 8)))),
      ),
    ],
  },
  {
    name: 'ICMPv6 errors',
    packets: [
      ...[0, 1, 2, 3, 4].map((code) => icmp6(1, code, u32(0), quoted6)),
      icmp6(1, 4, u32(0), ipv6({ next: 6 }, tcp({}).subarray(0, 8))),
      icmp6(2, 0, u32(1280), quoted6),
      ...[0, 1, 2].map((code) => icmp6(3, code, u32(0), quoted6)),
      ...[0, 1, 2, 3, 4].map((code) => icmp6(4, code, u32(40), quoted6)),
    ],
  },
  {
    name: 'ICMPv6 echo, neighbours and routers',
    packets: [
      icmp6(128, 0, u16(77), u16(5), Buffer.alloc(56)),
      icmp6(129, 0, u16(77), u16(5), Buffer.alloc(56)),
      icmp6(133, 0, u32(0), `0101${MAC.a}`),
      icmp6(134, 0, u32(0), u32(0), u32(0)),
      icmp6(135, 0, u32(0), address6, `0101${MAC.a}`),
      icmp6(136, 0, u32(0), address6, `0201${MAC.a}`),
      icmp6(137, 0, u32(0), address6, `fe80${'0'.repeat(27)}7`),
      icmp6(130, 0, u16(1000), u16(0), address6, 2, 125, u16(0)),
      icmp6(130, 0, u16(1000), u16(0), address6, 2, 125, u16(1), address6),
      icmp6(250, 0, u32(0)),
    ],
  },
  {
    name: 'ICMPv6 of other kinds, and nothing of it',
    packets: [
      ...[141, 142, 144, 145, 146, 147, 200, 201].map((type) => icmp6(type, 0, u16(77), Buffer.alloc(22))),
      ...[0, 1, 2, 3, 4, 128].map((code) => icmp6(155, code, u32(77), Buffer.alloc(24))),
      icmp6(1, 5, u32(0), quoted6),
      over6(58, Buffer.alloc(0)),
    ],
  },
  {
    name: 'ICMPv6 listener queries of no version',
    silentCuts: true,
    packets: [icmp6(130, 0, u32(77), Buffer.alloc(18))],
  },
  {
    name: 'ICMPv6 listeners',
    silentCuts: true,
    packets: [130, 131, 132].map((type) => icmp6(type, 0, u16(1000), u16(0), address6)),
  },
  {
    name: 'IPv4 fragments, options and wrong lengths',
    packets: [
      ethernet(IPV4, ipv4({ protocol: 17, fragment: 0x2000 }, udp(40000, 40001, Buffer.alloc(100), 2000))),
      ethernet(IPV4, ipv4({ protocol: 17, fragment: 0x20b9 }, Buffer.alloc(100))),
      ethernet(IPV4, ipv4({ protocol: 17, options: bytes('94040000') }, someUdp)),
      ethernet(IPV4, ipv4({ protocol: 17, totalLength: 500 }, someUdp)),
      ethernet(IPV4, ipv4({ protocol: 17, totalLength: 10 }, someUdp)),
    ],
  },
  {
    name: 'Ethernet padding',
    packets: [ethernet(IPV4, bytes(ipv4({ protocol: 6 }, tcp({ flags: 16 })), Buffer.alloc(6)))],
  },
  {
    name: 'IPv6 fragments',
    silentCuts: true,
    packets: [
      over6(44, bytes(17, 0, u16(1), u32(99), udp(40000, 40001, Buffer.alloc(64), 2000))),
      over6(44, bytes(17, 0, u16(0x5a8), u32(99), Buffer.alloc(64))),
    ],
  },
  {
    name: 'IPv6 extension headers',
    packets: [
      over6(0, bytes(58, 0, '05020000 0100', 143, 0, u16(0), u16(0), u16(1), Buffer.alloc(20))),
      over6(60, bytes(17, 0, '010400000000', someUdp)),
      over6(59, Buffer.alloc(0)),
      ethernet(IPV6, ipv6({ next: 17, payloadLength: 500 }, someUdp)),
    ],
  },
  {
    name: 'IPv6 routing headers',
    packets: [
      over6(43, bytes(17, 2, 0, 1, u32(0), address6, someUdp)),
      over6(43, bytes(17, 4, 2, 2, u32(0x1234), address6, address6, someUdp)),
      over6(43, bytes(17, 4, 4, 1, 1, 0x20, u16(0xabc), address6, address6, someUdp)),
      over6(43, bytes(17, 0, 0, 0, u32(0), someUdp)),
      over6(43, bytes(17, 1, 0, 1, u32(0), u32(0), u32(0), someUdp)),
      over6(43, bytes(17, 2, 3, 1, u32(0), address6, someUdp)),
      over6(60, bytes(43, 0, '010400000000', 17, 2, 2, 1, u32(0), address6, someUdp)),
    ],
  },
  {
    name: 'IPv6 hop-by-hop options that are out of place or do not fit',
    packets: [
      ...[
        '0104 0000 0000',
        '0502 0000 0100',
        '0503 0000 0100',
        '0109 0000 0000',
        'c204 0001 0000',
        'c203 0001 0000',
      ].map((options) => over6(0, bytes(17, 0, options, someUdp))),
      ...['000000 c904 00', '0000 0000 0005', '0000 0000 c201', '07ff 0000 0000'].map((options) =>
        over6(0, bytes(17, 0, options, someUdp)),
      ),
      over6(0, bytes(0, 0, '010400000000', 17, 0, '010400000000', someUdp)),
      over6(60, bytes(0, 0, '010400000000', 17, 0, '010400000000', someUdp)),
    ],
  },
  {
    name: 'IPv6 payload lengths of 0',
    silentCuts: true,
    packets: [
      ethernet(IPV6, ipv6({ next: 0, payloadLength: 0 }, bytes(17, 0, '010400000000', someUdp))),
      ethernet(IPV6, ipv6({ next: 0, payloadLength: 0 }, bytes(17, 0, 'c204 0000 ffff', someUdp))),
      ethernet(IPV6, ipv6({ next: 60, payloadLength: 0 }, bytes(17, 0, '010400000000', someUdp))),
      ethernet(IPV6, ipv6({ next: 0, payloadLength: 0 }, bytes(17, 0, 'c204 0001 0000', someUdp))),
    ],
  },
  {
    name: 'IPv6 addresses',
    packets: [
      '00000000000000000000000000000000',
      '00000000000000000000000000000001',
      '0000000000000000000000000a000001',
      '00000000000000000000ffff0a000001',
      '00010002000300040005000600070008',
      '20010db8000000000001000000000001',
      '20010000000000010000000000000001',
      'fe800000000000000000000000000000',
      '20010db800010002000300040005fffe',
      '20010db8000000010002000300040005',
    ].map((source) => ethernet(IPV6, ipv6({ next: 17, source }, someUdp))),
  },
  {
    name: 'IP in IP',
    packets: [
      over4(4, ipv4({ protocol: 17 }, someUdp)),
      over4(41, ipv6({ next: 6 }, tcp({}))),
      over6(4, ipv4({ protocol: 6 }, tcp({}))),
      over6(41, ipv6({ next: 58 }, bytes(128, 0, u16(0), u32(7)))),
    ],
  },
  {
    name: 'other IP protocols',
    packets: [over4(253, Buffer.alloc(20)), over6(253, Buffer.alloc(20))],
  },
  {
    name: 'unknown ethertypes',
    packets: [ethernet(0x88b5, Buffer.alloc(46)), ethernet(0x88b5, Buffer.alloc(46), [[0x8100, 5]])],
  },
  {
    name: 'VLAN tags',
    packets: [
      ethernet(IPV4, ipv4({ protocol: 17 }, someUdp), [[0x8100, 0x6005]]),
      ethernet(IPV6, ipv6({ next: 6 }, tcp({})), [
        [0x88a8, 100],
        [0x8100, 0x1fff],
      ]),
      ethernet(ARP, arp(1, MAC.b).subarray(14), [[0x9100, 1]]),
    ],
  },
  {
    name: 'raw IP',
    linkType: LinkType.rawIp,
    packets: [ipv4({ protocol: 17 }, someUdp), ipv6({ next: 6 }, tcp({}))],
  },
  { name: 'raw IPv4', linkType: LinkType.rawIpv4, packets: [ipv4({ protocol: 17 }, someUdp)] },
  { name: 'raw IPv6', linkType: LinkType.rawIpv6, packets: [ipv6({ next: 17 }, someUdp)] },
  {
    name: 'BSD loopback',
    linkType: LinkType.bsdLoopback,
    packets: [
      bytes('02000000', ipv4({ protocol: 17 }, someUdp)),
      bytes('00000002', ipv4({ protocol: 17 }, someUdp)),
      bytes('1e000000', ipv6({ next: 17 }, someUdp)),
      bytes('18000000', ipv6({ next: 17 }, someUdp)),
    ],
  },
  {
    name: 'OpenBSD loopback',
    linkType: LinkType.openBsdLoopback,
    packets: [bytes('00000002', ipv4({ protocol: 6 }, tcp({ flags: 0x12 })))],
  },
  {
    name: 'Linux cooked v1',
    linkType: LinkType.cooked,
    packets: [0, 1, 2, 3, 4, 9].map((way) =>
      bytes(u16(way), u16(1), u16(6), MAC.a, '0000', u16(IPV4), ipv4({ protocol: 17 }, someUdp)),
    ),
  },
  {
    name: 'Linux cooked v1 without an address or with a VLAN tag',
    linkType: LinkType.cooked,
    packets: [
      bytes(u16(0), u16(772), u16(0), Buffer.alloc(8), u16(IPV6), ipv6({ next: 17 }, someUdp)),
      bytes(
        u16(4),
        u16(1),
        u16(6),
        MAC.a,
        '0000',
        u16(0x8100),
        u16(0x6005),
        u16(IPV4),
        ipv4({ protocol: 17 }, someUdp),
      ),
    ],
  },
  {
    name: 'Linux cooked v2',
    linkType: LinkType.cooked2,
    packets: [
      ...[0, 1, 2, 3, 4, 9].map((way) =>
        bytes(u16(IPV4), u16(0), u32(99999), u16(1), way, 6, MAC.a, '0000', ipv4({ protocol: 17 }, someUdp)),
      ),
      bytes(
        u16(0x8100),
        u16(0),
        u32(99999),
        u16(1),
        0,
        0,
        '00'.repeat(8),
        u16(5),
        u16(IPV6),
        ipv6({ next: 6 }, tcp({})),
      ),
    ],
  },
];
