// Daemons that connect to us (rpcap's active mode). Those here answer as recorded ones did.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { type Capture, listen, open } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { startRingtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { lab } from '../support/lab.js';
import { expectBalanced, failure, readAll } from '../support/packets.js';
import {
  type Answers,
  FakeDaemon,
  interfacesReply,
  packet,
  Rpcap,
  readRecording,
  recordingPath,
  refusal,
  replayed,
  reply,
  type Sample,
  stretches,
} from '../support/rpcap.js';
import { bytes } from '../support/trace.js';
import { sleep, until, within } from '../support/wait.js';

const URI = 'rpcap://127.0.0.1:0';
const sample = (number: number): Sample => ({ number, data: Buffer.alloc(60, number).fill(0xff, 0, 6) });

/** Ten thousand connections that say nothing; those that are closed come again. */
const CROWD = `
const { connect } = require('node:net');
const come = () => connect(Number(process.argv[1]), '127.0.0.1').on('error', () => {}).on('close', come);
let left = 10_000;
setInterval(() => { for (let i = 0; i < 500 && left > 0; i++, left--) come(); }, 5);
`;

async function take(listener: AsyncIterable<Capture>, ms?: number): Promise<Capture> {
  const { value } = await within(listener[Symbol.asyncIterator]().next(), 'a capture', ms);
  return value as Capture;
}

describe.skipIf(lab === null)('a daemon that connects', () => {
  test('is a capture, which says who it is', async () => {
    await using listener = await listen(URI, { filter: 'len >= 60', snaplen: 128 });
    await using daemon = await FakeDaemon.connect(listener.port);
    await using capture = await take(listener);
    expect(capture.uri).toBe('rpcap://127.0.0.1/eth0');
    expect(capture.peer).toMatchObject({ address: '127.0.0.1', interface: 'eth0', connection: 1 });
    expect(capture.plan).toMatchObject({
      backend: 'rpcap',
      mode: 'remote',
      filter: 'remote',
      target: '127.0.0.1/eth0',
    });
    expect(daemon.types()).toEqual([Rpcap.auth, Rpcap.interfaces, Rpcap.open, Rpcap.start]);
    // It opens the way for packets itself.
    expect(daemon.asked[3]!.payload.readUInt16BE(8) & 6).toBe(4);
    const sink = await daemon.sink;
    for (const number of [1, 2, 3]) await sink.send(packet(sample(number)));
    expect(await readAll(capture, 3)).toHaveLength(3);
    expectBalanced(capture.stats());
    expect(listener.stats()).toEqual({ accepted: 1, refused: 0, failed: 0, captures: 1, connections: 1, waiting: 0 });
  });

  test('sends datagrams where they were asked for, also as udpstr', async () => {
    await using listener = await listen(`${URI}?transport=udp`);
    await using daemon = await FakeDaemon.connect(listener.port);
    await using capture = await take(listener);
    const sink = await daemon.sink;
    for (const datagram of stretches([1, 2, 3, 4].map(sample), 200)) await sink.send(datagram);
    expect(await readAll(capture, 4)).toHaveLength(4);
  });

  test('of which a recording is there delivers its packets to the byte', async () => {
    const recording = readRecording('libpcap-head-active-tcp.pcap', 58292);
    const trace = await open(`file:${recordingPath('libpcap-head-active-tcp.expected.pcap')}`);
    const expected = await readAll(trace);
    await trace.close();
    await using listener = await listen(URI, { interface: 'lrv0' });
    await using daemon = await FakeDaemon.connect(listener.port, { ...replayed(recording), ...ASKED });
    await using capture = await take(listener);
    const sink = await daemon.sink;
    for (const piece of recording.data) await sink.send(piece);
    const seen = await readAll(capture, expected.length);
    expect(seen.map(({ data }) => data.toString('hex'))).toEqual(expected.map(({ data }) => data.toString('hex')));
  });

  test('is left when its capture is closed, and not told to stay away for good', async () => {
    await using listener = await listen(URI);
    await using daemon = await FakeDaemon.connect(listener.port);
    const capture = await take(listener);
    await capture.close();
    await until(() => daemon.peers[0]!.readableEnded || daemon.peers[0]!.destroyed, 'the end', 5000);
    expect(daemon.types()).not.toContain(Rpcap.close);
  });

  test('and comes back is told from one that is new', async () => {
    await using listener = await listen(URI);
    const seen: unknown[] = [];
    for (const [local, name] of [
      ['127.0.0.1', 'eth0'],
      ['127.0.0.1', 'eth0'],
      ['127.0.0.2', 'eth0'],
      ['127.0.0.1', 'eth1'],
    ] as const) {
      const daemon = await FakeDaemon.connect(listener.port, named(name), local);
      const { peer } = await take(listener);
      seen.push([peer?.address, peer?.interface, peer?.connection]);
      await daemon[Symbol.asyncDispose]();
    }
    expect(seen).toEqual([
      ['127.0.0.1', 'eth0', 1],
      ['127.0.0.1', 'eth0', 2],
      ['127.0.0.2', 'eth0', 1],
      ['127.0.0.1', 'eth1', 1],
    ]);
  });
});

/** The recorded one was not asked for its interfaces. */
const ASKED: Answers = { [Rpcap.interfaces]: () => interfacesReply([{ name: 'lrv0' }]) };
const named = (name: string): Answers => ({ [Rpcap.interfaces]: () => interfacesReply([{ name }]) });
const opened = (daemon: FakeDaemon) => daemon.asked.find(({ type }) => type === Rpcap.open)?.payload.toString();

describe.skipIf(lab === null)('the interface of a daemon that connects', () => {
  const LIST = [
    { name: 'any', flags: 6 },
    { name: 'lo', flags: 7, address: '127.0.0.1' },
    { name: 'down0', flags: 0 },
    { name: 'eth0', flags: 6, address: '10.0.0.1' },
    { name: 'eth7', flags: 6, address: '127.0.0.7' },
  ];
  const answers: Answers = { [Rpcap.interfaces]: () => interfacesReply(LIST) };

  test('is the one that it comes from, else the first that is up and no loopback', async () => {
    await using listener = await listen(URI);
    await using near = await FakeDaemon.connect(listener.port, answers, '127.0.0.7');
    expect((await take(listener)).peer?.interface).toBe('eth7');
    await using other = await FakeDaemon.connect(listener.port, answers);
    expect((await take(listener)).peer?.interface).toBe('eth0');
    expect([opened(near), opened(other)]).toEqual(['eth7', 'eth0']);
  });

  test('is the one that it has preselected, whatever we would choose', async () => {
    await using listener = await listen(URI, { interface: 'eth0' });
    const list = [{ name: 'lrv0', description: 'Lab ;preselected' }, { name: 'eth0' }];
    await using daemon = await FakeDaemon.connect(listener.port, { [Rpcap.interfaces]: () => interfacesReply(list) });
    expect((await take(listener)).peer?.interface).toBe('lrv0');
    expect(opened(daemon)).toBe('lrv0');
  });

  test('is chosen by a function of its addresses, which may want none', async () => {
    await using listener = await listen(URI, {
      interface: ({ address, interfaces }) =>
        address === '127.0.0.9'
          ? undefined
          : interfaces.find(({ addresses }) => addresses.includes('10.0.0.1/24'))?.name,
    });
    await using _unwanted = await FakeDaemon.connect(listener.port, answers, '127.0.0.9');
    await using _wanted = await FakeDaemon.connect(listener.port, answers);
    const { peer } = await take(listener);
    expect(peer).toMatchObject({ address: '127.0.0.1', interface: 'eth0' });
    await until(() => listener.stats().failed === 1, 'the other one');
  });

  test('can be named in the URI', async () => {
    await using listener = await listen('rpcap://127.0.0.1:0/eth7');
    await using _daemon = await FakeDaemon.connect(listener.port, answers);
    expect((await take(listener)).peer?.interface).toBe('eth7');
  });
});

describe.skipIf(lab === null)('whoever else connects', () => {
  test('is sent away where its address is not allowed', async () => {
    await using listener = await listen(URI, { allow: ['127.0.0.0/30', '10.1.2.3'] });
    await using stranger = await FakeDaemon.connect(listener.port, {}, '127.0.0.9');
    await using _friend = await FakeDaemon.connect(listener.port, {}, '127.0.0.2');
    expect((await take(listener)).peer?.address).toBe('127.0.0.2');
    await until(() => stranger.peers[0]!.destroyed, 'the end of the other one', 5000);
    expect(stranger.asked).toEqual([]);
    expect(listener.stats()).toMatchObject({ accepted: 1, refused: 1 });
  });

  test.each([
    ['refuses us', { [Rpcap.auth]: () => refusal(18, 'Authentication failed') }],
    ['keeps silent', { [Rpcap.auth]: () => undefined }],
    ['talks nonsense', { [Rpcap.auth]: () => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n') }],
    ['has no interface', { [Rpcap.interfaces]: () => interfacesReply([]) }],
    ['lists half an interface', { [Rpcap.interfaces]: () => reply(Rpcap.interfaces, bytes(0, 4, 0)) }],
    ['does not open it', { [Rpcap.open]: () => refusal(6, 'No such device') }],
    ['cannot reach us with packets', { [Rpcap.start]: () => refusal(1, 'connection refused') }],
  ] as [string, Answers][])('and %s is no capture, and the next one is', async (_, answers) => {
    await using listener = await listen(`${URI}?replyMs=150`);
    await using _bad = await FakeDaemon.connect(listener.port, answers);
    await until(() => listener.stats().failed === 1, 'the failure');
    await using _good = await FakeDaemon.connect(listener.port);
    expect((await take(listener)).peer?.connection).toBe(1);
  });

  test('ten thousand of one address, and says nothing, keeps no daemon of another one out', async () => {
    await using listener = await listen(`${URI}?replyMs=3000`);
    const before = process.memoryUsage().rss;
    const crowd = spawn(process.execPath, ['-e', CROWD, String(listener.port)], { stdio: 'ignore' });
    try {
      await until(() => listener.stats().refused > 500, 'the crowd', 30_000);
      await using _daemon = await FakeDaemon.connect(listener.port, {}, '127.0.0.2');
      expect((await take(listener, 20_000)).peer?.address).toBe('127.0.0.2');
      expect(listener.stats().connections).toBeLessThan(100);
      expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
    } finally {
      crowd.kill('SIGKILL');
    }
  }, 60_000);

  test('is refused where as many are connected as there may be', async () => {
    await using listener = await listen(URI, { mostConnections: 2 });
    const daemons = await Promise.all([1, 2, 3].map(() => FakeDaemon.connect(listener.port)));
    await take(listener);
    await take(listener);
    await until(() => listener.stats().refused === 1, 'the refusal');
    for (const daemon of daemons) await daemon[Symbol.asyncDispose]();
    await until(() => listener.stats().connections === 0, 'their ends');
  });
});

describe.skipIf(lab === null)('listen()', () => {
  test('says what is wrong with its URI and options', async () => {
    const code = async (uri: string, options?: object) => (await failure(() => listen(uri, options))).code;
    expect(await code('afpacket:eth0')).toBe('RINGTAP_UNSUPPORTED');
    expect(await code('rpcap://nowhere:99999')).toBe('RINGTAP_BAD_URI');
    expect(await code(URI, { allow: ['10.0.0.0/33'] })).toBe('RINGTAP_BAD_OPTION');
    expect(await code(URI, { allow: '10.0.0.1' })).toBe('RINGTAP_BAD_OPTION');
    expect(await code(URI, { interface: 7 })).toBe('RINGTAP_BAD_OPTION');
    expect(await code(`${URI}/eth0`, { interface: 'eth1' })).toBe('RINGTAP_BAD_OPTION');
    expect(await code(URI, { mostConnections: 0 })).toBe('RINGTAP_BAD_OPTION');
    expect(await code(URI, { blockBytes: 1 })).toBe('RINGTAP_UNKNOWN_OPTION');
    await using listener = await listen(URI);
    const taken = await failure(() => listen(`rpcap://127.0.0.1:${listener.port}`));
    expect(taken).toMatchObject({ code: 'RINGTAP_BUSY', syscall: 'listen' });
    expect(taken.message).toContain(String(listener.port));
  });

  test('ends its loop with close(), closes what nobody took, and leaves what was taken', async () => {
    const listener = await listen(URI);
    const { port } = listener;
    await using taken = await FakeDaemon.connect(listener.port);
    await using capture = await take(listener);
    await using waiting = await FakeDaemon.connect(listener.port, {}, '127.0.0.2');
    await until(() => listener.stats().waiting === 1, 'the second');
    const rest = (async () => {
      const all = [];
      for await (const more of listener) all.push(more);
      return all.length;
    })();
    await until(() => listener.stats().waiting === 0, 'the loop');
    await listener.close();
    expect(await within(rest, 'the end of the loop')).toBe(1);
    expect(waiting.types()).toContain(Rpcap.start);
    const sink = await taken.sink;
    await sink.send(packet(sample(1)));
    expect(await readAll(capture, 1)).toHaveLength(1);
    await expect(FakeDaemon.connect(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('ends with its signal, and so do its captures', async () => {
    const abort = new AbortController();
    const listener = await listen(URI, { signal: abort.signal });
    await using _daemon = await FakeDaemon.connect(listener.port);
    const capture = await take(listener);
    const reason = new Error('enough');
    const next = listener[Symbol.asyncIterator]().next();
    abort.abort(reason);
    await expect(next).rejects.toBe(reason);
    await expect(within(readAll(capture), 'its end')).rejects.toBe(reason);
  });
});

describe.skipIf(lab === null)('ringtap listen', () => {
  const path = temporaryFolder();

  test('writes a trace for each daemon and interface, another one when it comes back, and never outside', async () => {
    const port = await freePort();
    const running = startRingtap(['listen', `rpcap://127.0.0.1:${port}`, '-w', path('%h-%i.pcapng')]);
    const daemons: FakeDaemon[] = [];
    const come = async (name: string, local: string) => {
      const daemon = await retried(() => FakeDaemon.connect(port, named(name), local));
      daemons.push(daemon);
      const sink = await daemon.sink;
      await sink.send(packet(sample(1)));
      await sink.send(packet(sample(2)));
    };
    await come('eth0', '127.0.0.1');
    await come('../../evil', '127.0.0.2');
    await until(() => existsSync(path('127.0.0.2-__.._evil.pcapng')), 'the second file', 20_000);
    await come('eth0', '127.0.0.1');
    await until(() => existsSync(path('127.0.0.1-eth0-2.pcapng')), 'the third file', 20_000);
    const forged = 'ringtap: 10.0.0.5/eth0: 999,999 packets captured, 0 dropped';
    await come(`x\n${forged}\r\x1b[2K`, '127.0.0.3');
    const fourth = path(`127.0.0.3-${`x_${forged}`.replace(/[^\w.:-]/g, '_')}___2K.pcapng`);
    await until(() => existsSync(fourth), 'the fourth file', 20_000);
    await sleep(500);
    running.process.kill('SIGINT');
    const { code, stderr } = await running.outcome;
    expect(stderr).toContain('8 packets captured from 4 connections');
    expect(stderr).toContain(`ringtap: 127.0.0.3/x\\n${forged}\\r\\x1b[2K: capturing`);
    expect(stderr.split('\n').filter((line) => line.startsWith(forged))).toEqual([]);
    expect(code).toBe(0);
    for (const name of ['127.0.0.1-eth0', '127.0.0.2-__.._evil', '127.0.0.1-eth0-2']) {
      const facts = execFileSync('capinfos', ['-rTMc', path(`${name}.pcapng`)], { encoding: 'utf8' });
      expect(facts.trim().split('\t').at(-1)).toBe('2');
    }
    for (const daemon of daemons) await daemon[Symbol.asyncDispose]();
  }, 60_000);
});

async function freePort(): Promise<number> {
  await using listener = await listen(URI);
  return listener.port;
}

async function retried<T>(what: () => Promise<T>): Promise<T> {
  for (let left = 400; ; left--) {
    try {
      return await what();
    } catch (error) {
      if (left === 0) throw error;
      await sleep(100);
    }
  }
}
