// Captures at a daemon on another host. The daemons here answer as recorded ones did; what these had delivered to a program
// of the time lies beside each recording.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { devices, explain, LINKTYPE, listen, open, serve } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { certificates } from '../support/certificates.js';
import { ringtap, startRingtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { lab } from '../support/lab.js';
import { expectBalanced, failure, readAll, see } from '../support/packets.js';
import {
  FakeDaemon,
  message,
  packet,
  Rpcap,
  readRecording,
  recordingPath,
  refusal,
  replay,
  reply,
  type Sample,
  stretches,
} from '../support/rpcap.js';
import { bytes, u16, u32 } from '../support/trace.js';
import { sleep, until, within } from '../support/wait.js';

const path = temporaryFolder();

/** Name, the daemon's port, and how it sent packets. */
const RECORDINGS = [
  ['libpcap-head-passive-tcp-null', 2002, 'tcp'],
  ['libpcap-head-passive-udp-null', 2002, 'udp'],
  ['libpcap-head-active-tcp', 58292, 'tcp'],
  ['eh-passive-udp-t0', 2002, 'udp'],
  ['eh-passive-udpstr-default', 2011, 'udp'],
] as const;

const sample = (number: number, size = 60): Sample => ({
  number,
  data: Buffer.alloc(size, number).fill(0xff, 0, 6),
});
const samples = (count: number, size?: (i: number) => number) =>
  Array.from({ length: count }, (_, i) => sample(i + 1, size?.(i)));
const numbersOf = (seen: readonly { data: Buffer }[]) => seen.map(({ data }) => data.at(-1));

describe.skipIf(lab === null)('a recorded conversation with a real daemon', () => {
  test.each(RECORDINGS)(
    '%s delivers the packets that the daemon had delivered, to the byte',
    async (name, port, way) => {
      const recording = readRecording(`${name}.pcap`, port);
      const trace = await open(`file:${recordingPath(`${name}.expected.pcap`)}`);
      const expected = await readAll(trace);
      await trace.close();
      expect(expected.length).toBeGreaterThan(10);
      await using daemon = await replay(recording);
      await using capture = await open(daemon.uri(`?transport=${way}`));
      expect(capture.linkType).toBe(LINKTYPE.ETHERNET);
      const sink = await daemon.sink;
      for (const piece of recording.data) await sink.send(piece);
      const seen = await readAll(capture, expected.length);
      const facts = (packets: typeof seen) =>
        packets.map(({ data, wirelen, timeNs }) => ({ data: data.toString('hex'), wirelen, timeNs }));
      expect(facts(seen)).toEqual(facts(expected));
      expect(capture.stats()).toMatchObject({ delivered: expected.length, dropped: 0, drops: { network: 0 } });
      await capture.close();
      await until(() => daemon.types().at(-1) === Rpcap.close, 'the last words to the daemon');
    },
  );
});

describe.skipIf(lab === null)('what a daemon is asked', () => {
  test('is to filter, cut and look at everything, as the options say', async () => {
    await using daemon = await FakeDaemon.listen();
    const filter = 'udp port 53';
    await using capture = await open(daemon.uri(), {
      filter,
      snaplen: 128,
      promiscuous: false,
      timeoutMs: 40,
      ownTraffic: true,
    });
    expect(capture.plan).toMatchObject({ mode: 'remote', filter: 'remote', timestamp: 'remote', backend: 'rpcap' });
    expect(daemon.types()).toEqual([Rpcap.auth, Rpcap.open, Rpcap.start]);
    const [auth, opened, start] = daemon.asked.map(({ payload }) => payload);
    expect(auth?.toString('hex')).toBe('0000000000000000');
    expect(opened?.toString()).toBe('eth0');
    expect([start?.readUInt32BE(0), start?.readUInt32BE(4), start?.readUInt16BE(8)]).toEqual([128, 40, 0]);
    const program = execFileSync('tcpdump', ['-y', 'EN10MB', '-s', '128', '-ddd', filter], { encoding: 'utf8' });
    const [count, ...lines] = program.trim().split('\n');
    expect(start?.readUInt16BE(12)).toBe(1);
    expect(start?.readUInt32BE(16)).toBe(Number(count));
    const rows = lines.map((_, i) => {
      const at = 20 + 8 * i;
      return [start!.readUInt16BE(at), start![at + 2], start![at + 3], start!.readUInt32BE(at + 4)].join(' ');
    });
    expect(rows).toEqual(lines);
  });

  test('says who asks, where a user was given, and never shows the password', async () => {
    await using daemon = await FakeDaemon.listen();
    await using capture = await open(daemon.uri(), { auth: { user: 'lrcap', password: 'secretpw' } });
    expect(daemon.asked[0]?.payload.toString('hex')).toBe(
      bytes(u16(1), u16(0), u16(5), u16(8), Buffer.from('lrcapsecretpw')).toString('hex'),
    );
    expect(JSON.stringify(capture.plan)).not.toContain('secretpw');
  });

  test('is to send one of so many, where that was wanted', async () => {
    await using daemon = await FakeDaemon.listen();
    await using _capture = await open(daemon.uri('?sampleEvery=16'));
    expect(daemon.asked[2]).toEqual({ type: Rpcap.sampling, payload: bytes(1, 0, 0, 0, u32(16)) });
  });

  test('is nothing more than the link type by explain(), and no packet', async () => {
    await using daemon = await FakeDaemon.listen({
      [Rpcap.open]: () => reply(Rpcap.open, bytes(u32(12), u32(0))),
    });
    const explained = await explain(daemon.uri(), { filter: 'tcp' });
    expect(explained).toMatchObject({ ok: true, plan: { linkType: LINKTYPE.RAW, filter: 'remote' } });
    await until(() => daemon.types().at(-1) === Rpcap.close, 'the end of the conversation');
    expect(daemon.types()).toEqual([Rpcap.auth, Rpcap.open, Rpcap.close]);
  });
});

describe.skipIf(lab === null)('the interfaces of another host', () => {
  test.each([
    ['libpcap-head-active-tcp', 58292],
    ['libpcap-head-passive-tcp-null', 2002],
    ['eh-passive-udp-t0', 2002],
  ] as const)('are listed as the daemon told them: %s', async (name, port) => {
    await using daemon = await replay(readRecording(`${name}.pcap`, port));
    const found = await devices(`rpcap://127.0.0.1:${daemon.port}`);
    expect(found.length).toBeGreaterThan(3);
    const loopback = found.find(({ name: named }) => named === 'lo');
    expect(loopback).toMatchObject({ up: true, loopback: true, uris: [`rpcap://127.0.0.1:${daemon.port}/lo`] });
    expect(loopback?.addresses).toContain('127.0.0.1/8');
    for (const { uris } of found) expect(() => explain(uris[0]!)).not.toThrow();
  });

  test('are refused where the list is cut, and not asked for of other schemes', async () => {
    await using daemon = await FakeDaemon.listen({
      [Rpcap.interfaces]: () =>
        reply(Rpcap.interfaces, bytes(u16(3), u16(0), u32(2), u16(7), u16(0), Buffer.from('eth'))),
    });
    const uri = `rpcap://127.0.0.1:${daemon.port}` as const;
    expect(await failure(() => devices(uri))).toMatchObject({ code: 'RINGTAP_REMOTE_PROTOCOL' });
    expect(await failure(() => devices('synth:'))).toMatchObject({ code: 'RINGTAP_UNSUPPORTED' });
  });

  test('are what ringtap list prints; the user comes from a file or the environment', async () => {
    await using daemon = await replay(readRecording('libpcap-head-passive-tcp-null.pcap', 2002));
    const uri = `rpcap://127.0.0.1:${daemon.port}`;
    const file = path('auth');
    writeFileSync(file, 'lrcap:secret:pw\n', { mode: 0o600 });
    chmodSync(file, 0o604);
    const refused = await ringtap('list', uri, '--auth-file', file);
    expect(refused.stderr).toBe(`ringtap: --auth-file: ${file} can be read by everybody\nhint: chmod 600 ${file}\n`);
    expect(refused.code).toBe(2);
    chmodSync(file, 0o600);
    const listed = await ringtap('list', uri, '--auth-file', file);
    expect(listed.stdout).toContain(`${uri}/lo`);
    await startRingtap(['list', uri, '--json'], { env: { RINGTAP_AUTH: 'other:pw' } }).outcome;
    const users = daemon.asked
      .filter(({ type }) => type === Rpcap.auth)
      .map(({ payload }) => payload.toString('utf8', 8));
    expect(users).toEqual(['lrcapsecret:pw', 'otherpw']);
  });
});

describe.skipIf(lab === null)('packets on their way', () => {
  test('come over TCP in any pieces, those of 64 KiB with a length that has lost its upper half, too', async () => {
    await using daemon = await FakeDaemon.listen();
    await using capture = await open(daemon.uri());
    const sink = await daemon.sink;
    const long = Buffer.from(packet(sample(2, 65549)));
    long.writeUInt32BE((65549 + 20) & 0xffff, 4);
    const stream = bytes(packet(sample(1)), long, packet(sample(3)));
    for (const at of [0, 1, 9, 30, 90, 60_000]) {
      const next = [1, 9, 30, 90, 60_000, stream.length].find((n) => n > at)!;
      await sink.send(stream.subarray(at, next));
      await sleep(2);
    }
    const seen = await readAll(capture, 3);
    expect(seen.map(({ data }) => data.length)).toEqual([60, 65549, 60]);
    expect(numbersOf(seen)).toEqual([1, 2, 3]);
  });

  test('that do not match the filter are not lent, even where the daemon sends them', async () => {
    await using daemon = await FakeDaemon.listen();
    await using capture = await open(daemon.uri(), { filter: 'len > 100' });
    const sink = await daemon.sink;
    for (const number of [1, 2, 3, 4]) await sink.send(packet(sample(number, number % 2 === 0 ? 200 : 60)));
    expect(numbersOf(await readAll(capture, 2))).toEqual([2, 4]);
    expect(capture.stats()).toMatchObject({ received: 4, delivered: 2, filtered: 2 });
  });

  test.each([60, 700, 1514, 9000])(
    'of %i bytes that touch a lost datagram of udpstr are lost, each counted, and no other',
    async (size) => {
      await using daemon = await FakeDaemon.listen();
      await using capture = await open(daemon.uri('?transport=udp'));
      const sink = await daemon.sink;
      const all = samples(120, () => size);
      const datagrams = stretches(all);
      const lost = new Set(datagrams.map((_, i) => i).filter((i) => i % 10 === 3 && i < datagrams.length - 8));
      // What a datagram has of each packet, by where it begins and ends in the stream.
      const touched = new Set<number>();
      let stream = 0;
      const spans = datagrams.map((datagram) => {
        const from = stream;
        stream += datagram.length - 8;
        return [from, stream] as const;
      });
      for (const { number } of all) {
        const from = (number - 1) * (size + 20);
        if ([...lost].some((i) => spans[i]![0] < from + size + 20 && spans[i]![1] > from)) touched.add(number);
      }
      for (const [i, datagram] of datagrams.entries()) if (!lost.has(i)) await sink.send(datagram);
      const kept = all.map(({ number }) => number).filter((number) => !touched.has(number));
      const seen = await readAll(capture, kept.length);
      expect(numbersOf(seen)).toEqual(kept);
      const stats = capture.stats();
      expectBalanced(stats);
      expect(stats.drops.network).toBe(touched.size);
      expect(stats.details.datagramsLost).toBe(lost.size);
    },
  );

  test('over UDP that are lost, late or sent twice are told, and packets stay in order', async () => {
    await using daemon = await FakeDaemon.listen();
    await using capture = await open(daemon.uri('?transport=udp'));
    const sink = await daemon.sink;
    for (const number of [1, 2, 5, 4, 5, 6]) await sink.send(packet(sample(number)));
    expect(numbersOf(await readAll(capture, 4))).toEqual([1, 2, 5, 6]);
    expect(capture.stats()).toMatchObject({ received: 6, delivered: 4, dropped: 2, drops: { network: 2 } });
  });

  test('over TCP are all delivered, also where the daemon counts anew or not at all', async () => {
    await using daemon = await FakeDaemon.listen();
    await using capture = await open(daemon.uri());
    const sink = await daemon.sink;
    for (const number of [0, 0, 1, 2, 1, 2]) await sink.send(packet(sample(number)));
    expect(numbersOf(await readAll(capture, 6))).toEqual([0, 0, 1, 2, 1, 2]);
    expect(capture.stats()).toMatchObject({ received: 6, delivered: 6, dropped: 0 });
  });

  test('over TCP that come late are not lost any more', async () => {
    await using daemon = await FakeDaemon.listen();
    await using capture = await open(daemon.uri());
    const sink = await daemon.sink;
    for (const number of [5, 6, 3, 4, 100, 1, 2]) await sink.send(packet(sample(number)));
    expect(numbersOf(await readAll(capture, 7))).toEqual([5, 6, 3, 4, 100, 1, 2]);
    expect(capture.stats()).toMatchObject({ received: 100, delivered: 7, drops: { network: 93 } });
  });

  test.each([
    ['a packet', (number: number) => packet(sample(number))],
    ['a datagram of udpstr', (number: number) => Buffer.from(stretches([sample(number)])[0]!)],
  ])('over UDP are not hidden by %s with a number far ahead', async (what, made) => {
    await using daemon = await FakeDaemon.listen();
    await using capture = await open(daemon.uri('?transport=udp'));
    const sink = await daemon.sink;
    const send = async (number: number) => {
      const datagram = made(number);
      if (what.includes('udpstr')) datagram.writeUInt32BE(number - 1, 4); // the datagram's own
      await sink.send(datagram);
    };
    for (const number of [1, 2, 0x7fffffff, 3, 4, 5]) await send(number);
    expect(numbersOf(await readAll(capture, 5))).toEqual([1, 2, 3, 4, 5]);
    expect(capture.stats()).toMatchObject({ received: 5, delivered: 5, dropped: 0 });
  });

  test('over UDP are read from nobody but the daemon, and nonsense is counted', async () => {
    await using daemon = await FakeDaemon.listen();
    await using capture = await open(daemon.uri('?transport=udp'));
    const port = daemon.asked.at(-1)!.payload.readUInt16BE(10);
    const { createSocket } = await import('node:dgram');
    const other = createSocket('udp4');
    await new Promise<void>((resolve) => other.bind(0, '127.0.0.5', resolve));
    const send = (piece: Buffer) => new Promise((resolve) => other.send(piece, port, '127.0.0.1', resolve));
    await send(packet(sample(1, 99)));
    other.close();
    const sink = await daemon.sink;
    for (const nonsense of [bytes(9), bytes(0, 110, 0xff), bytes(0, 110, u16(3), u32(0), 1, 2), message(99, 0)]) {
      await sink.send(nonsense);
    }
    await sink.send(packet(sample(1)));
    const [seen] = await readAll(capture, 1);
    expect(seen?.data.length).toBe(60);
    expect(capture.stats().details).toMatchObject({ datagramsOfStrangers: 1, datagramsDamaged: 4 });
  });

  test('are read without the event loop by nextSync(), too', async () => {
    await using daemon = await FakeDaemon.listen();
    await using capture = await open(daemon.uri());
    const sink = await daemon.sink;
    await sink.send(bytes(...samples(3).map(packet)));
    const batch = capture.nextSync(5000);
    expect(numbersOf(batch === null ? [] : see(batch))).toEqual([1, 2, 3]);
  });

  test('are counted where the daemon lost them, by what it says', async () => {
    const counts = [
      [1, 4],
      [3, 0x7fffffff],
      [3, 0xffff0000],
      [3, 2],
      [2, 0xffffffff], // set right by a little
      [1, 2],
      [4, 3],
      [0, 0],
    ] as const;
    const answers = counts.map(([iface, kernel]) => bytes(u32(30), u32(iface), u32(kernel), u32(9)));
    await using daemon = await FakeDaemon.listen({
      [Rpcap.stats]: () => reply(Rpcap.stats, answers.length > 1 ? answers.shift() : answers[0]),
    });
    await using capture = await open(daemon.uri('?statsMs=50'));
    await until(() => daemon.types().filter((type) => type === Rpcap.stats).length > 9, 'counters');
    const stats = capture.stats();
    expectBalanced(stats);
    // The counter went round once.
    expect(stats.drops).toEqual({ network: 0, remoteKernel: 0x1_0000_0003, remoteInterface: 4 });
  });
});

describe.skipIf(lab === null)('setFilter()', () => {
  test('changes what a daemon sends, and what is looked at here, between two packets', async () => {
    await using daemon = await FakeDaemon.listen();
    await using capture = await open(daemon.uri(), { filter: 'len == 60', ownTraffic: true });
    const sink = await daemon.sink;
    for (const [number, size] of [60, 180].entries()) await sink.send(packet(sample(number + 1, size)));
    expect(numbersOf(await readAll(capture, 1))).toEqual([1]);
    await capture.setFilter('len == 120');
    const asked = daemon.asked.at(-1)!;
    const program = execFileSync('tcpdump', ['-y', 'EN10MB', '-ddd', 'len == 120'], { encoding: 'utf8' }).trim();
    expect([asked.type, asked.payload.readUInt16BE(0), asked.payload.readUInt32BE(4)]).toEqual([
      Rpcap.filter,
      1,
      Number(program.split('\n')[0]),
    ]);
    for (const number of [5, 6]) await sink.send(packet(sample(number, number === 5 ? 60 : 120)));
    expect(numbersOf(await readAll(capture, 1))).toEqual([6]);
    await capture.setFilter(null);
    await sink.send(packet(sample(7, 99)));
    expect(numbersOf(await readAll(capture, 1))).toEqual([7]);
    expectBalanced(capture.stats());
    expect(capture.stats()).toMatchObject({ delivered: 3, filtered: 2 });
  });

  test('leaves the old one in force where it is wrong, or the daemon refuses', async () => {
    await using daemon = await FakeDaemon.listen({ [Rpcap.filter]: () => refusal(7, 'Invalid filter') });
    await using capture = await open(daemon.uri(), { filter: 'len == 60', ownTraffic: true });
    const before = daemon.asked.length;
    expect((await failure(() => capture.setFilter('udp and'))).code).toBe('RINGTAP_BAD_FILTER');
    expect(daemon.asked.slice(before).filter(({ type }) => type === Rpcap.filter)).toEqual([]);
    expect((await failure(() => capture.setFilter('len == 120'))).code).toBe('RINGTAP_REMOTE_REFUSED');
    const sink = await daemon.sink;
    for (const [number, size] of [120, 60].entries()) await sink.send(packet(sample(number + 1, size)));
    expect(numbersOf(await readAll(capture, 1))).toEqual([2]);
    await capture.close();
    expect((await failure(() => capture.setFilter('udp'))).code).toBe('RINGTAP_CLOSED');
  });

  test('is refused by what cannot do it', async () => {
    await using capture = await open('synth:?count=1');
    expect(await failure(() => capture.setFilter('udp'))).toMatchObject({ code: 'RINGTAP_UNSUPPORTED' });
  });
});

describe.skipIf(lab === null)('TLS with a daemon', () => {
  const make = certificates(path);
  const authority = make.selfSigned('authority', 'DNS:authority');
  const signed = make.signed('signed', 'authority');
  const own = make.selfSigned('own');

  test('carries control and packets, and verifies the certificate of both', async () => {
    await using daemon = await FakeDaemon.listen({}, '127.0.0.1', signed);
    const handle = await open(daemon.uri(), { tls: { ca: authority.cert } });
    await using capture = handle;
    const sink = await daemon.sink;
    const sizes = Array.from({ length: 300 }, (_, i) => 60 + ((i * 977) % 60_000));
    for (const [i, size] of sizes.entries()) void sink.send(packet(sample(i + 1, size)));
    const seen = await readAll(capture, sizes.length);
    expect(seen.map(({ data }) => data.length)).toEqual(sizes);
    expectBalanced(capture.stats());
    const [listed] = await devices(daemon.uri().replace('/eth0', '') as 'rpcaps://x', { tls: { ca: authority.cert } });
    expect(listed?.uris).toEqual([daemon.uri()]);
  });

  test('of a daemon that connects has the daemon as its server all the same', async () => {
    await using listener = await listen('rpcaps://127.0.0.1:0', { tls: { fingerprint: own.fingerprint } });
    await using daemon = await FakeDaemon.connect(listener.port, {}, '127.0.0.1', own);
    const { value } = await within(listener[Symbol.asyncIterator]().next(), 'a capture');
    await using capture = value!;
    expect(capture.uri).toBe('rpcaps://127.0.0.1/eth0');
    await (await daemon.sink).send(packet(sample(1)));
    expect(numbersOf(await readAll(capture, 1))).toEqual([1]);
  });

  test.each([
    ['nobody vouches for it', {}, own, 'self-signed'],
    ['it is not the one that is pinned', { fingerprint: signed.fingerprint }, own, 'pinned'],
    ['somebody else vouches for it', { ca: own.cert }, signed, 'TLS with'],
  ] as const)('is RINGTAP_REMOTE_TLS where %s, and nothing was said', async (_, tls, identity, word) => {
    await using daemon = await FakeDaemon.listen({}, '127.0.0.1', identity);
    const error = await failure(() => open(daemon.uri(), { tls }));
    expect(error).toMatchObject({ code: 'RINGTAP_REMOTE_TLS', backend: 'rpcap' });
    expect(error.message).toContain(word);
    expect(daemon.asked).toEqual([]);
    await using capture = await open(daemon.uri(), { tls: { insecure: true } });
    expect(capture.ended).toBe(false);
  });

  test('at a daemon without it, and without TLS at one that has it, is an error that says what to write', async () => {
    const options = { host: '127.0.0.1', port: 0, nullAuth: true, sources: { made: 'synth:?count=1' } };
    await using plain = await serve(options);
    await using secured = await serve({ ...options, tls: { cert: own.cert, key: own.key } });
    for (const [uri, hint] of [
      [`rpcaps://127.0.0.1:${plain.port}/made`, 'rpcap:// in place of rpcaps://'],
      [`rpcap://127.0.0.1:${secured.port}/made`, 'rpcaps:// in place of rpcap://'],
    ] as const) {
      const error = await failure(() => open(uri));
      expect(error).toMatchObject({ code: 'RINGTAP_REMOTE_TLS', backend: 'rpcap' });
      expect(error.hint).toContain(hint);
      expect(error.message).not.toContain('SSL routines');
    }
    // What OpenSSL answers to bytes that are not TLS's.
    const other = createServer((socket) => socket.end(bytes('15 03 03 00 02 02 46'))).listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const error = await failure(() => open(`rpcap://127.0.0.1:${port}/made`));
    expect(error).toMatchObject({ code: 'RINGTAP_REMOTE_TLS', hint: expect.stringContaining('rpcaps://') });
    other.close();
  });

  test('is RINGTAP_REMOTE_TLS where the daemon has none, and BAD_OPTION with datagrams', async () => {
    await using daemon = await FakeDaemon.listen({
      [Rpcap.auth]: () => undefined,
    });
    const uri = daemon.uri('?replyMs=300').replace('rpcap:', 'rpcaps:');
    expect((await failure(() => open(uri))).code).toBe('RINGTAP_REMOTE_TLS');
    expect((await failure(() => open('rpcaps://127.0.0.1/eth0?transport=udp'))).code).toBe('RINGTAP_BAD_OPTION');
  });
});

describe.skipIf(lab === null)('a capture at a daemon that fails', () => {
  const reads = (capture: AsyncIterable<unknown>) => async () => {
    for await (const _ of capture);
  };

  test.each([
    ['wrong user', 18, 'Authentication failed', 'RINGTAP_REMOTE_AUTH'],
    ['no such interface', 6, 'eth0: No such device exists', 'RINGTAP_REMOTE_REFUSED'],
    ['a host that is not allowed', 10, 'not in the host list', 'RINGTAP_REMOTE_AUTH'],
    ['TLS that is required', 19, 'TLS is required', 'RINGTAP_REMOTE_TLS'],
  ])('says so: %s', async (_, number, text, code) => {
    const step = number === 6 ? Rpcap.open : Rpcap.auth;
    await using daemon = await FakeDaemon.listen({ [step]: () => refusal(number, text) });
    const error = await failure(() => open(daemon.uri()));
    expect(error).toMatchObject({ code, backend: 'rpcap' });
    expect(error.message).toContain(text);
  });

  test.each([
    ['another version', message(0x88, 0).fill(3, 0, 1)],
    ['an answer to something else', message(0x83, 0, Buffer.alloc(8))],
    ['an endless answer', bytes(0, 0x88, 0, 0, u32(0xffffffff))],
    ['an impossible byte order', reply(Rpcap.auth, bytes(0, 0, 0, 0, '01020304'))],
    ['versions that it does not have', reply(Rpcap.auth, bytes(2, 3))],
    ['half an answer', reply(Rpcap.auth, bytes(0, 0, 0, 0))],
  ])('for %s is RINGTAP_REMOTE_PROTOCOL', async (_, answer) => {
    await using daemon = await FakeDaemon.listen({ [Rpcap.auth]: () => answer });
    expect(await failure(() => open(daemon.uri()))).toMatchObject({ code: 'RINGTAP_REMOTE_PROTOCOL' });
  });

  test('whose datagrams something on the way stops is told of after two seconds, and of one that is idle nothing is said', async () => {
    const warned: string[] = [];
    const onWarning = (warning: Error & { code?: string }) => {
      if (warning.code === 'RINGTAP_REMOTE_SILENT') warned.push(warning.message);
    };
    process.on('warning', onWarning);
    let sent = 0;
    const counters = () => reply(Rpcap.stats, bytes(u32(sent), u32(0), u32(0), u32(sent)));
    await using idle = await FakeDaemon.listen({ [Rpcap.stats]: counters });
    await using unread = await open(idle.uri('?transport=udp&statsMs=100'));
    await using daemon = await FakeDaemon.listen({ [Rpcap.stats]: counters });
    await using capture = await open(daemon.uri('?transport=udp&statsMs=100'));
    await sleep(2300);
    expect(warned).toEqual([]);
    sent = 3;
    // The first one's packet has come; that nobody has read it yet is no firewall's doing.
    await (await idle.sink).send(packet(sample(1)));
    const began = performance.now();
    await until(() => warned.length > 0, 'the warning', 8000);
    expect(performance.now() - began).toBeGreaterThan(1500);
    expect(warned).toEqual([expect.stringContaining(capture.uri)]);
    expect(warned[0]).toContain('firewall');
    expect(unread.ended || capture.ended).toBe(false);
    process.off('warning', onWarning);
  });

  test('for counters that are cut off is RINGTAP_REMOTE_PROTOCOL', async () => {
    await using daemon = await FakeDaemon.listen({ [Rpcap.stats]: () => reply(Rpcap.stats, bytes(u32(0), u32(0))) });
    await using capture = await open(daemon.uri('?statsMs=50'));
    const error = await failure(reads(capture));
    expect(error).toMatchObject({ code: 'RINGTAP_REMOTE_PROTOCOL', backend: 'rpcap' });
    expect(error.message).toContain('STATS has 8 bytes, not 16');
  });

  test('for silence ends when the time is up, before the capture and in it', async () => {
    await using mute = await FakeDaemon.listen({ [Rpcap.auth]: () => undefined });
    expect(await failure(() => open(mute.uri('?replyMs=100')))).toMatchObject({ code: 'RINGTAP_REMOTE_LOST' });
    await using daemon = await FakeDaemon.listen({ [Rpcap.stats]: () => undefined });
    await using capture = await open(daemon.uri('?replyMs=200&statsMs=50'));
    const error = await failure(reads(capture));
    expect(error.code).toBe('RINGTAP_REMOTE_LOST');
    expect(error.message).toContain('200 ms');
  });

  test('because nobody listens says where', async () => {
    const daemon = await FakeDaemon.listen();
    const uri = daemon.uri();
    await daemon[Symbol.asyncDispose]();
    expect(await failure(() => open(uri))).toMatchObject({ code: 'RINGTAP_REMOTE_UNREACHABLE', syscall: 'connect' });
    expect(await failure(() => open('rpcap://no-such-host.invalid/eth0'))).toMatchObject({
      code: 'RINGTAP_REMOTE_UNREACHABLE',
    });
  });

  test('because the port for packets is closed says so', async () => {
    await using daemon = await FakeDaemon.listen({
      [Rpcap.start]: () => reply(Rpcap.start, bytes(u32(0), u16(1), u16(0))),
    });
    const error = await failure(() => open(daemon.uri()));
    expect(error).toMatchObject({ code: 'RINGTAP_REMOTE_UNREACHABLE', syscall: 'connect' });
    expect(error.message).toContain('data port');
  });

  test('in the middle delivers what came before, then what the daemon says', async () => {
    await using daemon = await FakeDaemon.listen();
    await using capture = await open(daemon.uri());
    const sink = await daemon.sink;
    await sink.send(packet(sample(1)));
    sink.end();
    daemon.peers[0]!.write(refusal(9, 'The interface disappeared'));
    const seen: number[] = [];
    const error = await failure(async () => {
      for await (const batch of capture) seen.push(batch.length);
    });
    expect(seen).toEqual([1]);
    expect(error.code).toBe('RINGTAP_REMOTE_LOST');
    expect(error.message).toContain('The interface disappeared');
    expect(capture.ended).toBe(true);
  });

  test('because it closes the data connection without a word is RINGTAP_REMOTE_LOST', async () => {
    await using daemon = await FakeDaemon.listen();
    await using capture = await open(daemon.uri());
    (await daemon.sink).end();
    expect(await failure(reads(capture))).toMatchObject({ code: 'RINGTAP_REMOTE_LOST' });
  });

  test('for nonsense on the data connection is RINGTAP_REMOTE_PROTOCOL, and udpstr there has a hint', async () => {
    for (const [piece, hint, parameters = ''] of [
      [bytes('ffffffffffffffff'), ''],
      [stretches(samples(3))[0]!, 'transport=udp'],
      [message(Rpcap.packet, 0, bytes(u32(0), u32(0), u32(0x7fffffff), u32(0), u32(1))), ''],
      [message(Rpcap.packet, 0, bytes(u32(1), u32(2))), '', '?snaplen=65000'], // the rest never comes
      [bytes(message(Rpcap.packet, 0, bytes(u32(1), u32(2))), u32(60)), ''],
    ] as const) {
      await using daemon = await FakeDaemon.listen();
      await using capture = await open(daemon.uri(parameters));
      await (await daemon.sink).send(piece);
      const error = await failure(reads(capture));
      expect(error.code).toBe('RINGTAP_REMOTE_PROTOCOL');
      expect(error.hint).toContain(hint);
    }
  });

  test('by its own signal ends at once, wherever it is', async () => {
    const reason = new Error('enough');
    const never = () => undefined;
    for (const step of [Rpcap.auth, Rpcap.open, Rpcap.start]) {
      const abort = new AbortController();
      await using daemon = await FakeDaemon.listen({ [step]: never });
      const opening = open(daemon.uri(), { signal: abort.signal });
      await until(() => daemon.types().at(-1) === step, 'the step');
      abort.abort(reason);
      await expect(within(opening, 'the end', 2000)).rejects.toBe(reason);
    }
    const abort = new AbortController();
    await using daemon = await FakeDaemon.listen();
    const capture = await open(daemon.uri(), { signal: abort.signal });
    const reading = reads(capture)();
    abort.abort(reason);
    await expect(within(reading, 'the end', 2000)).rejects.toBe(reason);
  });
});
