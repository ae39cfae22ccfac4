// Exporters and collectors that come, go, reset, stand still, or were never there.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:tls';
import { type CollectorOptions, IpfixExporter, type IpfixOptions, NetflowExporter } from 'ringtap/export';
import type { FlowBatch, FlowRecord } from 'ringtap/flow';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { certificates } from '../support/certificates.js';
import { script } from '../support/child.js';
import {
  Collector,
  complaintsOfTshark,
  datagrams,
  flowsIn,
  framesOf,
  isBalanced,
  messagesIn,
  ms,
  readByTshark,
  writeAll,
  writeFlows,
} from '../support/exporting.js';
import { temporaryFolder } from '../support/folder.js';
import { failure } from '../support/packets.js';
import { writePcap } from '../support/trace.js';
import { sleep, until, within } from '../support/wait.js';

const path = temporaryFolder();
const collectors: Collector[] = [];
let batches: FlowBatch[];
let records: FlowRecord[];
beforeAll(async () => {
  writeFlows(path('flows.pcap'), 33, 400);
  ({ batches, records } = await flowsIn(path('flows.pcap')));
});
beforeEach(() => {
  vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
});
afterEach(async () => {
  vi.restoreAllMocks();
  await Promise.all(collectors.splice(0).map((collector) => collector.close()));
});

function collector(made = new Collector()): Collector {
  collectors.push(made);
  return made;
}

describe('by UDP', () => {
  test('each message fits, begins with its templates, and is read by tshark with every record', async () => {
    const receiver = await datagrams();
    const exporter = await IpfixExporter.open(`udp://127.0.0.1:${receiver.port}`, { messageBytes: 900 });
    await writeAll(exporter, batches);
    exporter.account({ packets: 12, inFlows: 5 } as Parameters<typeof exporter.account>[0]);
    await exporter.close();
    const { sent, messages, bytes } = exporter.stats();
    expect(sent).toBe(records.length);
    expect(isBalanced(exporter)).toBe(true);
    await until(() => receiver.got.length === messages, 'all datagrams');
    expect(receiver.got.reduce((sum, { length }) => sum + length, 0)).toBe(bytes);
    expect(Math.max(...receiver.got.map(({ length }) => length))).toBeLessThanOrEqual(900);
    expect(receiver.got[0]!.readUInt16BE(16)).toBe(2);
    writePcap(path('udp.pcap'), framesOf(receiver.got, 4739));
    expect(complaintsOfTshark(path('udp.pcap'), '-d', 'udp.port==4739,cflow')).toBe('');
    expect(readByTshark(path('udp.pcap'), '-d', 'udp.port==4739,cflow').size).toBe(records.length);
    await receiver.close();
  });

  test('NetFlow v9 is read by tshark: each direction, with the times of its flow', async () => {
    const receiver = await datagrams();
    const options: CollectorOptions = { interface: { index: 4, name: 'eth4' }, observationDomain: 9 };
    const exporter = await NetflowExporter.open(`127.0.0.1:${receiver.port}`, options);
    await writeAll(exporter, batches);
    await exporter.close();
    await until(() => receiver.got.length === exporter.stats().messages, 'all datagrams');
    await receiver.close();
    writePcap(path('nine.pcap'), framesOf(receiver.got, 2055));
    expect(complaintsOfTshark(path('nine.pcap'), '-d', 'udp.port==2055,cflow')).toBe('');
    const boots = receiver.got.map((message) => 1000 * message.readUInt32BE(8) - message.readUInt32BE(4));
    const [boot] = boots as [number];
    expect(new Set(boots).size).toBe(1);
    const found = readByTshark(path('nine.pcap'), '-d', 'udp.port==2055,cflow');
    for (const record of records) {
      const six = record.ipVersion === 6 ? 'v6' : '';
      const ways = found
        .get(record.id)!
        .map((fields) => [
          ...[fields[`cflow.srcaddr${six}`], fields[`cflow.dstaddr${six}`], fields['cflow.inputint']],
          ...['cflow.packets', 'cflow.octets', 'cflow.length_min', 'cflow.length_max', 'cflow.ttl_min'].map((name) =>
            Number(fields[name]),
          ),
          Number(fields['cflow.tcpflags']),
        ]);
      const { src, dst, packets, ipBytes, minBytes, maxBytes, minTtl, tcpFlags } = record;
      const expected = [0, 1]
        .filter((side) => packets[side]! > 0)
        .map((side) => [
          ...(side === 0 ? [src, dst] : [dst, src]),
          '4',
          ...[packets, ipBytes, minBytes, maxBytes, minTtl, tcpFlags].map((pair) => pair[side]!),
        ]);
      expect(ways.sort()).toEqual(expected.sort());
      const { 'cflow.timestart': start, 'cflow.timeend': end } = found.get(record.id)![0]![
        'cflow.timedelta_tree'
      ] as Record<string, string>;
      const time = (seconds?: string) => boot + Math.round(1000 * Number(seconds));
      expect([time(start), time(end)]).toEqual([ms(record.start), ms(record.end)]);
    }
  });

  test('nobody there is told of, and who comes back gets templates first', async () => {
    const first = await datagrams();
    const exporter = await IpfixExporter.open(`udp://127.0.0.1:${first.port}`, { refreshMs: 86_400_000 });
    await writeAll(exporter, batches);
    await exporter.flush();
    expect(exporter.stats().refusals).toBe(0);
    await first.close();
    await writeAll(exporter, batches);
    await exporter.flush();
    expect(exporter.stats().refusals).toBeGreaterThan(0);
    const second = await datagrams(first.port);
    await writeAll(exporter, batches);
    await until(() => second.got.length > 10, 'datagrams');
    expect(second.got[0]!.readUInt16BE(16)).toBe(2);
    await exporter.close();
    expect(exporter.stats().sent).toBe(3 * records.length);
    await second.close();
  });

  test('templates come again after a while', async () => {
    const receiver = await datagrams();
    const exporter = await IpfixExporter.open(`udp://127.0.0.1:${receiver.port}`, { refreshMs: 1000 });
    const begun = Date.now();
    const templates = () => receiver.got.filter((message) => message.readUInt16BE(16) === 2).length;
    await until(async () => {
      await exporter.write(batches[0]!);
      await sleep(50);
      return templates() >= 4;
    }, 'templates');
    expect(Date.now() - begun).toBeGreaterThan(900);
    await exporter.close();
    await receiver.close();
  });

  test('a name that no host has is a typed error', async () => {
    const error = await failure(() => IpfixExporter.open('udp://nobody.invalid:4739'));
    expect(error).toMatchObject({ code: 'RINGTAP_REMOTE_UNREACHABLE', hint: expect.stringContaining('name') });
    expect(await failure(() => IpfixExporter.open('x.invalid'))).toMatchObject({
      code: 'RINGTAP_REMOTE_UNREACHABLE',
      message: expect.stringContaining('no scheme and does not end in .ipfix'),
      hint: expect.stringContaining('file:x.invalid'),
    });
  });

  test('what the kernel refuses is counted, and is no error; an address that has no way is one', async () => {
    expect(await failure(() => IpfixExporter.open('udp://255.255.255.255:4739'))).toMatchObject({
      code: 'RINGTAP_SYSTEM',
    });
    const body = `
      import { execFileSync } from 'node:child_process';
      import { open } from 'ringtap';
      import { FlowMeter } from 'ringtap/flow';
      import { IpfixExporter } from 'ringtap/export';
      const ip = (...args) => execFileSync('ip', args);
      ip('link', 'add', 'near', 'type', 'veth', 'peer', 'name', 'far');
      ip('addr', 'add', '10.7.0.1/24', 'dev', 'near');
      const meter = new FlowMeter();
      for await (const batch of await open('file:' + process.argv[1])) meter.add(batch);
      meter.flush();
      const batches = [...meter.drain()];
      ip('link', 'set', 'near', 'up');
      const exporter = await IpfixExporter.open('udp://10.7.0.2:4739');
      for (const state of ['up', 'down', 'up']) {
        ip('link', 'set', 'near', state);
        for (const flows of batches) await exporter.write(flows);
        await exporter.flush();
      }
      await exporter.close();
      console.log(JSON.stringify(exporter.stats()));`;
    const { stdout, stderr } = await script(body, {
      prefix: ['unshare', '--net', '--map-root-user'],
      args: [path('flows.pcap')],
    });
    expect(stderr).toBe('');
    const { sent, notSent, records: all } = JSON.parse(stdout);
    expect([sent, notSent.refused, all]).toEqual([2 * records.length, records.length, 3 * records.length]);
  });
});

describe('by TCP', () => {
  const opened = async (port: number, options: IpfixOptions = {}) =>
    IpfixExporter.open(`tcp://127.0.0.1:${port}`, { messageBytes: 1400, ...options });

  test('a session begins with templates, has numbers without a gap, and ends with a withdrawal', async () => {
    const there = collector();
    const exporter = await opened(await there.listen(), { interface: { index: 1, name: 'eth0' } });
    await writeAll(exporter, batches);
    await exporter.close();
    await until(() => there.sockets[0]!.destroyed, 'the end');
    const messages = there.messages(0);
    expect(messages).toHaveLength(exporter.stats().messages);
    expect(messages[0]).toMatchObject({ firstSet: 2, sequence: 0 });
    expect(messages.slice(-2)).toMatchObject([
      { length: 34, sequence: records.length + 1 },
      { length: 34, domain: 0 },
    ]);
    expect(exporter.stats()).toMatchObject({ sent: records.length, connections: 1, waiting: 0 });
    const file = path('tcp.ipfix');
    // WHY not all: tshark knows no withdrawal of all templates.
    writeFileSync(file, Buffer.concat(there.streams[0]!).subarray(0, -68));
    expect(complaintsOfTshark(file)).toBe('');
    expect(readByTshark(file).size).toBe(records.length);
  });

  test('nobody there is a typed error, and so is a name that no host has', async () => {
    const there = collector();
    const port = await there.listen();
    await there.close();
    expect(await failure(() => opened(port))).toMatchObject({ code: 'RINGTAP_REMOTE_UNREACHABLE' });
    const error = await failure(() => IpfixExporter.open('tcp://nobody.invalid'));
    expect(error).toMatchObject({ code: 'RINGTAP_REMOTE_UNREACHABLE' });
  });

  test('a collector that resets the connection is connected to again, with templates and new numbers', async () => {
    const there = collector();
    const exporter = await opened(await there.listen());
    await writeAll(exporter, batches);
    await exporter.flush();
    await until(() => there.messages(0).length === exporter.stats().messages, 'the first session');
    there.sockets[0]!.resetAndDestroy();
    await until(() => there.sockets.length === 2, 'another connection');
    await writeAll(exporter, batches);
    await exporter.close();
    await until(() => there.sockets[1]!.destroyed, 'the end');
    const [first, ...others] = there.messages(1);
    expect(first).toMatchObject({ firstSet: 2, sequence: 0 });
    expect(others.filter(({ domain }) => domain === 1).at(-1)!.sequence).toBe(records.length);
    expect(exporter.stats()).toMatchObject({ connections: 2, records: 2 * records.length });
    expect(isBalanced(exporter)).toBe(true);
    expect(process.emitWarning).toHaveBeenCalledWith(expect.stringContaining('connecting again'), expect.anything());
  });

  test('what comes while the collector is away waits, as far as there is room; what is lost is counted', async () => {
    const there = collector();
    const port = await there.listen();
    const exporter = await opened(port, { queueBytes: 300_000, overflow: 'drop' });
    await writeAll(exporter, batches);
    await exporter.flush();
    const before = exporter.stats().sent;
    await there.close();
    await until(async () => {
      await writeAll(exporter, batches);
      return exporter.stats().notSent.queue > 0;
    }, 'a full queue');
    expect(exporter.stats().waiting).toBeGreaterThan(0);
    const again = collector();
    await again.listen(port);
    await within(exporter.flush(), 'the queue to go');
    await exporter.close();
    const { records: all, sent, notSent } = exporter.stats();
    expect(isBalanced(exporter)).toBe(true);
    expect(sent).toBeGreaterThan(before);
    expect(all).toBe(sent + notSent.queue + notSent.connection);
    await until(() => again.sockets.length === 1 && again.sockets[0]!.destroyed, 'the end');
    const numbers = again.messages(0).filter(({ domain }) => domain === 1);
    expect(numbers[0]).toMatchObject({ firstSet: 2, sequence: 0 });
  });

  test('a slow collector holds write() back, and loses nothing', async () => {
    const there = collector();
    there.deaf = true;
    const exporter = await opened(await there.listen(), { queueBytes: 65_536 });
    let written = 0;
    const writing = (async () => {
      for (let i = 0; i < 200; i++) {
        await writeAll(exporter, batches);
        written++;
      }
    })();
    await until(() => exporter.stats().waiting > 0, 'a queue');
    let last = -1;
    await until(async () => {
      const now = written;
      const stands = now === last;
      last = now;
      await sleep(100);
      return stands;
    }, 'write() to stand still');
    expect(written).toBeLessThan(200);
    let bytes = 0;
    there.sockets[0]!.on('data', (piece: Buffer) => {
      bytes += piece.length;
    });
    there.sockets[0]!.resume();
    await within(writing, 'all to be written');
    await exporter.close();
    expect(exporter.stats()).toMatchObject({ sent: 200 * records.length, waiting: 0 });
    await until(() => bytes === exporter.stats().bytes, 'all bytes');
  });

  test('close() gives up what a collector does not take, and counts it', async () => {
    const there = collector();
    there.deaf = true;
    const exporter = await opened(await there.listen(), { queueBytes: 2 ** 30, closeMs: 300 });
    for (let i = 0; i < 200; i++) await writeAll(exporter, batches);
    await within(exporter.close(), 'close()');
    const { sent, notSent } = exporter.stats();
    expect(notSent.closed).toBeGreaterThan(0);
    expect(sent + notSent.closed).toBe(200 * records.length);
  });
});

describe('by TLS', () => {
  const made = certificates(path);

  test('a collector that is trusted gets all, another one nothing', async () => {
    const { cert, key, fingerprint } = made.selfSigned('collector');
    const there = collector(new Collector(createTlsServer({ cert, key })));
    const port = await there.listen();
    const uri = `tls://127.0.0.1:${port}`;
    expect(await failure(() => IpfixExporter.open(uri))).toMatchObject({ code: 'RINGTAP_REMOTE_TLS' });
    const exporter = await IpfixExporter.open(uri, { tls: { fingerprint } });
    await writeAll(exporter, batches);
    await exporter.close();
    const connection = there.streams.length - 1;
    await until(() => there.messages(connection).length === exporter.stats().messages, 'all messages');
    expect(messagesIn(Buffer.concat(there.streams[connection]!))[0]).toMatchObject({ firstSet: 2 });
    expect(exporter.stats().sent).toBe(records.length);
  });

  test('a collector without TLS is a typed error', async () => {
    const there = collector();
    const port = await there.listen();
    there.server.on('connection', (socket) => socket.end('hello\r\n'));
    const error = await failure(() => IpfixExporter.open(`tls://127.0.0.1:${port}`));
    expect(error).toMatchObject({ code: 'RINGTAP_REMOTE_TLS' });
  });
});

test('on a full disk the error is typed, what is in the file is whole, lost records are counted, and it goes on when there is room', async () => {
  const body = `
    import { execFileSync } from 'node:child_process';
    import { readFileSync, rmSync, writeFileSync } from 'node:fs';
    import { open } from 'ringtap';
    import { FlowMeter } from 'ringtap/flow';
    import { CsvExporter, IpfixExporter, ParquetExporter } from 'ringtap/export';
    const [folder, trace] = process.argv.slice(1);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=400k', 'none', folder]);
    const meter = new FlowMeter();
    for await (const batch of await open('file:' + trace)) meter.add(batch);
    meter.flush();
    const batches = [...meter.drain()];
    for (const [kind, file, options] of [[IpfixExporter, 'a.ipfix', {}], [CsvExporter, 'a.csv', {}], [ParquetExporter, 'a.parquet', { rowGroupRows: 1024 }]]) {
      const exporter = await kind.open(folder + '/' + file, options);
      writeFileSync(folder + '/filler', Buffer.alloc(150_000));
      let error;
      for (let i = 0; i < 1000 && error === undefined; i++) {
        for (const flows of batches) await exporter.write(flows).catch((why) => { error = why; });
      }
      const lost = exporter.stats().notSent.file;
      rmSync(folder + '/filler');
      for (const flows of batches) await exporter.write(flows);
      await exporter.close();
      const { records, sent, waiting, notSent } = exporter.stats();
      const bytes = readFileSync(folder + '/' + file);
      const whole = file === 'a.csv' ? bytes.at(-1) === 10 && bytes.toString('latin1').split('\\n').length - 2 === sent
        : file === 'a.ipfix' ? (() => { let at = 0; while (at < bytes.length) at += bytes.readUInt16BE(at + 2); return at === bytes.length; })()
        : Number((await import('hyparquet')).parquetMetadata(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)).num_rows) === sent;
      console.log(file, error.code, error.syscall, error.errno, lost > 0, records === sent + waiting + notSent.file, whole);
      rmSync(folder + '/' + file);
    }`;
  const folder = path('full');
  mkdirSync(folder);
  const { stdout, stderr } = await script(body, {
    prefix: ['unshare', '--mount', '--map-root-user'],
    args: [folder, path('flows.pcap')],
  });
  expect(stderr).toBe('');
  expect(stdout.trim().split('\n')).toEqual(
    ['a.ipfix', 'a.csv', 'a.parquet'].map((file) => `${file} RINGTAP_FILE_WRITE write 28 true true true`),
  );
});

test('an exporter that is collected in a worker that ends does no harm', async () => {
  const body = `
    import { Worker } from 'node:worker_threads';
    const worker = new Worker(\`
      const { IpfixExporter } = await import('ringtap/export');
      await IpfixExporter.open('udp://127.0.0.1:9');
      postMessage('open');
    \`.replace('postMessage', "(await import('node:worker_threads')).parentPort.postMessage"), { eval: true });
    await new Promise((resolve) => worker.once('message', resolve));
    await worker.terminate();
    console.log('ended');`;
  const { code, stdout } = await script(body);
  expect({ code, stdout }).toEqual({ code: 0, stdout: 'ended\n' });
});

test('the socket of an exporter by UDP is closed with it, not when garbage is collected', async () => {
  const open = () => IpfixExporter.open('udp://127.0.0.1:9');
  await (await open()).close();
  const before = readdirSync('/proc/self/fd').length;
  for (let i = 0; i < 50; i++) await (await open()).close();
  expect(readdirSync('/proc/self/fd').length).toBeLessThan(before + 5);
});
