// `ringtap read -v`: a line for each layer, whose numbers are those of tshark.
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { lines, ringtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { bytes, ethernet, ipv4, ipv6, type TracePacket, tcp, u16, u32, udp, writePcap } from '../support/trace.js';
import { mpls, vxlan } from '../support/tunnels.js';

const path = temporaryFolder();
const PPP = 9;

let files = 0;
/** The layers of each packet of a trace. */
async function layers(packets: readonly (Uint8Array | TracePacket)[], linkType?: number, ...args: string[]) {
  const file = path(`${++files}.pcap`);
  const all = packets.map((packet) => ('data' in packet ? packet : { data: packet }));
  writePcap(file, all, linkType);
  const { code, stdout, stderr } = await ringtap('read', '-v', file, ...args);
  expect([code, stderr]).toEqual([0, '']);
  const told: string[][] = [];
  for (const line of lines(stdout)) {
    if (line.startsWith('    ')) told.at(-1)!.push(line.trim());
    else told.push([]);
  }
  expect(told).toHaveLength(packets.length);
  return { file, told };
}

test('each layer is a line: frame, link, tags, IP, what it carries, and the payload', async () => {
  const options = bytes('020405b4 0402 01 030307 0000');
  const tagged = ethernet(
    0x0800,
    ipv4({ protocol: 6, fragment: 0x4000 }, tcp({ options, flags: 0x12, acknowledged: 9 }, bytes('00'))),
    [
      [0x88a8, 100],
      [0x8100, 0xb005],
    ],
  );
  const six = ethernet(0x86dd, ipv6({ next: 17 }, udp(5353, 53, bytes('616263'))));
  const { told } = await layers([tagged, six, mpls(29, ipv4({ protocol: 1 }, bytes('0800 0000 0001 0002')))]);
  expect(told[0]).toEqual([
    'Frame: 75 bytes on the wire, 75 captured',
    'Ethernet: 02:00:00:00:00:01 > 02:00:00:00:00:02, type 802.1Q-QinQ (0x88a8)',
    'VLAN: id 100, priority 0, tag type 0x88a8',
    'VLAN: id 5, priority 5, DEI, tag type 0x8100',
    expect.stringMatching(
      /^IPv4: 10\.0\.0\.1 > 10\.128\.0\.254, protocol TCP \(6\), ttl 64, id 0x0007, length 53, don't fragment, checksum 0x0000 \(WRONG, 0x[0-9a-f]{4} is correct/,
    ),
    expect.stringMatching(
      /^TCP: 40000 > 40001, flags \[S\.\], seq 1, ack 9, window 64240, checksum 0x0000 \(WRONG, .*\), options \[mss 1460,sackOK,nop,wscale 7,eol\]$/,
    ),
    'Payload: 1 bytes',
  ]);
  expect(told[1]!.slice(2)).toEqual([
    'IPv6: fe80::1 > ff02::2, protocol UDP (17), hop limit 64, flow label 0x00000, length 51',
    expect.stringMatching(/^UDP: 5353 > 53, length 11, checksum 0x0000 \(WRONG, 0x[0-9a-f]{4} is correct/),
    'Payload: 3 bytes',
  ]);
  expect(told[2]!.slice(1)).toEqual([
    'Ethernet: 02:00:00:00:00:01 > 02:00:00:00:00:02, type MPLS unicast (0x8847)',
    'MPLS: label 99, class 0, ttl 64',
    'MPLS: label 29, class 0, ttl 64, the last one',
    expect.stringContaining('IPv4: 10.0.0.1 > 10.128.0.254, protocol ICMP (1)'),
    expect.stringContaining('ICMP: type 8, code 0, checksum 0x0000 (WRONG, 0xf7fc is correct'),
    'Payload: 8 bytes',
  ]);
});

test('checksums are those of tshark, right and wrong', async () => {
  const inner = ipv4({ protocol: 17, source: '192.168.7.1' }, udp(5353, 53, bytes('01020304 05')));
  const frames = [
    ethernet(0x0800, ipv4({ protocol: 6 }, tcp({}, Buffer.from('odd')))),
    ethernet(0x86dd, ipv6({ next: 6 }, tcp({}, Buffer.from('even')))),
    ethernet(0x86dd, ipv6({ next: 58 }, bytes('8000 0000 0001 0002', Buffer.from('ping')))),
    ethernet(0x0800, ipv4({ protocol: 4 }, inner)),
  ];
  const { file, told } = await layers(frames);
  const checks = ['ip', 'tcp', 'udp'].flatMap((of) => ['-o', `${of}.check_checksum:TRUE`]);
  const calculated = ['ip.checksum_calculated', 'tcp.checksum_calculated'];
  const args = ['-n', '-r', file, ...checks, '-T', 'fields', ...calculated.flatMap((field) => ['-e', field])];
  const rows = lines(execFileSync('tshark', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  const right = told.map((packet) => packet.flatMap((line) => /0x[0-9a-f]{4}(?= is correct)/.exec(line)?.[0] ?? []));
  const [first, second, , last] = rows.map((row) => row.split('\t'));
  expect(right[0]).toEqual([first![0], first![1]]);
  expect(right[1]).toEqual([second![1]]);
  expect(right[3]).toEqual(last![0]!.split(','));
  // With what we say is right in its place, each is right, for both.
  const mended = frames.map((frame, i) => {
    const copy = Buffer.from(frame);
    const places = [[24, 50], [70], [56], [24, 44]][i]!;
    for (const [k, at] of places.entries()) copy.writeUInt16BE(Number(right[i]![k]), at);
    return copy;
  });
  const again = await layers(mended);
  for (const packet of again.told) expect(packet.join('\n')).not.toContain('WRONG');
  expect(again.told.flat().filter((line) => line.includes('(correct)'))).toHaveLength(6);
  const status = ['ip.checksum.status', 'tcp.checksum.status', 'icmpv6.checksum.status'];
  const filter = status.map((field) => `${field} == "Bad"`).join(' || ');
  const bad = ['-n', '-r', again.file, ...checks, '-Y', filter];
  expect(execFileSync('tshark', bad, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })).toBe('');
});

test('what is malformed, cut or in pieces is said in words', async () => {
  const segment = ethernet(0x0800, ipv4({ protocol: 6 }, tcp({}, Buffer.alloc(20))));
  // IP in IP, a hundred times.
  let deep = ipv4({ protocol: 17 }, udp(1, 2, bytes('00')));
  for (let i = 0; i < 100; i++) deep = ipv4({ protocol: 4 }, deep);
  const cases: [Uint8Array | TracePacket, RegExp | string][] = [
    [
      { data: segment.subarray(0, 40), wirelen: segment.length },
      'Incomplete: the captured bytes end within a header (snaplen)',
    ],
    [
      { data: segment.subarray(0, 60), wirelen: segment.length },
      /not verified: not all of the packet is here.*\nPayload: 20 bytes, 6 captured\nIncomplete: not all of the payload/,
    ],
    [
      ethernet(0x0800, ipv4({ protocol: 6 }, tcp({ headerLength: 16 }))),
      'Malformed: the header length of IPv4 or TCP is below its least, or that of TCP beyond IP',
    ],
    [
      ethernet(0x0800, ipv4({ protocol: 6, totalLength: 500 }, tcp({}))),
      'Malformed: IP claims more bytes than the frame had on the wire',
    ],
    [ethernet(0x0800, ipv6({ next: 6 }, tcp({}))), 'Malformed: IP of neither version'],
    [
      ethernet(0x0800, ipv4({ protocol: 17, fragment: 0x2000 }, udp(1, 2, Buffer.alloc(16), 99))),
      /fragment 0x0007 at 0, more follow.*\nUDP: 1 > 2, length 99, no checksum/,
    ],
    [
      ethernet(0x0800, ipv4({ protocol: 6 }, tcp({ options: bytes('0220 0000') }))),
      'options [] (an option that is longer than the header)',
    ],
    [ethernet(0x0800, deep), /(IPv4: .*\n(Payload: .*\n)?){8}Not decoded: what lies deeper$/],
    [ethernet(0x8847, u32(29 << 12)), 'Incomplete: the last label is not here'],
    [ethernet(0x8100, u16(5)), 'Incomplete'],
    [bytes('00'), 'Frame: 1 bytes on the wire, 1 captured\nIncomplete'],
  ];
  const { told } = await layers(cases.map(([packet]) => packet));
  for (const [i, [, words]] of cases.entries()) {
    const text = told[i]!.join('\n');
    if (typeof words === 'string') expect(text).toContain(words);
    else expect(text).toMatch(words);
  }
});

test('a tunnel that was opened is told, and PPP is a link as another', async () => {
  const frame = ethernet(0x0800, ipv4({ protocol: 17 }, udp(5353, 53, bytes('00'))));
  const { told } = await layers([vxlan(42, frame)], undefined, '-o', 'decap=auto');
  expect(told[0]![0]).toBe('Tunnel: vxlan 42 from 10.9.0.1, 1 deep, 50 bytes of outer headers');
  const ip = ipv4({ protocol: 17 }, udp(5353, 53, bytes('00')));
  const ppp = await layers([bytes('ff03 0021', ip), bytes('21', ip), bytes('ff03 c021 01010004')], PPP);
  expect(ppp.told[0]!.slice(1, 3)).toEqual(['Link type 9: type IPv4 (0x0800)', expect.stringMatching(/^IPv4: 10\.0/)]);
  expect(ppp.told[1]![2]).toMatch(/^IPv4: 10\.0/);
  expect(ppp.told[2]).toEqual(['Frame: 8 bytes on the wire, 8 captured', 'Link type 9']);
  const { stdout } = await ringtap('read', '-t', ppp.file);
  const tcpdump = execFileSync('tcpdump', ['-nn', '-S', '-t', '-K', '-r', ppp.file, 'udp'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  expect(lines(stdout)[0]!.replace(/UDP.*/, '')).toBe(
    lines(tcpdump.toString())[0]!.replace(/\d+\+.*|UDP.*|\[.*|domain.*/, ''),
  );
  expect(lines(stdout)[2]).toBe('PPP, length 8');
});
