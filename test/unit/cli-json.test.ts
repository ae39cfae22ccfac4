// `--json` of read and capture: one object a packet, against what tshark finds in it.
import { writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { lines, ringtap, shell, start } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { tcpdumpCases } from '../support/summary-cases.js';
import { cuts, ethernet, ipv4, pcapngFile, udp, writePcap } from '../support/trace.js';
import { greIp, inside, insideIp, vxlan } from '../support/tunnels.js';

const path = temporaryFolder();
const parse = (text: string) => lines(text).map((line) => JSON.parse(line));
const gre = greIp(insideIp());
const someUdp = ethernet(0x0800, ipv4({ protocol: 17 }, udp(40000, 40001, Buffer.alloc(22))));

describe('ringtap read --json', () => {
  test('has what tshark finds in each packet', async () => {
    const file = path('mixed.pcapng');
    await ringtap('capture', 'synth:?count=2000&protocols=udp,tcp,icmp&sizes=imix&vlanId=7', '-q', '-w', file);
    const names =
      'frame.time_epoch frame.cap_len frame.len eth.src eth.dst vlan.id ip.src ip.dst ip.ttl ip.proto udp.srcport udp.dstport tcp.srcport tcp.dstport tcp.seq_raw tcp.flags';
    const options = names.split(' ').flatMap((name) => ['-e', name]);
    const { stdout } = await start('tshark', [
      ...['-r', file, '-T', 'fields', '-E', 'separator=/t', '-E', 'occurrence=f', ...options],
    ]).outcome;
    const theirs = lines(stdout).map((line) => line.split('\t'));
    const ours = parse((await ringtap('read', file, '--json')).stdout);
    expect(ours).toHaveLength(2000);
    const numbers: Record<string, string> = { UDP: '17', TCP: '6', ICMP: '1' };
    const text = (value: unknown) => (value === undefined ? '' : String(value));
    expect(
      ours.map((packet) => [
        `${packet.time_ns.slice(0, -9)}.${packet.time_ns.slice(-9)}`,
        text(packet.caplen),
        text(packet.wirelen),
        packet.ether.src_mac,
        packet.ether.dest_mac,
        text(packet.vlan[0]),
        packet.src_ip,
        packet.dest_ip,
        text(packet.ttl),
        numbers[packet.proto],
        packet.proto === 'UDP' ? text(packet.src_port) : '',
        packet.proto === 'UDP' ? text(packet.dest_port) : '',
        packet.proto === 'TCP' ? text(packet.src_port) : '',
        packet.proto === 'TCP' ? text(packet.dest_port) : '',
        text(packet.tcp?.seq),
        packet.tcp === undefined ? '' : `0x${packet.tcp.tcp_flags.padStart(4, '0')}`,
      ]),
    ).toEqual(theirs);
  });

  test('tells the tunnel that a packet came out of, in the words of events', async () => {
    const file = path('tunnels.pcap');
    writePcap(
      file,
      [vxlan(4711, inside(), '10.9.0.1'), gre, inside()].map((data) => ({ data })),
      1,
    );
    const { stdout } = await ringtap('read', '--json', '-o', 'decap=auto', file);
    const found = parse(stdout).map(({ tunnel, src_ip, dest_port }) => ({ tunnel, src_ip, dest_port }));
    expect(found).toEqual([
      { tunnel: { kind: 'vxlan', id: 4711, src_ip: '10.9.0.1', depth: 1 }, src_ip: '192.168.7.1', dest_port: 53 },
      { tunnel: { kind: 'gre', id: 0, src_ip: '10.9.0.2', depth: 1 }, src_ip: expect.any(String), dest_port: 443 },
      { tunnel: undefined, src_ip: '192.168.7.1', dest_port: 53 },
    ]);
  });

  test('is one object with a time and lengths for each packet, whatever it is and wherever it is cut', async () => {
    for (const { packets, linkType } of tcpdumpCases) {
      const file = path('any.pcap');
      const pieces = packets.flatMap(cuts);
      writePcap(file, pieces, linkType);
      const { code, stdout, stderr } = await ringtap('read', '--json', '-x', file);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const ours = parse(stdout);
      expect(ours.map(({ data }) => data)).toEqual(pieces.map(({ data }) => Buffer.from(data).toString('hex')));
      for (const { timestamp, time_ns, caplen, wirelen, link_type } of ours) {
        expect(timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
        expect(time_ns).toMatch(/^\d+$/);
        expect(wirelen).toBeGreaterThanOrEqual(caplen);
        expect(link_type).toBe(linkType ?? 1);
      }
    }
  });

  test('keeps each nanosecond, also of times that no double and no calendar has', async () => {
    const file = path('far.pcapng');
    const times = async (offset: bigint, ticks: bigint[]) => {
      writeFileSync(
        file,
        pcapngFile(
          { offset },
          ticks.map((at) => ({ data: someUdp, ticks: at })),
        ),
      );
      return parse((await ringtap('read', '--json', file)).stdout).map(({ timestamp, time_ns }) => [
        timestamp,
        time_ns,
      ]);
    };
    expect(await times(0n, [1n, 1_700_000_000_123_457n])).toEqual([
      ['1970-01-01T00:00:00.000001000Z', '1000'],
      ['2023-11-14T22:13:20.123457000Z', '1700000000123457000'],
    ]);
    expect(await times(-1000n, [123_457n])).toEqual([['1969-12-31T23:43:20.123457000Z', '-999876543000']]);
    expect(await times(0n, [2n ** 64n - 1n])).toEqual([[null, '18446744073709551615000']]);
  });
});

describe('ringtap capture --json', () => {
  test('is what read --json makes of the same packets', async () => {
    const file = path('same.pcapng');
    const uri = 'synth:?count=3000&seed=7';
    await ringtap('capture', uri, '-q', '-w', file);
    expect((await ringtap('capture', '--json', uri)).stdout).toBe((await ringtap('read', '--json', file)).stdout);
  });

  test('says of several captures which one a packet is of', async () => {
    const [a, b] = ['synth:?count=30', 'synth:?count=20&seed=2'];
    const ours = parse((await ringtap('capture', '--json', '-i', a!, '-i', b!)).stdout);
    expect(ours.filter(({ uri }) => uri === a)).toHaveLength(30);
    expect(ours.filter(({ uri }) => uri === b)).toHaveLength(20);
  });

  test('comes as packets do, and waits for a reader that is slow, with bounded memory', async () => {
    const line = (pipe: string) => `ringtap capture "synth:" --json 2>/dev/null | ${pipe}`;
    const { stdout } = await shell(line('(sleep 2; head -n 200000 | tail -n 1)'));
    expect(JSON.parse(stdout).proto).toBe('UDP');
    const slow = await shell(
      `ringtap capture "synth:" --json 2>/dev/null > >(sleep 4) & sleep 3; grep VmHWM /proc/$(pgrep -n -P $!)/status || grep VmHWM /proc/$!/status; kill %1; wait`,
    );
    const kib = Number(/VmHWM:\s+(\d+)/.exec(slow.stdout)?.[1]);
    expect(kib).toBeGreaterThan(10_000);
    expect(kib).toBeLessThan(400_000);
  });
});
