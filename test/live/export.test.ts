// Flows on their way to collectors that others have written.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { IpfixExporter, NetflowExporter } from 'ringtap/export';
import type { FlowBatch, FlowRecord } from 'ringtap/flow';
import { beforeAll, describe, expect, test } from 'vitest';
import { lines, ringtap, startRingtap } from '../support/cli.js';
import { datagrams, flowsIn, messagesIn, ms, writeAll, writeFlows } from '../support/exporting.js';
import { temporaryFolder } from '../support/folder.js';
import { lab, labMissing, send } from '../support/lab.js';
import { sleep, until } from '../support/wait.js';

const path = temporaryFolder();
let batches: FlowBatch[];
let records: FlowRecord[];
beforeAll(async () => {
  writeFlows(path('flows.pcap'), 35, 400);
  ({ batches, records } = await flowsIn(path('flows.pcap')));
});

interface Found {
  readonly flows: Record<string, string | number>[];
  readonly failures: number;
  /** What it said while it ran. */
  readonly said: string;
}

/** What nfcapd has of what `work` sends to a port. */
async function collected(name: string, port: number, work: () => Promise<unknown>): Promise<Found> {
  const folder = path(name);
  mkdirSync(folder);
  const args = ['-w', folder, '-b', '127.0.0.1', '-p', String(port), '-t', '3600', '-B', '8000000'];
  const child = spawn('nfcapd', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (piece) => {
    said += piece;
  });
  const bound = `:${port.toString(16).toUpperCase().padStart(4, '0')} `;
  await until(() => readFileSync('/proc/net/udp', 'latin1').includes(bound), 'nfcapd to listen');
  await work();
  // What waits at its socket it reads before it ends.
  const isEmpty = () =>
    readFileSync('/proc/net/udp', 'latin1')
      .split('\n')
      .some((line) => line.includes(bound) && line.includes('00000000:00000000'));
  await until(isEmpty, 'nfcapd to read');
  await sleep(200);
  child.kill('SIGTERM');
  await once(child, 'close');
  const nfdump = (...options: string[]) =>
    execFileSync('nfdump', ['-R', folder, ...options], {
      env: { ...process.env, TZ: 'UTC' },
      maxBuffer: 1 << 28,
    }).toString();
  const text = nfdump('-q', '-o', 'json').trim();
  const failures = Number(/Sequence failures: (\d+)/.exec(nfdump('-I'))![1]);
  return { flows: JSON.parse(text.startsWith('[') ? text : `[${text.replace(/,\s*$/, '')}]`), failures, said };
}

const FLAGS = 'CEUAPRSF';
const flagsOf = (flags: number) => [...FLAGS].map((letter, i) => ((flags >> (7 - i)) & 1 ? letter : '.')).join('');
const time = (ns: bigint) => new Date(ms(ns)).toISOString().slice(0, -1);

/** What nfdump is to tell of a record: of both directions, or of one. */
function told(record: FlowRecord, side?: 0 | 1): Record<string, unknown> {
  const { protocol, ipVersion, packets, ipBytes, tcpFlags, vlans } = record;
  const [src, dst] = side === 1 ? [record.dst, record.src] : [record.src, record.dst];
  const [srcPort, dstPort] = side === 1 ? [record.dstPort, record.srcPort] : [record.srcPort, record.dstPort];
  const one = side ?? 0;
  const isIcmp = protocol === 1 || protocol === 58;
  return {
    first: time(record.start),
    last: time(record.end),
    proto: protocol,
    [`src${ipVersion}_addr`]: src,
    [`dst${ipVersion}_addr`]: dst,
    in_packets: packets[one],
    in_bytes: ipBytes[one],
    ...(side === undefined ? { out_packets: packets[1], out_bytes: ipBytes[1] } : {}),
    ...(isIcmp ? { icmp_type: record.icmpType, icmp_code: record.icmpCode } : { src_port: srcPort, dst_port: dstPort }),
    ...(protocol === 6 ? { tcp_flags: flagsOf(tcpFlags[one]) } : {}),
    ...(vlans.length > 0 ? { src_vlan: vlans[0] } : {}),
    input_snmp: 4,
  };
}

const key = (flow: Record<string, unknown>) =>
  [
    flow.proto,
    flow.src4_addr ?? flow.src6_addr,
    flow.dst4_addr ?? flow.dst6_addr,
    flow.src_port,
    flow.dst_port,
    flow.icmp_type,
    flow.in_packets,
    flow.first,
  ].join();
const sorted = <T extends Record<string, unknown>>(flows: readonly T[]) =>
  [...flows].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));

describe.skipIf(lab === null)(`exported flows${labMissing ? ` (skipped: ${labMissing})` : ''}`, () => {
  test('nfcapd has every flow of `ringtap flows --ipfix`, in both directions, and misses no number', async () => {
    const { flows, failures, said } = await collected('ipfix', 4739, async () => {
      const { code, stderr } = await ringtap(
        'flows',
        path('flows.pcap'),
        '--ipfix',
        '127.0.0.1:4739',
        '--enterprise',
        '32473',
      );
      expect(stderr).toContain(`${records.length} records exported in `);
      expect(code).toBe(0);
    });
    expect(failures).toBe(0);
    expect(said).not.toMatch(/no template|length error|abort|skip/i);
    expect(flows).toHaveLength(records.length);
    const expected = sorted(records.map((record) => ({ ...told(record), input_snmp: 0 })));
    for (const [i, flow] of sorted(flows).entries()) expect(flow).toMatchObject(expected[i]!);
  });

  test('nfcapd has each direction of NetFlow v9, and misses no number', async () => {
    const { flows, failures, said } = await collected('netflow', 2055, async () => {
      const exporter = await NetflowExporter.open('udp://127.0.0.1:2055', {
        interface: { index: 4, name: 'eth4', description: 'uplink' },
      });
      await writeAll(exporter, batches);
      await exporter.close();
    });
    expect(failures).toBe(0);
    expect(said).not.toMatch(/no template|length error|abort|skip/i);
    const expected = sorted(
      records.flatMap((record) =>
        ([0, 1] as const).filter((side) => record.packets[side] > 0).map((side) => told(record, side)),
      ),
    );
    expect(flows).toHaveLength(expected.length);
    for (const [i, flow] of sorted(flows).entries()) expect(flow).toMatchObject(expected[i]!);
  });

  test.each([
    ['IPFIX', IpfixExporter, 4740, 0],
    ['NetFlow v9', NetflowExporter, 2056, 1],
  ] as const)('nfcapd scales what was sampled: %s', async (name, kind, port, also) => {
    const { flows, failures } = await collected(`sampled ${name}`, port, async () => {
      const exporter = await kind.open(`udp://127.0.0.1:${port}`, { sampling: { packets: 10 } });
      await writeAll(exporter, batches);
      await exporter.close();
    });
    expect(failures).toBe(0);
    const sum = flows.reduce((total, { in_packets: count }) => total + Number(count), 0);
    expect(sum).toBe(10 * records.reduce((total, { packets }) => total + packets[0] + also * packets[1], 0));
  });

  test('a live capture tells its interface, and ends in good order', async () => {
    const receiver = await datagrams();
    const run = startRingtap([
      'flows',
      `afpacket:${lab!.rx}`,
      '--ipfix',
      `127.0.0.1:${receiver.port}`,
      '-w',
      path('live.jsonl'),
      'udp',
      'dst',
      'port',
      '9',
    ]);
    await once(run.process.stderr!, 'data');
    const { sent } = await send({ count: 5000, rate: 50_000, flows: 50 });
    await sleep(300);
    run.process.kill('SIGINT');
    const { code, stderr } = await run.outcome;
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('50 records exported in ') });
    const written = lines(readFileSync(path('live.jsonl'), 'utf8')).map((line) => JSON.parse(line));
    expect(written.reduce((sum, { flow }) => sum + flow.pkts_toserver, 0)).toBe(sent);
    await until(() => receiver.got.length >= 3, 'datagrams');
    expect(Buffer.concat(receiver.got).includes(lab!.rx)).toBe(true); // in the options
    expect(messagesIn(receiver.got[0]!)[0]).toMatchObject({ domain: 1, firstSet: 2 });
    await receiver.close();
  });
});
