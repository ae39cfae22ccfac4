// Between capture and disk: the queue, what does not fit into it, and how its bytes get to the disk.
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readdirSync, readFileSync, readSync, statSync, writeFileSync } from 'node:fs';
import { type Batch, open, openWriter, type Writer } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { script } from '../support/child.js';
import { temporaryFolder } from '../support/folder.js';
import { count, failure } from '../support/packets.js';
import { sleep, until, within } from '../support/wait.js';

const path = temporaryFolder();
let files = 0;
const newFile = () => path(`${++files}`);
const MIB = 2 ** 20;
/** Packets of 1 KiB with their headers, 100 in a batch: 1.6 MB are 16 batches. */
const source = 'synth:?sizes=1008&batchSize=100';

/** A pipe that nobody reads until its turn comes: what a disk is that stands still. */
function standingPipe() {
  const name = newFile();
  execFileSync('mkfifo', [name]);
  const fd = openSync(name, constants.O_RDONLY | constants.O_NONBLOCK);
  let reading = false;
  const piece = Buffer.alloc(MIB);
  /** Reads it into a file from now on, until the writer has gone. */
  const readInto = async (file: string) => {
    reading = true;
    while (reading) {
      try {
        const n = readSync(fd, piece);
        if (n === 0) break;
        writeFileSync(file, piece.subarray(0, n), { flag: 'a' });
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

async function packetsOf(file: string): Promise<number> {
  await using trace = await open(`file:${file}`);
  return await count(trace);
}

/** Writes batches as long as write() settles at once, up to so many. Answers how many packets, and what still waits. */
async function writeAtOnce(writer: Writer, most: number) {
  const capture = await open(source);
  let packets = 0;
  let batches = 0;
  for (; batches < most; batches++) {
    const batch: Batch = capture.tryNext()!.copy();
    packets += batch.length;
    let settled = false;
    const writing = writer.write(batch).finally(() => {
      settled = true;
    });
    await sleep(0);
    await Promise.resolve();
    if (!settled) await sleep(20);
    if (!settled) {
      await capture.close();
      return { batches, packets, rest: writing };
    }
  }
  await capture.close();
  return { batches, packets, rest: Promise.resolve() };
}

describe('a queue', () => {
  test.each([4, 16, 64])(
    'of %i MiB takes as much while the output stands still, and then write() waits',
    async (mib) => {
      const pipe = standingPipe();
      const writer = await openWriter(`pcap:${pipe.name}`, { linkType: 1, queueBytes: mib * MIB });
      const { packets, rest } = await writeAtOnce(writer, 1000);
      expect(packets * 1024).toBeGreaterThan((mib - 1) * MIB);
      expect(packets * 1024).toBeLessThan((mib + 3) * MIB); // and the pipe's own
      const file = pipe.readInto(newFile());
      await within(rest, 'the write that waits');
      await writer.close();
      expect(writer.stats()).toMatchObject({ packets, queued: 0, dropped: 0 });
      expect(await packetsOf(await file)).toBe(packets);
    },
  );

  test.each(['pcap', 'pcapng'] as const)(
    'that drops lets write() never wait, and counts to the packet what it had no room for: %s',
    async (format) => {
      const pipe = standingPipe();
      const options = { linkType: 1, queueBytes: 4 * MIB, overflow: 'drop' } as const;
      const writer = await openWriter(`${format}:${pipe.name}`, options);
      const early = await writeAtOnce(writer, 200);
      expect(early.batches).toBe(200);
      expect(writer.stats().dropped).toBeGreaterThan(10_000);
      const file = pipe.readInto(newFile());
      await until(() => writer.stats().queued === 0, 'the queue to be empty');
      const later = await writeAtOnce(writer, 10);
      const all = early.packets + later.packets;
      await writer.close({ received: all + 7, dropped: 7, drops: { ring: 7 } });
      const { packets, queued, dropped } = writer.stats();
      expect({ queued, sum: packets + dropped }).toEqual({ queued: 0, sum: all });
      const written = await file;
      expect(await packetsOf(written)).toBe(packets);
      if (format === 'pcap') return;
      // The first packet after the gap says how many are missing before it, and the end of the trace by what.
      const drops = execFileSync('tshark', [
        '-r',
        written,
        '-T',
        'fields',
        '-e',
        'frame.drop_count',
        '-Y',
        'frame.drop_count',
      ]);
      expect(drops.toString().trim()).toBe(String(dropped));
      const counted = Buffer.from('05000800ffffffffffffffff', 'hex'); // isb_ifdrop
      counted.writeBigUInt64LE(BigInt(dropped + 7), 4);
      expect(readFileSync(written).includes(counted)).toBe(true);
      expect(readFileSync(written).includes(`writer=${dropped}`)).toBe(true);
    },
  );

  test.each([
    [{ queueBytes: 1000 }, 'option queueBytes must be a whole number from 2097152 to 17179869184, not 1000'],
    [{ queueBytes: 2 ** 35 }, 'option queueBytes must be'],
    [{ overflow: 'block' }, 'option overflow must be wait or drop, not "block"'],
    [{ preallocateBytes: 100 }, 'option preallocateBytes must be a whole number from 4096'],
    [{ direct: 1 }, 'option direct must be true or false, not 1'],
  ])('with %j is refused', async (options, message) => {
    const error = await failure(() => openWriter(newFile(), options as object));
    expect(error).toMatchObject({ code: 'RINGTAP_BAD_OPTION', message: expect.stringContaining(message) });
  });
});

describe('past the page cache', () => {
  test.each([
    ['pcap', 'none'],
    ['pcapng', 'none'],
    ['pcapng', 'zstd'],
    ['pcap', 'gzip'],
  ])('%s (%s) is the same as through it, and whole whenever it is looked at', async (format, compress) => {
    const [plain, direct] = [newFile(), newFile()];
    const options = { linkType: 1, compress, flushMs: 0 };
    await using one = await openWriter(`${format}:${plain}`, options);
    await using other = await openWriter(`${format}:${direct}`, { ...options, direct: true, preallocateBytes: MIB });
    await using capture = await open('synth:?count=20000&sizes=60-1500&batchSize=500');
    let written = 0;
    for await (const batch of capture) {
      await one.write(batch);
      await other.write(batch);
      written += batch.length;
      if (written % 4000 !== 0) continue;
      await one.flush();
      await other.flush();
      if (compress === 'none') expect(await packetsOf(direct)).toBe(written);
    }
    await one.close();
    await other.close();
    expect(await packetsOf(direct)).toBe(20_000);
    if (compress !== 'none') return; // when its parts end depends on the time
    expect(other.stats()).toEqual(one.stats());
    expect(readFileSync(direct).equals(readFileSync(plain))).toBe(true);
  });

  test('files that rotate are complete, too', async () => {
    const folder = path('rotating');
    execFileSync('mkdir', [folder]);
    await using writer = await openWriter(`pcap:${folder}/a.pcap`, {
      direct: true,
      preallocateBytes: MIB,
      rotate: { bytes: 300_000 },
    });
    await using capture = await open('synth:?count=3000&sizes=1000');
    for await (const batch of capture) await writer.write(batch);
    await writer.close();
    expect(writer.stats()).toMatchObject({ packets: 3000, files: 11 });
    let packets = 0;
    for (const name of readdirSync(folder)) {
      const { size, blocks } = statSync(`${folder}/${name}`);
      expect(blocks * 512).toBeLessThan(size + 8192); // nothing of what was claimed is left
      packets += await packetsOf(`${folder}/${name}`);
    }
    expect(packets).toBe(3000);
  });

  test.each([{ direct: true }, { preallocateBytes: MIB }])('is for regular files: %j', async (options) => {
    const pipe = standingPipe();
    const error = await failure(() => openWriter(`pcap:${pipe.name}`, { linkType: 1, ...options }));
    expect(error).toMatchObject({ code: 'RINGTAP_UNSUPPORTED', hint: 'Leave them out, or name a file.' });
  });
});

test('a file that is claimed ahead shows no more than was written, and gives the rest back', async () => {
  const file = newFile();
  const writer = await openWriter(`pcap:${file}`, { linkType: 1, preallocateBytes: 8 * MIB });
  await using capture = await open('synth:?count=1000&sizes=1008');
  for await (const batch of capture) await writer.write(batch);
  await writer.flush();
  expect(statSync(file).size).toBe(24 + 1000 * 1024);
  expect(statSync(file).blocks * 512).toBeGreaterThanOrEqual(8 * MIB);
  expect(await packetsOf(file)).toBe(1000);
  await writer.close();
  expect(statSync(file).size).toBe(24 + 1000 * 1024);
  expect(statSync(file).blocks * 512).toBeLessThan(2 * MIB);
});

/** In a mount namespace with a disk of 12 MB. */
const onSmallDisk = (body: string) =>
  script(
    `
    import { execFileSync } from 'node:child_process';
    import { readdirSync } from 'node:fs';
    import { open, openWriter } from 'ringtap';
    const [folder] = process.argv.slice(1);
    execFileSync('mkdir', ['-p', folder]);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'none', folder]);
    ${body}`,
    { args: [newFile()], prefix: ['unshare', '--mount', '--map-root-user'] },
  );

test('a disk that has no room for what is to be claimed says so before there is a file', async () => {
  const { stdout, stderr } = await onSmallDisk(`
    for (const rotate of [undefined, { bytes: 1e6 }]) {
      await openWriter('pcap:' + folder + '/a.pcap', { linkType: 1, preallocateBytes: 64 * 2 ** 20, rotate })
        .catch((error) => console.log(error.code, error.syscall, error.errno));
    }
    console.log(readdirSync(folder).filter((name) => name.endsWith('.part')).length);`);
  expect({ stdout, stderr }).toEqual({ stdout: `${'RINGTAP_FILE_WRITE fallocate 28\n'.repeat(2)}0\n`, stderr: '' });
});

test.each(['', ', direct: true', ', preallocateBytes: 2 ** 20', ", overflow: 'drop'"])(
  'a capture may go on when the disk is full, and the account tells of each packet (%s)',
  async (option) => {
    const { stdout, stderr } = await onSmallDisk(`
      const capture = await open('synth:?count=40000&sizes=1000');
      const writer = await openWriter('pcapng:' + folder + '/a.pcapng', { linkType: 1${option} });
      let captured = 0;
      const errors = new Set();
      for await (const batch of capture) {
        captured += batch.length;
        await writer.write(batch).catch((error) => errors.add(error.code + ' ' + error.errno));
        await new Promise((go) => setTimeout(go, 20));
      }
      await writer.close().catch((error) => errors.add(error.code + ' ' + error.errno));
      const { packets, queued, dropped } = writer.stats();
      let readable = 0;
      for await (const batch of await open('file:' + folder + '/a.pcapng')) readable += batch.length;
      console.log(captured, [...errors].join(), queued, packets + dropped, packets > 9000, packets === readable);`);
    expect({ stdout, stderr }).toEqual({ stdout: '40000 RINGTAP_FILE_WRITE 28 0 40000 true true\n', stderr: '' });
  },
);
