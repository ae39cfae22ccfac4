// Writing traces: what is accepted reaches the file, whatever happens beside it. What the formats hold is in file.test.ts.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, existsSync, openSync, readFileSync, readSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { constants as os } from 'node:os';
import { type Batch, CaptureError, open, openWriter, type Writer } from 'ringtap';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { script } from '../support/child.js';
import { temporaryFolder } from '../support/folder.js';
import { failure, readAll, see } from '../support/packets.js';
import { PATIENCE_MS, sleep, until, within } from '../support/wait.js';

const path = temporaryFolder();
const formats = ['pcap', 'pcapng'] as const;
/** Batches that are larger than all of a writer's buffers: write() has to wait. */
const big = 'synth:?sizes=9000&bufferBytes=64M&batchSize=1024&protocols=udp&flows=1';
let files = 0;
const newFile = () => path(`${++files}`);

async function packetsOf(file: string) {
  await using trace = await open(`file:${file}`);
  return (await readAll(trace)).map(({ data, timeNs, wirelen }) => [data.toString('hex'), timeNs, wirelen]);
}

function seen(batch: Batch) {
  return see(batch).map(({ data, timeNs, wirelen }) => [data.toString('hex'), timeNs, wirelen]);
}

/** A pipe that is open for reading, and that nobody reads until its turn comes. */
function unreadPipe() {
  const name = newFile();
  execFileSync('mkfifo', [name]);
  const fd = openSync(name, constants.O_RDONLY | constants.O_NONBLOCK);
  /** Reads it into a file, until the writer has gone. */
  const readInto = async (file: string) => {
    const buffer = Buffer.alloc(65536);
    for (let n = -1; n !== 0; ) {
      try {
        n = readSync(fd, buffer);
        writeFileSync(file, buffer.subarray(0, n), { flag: 'a' });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
        await sleep(2);
      }
    }
    closeSync(fd);
    return file;
  };
  return { name, readInto };
}

test('close() in a getter of what close() was given closes once', async () => {
  const writer = await openWriter(newFile(), { linkType: 1 });
  const inner: Promise<void>[] = [];
  const ledger = {
    get received() {
      inner.push(writer.close());
      return 5;
    },
    dropped: 0,
  };
  await writer.close(ledger);
  await Promise.all(inner);
  expect(inner.length).toBeGreaterThan(0);
});

describe('write()', () => {
  test.each(formats)('that is under way is not cut short by close(): %s', async (format) => {
    for (let round = 0; round < 5; round++) {
      const file = newFile();
      await using capture = await open(big);
      const writer = await openWriter(`${format}:${file}`, { linkType: 1 });
      const batch = capture.tryNext()!;
      const outcomes = await Promise.allSettled([writer.write(batch), writer.close(), writer.close()]);
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled']);
      expect(writer.stats()).toEqual({
        packets: 1024,
        bytes: statSync(file).size,
        queued: 0,
        dropped: 0,
        files: 1,
        late: 0,
      });
      expect(await packetsOf(file)).toHaveLength(1024);
    }
  });

  test.each([
    ['the next step', async (capture: Awaited<ReturnType<typeof open>>) => void capture.tryNext()],
    ['its release', async (_, batch: Batch) => batch.release()],
    ['the end of its capture', async (capture) => capture.close()],
    [
      'two steps, when the same memory is lent again',
      async (capture) => {
        for (let i = 0; i < 9; i++) capture.tryNext();
      },
    ],
  ] satisfies [string, (capture: Awaited<ReturnType<typeof open>>, batch: Batch) => Promise<void>][])(
    'that is overtaken by %s says how much of its batch is in the file, and never writes another',
    async (_, overtake) => {
      const pipe = unreadPipe();
      await using capture = await open(big);
      await using writer = await openWriter(`pcap:${pipe.name}`);
      const batch = capture.tryNext()!;
      const packets = seen(batch);
      const writing = failure(() => writer.write(batch));
      await overtake(capture, batch);
      const read = pipe.readInto(newFile());
      const { code, message } = await writing;
      expect(code).toBe('RINGTAP_RELEASED');
      const first = Number(/its first (\d+) packets are in the file$/.exec(message)?.[1]);
      expect(first).toBeGreaterThan(100);
      await writer.close();
      expect(await packetsOf(await read)).toEqual(packets.slice(0, first));
    },
  );

  test('may go on beside the next steps when its batch is held', async () => {
    const file = newFile();
    await using capture = await open(big);
    await using writer = await openWriter(`pcap:${file}`);
    const batch = capture.tryNext()!.hold();
    const packets = seen(batch);
    const writing = writer.write(batch);
    capture.tryNext();
    capture.tryNext();
    await writing;
    batch.release();
    await writer.close();
    expect(await packetsOf(file)).toEqual(packets);
  });

  test('takes what was lent, also where the program has made the batch longer or shorter than it is', async () => {
    const file = newFile();
    await using capture = await open('synth:?count=20&batchSize=10');
    await using writer = await openWriter(file);
    const batch = capture.tryNext() as { -readonly [K in keyof Batch]: Batch[K] };
    batch.length = 2000;
    await within(writer.write(batch as Batch), 'the longer batch');
    batch.length = 3;
    await within(writer.write(batch as Batch), 'the shorter batch');
    await writer.close();
    expect(await packetsOf(file)).toHaveLength(20);
  });

  test.each(formats)('takes owned copies, as %s', async (format) => {
    const file = newFile();
    await using capture = await open('synth:?count=2000&sizes=60-9000&batchSize=500&flows=9');
    await using writer = await openWriter(`${format}:${file}`);
    const copies: Batch[] = [];
    for await (const batch of capture) copies.push(batch.copy());
    await capture.close();
    for (const copy of copies) await writer.write(copy);
    await writer.write(copies[0]!, { select: [0, 1, 2, 3, 4, 5, 6] });
    await writer.close();
    const packets = copies.flatMap(seen);
    expect(await packetsOf(file)).toEqual([...packets, ...packets.slice(0, 7)]);
  });

  test('keeps every nanosecond of a time, lent or copied', async () => {
    const file = newFile();
    const record = (seconds: number, nanos: number) => {
      const header = new Uint32Array([seconds, nanos, 14, 14]);
      return Buffer.concat([Buffer.from(header.buffer), Buffer.alloc(14)]);
    };
    const header = Buffer.from(new Uint32Array([0xa1b23c4d, 0x00040002, 0, 0, 65535, 1]).buffer);
    const records = [record(1, 1), record(1_700_000_000, 123_456_789), record(4_294_967_295, 999_999_999)];
    writeFileSync(file, Buffer.concat([header, ...records]));
    await using capture = await open(`file:${file}`);
    const written = newFile();
    await using writer = await openWriter(`pcapng:${written}`);
    const batch = capture.tryNext()!;
    await writer.write(batch.copy());
    await writer.write(batch);
    await writer.close();
    await using trace = await open(`file:${written}`);
    const times = [1_000_000_001n, 1_700_000_000_123_456_789n, 4_294_967_295_999_999_999n];
    expect((await readAll(trace)).map(({ timeNs }) => timeNs)).toEqual([...times, ...times]);
  });

  test('takes no copy whose memory was transferred away, and nothing outside its memory', async () => {
    await using capture = await open('synth:?count=20&batchSize=10');
    await using writer = await openWriter(newFile());
    const copy = capture.tryNext()!.copy();
    copy.offset[9] = 0xfffffff0;
    expect((await failure(() => writer.write(copy))).code).toBe('RINGTAP_BAD_OPTION');
    structuredClone(null, { transfer: [copy.time.buffer as ArrayBuffer] });
    expect((await failure(() => writer.write(copy))).code).toBe('RINGTAP_RELEASED');
    const other = capture.tryNext()!.copy();
    structuredClone(null, { transfer: [other.bytes.buffer as ArrayBuffer] });
    expect((await failure(() => writer.write(other))).code).toBe('RINGTAP_BAD_OPTION');
    await writer.write(other, { select: [] });
  });
});

describe('a trace', () => {
  test.each(formats)('of %s has microseconds where it is asked for, rounded down', async (format) => {
    const [nano, micro] = [newFile(), newFile()];
    await using capture = await open('synth:?count=500&rate=123457');
    for await (const batch of capture) {
      for (const [file, nanosecond] of [
        [nano, true],
        [micro, false],
      ] as const) {
        await using writer = await openWriter(`${format}:${file}`, { nanosecond });
        await writer.write(batch);
      }
      break;
    }
    const timesOf = async (file: string) => (await packetsOf(file)).map(([, time]) => time as bigint);
    const exact = await timesOf(nano);
    expect(exact.some((time) => time % 1000n !== 0n)).toBe(true);
    expect(await timesOf(micro)).toEqual(exact.map((time) => time - (time % 1000n)));
    const precision = (file: string) => execFileSync('capinfos', [file]).toString();
    expect(precision(nano)).toMatch(/nanoseconds \(9\)/);
    expect(precision(micro)).toMatch(/microseconds \(6\)/);
  });

  test('of pcapng carries a comment, which tshark shows', async () => {
    for (const comment of ['what for: größe €', 'x'.repeat(4096)]) {
      const file = newFile();
      await (await openWriter(`pcapng:${file}`, { comment })).close();
      expect(execFileSync('capinfos', ['-k', file]).toString()).toContain(comment);
    }
    for (const comment of ['', 'x'.repeat(4097), 'ü'.repeat(2049), 'a\0b', '\ud800', 5, null]) {
      const error = await failure(() => openWriter(`pcapng:${newFile()}`, { comment: comment as string }));
      expect(error).toMatchObject({ code: 'RINGTAP_BAD_OPTION', message: expect.stringContaining('option comment') });
    }
    const error = await failure(() => openWriter(`pcap:${newFile()}`, { comment: 'what for' }));
    expect(error).toMatchObject({ code: 'RINGTAP_BAD_OPTION', hint: 'Write pcapng:, or leave out comment.' });
  });

  test('is opened with, and closed with, what a capture says of itself', async () => {
    const trace = newFile();
    await using source = await open('synth:?count=50');
    await using writer = await openWriter(`pcapng:${trace}`, { linkType: source.linkType });
    for await (const batch of source) await writer.write(batch);
    await writer.close(source.stats());
    await using capture = await open(`file:${trace}`);
    const again = newFile();
    await using second = await openWriter(`pcapng:${again}`, { linkType: capture.linkType });
    for await (const batch of capture) await second.write(batch);
    await second.close({ ...capture.stats(), drops: source.stats().drops }); // a file loses nothing, and has no causes
    expect(readFileSync(again)).toEqual(readFileSync(trace));
  });
});

describe('a trace that is being written', () => {
  test.each(formats)('of %s has its header when it is open, and each packet within a second', async (format) => {
    const file = newFile();
    await using capture = await open('synth:?count=200');
    await using writer = await openWriter(`${format}:${file}`, { linkType: 1 });
    expect(await packetsOf(file)).toEqual([]);
    const batch = capture.tryNext()!;
    await writer.write(batch);
    await until(() => writer.stats().packets === 200, 'the packets');
    expect(statSync(file).size).toBe(writer.stats().bytes);
    expect(await packetsOf(file)).toEqual(seen(batch));
  });

  test.each(formats)('of %s is as far behind as flushMs says, and no further', async (format) => {
    const [soon, late] = [newFile(), newFile()];
    await using capture = await open('synth:?count=200');
    await using first = await openWriter(`${format}:${soon}`, { linkType: 1, flushMs: 0 });
    await using second = await openWriter(`${format}:${late}`, { linkType: 1, flushMs: 60_000 });
    const batch = capture.tryNext()!;
    await Promise.all([first.write(batch), second.write(batch)]);
    await until(() => first.stats().packets === 200, 'the packets');
    await sleep(1200);
    expect(second.stats()).toMatchObject({ packets: 0, queued: 200 });
    await second.flush();
    expect(await packetsOf(late)).toEqual(seen(batch));
    expect(readFileSync(soon)).toEqual(readFileSync(late));
  });

  test('waits either for nothing or for flushMs', async () => {
    const file = newFile();
    expect(await failure(() => openWriter(file, { packetBuffered: true, flushMs: 10 }))).toMatchObject({
      code: 'RINGTAP_BAD_OPTION',
      hint: 'Give one of the two.',
    });
    await (await openWriter(file, { packetBuffered: true, flushMs: 0 })).close();
  });

  test('is read by tcpdump, tshark and capinfos meanwhile', async () => {
    const file = newFile();
    await using capture = await open('synth:?batchSize=100');
    await using writer = await openWriter(`pcapng:${file}`, { packetBuffered: true });
    for (let packets = 100; packets <= 300; packets += 100) {
      await writer.write(capture.tryNext()!);
      await until(() => writer.stats().packets === packets, 'the packets');
      const output = (...command: [string, ...string[]]) =>
        execFileSync(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'ignore'] }).toString();
      expect(output('tcpdump', '-nr', file).trim().split('\n')).toHaveLength(packets);
      expect(output('tshark', '-r', file, '-T', 'fields', '-e', 'frame.number').trim().split('\n')).toHaveLength(
        packets,
      );
      expect(output('capinfos', '-Trc', file)).toContain(`\t${packets}\n`);
    }
  });

  test('is one writer’s: another one, here or elsewhere, is refused and harms nothing', async () => {
    const file = newFile();
    await using capture = await open('synth:?batchSize=100');
    const writer = await openWriter(file);
    await writer.write(capture.tryNext()!);
    const refused = await failure(() => openWriter(`pcap:${file}`, { linkType: 1 }));
    expect(refused).toMatchObject({ code: 'RINGTAP_BUSY', uri: `pcap:${file}`, syscall: 'flock' });
    expect(refused.message).toContain(file);
    const body =
      "import { openWriter } from 'ringtap'; await openWriter(process.argv[1]).catch((e) => console.log(e.code));";
    expect((await script(body, { args: [file] })).stdout).toBe('RINGTAP_BUSY\n');
    await writer.write(capture.tryNext()!);
    await writer.close();
    expect(await packetsOf(file)).toHaveLength(200);
    await (await openWriter(file, { overwrite: true })).close();
    expect(await packetsOf(file)).toHaveLength(0);
  });

  test('is inherited by no other process', async () => {
    const file = newFile();
    await using writer = await openWriter(file, { linkType: 1 });
    const inherited = execFileSync('sh', ['-c', 'ls -l /proc/self/fd']).toString();
    expect(inherited).not.toContain(file);
    expect(writer.stats().packets).toBe(0);
  });
});

describe('what write() took is in the file', () => {
  const program = (end: string) => `
    import { writeSync } from 'node:fs';
    import { open, openWriter } from 'ringtap';
    let writer = await openWriter(process.argv[1]);
    let taken = 0;
    process.on('exit', () => writeSync(1, String(taken)));
    for await (const batch of await open('synth:?sizes=1500')) {
      await writer.write(batch);
      taken += batch.length;
      if (taken > 20000) { ${end} }
    }`;

  test.each([
    ['process.exit()', 'process.exit();'],
    ['an uncaught error', "throw new Error('on purpose');"],
    ['its end, without close()', 'break;'],
    ['its end, the writer having been collected', 'writer = undefined; gc(); setTimeout(gc, 10); break;'],
    [
      'SIGTERM, a second later',
      "setTimeout(() => process.kill(process.pid, 'SIGTERM'), 1500); writeSync(1, String(taken)); break;",
    ],
  ])('after %s of the program', async (_, end) => {
    const file = newFile();
    const { stdout, late } = await script(program(end), { args: [file], flags: ['--expose-gc'] });
    expect(late).toBe(false);
    expect(Number(stdout)).toBeGreaterThan(20_000);
    expect(await packetsOf(file)).toHaveLength(Number(stdout));
  });

  test.each(['terminate()', 'process.exit() in it'])('after %s of a worker', async (how) => {
    const file = newFile();
    const worker = `
      import { parentPort, workerData } from 'node:worker_threads';
      import { open, openWriter } from 'ringtap';
      const writer = await openWriter(workerData.file);
      let taken = 0;
      for await (const batch of await open('synth:?sizes=1500')) {
        await writer.write(batch);
        taken += batch.length;
        if (taken > 20000) break;
      }
      parentPort.postMessage(taken);
      if (workerData.how !== 'terminate()') process.exit();
      setInterval(() => {}, 1000);`;
    const body = `
      import { Worker } from 'node:worker_threads';
      const [file, how] = process.argv.slice(1);
      const worker = new Worker(${JSON.stringify(worker)}, { eval: true, execArgv: ['--input-type=module'], workerData: { file, how } });
      const ended = new Promise((resolve) => worker.once('exit', resolve));
      worker.once('message', async (taken) => {
        if (how === 'terminate()') await worker.terminate();
        await ended;
        console.log(taken);
      });`;
    const { stdout, stderr, late } = await script(body, { args: [file, how] });
    expect({ stderr, late }).toEqual({ stderr: '', late: false });
    expect(Number(stdout)).toBeGreaterThan(20_000);
    expect(await packetsOf(file)).toHaveLength(Number(stdout));
  });
});

describe('a pipe whose reader stands still', () => {
  const fill = `
    import { readFile } from 'node:fs/promises';
    import { open, openWriter } from 'ringtap';
    const paths = process.argv.slice(1);
    const writers = await Promise.all(paths.map((path) => openWriter(path, { linkType: 1 })));
    for (const writer of writers) {
      (async () => { for await (const batch of await open('synth:?sizes=1500')) await writer.write(batch); })();
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));`;

  test('holds up neither files nor the end of the process, and ends with a whole record', async () => {
    const pipes = Array.from({ length: 4 }, unreadPipe);
    const body = `${fill}
      await readFile(process.execPath);
      process.on('exit', () => console.log('exit', performance.now() - begin < 10000));
      const begin = performance.now();
      process.exit(0);`;
    const options = { args: pipes.map(({ name }) => name), env: { UV_THREADPOOL_SIZE: '1' }, timeoutMs: PATIENCE_MS };
    expect(await script(body, options)).toMatchObject({ code: 0, stdout: 'exit true\n', late: false });
    for (const pipe of pipes) expect((await packetsOf(await pipe.readInto(newFile()))).length).toBeGreaterThan(10);
  });

  test('does not hold up worker.terminate()', async () => {
    const pipe = unreadPipe();
    const worker = `${fill.replace('process.argv.slice(1)', '[workerData]')}
      parentPort.postMessage('stalled');`;
    const body = `
      import { Worker } from 'node:worker_threads';
      const source = ${JSON.stringify(`import { parentPort, workerData } from 'node:worker_threads';${worker}`)};
      const worker = new Worker(source, { eval: true, execArgv: ['--input-type=module'], workerData: process.argv[1] });
      worker.once('message', async (text) => {
        await worker.terminate();
        console.log(text);
      });`;
    const { stdout, stderr, late } = await script(body, { args: [pipe.name], timeoutMs: PATIENCE_MS });
    expect({ stdout, stderr, late }).toEqual({ stdout: 'stalled\n', stderr: '', late: false });
    expect((await packetsOf(await pipe.readInto(newFile()))).length).toBeGreaterThan(10);
  });

  test('gets the rest when it goes on, and the writer loses nothing', async () => {
    const pipe = unreadPipe();
    await using capture = await open('synth:?count=20000&sizes=1500');
    const writer = await openWriter(pipe.name, { linkType: 1 });
    const writing = (async () => {
      for await (const batch of capture) await writer.write(batch);
      await writer.close();
    })();
    await sleep(300);
    expect(writer.stats().packets).toBeLessThan(100);
    const file = await pipe.readInto(newFile());
    await within(writing, 'the end of writing');
    expect(await packetsOf(file)).toHaveLength(20_000);
  });

  test.each(['write', 'flush', 'close'] as const)('is given up when the signal aborts, during %s()', async (method) => {
    const pipe = unreadPipe();
    const controller = new AbortController();
    await using capture = await open(big);
    const writer = await openWriter(pipe.name, { linkType: 1, signal: controller.signal });
    const batch = capture.tryNext()!;
    const outcome = (promise: Promise<void>) =>
      promise.then(
        () => 'done',
        (reason: unknown) => reason,
      );
    const writing = outcome(
      method === 'write'
        ? writer.write(batch)
        : writer.write(batch, { select: Array.from({ length: 100 }, (_, i) => i) }),
    );
    const pending = method === 'write' ? writing : outcome(writer[method]());
    await sleep(100);
    controller.abort('enough');
    const closed = await within(outcome(writer.close()), 'close()');
    expect(closed).toMatchObject({ code: 'RINGTAP_FILE_WRITE', errno: os.errno.ECANCELED });
    expect(await pending).toBe(method === 'close' ? closed : 'enough');
    expect(await writing).toBe(method === 'write' ? 'enough' : 'done');
    expect(await outcome(writer.write(batch))).toBe('enough');
    expect(await outcome(writer.flush())).toBe('enough');
    await pipe.readInto(newFile());
  });

  test('that nobody has opened is waited for until the signal aborts', async () => {
    const name = newFile();
    execFileSync('mkfifo', [name]);
    const controller = new AbortController();
    const opening = openWriter(name, { linkType: 1, signal: controller.signal });
    await sleep(100);
    controller.abort('enough');
    await expect(within(opening, 'the abort')).rejects.toBe('enough');
    await expect(openWriter(name, { signal: controller.signal })).rejects.toBe('enough');
  });
});

describe('nothing but a CaptureError with a hint', () => {
  const hostile: unknown[] = [
    undefined,
    null,
    true,
    5,
    -1,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 53,
    1n,
    '',
    'x',
    'a\0b',
    '\ud800',
    `x${'y'.repeat(1e6)}`,
    Symbol('s'),
    {},
    [],
    [1],
    () => {},
    new Map(),
    Object.create(null),
    new Proxy({}, {}),
    /x/,
    new Date(Number.NaN),
  ]; // prettier-ignore
  let polluted: string[];
  beforeEach(() => {
    polluted = [
      'linkType',
      'snaplen',
      'nanosecond',
      'comment',
      'signal',
      'select',
      'packetBuffered',
      'flushMs',
      'code',
      'hint',
      'cause',
    ];
  });
  afterEach(() => {
    for (const name of polluted) Reflect.deleteProperty(Object.prototype, name);
  });

  const refused = async (work: () => Promise<unknown>) => {
    const error = await work().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error === undefined) return undefined;
    expect(error).toBeInstanceOf(CaptureError);
    expect((error as CaptureError).hint).toMatch(/\S/);
    expect((error as CaptureError).message).toMatch(/\S/);
    expect((error as CaptureError).message.length).toBeLessThan(5000);
    return error as CaptureError;
  };

  test('comes of what is no URI', async () => {
    for (const uri of hostile) {
      if (uri === 'x') continue;
      expect(await refused(() => openWriter(uri as string, { linkType: 1 })), String(typeof uri)).toBeDefined();
    }
    const socket = newFile();
    const server = createServer().listen(socket);
    await once(server, 'listening');
    for (const uri of ['/', '/tmp', '/tmp/', 'pcap:.', `pcap:${path('.')}`, '/proc/self/mem/x', socket]) {
      expect(await refused(() => openWriter(uri)), uri).toMatchObject({ code: 'RINGTAP_FILE_WRITE', syscall: 'open' });
    }
    server.close();
  });

  test('comes of options that are none, and no file', async () => {
    const file = newFile();
    for (const options of hostile) {
      if (
        options === undefined ||
        (typeof options === 'object' && options !== null && !Reflect.has(options, Symbol.iterator))
      ) {
        continue;
      }
      expect((await refused(() => openWriter(file, options as object)))?.code).toBe('RINGTAP_BAD_OPTION');
    }
    for (const name of ['linkType', 'snaplen', 'nanosecond', 'flushMs', 'packetBuffered', 'signal']) {
      for (const value of hostile) {
        if (value === undefined || value === true || value === 5 || value === '') continue;
        const error = await refused(() => openWriter(file, { [name]: value }));
        expect(error, `${name} ${typeof value}`).toMatchObject({ code: 'RINGTAP_BAD_OPTION', uri: file });
      }
    }
    expect(await refused(() => openWriter(file, { snaplan: 5 } as object))).toMatchObject({
      code: 'RINGTAP_UNKNOWN_OPTION',
      hint: expect.stringContaining('snaplen'),
    });
    expect(existsSync(file)).toBe(false);
  });

  test('comes of options in Object.prototype, which are none', async () => {
    const file = newFile();
    await using capture = await open('synth:?count=10&sizes=500');
    for (const name of polluted) Reflect.set(Object.prototype, name, 20);
    await using writer = await openWriter(file);
    await writer.write(capture.tryNext()!);
    await writer.close();
    expect(statSync(file).size).toBe(24 + 10 * 516);
  });

  test('comes of what is no batch, no selection or no ledger, and the writer goes on', async () => {
    const file = newFile();
    await using capture = await open('synth:?count=10');
    const writer = await openWriter(file);
    const batch = capture.tryNext()!;
    for (const value of [...hostile, new Proxy(batch, {}), Object.create(batch), { ...batch }]) {
      expect((await refused(() => writer.write(value as Batch)))?.code).toBe('RINGTAP_BAD_OPTION');
      if (value === undefined) continue;
      if (!(typeof value === 'object' && value !== null && !Reflect.has(value, Symbol.iterator)))
        expect((await refused(() => writer.write(batch, value as object)))?.code).toBe('RINGTAP_BAD_OPTION');
      const isEmptyList = Array.isArray(value) && value.length === 0;
      const isIndex = Array.isArray(value) && value[0] === 1;
      if (!isEmptyList && !isIndex) {
        const select = value as number[];
        expect((await refused(() => writer.write(batch, { select })))?.code).toBe('RINGTAP_BAD_OPTION');
      }
      if (value === 5 || value === 2 ** 53) continue;
      const ledger = value as { received: number; dropped: number };
      expect((await refused(() => writer.close(ledger)))?.code).toBe('RINGTAP_BAD_OPTION');
      expect((await refused(() => writer.close({ received: 1, dropped: value as number })))?.code).toBe(
        'RINGTAP_BAD_OPTION',
      );
    }
    await writer.write(batch);
    await writer.close({ received: 5, dropped: 5 });
    expect(await packetsOf(file)).toHaveLength(10);
  });

  test('comes where no thread can be made, and no file', async () => {
    const file = newFile();
    const body = `
      import { spawnSync } from 'node:child_process';
      import { openWriter, probe } from 'ringtap';
      await probe();
      if (spawnSync('prlimit', ['--pid', String(process.pid), '--nproc=1:1']).status !== 0) throw new Error('prlimit');
      if (process.getuid() === 0) { process.setgroups([]); process.setgid(54321); process.setuid(54321); }
      const { name, code, syscall, hint } = await openWriter(process.argv[1]).catch((error) => error);
      console.log(name, code, syscall, hint.includes('pids.max'));`;
    const { stdout, stderr } = await script(body, { args: [file] });
    expect({ stdout, stderr }).toEqual({ stdout: 'CaptureError RINGTAP_SYSTEM pthread_create true\n', stderr: '' });
    expect(existsSync(file)).toBe(false);
  });
});

test.each([
  ['nosuch/x.pcap', /folder/],
  ['.', /It is a folder/],
])('%s, where no file can be made, has a hint of its own', async (name, hint) => {
  expect(await failure(() => openWriter(`pcap:${path(name)}`))).toMatchObject({
    code: 'RINGTAP_FILE_WRITE',
    hint: expect.stringMatching(hint),
  });
});

describe('where the disk fails', () => {
  test('a full device says so when it is opened, where the link type is known', async () => {
    const error = await failure(() => openWriter('pcap:/dev/full', { linkType: 1 }));
    expect(error).toMatchObject({ code: 'RINGTAP_FILE_WRITE', errno: os.errno.ENOSPC, syscall: 'write' });
  });

  test.each(formats)('stats() of %s count the packets that can be read', async (format) => {
    const file = newFile();
    const body = `
      import { open, openWriter } from 'ringtap';
      const writer = await openWriter(process.argv[1]);
      try { for await (const batch of await open('synth:?sizes=60-1500')) await writer.write(batch); }
      catch (error) { console.log(error.code, error.errno, writer.stats().packets, writer.stats().bytes === error.position); }`;
    const limit = ['prlimit', '--fsize=3333333'];
    const { stdout } = await script(body, { args: [`${format}:${file}`], prefix: limit });
    const packets = (await packetsOf(file)).length;
    expect(stdout).toBe(`RINGTAP_FILE_WRITE ${os.errno.EFBIG} ${packets} true\n`);
    expect(statSync(file).size).toBeLessThanOrEqual(3_333_333);
  });
});

test('a program may open and close many writers at once, and nothing of them stays', async () => {
  const threads = () => Number(readFileSync('/proc/self/status', 'latin1').match(/^Threads:\t(\d+)$/m)![1]);
  await (await openWriter(newFile())).close();
  const before = threads();
  const writers: Writer[] = await Promise.all(Array.from({ length: 50 }, () => openWriter(newFile())));
  await Promise.all(writers.map((writer) => writer.close()));
  await until(() => threads() <= before, 'the threads'); // those of other tests may have been ending, too
});
