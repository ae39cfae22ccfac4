import { entry, paragraph } from '../text.js';

const EXAMPLES = [
  ['udp port 53', 'DNS'],
  ['host 192.0.2.1 and not port 22', 'one host, without your own SSH'],
  ['net 10.0.0.0/8', 'a network, as source or destination'],
  ['src host 192.0.2.1', 'one way: src, dst'],
  ['tcp[tcpflags] & tcp-syn != 0', 'SYNs and SYN-ACKs; quote it for the shell'],
  ['portrange 8000-8999', 'ports'],
  ['icmp or icmp6', ''],
  ['ether host 02:00:00:00:00:01', 'a hardware address'],
  ['vlan 5 and udp', 'what follows vlan is about what lies in the tag'],
  ['tunnel vni 4711 and tcp', 'with decap: what came out of that tunnel'],
  ['greater 1000', 'lengths: greater, less'],
] as const;

export function helpFilters(): string {
  return [
    paragraph(
      'A filter is a pcap-filter(7) expression, and libpcap compiles it. It is in force before the first packet, as deep in the ' +
        'system as the method allows: `ringtap explain URI FILTER` says where.',
    ),
    '',
    'These are the same:',
    '  $ ringtap capture eth0 udp port 53',
    "  $ ringtap capture eth0 -f 'udp port 53'",
    '  $ ringtap capture "eth0?filter=udp port 53"',
    '',
    'Expressions:',
    ...EXAMPLES.map(([expression, text]) => entry(`  ${expression}`, 34, text)),
    '',
    paragraph(
      'Quote what the shell would take for itself: ( ) & > [ ] !. Names of hosts are looked up, which may take as long as the ' +
        'resolver does: numbers are safer.',
    ),
    '',
  ].join('\n');
}
