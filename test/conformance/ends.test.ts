// How everything that a capture has under way ends, and what reaches others meanwhile: through the public API, over
// every backend.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, constants, openSync, readSync, writeFileSync } from 'node:fs';
import { type Batch, type Capture, CaptureError, type OpenOptions, open, openWriter } from 'ringtap';
import { afterEach, describe, expect, test } from 'vitest';
import { run, script } from '../support/child.js';
import { temporaryFolder } from '../support/folder.js';
import { lab } from '../support/lab.js';
import { expectBalanced, failure } from '../support/packets.js';
import { descriptors, isInherited, threads } from '../support/resources.js';
import { type Subject, subjects } from '../support/subjects.js';
import { sleep, until, within } from '../support/wait.js';

const file = temporaryFolder();
/** Packets of a trace; more than any hold() allows. */
const MANY = 30_000;

let capture: Capture | undefined;
afterEach(async () => {
  await capture?.close();
  capture = undefined;
});

const content = (batch: Batch) => {
  const hash = createHash('sha1');
  for (let i = 0; i < batch.length; i++) hash.update(batch.data(i));
  return hash.digest('hex');
};

/** The interface as it was before anybody captured: no program, not promiscuous. */
async function untouched(): Promise<boolean> {
  if (lab === null) return true;
  const [link] = JSON.parse(await run('ip', '-d', '-j', 'link', 'show', 'dev', lab.rx)) as [
    { promiscuity: number; xdp?: unknown },
  ];
  return link.promiscuity === 0 && link.xdp === undefined;
}

/** Rings that are filled in order: a held batch may stop all behind it, and then they say so. */
const isRing = (subject: Subject) => ['afpacket', 'pfring'].includes(subject.name);

describe.each([...subjects])('$name', (subject) => {
  /** A batch; null when there is nothing more to come; throws what tryNext() throws. Feeds it while it is hungry. */
  const step = async (from: Capture, hungry: boolean): Promise<Batch | null> => {
    const silent = performance.now() + 10_000;
    for (;;) {
      const batch = from.tryNext();
      if (batch !== null) return batch;
      if (!subject.live && from.stats().received === MANY) return null;
      expect(performance.now(), 'nothing comes, and no word why').toBeLessThan(silent);
      if (hungry) await subject.feed(2000);
      await sleep(5);
    }
  };

  test.each<OpenOptions>([
    {},
    { batchSize: 4096 },
    { batchSize: 64, snaplen: 40, filter: 'udp[0:2] & 3 = 1' },
    { batchSize: 1000, filter: 'ip protochain 17' },
  ])('whoever holds all that hold() allows goes on, or is told why not: %o', async (options) => {
    const small = subject.name === 'afpacket' ? { bufferBytes: 1 << 20, blockBytes: 65536 } : {};
    const from = await subject.open(MANY, { ...options, ...small });
    capture = from;
    const held: { batch: Batch; before: string }[] = [];
    let refusal: unknown;
    let seen = 0;
    while (refusal === undefined) {
      try {
        const batch = await step(from, true);
        if (batch === null) break;
        seen += batch.length;
        batch.hold();
        held.push({ batch, before: content(batch) });
      } catch (error) {
        refusal = error;
      }
    }
    // Others go on with what is left to them.
    const goal = seen + 3000;
    let stuck: unknown;
    while (subject.live && seen < goal && stuck === undefined) {
      try {
        seen += (await step(from, true))?.length ?? 0;
      } catch (error) {
        stuck = error;
      }
    }
    for (const error of [refusal, stuck]) {
      if (error !== undefined) expect(error).toMatchObject({ code: 'RINGTAP_NO_BUFFER', uri: from.uri });
    }
    if (!isRing(subject)) expect(stuck).toBeUndefined();
    if (!isRing(subject) && refusal !== undefined) expect(held).toHaveLength(from.plan.maxLeases - 1);
    expectBalanced(from.stats());
    for (const { batch, before } of held) expect(content(batch)).toBe(before);
    for (const { batch } of [...held.filter((_, i) => i % 2 === 1), ...held.filter((_, i) => i % 2 === 0)])
      batch.release();

    if (!subject.live) {
      for (let batch = await step(from, false); batch !== null; batch = await step(from, false)) seen += batch.length;
      expect(from.stats()).toMatchObject({ received: MANY, delivered: seen, dropped: 0 });
      return;
    }
    // All is as before: what comes now is received to the packet.
    let quiet = performance.now();
    while (performance.now() - quiet < (subject.isRemote ? 600 : 150)) {
      if (from.tryNext() !== null) quiet = performance.now();
      else await sleep(5);
    }
    const { delivered, dropped } = from.stats();
    await subject.feed(64);
    const expected = options.snaplen === undefined ? 64 : 16; // flows that the filter takes
    await until(() => {
      while (from.tryNext() !== null);
      return from.stats().delivered >= delivered + expected;
    }, 'the packets after the release');
    expect(from.stats()).toMatchObject({ delivered: delivered + expected, dropped });
    expectBalanced(from.stats());
  });

  test('a held batch that is released late or twice is an error, and releases nobody else’s', async () => {
    const from = await subject.open(MANY, { batchSize: 10 });
    capture = from;
    const sending = subject.feed(3000);
    const next = async () => (await step(from, false))!.hold();
    const gone = await next();
    gone.release();
    const others = [await next(), await next(), await next()];
    const before = others.map(content);
    for (let i = 0; i < 3; i++) {
      expect(await failure(() => gone.release())).toMatchObject({ code: 'RINGTAP_RELEASED', uri: from.uri });
    }
    expect(others).not.toContain(gone);
    expect(gone.length).toBe(0);
    expect(others.map((batch) => batch.length)).not.toContain(0);
    expect(others.map(content)).toEqual(before);
    expect((await step(from, false))!.length).toBeGreaterThan(0);
    await sending;
    await from.close();
    for (const batch of [gone, ...others]) batch.release();
    expectBalanced(from.stats());
  });

  test('close() ends a pending next(), and once more or afterwards harms nothing', async () => {
    const from = await subject.open(10);
    capture = from;
    const reader = from[Symbol.asyncIterator]();
    if (!subject.live) for (let seen = 0; seen < 10; ) seen += (await reader.next()).value!.length;
    const pending = reader.next();
    if (subject.live) await sleep(20);
    const closing = from.close();
    expect(await within(Promise.all([pending, closing, from.close()]), 'close()')).toEqual([
      { value: undefined, done: true },
      undefined,
      undefined,
    ]);
    expect(await within(reader.next(), 'next()')).toEqual({ value: undefined, done: true });
    expect(() => from.tryNext()).toThrow(CaptureError);
    await within(from.close(), 'close()');
  });

  test('close() beside a write() that waits settles both, and what was written can be read', async () => {
    const pipe = file(`${subject.name.replace(' ', '-')}.fifo`);
    execFileSync('mkfifo', [pipe]);
    const end = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK); // nobody reads
    try {
      const from = await subject.open(MANY, { batchSize: 1000 });
      capture = from;
      const writer = await openWriter(pipe);
      await subject.feed(5000);
      const batch = await step(from, false);
      let waiting: Promise<unknown> | undefined;
      while (waiting === undefined) {
        const write = writer.write(batch!).then(
          () => 'written',
          (error) => error,
        );
        if ((await Promise.race([write, sleep(200)])) === undefined) waiting = write;
      }
      const closing = from.close();
      await sleep(50);
      // The reader wakes up.
      const parts: Buffer[] = [];
      let over = false;
      const read = (async () => {
        for (const part = Buffer.alloc(65_536); ; ) {
          try {
            parts.push(Buffer.from(part.subarray(0, readSync(end, part))));
          } catch {
            if (over) return;
            await sleep(1);
          }
        }
      })();
      const outcome = await within(waiting, 'write()');
      if (outcome !== 'written') expect(outcome).toBeInstanceOf(CaptureError);
      await within(closing, 'close()');
      await within(
        writer.close().catch((error) => expect(error).toBeInstanceOf(CaptureError)),
        'the writer’s close()',
      );
      over = true;
      await read;
      const trace = `${pipe}.pcap`;
      writeFileSync(trace, Buffer.concat(parts));
      await using written = await open(`file:${trace}`);
      let packets = 0;
      for await (const batch of written) packets += batch.length;
      expect(packets).toBe(writer.stats().packets);
    } finally {
      closeSync(end);
    }
  });

  // What is no interface cannot send.
  if (subject.live) {
    test('close() beside a flush() that waits settles both', async () => {
      const from = await subject.open(1);
      capture = from;
      if (from.transmit === null) return;
      const frame = new Uint8Array(60);
      for (let i = 0; i < 2000 && from.transmit.send(frame); i++);
      const flushing = from.transmit.flush().then(
        () => undefined,
        (error) => expect(error).toMatchObject({ code: 'RINGTAP_CLOSED' }),
      );
      await within(Promise.all([from.close(), flushing]), 'close()');
    });
  }

  test('an abort at any moment of open() or of reading leaves nothing behind', async () => {
    const round = async (later: (abort: () => void) => unknown) => {
      const controller = new AbortController();
      const { signal } = controller;
      const reason = new Error('enough');
      /** Reads to the end, if there is one, and then until the abort. */
      const read = async () => {
        await using from = await subject.open(MANY, { signal });
        for await (const _ of from);
        await new Promise((_, reject) => {
          if (signal.aborted) reject(reason);
          signal.addEventListener('abort', () => reject(reason));
        });
      };
      const reading = read();
      later(() => controller.abort(reason));
      await expect(within(reading, 'the abort')).rejects.toBe(reason);
    };
    const moments: Parameters<typeof round>[0][] = [
      (abort) => abort(),
      (abort) => queueMicrotask(abort),
      (abort) => setImmediate(abort),
      ...[1, 2, 3, 5, 10, 20, 40].map((ms) => (abort: () => void) => setTimeout(abort, ms)),
    ];
    await round(moments[0]!);
    await round(moments.at(-1)!); // threads and modules that come with the first
    await sleep(50);
    const before = [...descriptors().values()].length;
    const started = threads();
    for (const abort of moments) {
      await round(abort);
      // Not sooner or later, but when it has settled.
      if (subject.isRemote) await until(untouched, 'the other end to let go');
      else expect(await untouched()).toBe(true);
      const next = await subject.open(1, { fallback: false });
      await next.close();
    }
    await until(() => descriptors().size <= before && threads() <= started, 'descriptors and threads to go');
  });

  test('no descriptor of it reaches a child process', async () => {
    const before = descriptors();
    const from = await subject.open(10);
    capture = from;
    const waiting = subject.live ? from[Symbol.asyncIterator]().next() : undefined;
    await using writer = await openWriter(file('inherited.pcap'), { overwrite: true });
    const opened = [...descriptors()].filter(([fd, target]) => before.get(fd) !== target);
    if (subject.live || subject.name === 'file') expect(opened.length).toBeGreaterThan(0);
    expect(opened.filter(([fd]) => isInherited(fd))).toEqual([]);
    const seen = spawnSync('sh', ['-c', 'readlink /proc/$$/fd/*'], { encoding: 'utf8' }).stdout.split('\n');
    expect(
      seen.filter((target) => [...opened].some(([, mine]) => mine === target && !/^anon_inode/.test(mine))),
    ).toEqual([]);
    expect(writer.stats().packets).toBe(0);
    await from.close();
    await waiting;
  });

  test('out of descriptors it says so, and nothing else', async () => {
    const source = `
      import { closeSync, openSync } from 'node:fs';
      import { CaptureError, open } from 'ringtap';
      const [uri] = process.argv.slice(1);
      await (await open(uri, { fallback: false })).close();
      const filler = [];
      try {
        for (;;) filler.push(openSync('/dev/null'));
      } catch {}
      for (let left = 0; filler.length > 0; left++) {
        try {
          const capture = await open(uri, { fallback: false });
          await capture.close();
          console.log('opened with', left);
          break;
        } catch (error) {
          const typed = error instanceof CaptureError && ['RINGTAP_SYSTEM', 'RINGTAP_FILE_OPEN', 'RINGTAP_NO_MEMORY'].includes(error.code);
          if (!typed || !/Too many open files/.test(error.message)) console.log(left, error.code, error.message);
        }
        closeSync(filler.pop());
      }
    `;
    capture = await subject.open(10);
    const { uri } = capture;
    await capture.close();
    const { stdout, stderr } = await script(source, { args: [uri], prefix: ['prlimit', '--nofile=128:128'] });
    expect(stderr.replace(/.*RINGTAP_TAKES_TRAFFIC.*\n.*trace-warnings.*\n/, '')).toBe('');
    expect(stdout).toMatch(/^opened with \d+\n$/);
  });
});
