// Exporters that write files, and metrics: what others read back is what the meter said.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { type AsyncBuffer, asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { openWriter } from 'ringtap';
import {
  CsvExporter,
  IpfixExporter,
  type IpfixOptions,
  JsonLinesExporter,
  MetricsExporter,
  NetflowExporter,
  ParquetExporter,
} from 'ringtap/export';
import { FlowBatch, type FlowRecord } from 'ringtap/flow';
import { beforeAll, describe, expect, test } from 'vitest';
import { root, script } from '../support/child.js';
import { start } from '../support/cli.js';
import {
  complaintsOfTshark,
  flowsIn,
  isBalanced,
  messagesIn,
  ms,
  readByTshark,
  writeAll,
  writeFlows,
} from '../support/exporting.js';
import { temporaryFolder } from '../support/folder.js';
import { failure } from '../support/packets.js';
import { until } from '../support/wait.js';

const path = temporaryFolder();
let batches: FlowBatch[];
let records: FlowRecord[];
beforeAll(async () => {
  writeFlows(path('flows.pcap'), 31, 400);
  ({ batches, records } = await flowsIn(path('flows.pcap')));
});

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

/** The number of tshark's for why a flow has ended. */
const REASONS = { idle: 1, active: 2, fin: 3, rst: 3, evicted: 5, flushed: 4 };

/** A record as tshark tells it: answers first. */
function told(record: FlowRecord): Record<string, unknown> {
  const { protocol, ipVersion, packets, ipBytes, frameBytes, minBytes, maxBytes, minTtl, tcpFlags, vlans } = record;
  const answersFirst = ([a, b]: readonly [number, number]) => [String(b), String(a)];
  const hex = (flags: number) => `0x${flags.toString(16).padStart(4, '0')}`;
  const six = ipVersion === 6 ? 'v6' : '';
  const isIcmp = protocol === 1 || protocol === 58;
  return {
    'cflow.protocol': String(protocol),
    'cflow.flow_end_reason': String(REASONS[record.ended]),
    'cflow.biflow_direction': record.initiatorKnown ? '1' : '0',
    [`cflow.srcaddr${six}`]: record.src,
    [`cflow.dstaddr${six}`]: record.dst,
    ...(isIcmp ? {} : { 'cflow.srcport': String(record.srcPort), 'cflow.dstport': String(record.dstPort) }),
    'cflow.octets': answersFirst(ipBytes),
    'cflow.packets': answersFirst(packets),
    'cflow.layer2_octet_delta_count': answersFirst(frameBytes),
    'cflow.length_min': answersFirst(minBytes),
    'cflow.length_max': answersFirst(maxBytes),
    'cflow.ttl_min': answersFirst(minTtl),
    'cflow.tcpflags': [hex(tcpFlags[1]), hex(tcpFlags[0])],
    ...(vlans.length === 0
      ? {}
      : {
          'cflow.vlanid': String(vlans[0]),
          'cflow.dot1q_vlan_id': String(vlans[0]),
          'cflow.dot1q_customer_vlan_id': String(vlans[1] ?? 0),
        }),
    ...(record.tunnel.kind === 'vxlan'
      ? { 'cflow.layer2_segment_id': String((1n << 56n) | BigInt(record.tunnel.id)) }
      : {}),
  };
}

async function written(name: string, options?: IpfixOptions): Promise<string> {
  const exporter = await IpfixExporter.open(`file:${path(name)}`, options);
  await writeAll(exporter, batches);
  await exporter.close();
  expect(exporter.stats()).toMatchObject({ flows: records.length, waiting: 0 });
  expect(isBalanced(exporter)).toBe(true);
  return path(name);
}

describe('IPFIX in a file', () => {
  test.each([
    ['small messages', { messageBytes: 1400 }],
    ['large ones, with elements of our own', { enterprise: 32473, messageBytes: 65535 }],
  ] as const)('is read by tshark with every field equal: %s', async (name, options) => {
    const file = await written(`${name}.ipfix`, options);
    expect(complaintsOfTshark(file)).toBe('');
    const found = readByTshark(file);
    expect(found.size).toBe(records.length);
    for (const record of records) {
      const [fields, ...others] = found.get(record.id)!;
      expect(others).toEqual([]);
      expect(fields).toMatchObject(told(record));
      const { 'cflow.abstimestart': start, 'cflow.abstimeend': end } = fields!['cflow.timedelta_tree'] as Record<
        string,
        string
      >;
      const time = (text = '') => Date.parse(text.replace(/(\.\d{3})\d+/, '$1'));
      expect([time(start), time(end)]).toEqual([ms(record.start), ms(record.end)]);
    }
  });

  test('has numbers without a gap, of all records but templates', async () => {
    const file = await written('numbers.ipfix', { interface: { index: 3, name: 'eth0' }, sampling: { packets: 10 } });
    const messages = messagesIn(readFileSync(file)).filter(({ domain }) => domain === 1);
    expect(messages[0]).toMatchObject({ sequence: 0, firstSet: 2 });
    const sequences = messages.map(({ sequence }) => sequence);
    expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
    expect(sequences.at(-1)).toBeLessThan(records.length + 2);
    expect(complaintsOfTshark(file)).toBe('');
  });

  test('has a record for each direction without biflow', async () => {
    const found = readByTshark(await written('uniflow.ipfix', { biflow: false }));
    for (const { id, packets, src, dst, ipVersion } of records) {
      const six = ipVersion === 6 ? 'v6' : '';
      const ways = found.get(id)!.map((fields) => [fields[`cflow.srcaddr${six}`], Number(fields['cflow.packets'])]);
      const expected = [
        [src, packets[0]],
        [dst, packets[1]],
      ].filter(([, count]) => count !== 0);
      expect(ways.sort()).toEqual(expected.sort());
    }
  });

  test.each(['us', 'ns'] as const)('has times in %s where that was asked for', async (times) => {
    const found = readByTshark(await written(`${times}.ipfix`, { times }));
    const grain = times === 'us' ? 1000n : 1n;
    for (const { id, start } of records.slice(0, 50)) {
      const tree = found.get(id)![0]!['cflow.timedelta_tree'] as Record<string, string>;
      const [, nanos] = /\.(\d{9})/.exec(tree['cflow.abstimestart']!)!;
      expect(BigInt(nanos!) / grain).toBe((start % 1_000_000_000n) / grain);
    }
  });
});

test('lines of JSON and CSV are what the batches give', async () => {
  for (const [exporter, lines, head] of [
    [await JsonLinesExporter.open(path('a.jsonl')), (flows: FlowBatch) => flows.toJsonLines(), ''],
    [await CsvExporter.open(path('a.csv')), (flows: FlowBatch) => flows.toCsvLines(), `${FlowBatch.csvHead}\n`],
  ] as const) {
    await writeAll(exporter, batches);
    await exporter.close();
    expect(isBalanced(exporter)).toBe(true);
    const file = path(head === '' ? 'a.jsonl' : 'a.csv');
    const expected = head + batches.map((flows) => Buffer.from(lines(flows)).toString()).join('');
    expect(readFileSync(file, 'utf8')).toBe(expected);
    expect(exporter.stats()).toMatchObject({ sent: records.length, bytes: statSync(file).size });
  }
});

test('a file that exists and is not empty is left alone, unless it may be overwritten', async () => {
  writeFileSync(path('mine.csv'), 'mine');
  for (const opening of [CsvExporter.open, JsonLinesExporter.open, ParquetExporter.open, IpfixExporter.open]) {
    const error = await failure(() => opening.call(undefined, `file:${path('mine.csv')}`));
    expect(error).toMatchObject({ code: 'RINGTAP_FILE_WRITE', errno: 17 });
  }
  expect(readFileSync(path('mine.csv'), 'utf8')).toBe('mine');
  await (await CsvExporter.open(path('mine.csv'), { overwrite: true })).close();
  expect(readFileSync(path('mine.csv'), 'utf8')).toBe(`${FlowBatch.csvHead}\n`);
  expect(await failure(() => CsvExporter.open(path('no/such/folder.csv')))).toMatchObject({
    code: 'RINGTAP_FILE_WRITE',
    errno: 2,
  });
});

test('a file that somebody else is writing is refused, also where it may be overwritten, and stays whole', async () => {
  for (const [name, opening] of [
    ['busy.csv', CsvExporter.open],
    ['busy.jsonl', JsonLinesExporter.open],
    ['busy.parquet', ParquetExporter.open],
    ['busy.ipfix', IpfixExporter.open],
  ] as const) {
    const first = await opening.call(undefined, path(name), { overwrite: true });
    await writeAll(first, batches);
    const error = await failure(() => opening.call(undefined, path(name), { overwrite: true }));
    expect(error).toMatchObject({ code: 'RINGTAP_BUSY', hint: expect.stringContaining('Close the other writer') });
    await first.close();
    expect(statSync(path(name)).size).toBe(first.stats().bytes);
    await (await opening.call(undefined, path(name), { overwrite: true })).close();
    expect(existsSync(`${path(name)}.part`)).toBe(false);
  }
  const writer = await openWriter(path('busy.csv'), { overwrite: true });
  expect(await failure(() => CsvExporter.open(path('busy.csv'), { overwrite: true }))).toMatchObject({
    code: 'RINGTAP_BUSY',
  });
  await writer.close();
});

test('a named pipe that nobody reads is told of, and one that somebody reads slowly gets all', async () => {
  const pipe = path('pipe');
  execFileSync('mkfifo', [pipe]);
  expect(await failure(() => CsvExporter.open(pipe))).toMatchObject({ code: 'RINGTAP_FILE_WRITE', syscall: 'open' });
  const reader = start('sh', ['-c', 'exec 3< "$1"; sleep 0.5; cat <&3', 'sh', pipe]);
  let exporter: CsvExporter | undefined;
  await until(async () => {
    exporter = await CsvExporter.open(pipe).catch(() => undefined);
    return exporter !== undefined;
  }, 'a reader');
  for (let i = 0; i < 5; i++) await writeAll(exporter!, batches);
  await exporter!.close();
  const { stdout } = await reader.outcome;
  expect(stdout.length).toBe(exporter!.stats().bytes);
});

test('after close() there is nothing to write to', async () => {
  const exporter = await CsvExporter.open(path('closed.csv'));
  await exporter.close();
  await exporter.close();
  expect(await failure(() => exporter.write(batches[0]!))).toMatchObject({ code: 'RINGTAP_CLOSED' });
});

describe('Parquet', () => {
  test('is read back with every field equal, in groups, and has its name when it is complete', async () => {
    const file = path('flows.parquet');
    const exporter = await ParquetExporter.open(file, { rowGroupRows: 1024 });
    for (let i = 0; i < 6; i++) await writeAll(exporter, batches);
    expect(existsSync(file)).toBe(false);
    expect(existsSync(`${file}.part`)).toBe(true);
    await exporter.close();
    expect(existsSync(`${file}.part`)).toBe(false);
    expect(isBalanced(exporter)).toBe(true);
    const buffer: AsyncBuffer = await asyncBufferFromFile(file);
    const { row_groups: groups } = await parquetMetadataAsync(buffer);
    expect(groups.map(({ num_rows }) => Number(num_rows))).toEqual([1024, 1024, 6 * records.length - 2048]);
    const rows = await parquetReadObjects({ file: buffer, useOffsetIndex: false } as Parameters<
      typeof parquetReadObjects
    >[0]);
    expect(rows).toHaveLength(6 * records.length);
    expect(Object.keys(rows[0]!)).toEqual(FlowBatch.csvHead.split(','));
    for (const [i, record] of records.entries()) {
      expect(rows[i]).toMatchObject({
        flow_id: BigInt(record.id),
        src_ip: record.src,
        dest_ip: record.dst,
        src_port: record.srcPort,
        dest_port: record.dstPort,
        pkts_toserver: BigInt(record.packets[0]),
        bytes_toclient: BigInt(record.frameBytes[1]),
        ip_bytes_toserver: BigInt(record.ipBytes[0]),
        tcp_flags_ts: record.tcpFlags[0],
        outer_vlan: record.vlans[0] ?? 0,
        tunnel: record.tunnel.kind,
        tunnel_id: BigInt(record.tunnel.id),
        ended: record.ended,
        state: record.state,
      });
      expect((rows[i]!.start as Date).getTime()).toBe(ms(record.start));
    }
  });

  test('leaves an unfinished file of somebody else alone, unless it may be overwritten', async () => {
    writeFileSync(path('theirs.parquet.part'), 'theirs');
    const error = await failure(() => ParquetExporter.open(path('theirs.parquet')));
    expect(error).toMatchObject({ code: 'RINGTAP_FILE_WRITE', errno: 17, hint: expect.stringContaining('--force') });
    expect(readFileSync(path('theirs.parquet.part'), 'utf8')).toBe('theirs');
    await (await ParquetExporter.open(path('theirs.parquet'), { overwrite: true })).close();
    expect(existsSync(path('theirs.parquet.part'))).toBe(false);
  });

  test('lacks a package that nobody else needs: the error says how to install it', async () => {
    const body = `
      import { register } from 'node:module';
      register('data:text/javascript,' + encodeURIComponent(\`export async function resolve(name, at, next) {
        if (name === 'hyparquet-writer') throw Object.assign(new Error('not here'), { code: 'ERR_MODULE_NOT_FOUND' });
        return next(name, at);
      }\`));
      const { ParquetExporter } = await import('ringtap/export');
      await ParquetExporter.open('none.parquet').catch(({ code, hint }) => console.log(code, hint));`;
    const { stdout } = await script(body);
    expect(stdout).toBe('RINGTAP_LIBRARY_MISSING npm install hyparquet-writer\n');
    expect(existsSync(`${root}/none.parquet`)).toBe(false);
  });
});

describe('metrics', () => {
  test('are the sums of the records, by labels of which there are few', async () => {
    const metrics = new MetricsExporter({ applications: { secure: [443], names: [8053] } });
    await writeAll(metrics, batches);
    const lines = metrics.metrics().split('\n');
    const sum = (pattern: RegExp) =>
      lines.reduce((total, line) => total + (pattern.test(line) ? Number(line.split(' ').at(-1)) : 0), 0);
    const of = (pick: (record: FlowRecord) => number) => records.reduce((total, record) => total + pick(record), 0);
    expect(sum(/^ringtap_flow_records_total/)).toBe(records.length);
    expect(sum(/^ringtap_flow_packets_total\{.*to_server/)).toBe(of(({ packets }) => packets[0]));
    expect(sum(/^ringtap_flow_bytes_total\{.*to_client/)).toBe(of(({ frameBytes }) => frameBytes[1]));
    expect(sum(/^ringtap_flow_records_total\{protocol="tcp",application="secure"/)).toBe(
      of(({ protocol }) => Number(protocol === 6)),
    );
    expect(sum(/^ringtap_flow_records_total\{protocol="icmp",application="other"/)).toBe(40);
    expect(lines.length).toBeLessThan(60);
    for (const line of lines)
      expect(line).toMatch(
        /^$|^# (HELP|TYPE) \w+ .+|^\w+\{protocol="\w+",application="\w+",(ended|direction)="\w+"\} \d+$/,
      );
  });
});

describe('options that nobody can mean', () => {
  test.each([
    ['udp://', 'RINGTAP_BAD_URI'],
    ['udp://host:0', 'RINGTAP_BAD_URI'],
    ['udp://host:99999', 'RINGTAP_BAD_URI'],
    ['udp://a b:1', 'RINGTAP_BAD_URI'],
    ['udp://user@host:1', 'RINGTAP_BAD_URI'],
    ['udp://[::1:1', 'RINGTAP_BAD_URI'],
    ['udp://[host]:1', 'RINGTAP_BAD_URI'],
    ['sctp://host:1', 'RINGTAP_BAD_URI'],
    ['http://host:1', 'RINGTAP_BAD_URI'],
    ['x\0.ipfix', 'RINGTAP_BAD_URI'],
    ['', 'RINGTAP_BAD_URI'],
  ])('%j is no collector', async (uri, code) => {
    expect(await failure(() => IpfixExporter.open(uri))).toMatchObject({ code });
    expect(await failure(() => NetflowExporter.open(uri))).toMatchObject({ code });
  });

  test.each([
    { messageBytes: 511 },
    { messageBytes: 65_536 },
    { observationDomain: -1 },
    { observationDomain: 2 ** 32 },
    { enterprise: 1.5 },
    { enterprise: 29_305 },
    { times: 's' },
    { biflow: 1 },
    { interface: 'eth0' },
    { interface: { index: 0 } },
    { interface: { index: 1, name: '' } },
    { interface: { index: 1, name: 'x'.repeat(65) } },
    { sampling: { packets: 2, flows: 2 } },
    { sampling: { packets: 70_000 } },
    { refreshMs: 1 },
    { overflow: 'maybe' },
    { closeMs: Number.NaN },
    { bufferBytes: 1 },
  ])('%j is refused', async (options) => {
    const error = await failure(() => IpfixExporter.open('udp://127.0.0.1:9', options as IpfixOptions));
    expect(error.code).toBe('RINGTAP_BAD_OPTION');
    expect(error.hint).not.toContain('docs/uri.md');
  });

  test.each([
    ['udp://127.0.0.1:9', { tls: true }, 'tcp:// and tls://'],
    ['udp://127.0.0.1:9', { tls: Symbol('x') }, 'tcp:// and tls://'],
    ['udp://127.0.0.1:9', { tls: revoked() }, 'tcp:// and tls://'],
    ['udp://127.0.0.1:9', { queueBytes: Number.NaN }, 'tcp:// and tls://'],
    ['udp://127.0.0.1:9', { replyMs: -1 }, 'tcp:// and tls://'],
    ['udp://127.0.0.1:9', { overwrite: true }, 'a file'],
    ['tcp://127.0.0.1:9', { overwrite: true }, 'a file'],
    ['tcp://127.0.0.1:9', { bufferBytes: 8192 }, 'udp://'],
    ['tcp://127.0.0.1:9', { tls: revoked() }, 'cannot be read'],
    ['tls://127.0.0.1:9', { tls: false }, 'is false'],
    ['none.ipfix', { tls: { insecure: true } }, 'tcp:// and tls://'],
    ['none.ipfix', { bufferBytes: 8192 }, 'udp://'],
    ['none.ipfix', { queueBytes: 1 << 20 }, 'tcp:// and tls://'],
  ])('%s has not every option', async (uri, options, message) => {
    const error = await failure(() => IpfixExporter.open(uri, options as IpfixOptions));
    expect(error).toMatchObject({ code: 'RINGTAP_BAD_OPTION', message: expect.stringContaining(message) });
    expect(existsSync('none.ipfix')).toBe(false);
  });

  test('an option that is none is named, and the nearest one, too', async () => {
    const error = await failure(() => IpfixExporter.open('udp://127.0.0.1:9', { messagebytes: 900 } as IpfixOptions));
    expect(error).toMatchObject({ code: 'RINGTAP_UNKNOWN_OPTION', hint: expect.stringContaining('"messageBytes"') });
  });

  test('what is no batch is no flow, and columns that were transferred away are gone', async () => {
    const exporter = await IpfixExporter.open(`file:${path('strange.ipfix')}`);
    for (const value of [undefined, {}, [], 5, Object.create(FlowBatch.prototype)]) {
      expect(await failure(() => exporter.write(value as FlowBatch))).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
    }
    const [flows] = (await flowsIn(path('flows.pcap'))).batches;
    structuredClone(flows!.id.buffer, { transfer: [flows!.id.buffer as ArrayBuffer] });
    expect(await failure(() => exporter.write(flows!))).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
    await exporter.close();
  });

  test.each([
    { applications: 5 },
    { applications: { '"': [1] } },
    { applications: { a: [0] } },
    { applications: { a: 1 } },
  ])('%j are no applications', async (options) => {
    expect(await failure(() => new MetricsExporter(options as object))).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
  });
});
