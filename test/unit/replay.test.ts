// A trace sent again, into a sink that knows what should come.
import { open, openTransmitter, openWriter, type ReplayOptions, replay } from 'ringtap';
import { beforeAll, describe, expect, test } from 'vitest';
import { ringtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { failure, NO_FAILURES } from '../support/packets.js';
import { writePcap } from '../support/trace.js';

const temporary = temporaryFolder();
const SAME = 'seed=11&sizes=60-900&flows=20&protocols=udp,tcp,udp6';
const trace = temporary('trace.pcapng');
const COUNT = 2000;
const sink = (options = '') => `synth:?verify=true&${SAME}${options}` as `synth:${string}`;

beforeAll(async () => {
  await using capture = await open(`synth:?count=${COUNT}&${SAME}`);
  await using writer = await openWriter(trace);
  for await (const batch of capture) await writer.write(batch);
});

test.each<[string, ReplayOptions]>([
  ['in recorded time', {}],
  ['twice as fast', { speed: 2 }],
  ['at a number of packets a second', { pps: 100_000 }],
  ['at a number of bits a second', { bps: 500_000_000 }],
  ['flat out', { topSpeed: true }],
])('%s every frame comes once, in order and byte for byte', async (_, options) => {
  await using transmitter = await openTransmitter(sink());
  const result = await replay(trace, transmitter, options);
  expect(result).toMatchObject({
    read: COUNT,
    frames: COUNT,
    sent: COUNT,
    loops: 1,
    unsent: 0,
    skipped: 0,
    server: null,
  });
  expect(transmitter.stats()).toEqual({
    accepted: COUNT,
    completed: COUNT,
    queued: 0,
    zeroCopy: 0,
    failed: NO_FAILURES,
  });
  expect(result.transmitter).toEqual(transmitter.stats());
  expect(result.seconds).toBeGreaterThanOrEqual(result.planned);
  const { p50, p90, p99, max } = result.lateness;
  expect([p50, p90, p99, max]).toEqual([p50, p90, p99, max].sort((a, b) => a - b));
});

test('a schedule is kept: none is early, and the whole takes as long as it should', async () => {
  const { planned, seconds } = await replay(trace, 'synth:', { pps: 20_000 });
  expect(planned).toBeCloseTo((COUNT - 1) / 20_000, 6);
  expect(seconds).toBeGreaterThanOrEqual(planned);
  const bits = await replay(trace, 'synth:', { bps: 100_000_000, count: 500 });
  expect(bits.planned).toBeLessThan((bits.bytes * 8) / 100_000_000);
  expect(bits.planned).toBeGreaterThan(((bits.bytes - 1000) * 8) / 100_000_000);
});

test('an event loop that stands still changes nothing', async () => {
  await using transmitter = await openTransmitter(sink());
  const playing = replay(trace, transmitter, { pps: 20_000 });
  while (transmitter.stats().accepted === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const before = transmitter.stats().accepted;
  const end = performance.now() + 50;
  while (performance.now() < end);
  expect(transmitter.stats().accepted - before).toBeGreaterThan(100);
  expect((await playing).sent).toBe(COUNT);
});

test('a part of it, several times, from a capture or from several traces', async () => {
  const part = await replay(trace, 'synth:', { filter: 'udp', count: 100, loop: 3, topSpeed: true });
  expect(part).toMatchObject({ read: 100, frames: 100, sent: 300, loops: 3 });
  await using capture = await open(`synth:?count=50&${SAME}`);
  expect(await replay(capture, sink(), { topSpeed: true })).toMatchObject({ sent: 50, transmitter: { completed: 50 } });
  expect(await replay([trace, trace], 'synth:', { topSpeed: true })).toMatchObject({ sent: 2 * COUNT });
});

test('frames of clients and of servers take two ways', async () => {
  await using client = await openTransmitter('synth:');
  await using server = await openTransmitter('synth:');
  const mac = (last: number) => Buffer.from([2, 0, 0, 0, 0, last]);
  const frame = (to: number, from: number) => ({ data: Buffer.concat([mac(to), mac(from), Buffer.alloc(48, 0x88)]) });
  const path = temporary('two.pcap');
  writePcap(path, [frame(1, 2), frame(2, 1), frame(1, 2), frame(3, 1), frame(1, 3)]);
  const first = await replay(path, client, { server, topSpeed: true });
  expect([first.transmitter.completed, first.server!.completed]).toEqual([3, 2]);
  const named = await replay(path, client, { server, topSpeed: true, clients: ['02:00:00:00:00:01'] });
  expect([named.transmitter.completed - 3, named.server!.completed - 2]).toEqual([2, 3]);
});

describe('it ends', () => {
  test('at once with its signal, and says how far it came', async () => {
    const reason = new Error('enough');
    const heard: number[] = [];
    const options = { pps: 100, progressMs: 10, onProgress: ({ sent }: { sent: number }) => heard.push(sent) };
    const began = performance.now();
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 100);
    await expect(replay(trace, 'synth:', { ...options, signal: controller.signal })).rejects.toBe(reason);
    await expect(replay(trace, 'synth:', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(performance.now() - began).toBeLessThan(5000); // 20 s are planned
    expect(heard.length).toBeGreaterThan(2);
    expect(heard.at(-1)).toBeGreaterThan(0);
  });

  test('with what the interface fails for, and counts what it lost', async () => {
    const error = await failure(() => replay(trace, 'synth:?errorAfter=500', { topSpeed: true }));
    expect(error).toMatchObject({ code: 'RINGTAP_INJECTED', message: expect.stringContaining('after 500 packets') });
    const lossy = await replay(trace, 'synth:?dropEvery=10', { topSpeed: true });
    expect(lossy.transmitter).toMatchObject({ completed: COUNT * 0.9, failed: { dropped: COUNT / 10 } });
    const late = await replay(trace, 'synth:?stallAfter=100&stallMs=60', { pps: 100_000 });
    expect(late.sent).toBe(COUNT);
    expect(late.lateness.max).toBeGreaterThan(40e6);
  });

  test('before anything is sent, with a typed error', async () => {
    await using transmitter = await openTransmitter('synth:');
    const raw = temporary('raw.pcap');
    writePcap(raw, [{ data: Buffer.alloc(40, 0x45) }], 101);
    const empty = temporary('empty.pcap');
    writePcap(empty, []);
    for (const [source, options, code, what] of [
      [temporary('none.pcap'), {}, 'RINGTAP_FILE_OPEN', 'none.pcap'],
      [raw, {}, 'RINGTAP_UNSUPPORTED', 'link type 101'],
      [empty, {}, 'RINGTAP_UNSUPPORTED', 'there is no packet to send'],
      [trace, { memoryBytes: 10_000 }, 'RINGTAP_NO_MEMORY', 'does not fit into 10000 bytes'],
      [trace, { pps: 5, topSpeed: true }, 'RINGTAP_BAD_OPTION', 'topSpeed contradicts pps'],
      [trace, { pps: 0 }, 'RINGTAP_BAD_OPTION', 'pps must be a number'],
      [trace, { loop: 1.5 }, 'RINGTAP_BAD_OPTION', 'loop must be a whole number'],
      [trace, { clients: ['10.0.0.0/8'] }, 'RINGTAP_BAD_OPTION', 'give server, too'],
      [trace, { server: 'synth:', clients: ['x'] }, 'RINGTAP_BAD_OPTION', 'clients must be'],
      [trace, { rewrite: { srcMac: '1' } }, 'RINGTAP_BAD_OPTION', 'srcMac must be a MAC address'],
      [trace, { rewrite: { addresses: { '10.0.0.0/8': '::1' } } }, 'RINGTAP_BAD_OPTION', 'of one family'],
      [trace, { rewrite: { vlanPop: true, vlanPush: 5 } }, 'RINGTAP_BAD_OPTION', 'vlanPush and vlanPop'],
      [trace, { sped: 5 }, 'RINGTAP_UNKNOWN_OPTION', 'sped'],
    ] as const) {
      const error = await failure(() => replay(source, transmitter, options as ReplayOptions));
      expect(error).toMatchObject({ code, message: expect.stringContaining(what) });
    }
    expect((await failure(() => replay(trace, 5 as never))).code).toBe('RINGTAP_BAD_OPTION');
    expect((await failure(() => replay(trace, 'file:x'))).code).toBe('RINGTAP_FILE_OPEN');
    expect(transmitter.stats().accepted).toBe(0);
    await transmitter.close();
    expect((await failure(() => replay(trace, transmitter))).code).toBe('RINGTAP_CLOSED');
  });
});

test('the command says what was sent, how late, and what was not', async () => {
  const done = await ringtap('replay', trace, '-o', 'synth:?dropEvery=100', '--pps', '50k');
  expect(done.stdout).toMatch(
    /^2,000 frames {2}.* in 0\.\d+ s\nlate: half .*, at most .*; the schedule took 0\.040 s\n/,
  );
  expect(done.stdout).toContain('20 frames not sent: dropped on the way out\n');
  const json = await ringtap('replay', trace, '-o', 'synth:', '--topspeed', '--loop', '2', '--json');
  expect(JSON.parse(json.stdout)).toMatchObject({ sent: 2 * COUNT, loops: 2 });
  expect((await ringtap('replay', trace)).stderr).toContain('-o is missing');
  expect((await ringtap('replay', trace, '-o', 'synth:', '--pps', 'x')).code).toBe(2);
  expect((await ringtap('replay', temporary('none.pcap'), '-o', 'synth:')).code).toBe(1);
});
