// write(batch, { select }): which packets, in which order, of lent batches and of copies, as others read them.
import { execFileSync, spawn } from 'node:child_process';
import { type Batch, open, openWriter, type Selection } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { failure, readAll, type Seen, see } from '../support/packets.js';
import { within } from '../support/wait.js';

const path = temporaryFolder();
const formats = ['pcap', 'pcapng'] as const;
let files = 0;
const newFile = () => path(`${++files}`);

const plain = ({ data, timeNs, wirelen }: Seen) => [data.toString('hex'), timeNs, wirelen];
const seen = (batch: Batch) => see(batch).map(plain);

async function packetsOf(file: string) {
  await using trace = await open(`file:${file}`);
  return (await readAll(trace)).map(plain);
}

/** Numbers from 0 up to `below` that the seed decides. */
function numbersOf(seed: number) {
  let state = seed;
  return (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

type Choose = (length: number, random: (below: number) => number) => [Selection, readonly number[]];

const choices: Record<string, Choose> = {
  'a list of indices, any order and twice': (length, random) => {
    const indices = Array.from({ length: random(2 * length) }, () => random(length));
    return [indices, indices];
  },
  'a Uint32Array of indices': (length, random) => {
    const indices = Uint32Array.from({ length: random(length) }, () => random(length));
    return [indices, [...indices]];
  },
  'a mask': (length, random) => {
    const mask = Uint8Array.from({ length }, () => (random(3) === 0 ? 1 + random(255) : 0));
    return [mask, [...mask.keys()].filter((i) => mask[i] !== 0)];
  },
  'a piece of a shared array': (length, random) => {
    const indices = new Uint32Array(new SharedArrayBuffer(4 * length + 16), 8, length).map(() => random(length));
    return [indices, [...indices]];
  },
};

describe.each(formats)('write() to %s writes the packets that are selected', (format) => {
  describe.each(Object.keys(choices))('by %s', (name) => {
    test.each(['lent', 'copied'])('of %s batches', async (how) => {
      const random = numbersOf(files + 1);
      const file = newFile();
      await using capture = await open('synth:?count=3000&sizes=60-1500&batchSize=300&flows=20&seed=5');
      await using writer = await openWriter(`${format}:${file}`);
      const expected: unknown[] = [];
      let bytes = 0;
      for await (const batch of capture) {
        const from = how === 'lent' ? batch : batch.copy();
        const [select, indices] = choices[name]!(batch.length, random);
        const all = seen(batch);
        expected.push(...indices.map((i) => all[i]));
        bytes += indices.reduce((sum, i) => sum + batch.caplen[i]!, 0);
        await writer.write(from, { select });
      }
      await writer.close();
      expect(writer.stats()).toMatchObject({ packets: expected.length, queued: 0 });
      expect(await packetsOf(file)).toEqual(expected);
      const [, packets, data] = execFileSync('capinfos', ['-Trcd', file]).toString().trim().split('\t');
      expect([Number(packets), Number(data)]).toEqual([expected.length, bytes]);
      const lengths = execFileSync('tshark', ['-r', file, '-T', 'fields', '-e', 'frame.cap_len'], { stdio: 'pipe' });
      const caplens = (expected as [string][]).map(([hex]) => `${hex.length / 2}\n`);
      expect(lengths.toString()).toBe(caplens.join(''));
    });
  });

  test('in pieces where the buffers are full, whatever is done to the selection meanwhile', async () => {
    const file = newFile();
    await using capture = await open('synth:?sizes=9000&bufferBytes=64M&batchSize=1024&protocols=udp&flows=1');
    await using writer = await openWriter(`${format}:${file}`);
    const lent = capture.tryNext()!;
    for (const batch of [lent, lent.copy()]) {
      const all = seen(batch);
      const select = Uint32Array.from({ length: 1024 }, (_, i) => 1023 - i);
      const expected = [...select].map((i) => all[i]);
      const writing = writer.write(batch, { select });
      select.fill(0xffffffff);
      await within(writing, 'the write');
      await writer.flush();
      expect((await packetsOf(file)).slice(-1024)).toEqual(expected);
    }
  });
});

describe('a selection', () => {
  test('of nothing writes nothing, and none is all', async () => {
    const file = newFile();
    await using capture = await open('synth:?count=20&batchSize=10');
    await using writer = await openWriter(file);
    const batch = capture.tryNext()!;
    for (const select of [[], new Uint32Array(), new Uint8Array(10)]) await writer.write(batch, { select });
    await writer.write(batch, { select: undefined });
    await writer.write(batch, {});
    await writer.close();
    expect(await packetsOf(file)).toHaveLength(20);
  });

  test.each([
    [[0, 10], 'select[1] is 10, but the batch has 10 packets'],
    [[-1], 'select[0] is -1, but the batch has 10 packets'],
    [[0, 1.5], 'select[1] is 1.5'],
    [[Number.NaN], 'select[0] is NaN'],
    [[2 ** 32], 'select[0] is 4294967296'],
    [['1'], 'select[0] is "1", no index; a mask is a Uint8Array'],
    [[true, false], 'select[0] is true, no index; a mask is a Uint8Array'],
    // biome-ignore lint/suspicious/noSparseArray: that is the point
    [[1, , 2], 'select[1] is undefined'],
    [new Array(2 ** 32 - 1), 'select[0] is undefined'],
    [new Uint32Array([3, 0xffffffff]), 'select[1] is 4294967295, but the batch has 10 packets'],
    [new Uint8Array(9), 'select is a mask of 9 bytes, but the batch has 10 packets'],
    [new Uint8Array(11), 'select is a mask of 11 bytes, but the batch has 10 packets'],
    [Buffer.alloc(0), 'select is a mask of 0 bytes'],
    [new Int32Array(1), 'select must be indices (Uint32Array or number[]) or a mask'],
    [new Uint8ClampedArray(10), 'select must be indices'],
    [new Uint16Array(1), 'select must be indices'],
    [new Float64Array(1), 'select must be indices'],
    [new BigUint64Array(1), 'select must be indices'],
    [new ArrayBuffer(10), 'select must be indices'],
    [Object.create(Uint32Array.prototype), 'select must be indices'],
    [new Set([1]), 'select must be indices'],
    [null, 'select must be indices'],
    [5, 'select must be indices'],
    [
      new Proxy([1], {
        get() {
          throw new Error('on purpose');
        },
      }),
      'select cannot be read',
    ],
  ])('%# that does not fit the batch is refused before anything of it is written', async (select, text) => {
    const file = newFile();
    await using capture = await open('synth:?count=20&batchSize=10');
    await using writer = await openWriter(file);
    const batch = capture.tryNext()!;
    for (const from of [batch, batch.copy()]) {
      const error = await failure(() => writer.write(from, { select: select as number[] }));
      expect(error).toMatchObject({ code: 'RINGTAP_BAD_OPTION', uri: file });
      expect(error.message.startsWith(`${file}: write(): ${text}`)).toBe(true);
    }
    expect(writer.stats()).toMatchObject({ packets: 0, queued: 0 });
    await writer.write(batch, { select: [9] });
    await writer.close();
    expect(await packetsOf(file)).toHaveLength(1);
  });

  test('whose memory was transferred away selects nothing, or does not fit', async () => {
    await using capture = await open('synth:?count=20&batchSize=10');
    await using writer = await openWriter(newFile());
    const batch = capture.tryNext()!;
    const mask = new Uint8Array(10).fill(1);
    const indices = new Uint32Array(10);
    structuredClone(null, { transfer: [mask.buffer, indices.buffer] });
    expect((await failure(() => writer.write(batch, { select: mask }))).code).toBe('RINGTAP_BAD_OPTION');
    await writer.write(batch, { select: indices });
    expect(writer.stats()).toMatchObject({ packets: 0, queued: 0 });
  });

  test('of a batch that was released is of nothing', async () => {
    await using capture = await open('synth:?count=20&batchSize=10');
    await using writer = await openWriter(newFile());
    const batch = capture.tryNext()!;
    batch.release();
    for (const select of [[], [0], new Uint8Array(10)]) {
      expect((await failure(() => writer.write(batch, { select }))).code).toBe('RINGTAP_RELEASED');
    }
  });

  test('stands in options, of which there are no others', async () => {
    await using capture = await open('synth:?count=20&batchSize=10');
    await using writer = await openWriter(newFile());
    const batch = capture.tryNext()!;
    const error = await failure(() => writer.write(batch, { selects: [1] } as object));
    expect(error).toMatchObject({
      code: 'RINGTAP_UNKNOWN_OPTION',
      hint: 'Options of write(): select, interface, signal',
    });
    for (const options of [5, null, [1], 'x']) {
      expect((await failure(() => writer.write(batch, options as object))).code).toBe('RINGTAP_BAD_OPTION');
    }
  });
});

test('a lease that is overtaken while its selection is written says how many of it are in the file', async () => {
  const file = newFile();
  execFileSync('mkfifo', [file]);
  const { openSync, constants, readFileSync, closeSync } = await import('node:fs');
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  const trace = newFile();
  await using capture = await open('synth:?sizes=9000&bufferBytes=64M&batchSize=1024&protocols=udp&flows=1');
  await using writer = await openWriter(`pcap:${file}`);
  const batch = capture.tryNext()!;
  const all = seen(batch);
  const order = Uint32Array.from({ length: 1024 }, (_, i) => (i * 7) % 1024);
  const writing = failure(() => writer.write(batch, { select: order }));
  capture.tryNext();
  const reading = import('node:child_process').then(
    ({ spawn }) =>
      new Promise<void>((resolve) => {
        const cat = spawn('sh', ['-c', `cat ${file} > ${trace}`]);
        cat.once('exit', () => resolve());
      }),
  );
  const { code, message } = await writing;
  closeSync(fd);
  expect(code).toBe('RINGTAP_RELEASED');
  const first = Number(/the first (\d+) of the selected packets are in the file$/.exec(message)?.[1]);
  expect(first).toBeGreaterThan(100);
  await writer.close();
  await reading;
  expect(readFileSync(trace).length).toBe(writer.stats().bytes);
  expect(await packetsOf(trace)).toEqual([...order.subarray(0, first)].map((i) => all[i]));
});

/** A named pipe, and what a reader that comes later finds in it. */
function pipe() {
  const file = newFile();
  const trace = newFile();
  execFileSync('mkfifo', [file]);
  const drain = () =>
    new Promise<void>((resolve) => {
      spawn('sh', ['-c', `cat ${file} > ${trace}`]).once('exit', () => resolve());
    });
  return { file, trace, drain };
}

test.each<[string, (length: number) => Uint8Array | Uint32Array]>([
  ['mask', (length) => new Uint8Array(length).fill(1)],
  ['list of indices', (length) => Uint32Array.from({ length }, (_, i) => i)],
])('a %s that is used again at once selects what it did when write() was called', async (_, make) => {
  const { file, trace, drain } = pipe();
  await using capture = await open('synth:?count=100');
  const batch = capture.tryNext()!.copy();
  await using writer = await openWriter(`pcap:${file}`); // waits for its reader with the first packet in hand
  const select = make(batch.length);
  const writing = writer.write(batch, { select });
  select.fill(0);
  const reading = drain();
  await writing;
  await writer.close();
  await reading;
  expect(await packetsOf(trace)).toEqual(seen(batch));
});

test('a write() that has begun while the options of another were looked at makes that one RINGTAP_BUSY', async () => {
  const { file, trace, drain } = pipe();
  await using capture = await open('synth:?count=100');
  const batch = capture.tryNext()!.copy();
  await using writer = await openWriter(`pcap:${file}`);
  let inner: Promise<void> | undefined;
  const options = {
    get select() {
      inner ??= writer.write(batch, { select: [1, 2] });
      return [3];
    },
  };
  expect((await failure(() => writer.write(batch, options))).code).toBe('RINGTAP_BUSY');
  const reading = drain();
  await inner;
  await writer.close();
  await reading;
  expect(await packetsOf(trace)).toEqual(seen(batch).slice(1, 3));
});

test.each(['bytes', 'flags', 'epoch'])(
  'a copy that falls apart when its %s are looked at writes nothing',
  async (name) => {
    await using capture = await open('synth:?count=4096&batchSize=4096');
    const batch = capture.tryNext()!.copy();
    const value = Reflect.get(batch, name) as unknown;
    const memory = batch.time.buffer as ArrayBuffer;
    await using writer = await openWriter(`pcap:${newFile()}`, { linkType: 1 });
    Object.defineProperty(batch, name, {
      get: () => {
        if (memory.byteLength > 0) structuredClone(memory, { transfer: [memory] });
        return value;
      },
    });
    expect((await failure(() => writer.write(batch))).code).toBe('RINGTAP_RELEASED');
    expect(writer.stats()).toMatchObject({ packets: 0, queued: 0 });
  },
);

test('a copy that throws when it is looked at is RINGTAP_BAD_OPTION', async () => {
  await using capture = await open('synth:?count=10');
  const batch = capture.tryNext()!.copy();
  await using writer = await openWriter(`pcap:${newFile()}`, { linkType: 1 });
  Object.defineProperty(batch, 'caplen', {
    get: () => {
      throw new Error('not today');
    },
  });
  expect((await failure(() => writer.write(batch))).code).toBe('RINGTAP_BAD_OPTION');
});
