// An AbortSignal ends whatever waits, and nothing else; and how many packets that leaves in the file.
import { execFileSync } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { closeSync, constants, openSync, readSync, writeFileSync } from 'node:fs';
import { constants as os } from 'node:os';
import { open, openWriter } from 'ringtap';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { script } from '../support/child.js';
import { temporaryFolder } from '../support/folder.js';
import { failure, readAll, see } from '../support/packets.js';
import { sleep, within } from '../support/wait.js';

const path = temporaryFolder();
const big = 'synth:?sizes=9000&bufferBytes=64M&batchSize=1024&protocols=udp&flows=1';
/** Packets that a pipe takes whole or not at all. */
const small = big.replace('9000', '1500');
let files = 0;

const warnings: Error[] = [];
const onWarning = (warning: Error) => warnings.push(warning);
beforeAll(() => void process.on('warning', onWarning));
afterAll(() => {
  process.off('warning', onWarning);
  expect(warnings).toEqual([]);
});

/** A pipe that is open for reading and that nobody reads, until told to. */
function pipe() {
  const name = path(`${++files}`);
  execFileSync('mkfifo', [name]);
  const fd = openSync(name, constants.O_RDONLY | constants.O_NONBLOCK);
  const read = async () => {
    const file = `${name}.trace`;
    const buffer = Buffer.alloc(65536);
    for (let n = -1; n !== 0; ) {
      try {
        n = readSync(fd, buffer);
        writeFileSync(file, buffer.subarray(0, n), { flag: 'a' });
      } catch {
        await sleep(2);
      }
    }
    closeSync(fd);
    await using trace = await open(`file:${file}`);
    return (await readAll(trace)).map(({ data, timeNs }) => [data.toString('hex'), timeNs]);
  };
  return { name, read };
}

const outcome = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (reason: unknown) => reason,
  );
const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

describe.each(['lent', 'copied'])('write() of a %s batch that a signal ends', (how) => {
  test.each([false, true])('leaves in the file exactly what stats() count, selected: %s', async (isSelected) => {
    const { name, read } = pipe();
    await using capture = await open(big);
    const writer = await openWriter(`pcap:${name}`, { linkType: 1 });
    const lent = capture.tryNext()!;
    const batch = how === 'lent' ? lent : lent.copy();
    const order = Array.from({ length: 1024 }, (_, i) => (isSelected ? 1023 - i : i));
    const packets = see(batch).map(({ data, timeNs }) => [data.toString('hex'), timeNs]);
    const select = isSelected ? order : undefined;

    const before = writer.stats();
    const controller = new AbortController();
    const writing = outcome(writer.write(batch, { select, signal: controller.signal }));
    await sleep(50);
    expect(listeners(controller.signal)).toBe(1);
    controller.abort('enough');
    expect(await within(writing, 'the write')).toBe('enough');
    const after = writer.stats();
    const taken = after.packets + after.queued - before.packets - before.queued;
    expect(taken).toBeGreaterThan(100);
    expect(taken).toBeLessThan(1024);

    // The writer goes on, with the rest or anything else.
    const reading = read();
    await within(writer.write(batch, { select: order.slice(taken) }), 'the rest');
    await writer.write(batch, { select: [5] });
    await writer.close();
    expect(writer.stats()).toMatchObject({ packets: 1025, queued: 0 });
    expect(await reading).toEqual([...order, 5].map((i) => packets[i]));
  });

  test('before it begins takes nothing', async () => {
    const { name } = pipe();
    await using capture = await open(big);
    await using writer = await openWriter(`pcap:${name}`, { linkType: 1 });
    const lent = capture.tryNext()!;
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    const batch = how === 'lent' ? lent : lent.copy();
    expect(await outcome(writer.write(batch, { signal, select: [1] }))).toBe(reason);
    expect(await outcome(writer.flush({ signal }))).toBe(reason);
    expect(writer.stats()).toMatchObject({ packets: 0, queued: 0 });
    await writer.write(batch, { select: [1] });
  });
});

test('a write() that waited for nothing leaves no listener on its signal, and may be aborted later', async () => {
  await using capture = await open('synth:?count=100&batchSize=10');
  await using writer = await openWriter(path('ease'));
  const controller = new AbortController();
  for await (const batch of capture) await writer.write(batch, { signal: controller.signal });
  await writer.flush({ signal: controller.signal });
  expect(listeners(controller.signal)).toBe(0);
  controller.abort();
  await writer.flush();
  expect(writer.stats()).toMatchObject({ packets: 100, queued: 0 });
});

test('a thousand calls heed one signal without a warning, and leave no listener', async () => {
  const { name, read } = pipe();
  await using capture = await open(big);
  const writer = await openWriter(`pcap:${name}`, { linkType: 1 });
  const batch = capture.tryNext()!;
  const controller = new AbortController();
  const { signal } = controller;
  const calls = [writer.write(batch, { signal })];
  for (let i = 0; i < 1000; i++) calls.push(writer.flush({ signal }));
  const ended = Promise.all(calls.map(outcome));
  await sleep(20);
  expect(listeners(signal)).toBe(1);
  controller.abort('enough');
  expect(new Set(await within(ended, 'the calls'))).toEqual(new Set(['enough']));
  expect(listeners(signal)).toBe(0);

  const other = new AbortController();
  const flushes = Array.from({ length: 1000 }, () => outcome(writer.flush({ signal: other.signal })));
  await sleep(20);
  expect(listeners(other.signal)).toBe(1);
  const reading = read();
  expect(new Set(await within(Promise.all(flushes), 'the flushes'))).toEqual(new Set(['done']));
  expect(listeners(other.signal)).toBe(0);
  await writer.close();
  await reading;
});

test('a hundred pipes that nobody opens are waited for until one signal aborts, without a warning', async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const names = Array.from({ length: 100 }, () => path(`${++files}`));
  execFileSync('mkfifo', names);
  const openings = Promise.all(names.map((name) => outcome(openWriter(name, { linkType: 1, signal }))));
  await sleep(100);
  controller.abort('enough');
  expect(new Set(await within(openings, 'the openings'))).toEqual(new Set(['enough']));
  expect(listeners(signal)).toBe(0);
});

test('close() that a signal ends says how many packets are kept, whoever waits for it', async () => {
  const { name, read } = pipe();
  await using capture = await open(small);
  const writer = await openWriter(`pcap:${name}`, { linkType: 1 });
  await writer.write(capture.tryNext()!);
  const controller = new AbortController();
  const first = outcome(writer.close());
  const second = outcome(writer.close(undefined, { signal: controller.signal }));
  await sleep(50);
  controller.abort();
  const error = await within(second, 'close()');
  expect(error).toMatchObject({ code: 'RINGTAP_FILE_WRITE', errno: os.errno.ECANCELED });
  expect(await first).toBe(error);
  expect(listeners(controller.signal)).toBe(0);
  const { packets, dropped } = writer.stats();
  expect(packets + dropped).toBe(1024);
  expect(packets).toBeLessThan(100);
  expect(await read()).toHaveLength(packets);
});

test('what a signal ended keeps no process alive', async () => {
  const { name, read } = pipe();
  const body = `
    import { open, openWriter } from 'ringtap';
    const capture = await open(${JSON.stringify(small.replace('1024', '4096'))});
    const writer = await openWriter(process.argv[1], { linkType: 1 });
    const batch = capture.tryNext().copy();
    await capture.close();
    const calls = [writer.write(batch, { signal: AbortSignal.timeout(50) }), writer.flush({ signal: AbortSignal.timeout(50) })];
    const keep = setInterval(() => {}, 1000); // a time-out keeps none alive either
    console.log((await Promise.allSettled(calls)).map(({ reason }) => reason.name).join());
    clearInterval(keep);`;
  const { stdout, stderr, late } = await script(body, { args: [`pcap:${name}`], timeoutMs: 20_000 });
  expect({ stdout, stderr, late }).toEqual({ stdout: 'TimeoutError,TimeoutError\n', stderr: '', late: false });
  expect((await read()).length).toBeGreaterThan(0);
});

test('options are an object, not the signal itself, a list or a word, and the message names what it may have', async () => {
  await using writer = await openWriter(path('named'));
  await using capture = await open('synth:?count=1');
  const batch = capture.tryNext()!;
  const messages = [
    await failure(() => writer.write(batch, 5 as never)),
    await failure(() => writer.write(batch, new Uint32Array(1) as never)),
    await failure(() => writer.flush(AbortSignal.abort() as never)),
    await failure(() => writer.flush({ signal: 'now' } as never)),
    await failure(() => open('synth:', AbortSignal.abort() as never)),
    await failure(() => open('synth:', [] as never)),
  ].map(({ code, message }) => `${code} ${message.slice(message.indexOf(': ') + 2)}`);
  expect(messages).toEqual([
    'RINGTAP_BAD_OPTION write(): options are an object { select, interface, signal }, not 5',
    'RINGTAP_BAD_OPTION write(): options are an object { select, interface, signal }, not a list',
    'RINGTAP_BAD_OPTION flush(): options are an object { signal }, not the signal itself: write { signal }',
    'RINGTAP_BAD_OPTION option signal must be an AbortSignal, not "now"',
    'RINGTAP_BAD_OPTION options are an object, not the signal itself: write { signal }',
    'RINGTAP_BAD_OPTION options are an object, not a list',
  ]);
});

test.each([null, 5, 'x', AbortSignal.abort(), [], { signal: null }, { signal: {} }, { signals: 1 }])(
  'flush(%j) and close are refused',
  async (given) => {
    await using writer = await openWriter(path('refused'), { overwrite: true });
    for (const call of [() => writer.flush(given as never), () => writer.close(undefined, given as never)]) {
      expect((await failure(call)).code).toMatch(/RINGTAP_(BAD|UNKNOWN)_OPTION/);
    }
  },
);
