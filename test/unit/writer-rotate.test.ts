// One file after the other: which packet is in which, what they are called, and what is refused.
import { execFileSync } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { basename, join } from 'node:path';
import { open, openWriter, type RotateOptions, type WriterOptions, type WrittenFile } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { script } from '../support/child.js';
import { temporaryFolder } from '../support/folder.js';
import { failure, readAll } from '../support/packets.js';
import { sleep } from '../support/wait.js';

const path = temporaryFolder();
const formats = ['pcap', 'pcapng'] as const;
const BEGIN = 1_600_000_000_000_000_000n; // when synth: begins
let folders = 0;

function newFolder(): string {
  const folder = path(`${++folders}`);
  execFileSync('mkdir', [folder]);
  return folder;
}

async function packetsOf(...files: string[]) {
  const packets = [];
  for (const file of files) {
    await using trace = await open(`file:${file}`);
    packets.push(...(await readAll(trace)).map(({ data, timeNs, wirelen }) => [data.toString('hex'), timeNs, wirelen]));
  }
  return packets;
}

/** The URI of a trace with a packet at each of these times. */
function traceAt(times: readonly bigint[], bytes = 60): string {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b23c4d);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(262144, 16);
  header.writeUInt32LE(1, 20);
  const records = times.map((time, i) => {
    const record = Buffer.alloc(16 + bytes, i);
    record.writeUInt32LE(Number(time / 1_000_000_000n));
    record.writeUInt32LE(Number(time % 1_000_000_000n), 4);
    record.writeUInt32LE(bytes, 8);
    record.writeUInt32LE(bytes, 12);
    return record;
  });
  const file = path(`trace-${++folders}`);
  writeFileSync(file, Buffer.concat([header, ...records]));
  return `file:${file}`;
}

const everyMs = (ms: number, count: number) => Array.from({ length: count }, (_, i) => BEGIN + BigInt(i * ms * 1e6));

/** Writes a capture, and gives the files that were told of. */
async function record(uri: string, name: string, rotate: RotateOptions, options: WriterOptions = {}) {
  await using capture = await open(uri);
  const writer = await openWriter(name, { linkType: 1, rotate, ...options });
  const files: WrittenFile[] = [];
  const told = (async () => {
    for await (const file of writer.files()) files.push(file);
  })();
  for await (const batch of capture) await writer.write(batch);
  await writer.close();
  await told;
  return { files, stats: writer.stats() };
}

const capinfos = (file: string) => {
  const [, ...facts] = execFileSync('capinfos', ['-TmrcsaeS', file]).toString().trim().split(',');
  return { packets: Number(facts[0]), bytes: statSync(file).size, first: facts.at(-2), last: facts.at(-1) };
};
const seconds = (ns: bigint) => `${ns / 1_000_000_000n}.${String(ns % 1_000_000_000n).padStart(9, '0')}`;

describe.each(formats)('%s files that follow each other', (format) => {
  const cases: [string, RotateOptions, (files: readonly WrittenFile[]) => void][] = [
    ['packets', { packets: 300 }, (files) => expect(files.map((file) => file.packets)).toEqual([300, 300, 300, 100])],
    [
      'bytes',
      { bytes: 50_000 },
      (files) => {
        const each = format === 'pcap' ? 516 : 532;
        for (const { bytes } of files) expect(bytes).toBeLessThanOrEqual(50_000);
        for (const { bytes } of files.slice(0, -1)) expect(bytes).toBeGreaterThan(50_000 - each - 1000);
      },
    ],
    [
      'seconds',
      { seconds: 0.25 },
      (files) => {
        expect(files.map((file) => file.packets)).toEqual([250, 250, 250, 250]);
        files.forEach((file, i) => void expect(file.first).toBe(BEGIN + BigInt(i) * 250_000_000n));
      },
    ],
    [
      'whichever comes first',
      { seconds: 0.25, packets: 200 },
      (files) => expect(files.map((file) => file.packets)).toEqual([200, 50, 200, 50, 200, 50, 200, 50]),
    ],
  ];
  test.each(cases)(
    'by %s hold every packet once, and what is told of them is what others read',
    async (_, rotate, look) => {
      const folder = newFolder();
      const uri = `${traceAt(everyMs(1, 1000), 500)}?batchSize=77`;
      const { files, stats } = await record(uri, `${format}:${join(folder, 'a.pcap')}`, rotate);
      look(files);
      const names = files.map((file) => file.path);
      expect(
        readdirSync(folder)
          .sort()
          .map((name) => join(folder, name)),
      ).toEqual([...names].sort());
      await using original = await open(uri);
      const all = (await readAll(original)).map(({ data, timeNs, wirelen }) => [data.toString('hex'), timeNs, wirelen]);
      expect(await packetsOf(...names)).toEqual(all);
      for (const { path, packets, bytes, first, last } of files) {
        const facts = { packets, bytes, first: seconds(first!), last: seconds(last!) };
        expect(capinfos(path)).toEqual(facts);
      }
      expect(stats).toEqual({
        packets: 1000,
        bytes: files.reduce((sum, file) => sum + file.bytes, 0),
        queued: 0,
        dropped: 0,
        files: files.length,
        late: 0,
      });
    },
  );
});

test('boundaries lie on the clock with interval, and no file is empty where nothing came for a while', async () => {
  const times = [0.3, 0.9, 1.0, 1.5, 7.2, 7.9, 8.0].map((s) => BEGIN + BigInt(Math.round(s * 1e9)));
  const trace = traceAt(times);
  const onClock = await record(trace, join(newFolder(), 'a.pcap'), { interval: 1 });
  expect(onClock.files.map((file) => file.packets)).toEqual([2, 2, 2, 1]);
  const fromFirst = await record(trace, join(newFolder(), 'a.pcap'), { seconds: 1 });
  expect(fromFirst.files.map((file) => file.packets)).toEqual([3, 1, 1, 2]);
  expect(fromFirst.files.map((file) => file.first)).toEqual([times[0], times[3], times[4], times[5]]);
});

describe('their names', () => {
  test('have a number and the local time before the suffix, as those of dumpcap', async () => {
    const folder = newFolder();
    process.env.TZ = 'Asia/Kolkata';
    const { files } = await record('synth:?count=3', join(folder, 'a.b.pcapng'), { packets: 1 });
    process.env.TZ = 'UTC';
    expect(files.map((file) => file.path)).toEqual(
      [1, 2, 3].map((i) => join(folder, `a.b_0000${i}_20200913175640.pcapng`)),
    );
  });

  test('are what strftime makes of them, by the time of the first packet', async () => {
    const folder = newFolder();
    const uri = traceAt(everyMs(1000, 10));
    const { files } = await record(uri, join(folder, 'x-%Y%m%d-%H%M%S-100%%.pcap'), { seconds: 4 });
    expect(files.map((file) => file.path)).toEqual(
      ['122640', '122644', '122648'].map((time) => join(folder, `x-20200913-${time}-100%.pcap`)),
    );
  });

  test('have a number behind their own time where several may begin in a second', async () => {
    const { files } = await record('synth:?count=2', join(newFolder(), '%H.pcap.gz'), { packets: 1 });
    expect(files.map((file) => file.path.replace(/.*\//, ''))).toEqual(['12_00001.pcap.gz', '12_00002.pcap.gz']);
  });

  test('are never those of files that exist: a number tells them apart', async () => {
    const folder = newFolder();
    const pattern = join(folder, '%Y%m%d%H%M%S.pcap');
    writeFileSync(join(folder, '20200913122644.pcap'), 'precious');
    const trace = traceAt(everyMs(1000, 10));
    const { files } = await record(trace, pattern, { seconds: 4 });
    expect(files.map((file) => file.path.replace(/.*\//, ''))).toEqual([
      '20200913122640.pcap',
      '20200913122644_00002.pcap',
      '20200913122648.pcap',
    ]);
    expect(readFileSync(join(folder, '20200913122644.pcap'), 'utf8')).toBe('precious');
    const again = await record(trace, pattern, { seconds: 4 }, { overwrite: true });
    expect(again.files.map((file) => file.path.replace(/.*\//, ''))).toContain('20200913122644.pcap');
    expect(await packetsOf(join(folder, '20200913122644.pcap'))).toHaveLength(4);
  });
});

test('a file has its final name only when it is complete, and its header from the beginning', async () => {
  const folder = newFolder();
  await using capture = await open('synth:?count=1000&batchSize=10&sizes=100');
  await using writer = await openWriter(join(folder, 'a.pcap'), { linkType: 1, rotate: { packets: 100 } });
  const [first] = readdirSync(folder);
  expect(first).toMatch(/^a_00001_\d{14}\.pcap\.part$/);
  expect(await packetsOf(join(folder, first!))).toEqual([]);
  for await (const batch of capture) {
    await writer.write(batch);
    await writer.flush();
    for (const name of readdirSync(folder).filter((name) => !name.endsWith('.part'))) {
      expect(statSync(join(folder, name)).size).toBe(24 + 100 * 116);
    }
  }
  const parts = readdirSync(folder).filter((name) => name.endsWith('.part'));
  expect(parts.length).toBeLessThanOrEqual(1);
});

test('a ring keeps the newest, and deletes the oldest only when a newer one is complete', async () => {
  const folder = newFolder();
  const complete = () => readdirSync(folder).filter((name) => !name.endsWith('.part')).length;
  await using capture = await open('synth:?count=1000&batchSize=100');
  const writer = await openWriter(join(folder, 'a.pcap'), { linkType: 1, rotate: { packets: 100, files: 3 } });
  let most = 0;
  let wrote = 0;
  for await (const batch of capture) {
    await writer.write(batch);
    await writer.flush();
    wrote++;
    most = Math.max(most, complete());
    if (wrote > 4) expect(complete()).toBeGreaterThanOrEqual(3);
  }
  await writer.close();
  expect(most).toBeLessThanOrEqual(4);
  expect(readdirSync(folder).map((name) => name.slice(0, 7))).toEqual(['a_00008', 'a_00009', 'a_00010']);
});

test('a writer is full after the files that stop counts', async () => {
  const folder = newFolder();
  await using capture = await open('synth:?count=1000&batchSize=70');
  const rotate = { packets: 100, files: 3, stop: true };
  await using writer = await openWriter(join(folder, 'a.pcap'), { linkType: 1, rotate });
  const writing = async () => {
    for await (const batch of capture) await writer.write(batch);
  };
  const { code, message } = await failure(writing);
  expect(`${code} ${message}`).toBe(`RINGTAP_CLOSED ${join(folder, 'a.pcap')}: the last of 3 files is complete`);
  await writer.close();
  expect(writer.stats()).toMatchObject({ packets: 300, files: 3, queued: 0 });
  expect(readdirSync(folder)).toHaveLength(3);
});

test('a file whose time is over is complete a second later, though no packet comes any more', async () => {
  const folder = newFolder();
  await using capture = await open('synth:?count=10&rate=100');
  await using writer = await openWriter(join(folder, 'a.pcap'), { linkType: 1, rotate: { seconds: 1 } });
  for await (const batch of capture) await writer.write(batch);
  const files = writer.files();
  const { value } = await files.next();
  expect(value).toMatchObject({ packets: 10 });
  expect(existsSync(value!.path)).toBe(true);
  await sleep(1500);
  expect(writer.stats().files).toBe(1); // an idle capture makes no empty files
});

test('the diagnostics channel ringtap:file tells of each file, with the URI of its writer', async () => {
  const seen: unknown[] = [];
  const listener = (message: unknown) => seen.push(message);
  subscribe('ringtap:file', listener);
  const name = join(newFolder(), 'a.pcapng');
  const { files } = await record('synth:?count=30', name, { packets: 10 });
  const plain = join(newFolder(), 'b.pcap');
  await using capture = await open('synth:?count=30');
  const writer = await openWriter(plain, { linkType: 1 });
  await writer.write(capture.tryNext()!);
  await writer.close();
  for await (const file of writer.files()) expect(file).toMatchObject({ path: plain, packets: 30, first: BEGIN });
  unsubscribe('ringtap:file', listener);
  expect(seen.slice(0, 3)).toEqual(files.map((file) => ({ ...file, uri: name })));
  expect(seen.slice(3)).toMatchObject([{ path: plain, packets: 30, uri: plain }]);
});

test('who only watches files keeps no process alive, and a program that ends completes its last one', async () => {
  const folder = newFolder();
  const { stdout, code } = await script(
    `import { open, openWriter } from 'ringtap';
     const capture = await open('synth:?count=250&batchSize=50');
     const writer = await openWriter(process.argv[1], { linkType: 1, rotate: { packets: 100 } });
     void (async () => { for await (const { packets } of writer.files()) console.log(packets); })();
     for await (const batch of capture) await writer.write(batch);`,
    { args: [join(folder, 'a.pcap')] },
  );
  expect(code).toBe(0);
  expect(stdout).toMatch(/^(100\n){0,2}$/);
  const names = readdirSync(folder).sort();
  expect(names.map((name) => name.replace(/_\d{14}/, ''))).toEqual(['a_00001.pcap', 'a_00002.pcap', 'a_00003.pcap']);
  expect(await packetsOf(...names.map((name) => join(folder, name)))).toHaveLength(250);
});

test('what a killed writer left over is readable, kept, and told of', async () => {
  const folder = newFolder();
  const name = join(folder, 'a.pcap');
  const { signal } = await script(
    `import { open, openWriter } from 'ringtap';
     const capture = await open('synth:?count=250&batchSize=50');
     const writer = await openWriter(process.argv[1], { linkType: 1, rotate: { packets: 100 } });
     for await (const batch of capture) await writer.write(batch);
     await writer.flush();
     process.kill(process.pid, 'SIGKILL');`,
    { args: [name] },
  );
  expect(signal).toBe('SIGKILL');
  const [part] = readdirSync(folder).filter((name) => name.endsWith('.part'));
  expect(await packetsOf(join(folder, part!))).toHaveLength(50);
  const warnings: Error[] = [];
  const listener = (warning: Error) => warnings.push(warning);
  process.on('warning', listener);
  await record('synth:?count=10', name, { packets: 100 });
  process.off('warning', listener);
  expect(warnings.map((warning) => warning.message)).toEqual([
    `${name}: ${part} beside it: left by a writer that did not end, and readable, or being written by another`,
  ]);
  expect(await packetsOf(join(folder, part!))).toHaveLength(50);
});

describe('before the first packet it is refused', () => {
  const hour = { rotate: { seconds: 3600 } };
  test.each<[string, string, WriterOptions, string, string]>([
    [
      'a pattern by which the next file is called like the one before',
      '%Y-%m-%d.pcap',
      { rotate: { seconds: 3600 } },
      'RINGTAP_BAD_OPTION',
      'two files that begin 3600 s apart are both called',
    ],
    ['one that comes round', '%H.pcap', hour, 'RINGTAP_BAD_OPTION', 'would overwrite its own files'],
    ['one that is no pattern', '%Q.pcap', hour, 'RINGTAP_BAD_OPTION', '"%Q" is no conversion of strftime(3)'],
    ['a folder that is not there', 'none/a.pcap', hour, 'RINGTAP_FILE_WRITE', 'No such file or directory'],
    [
      'rotation by nothing',
      'a.pcap',
      { rotate: { files: 3 } },
      'RINGTAP_BAD_OPTION',
      'needs bytes, packets, seconds or interval',
    ],
    [
      'an unknown limit',
      'a.pcap',
      { rotate: { size: 3 } as never },
      'RINGTAP_UNKNOWN_OPTION',
      'rotate has no option "size"',
    ],
    [
      'no number',
      'a.pcap',
      { rotate: { packets: 1.5 } },
      'RINGTAP_BAD_OPTION',
      'rotate.packets must be a whole number of 1 or more, not 1.5',
    ],
    [
      'part of a millisecond',
      'a.pcap',
      { rotate: { seconds: 0.0001 } },
      'RINGTAP_BAD_OPTION',
      'rotate.seconds must be seconds',
    ],
    ['two kinds of time', 'a.pcap', { rotate: { seconds: 1, interval: 1 } }, 'RINGTAP_BAD_OPTION', 'one of them'],
    ['stop without files', 'a.pcap', { rotate: { packets: 1, stop: true } }, 'RINGTAP_BAD_OPTION', 'stop needs files'],
    ['no object', 'a.pcap', { rotate: 5 as never }, 'RINGTAP_BAD_OPTION', 'option rotate is an object'],
    ['fsync of one file', 'a.pcap', { fsync: true }, 'RINGTAP_BAD_OPTION', 'fsync is for files that rotate'],
  ])('%s', async (_, name, options, code, message) => {
    const folder = newFolder();
    const refused = await failure(() => openWriter(join(folder, name), options));
    expect(refused.code).toBe(code);
    expect(refused.message).toContain(message);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('a file that exists and holds something, but not an empty one, nor with overwrite', async () => {
    const name = join(newFolder(), 'a.pcap');
    writeFileSync(name, 'precious');
    const refused = await failure(() => openWriter(name, { linkType: 1 }));
    expect(refused).toMatchObject({ code: 'RINGTAP_FILE_WRITE', syscall: 'open', errno: 17 });
    expect(refused.hint).toContain('overwrite');
    expect(readFileSync(name, 'utf8')).toBe('precious');
    await (await openWriter(name, { linkType: 1, overwrite: true })).close();
    expect(statSync(name).size).toBe(24);
    writeFileSync(name, '');
    await (await openWriter(name, { linkType: 1 })).close();
    expect(statSync(name).size).toBe(24);
  });

  test('standard output', async () => {
    expect((await failure(() => openWriter('pcap:-', hour))).message).toContain('standard output cannot rotate');
  });

  test('but the same hours of each day, with overwrite, or in a ring that has deleted them by then', async () => {
    for (const options of [{ ...hour, overwrite: true }, { rotate: { seconds: 3600, files: 12 } }]) {
      const folder = newFolder();
      await (await openWriter(join(folder, '%H.pcap'), { linkType: 1, ...options })).close();
      expect(readdirSync(folder)).toHaveLength(1);
    }
  });
});

test('a file that somebody else has put in the place of the one being written does not get its name', async () => {
  const folder = newFolder();
  await using capture = await open('synth:?count=10');
  const writer = await openWriter(join(folder, 'a.pcap'), { linkType: 1, rotate: { packets: 100 } });
  await writer.write(capture.tryNext()!);
  const part = join(folder, readdirSync(folder)[0]!);
  renameSync(part, `${part}.mine`);
  writeFileSync(part, 'somebody else’s');
  const error = await failure(() => writer.close());
  expect(error).toMatchObject({ code: 'RINGTAP_FILE_WRITE', errno: constants.errno.ESTALE });
  expect(error.message).toContain('is another file than the one that was written');
  expect(readdirSync(folder).sort()).toEqual([part, `${part}.mine`].map((name) => basename(name)));
  expect(readFileSync(part, 'utf8')).toBe('somebody else’s');
});

test.each(formats)('no file has more bytes than it may, however small that is: %s', async (format) => {
  const name = join(newFolder(), `x.${format}`);
  const most = 5000;
  const { files } = await record('synth:?count=3000&seed=3&sizes=60-4000', name, { bytes: most });
  expect(files.reduce((sum, { packets }) => sum + packets, 0)).toBe(3000);
  for (const { path: file, bytes, packets } of files) {
    expect(statSync(file).size).toBe(bytes);
    if (packets > 1) expect(bytes).toBeLessThanOrEqual(most);
  }
  expect(await packetsOf(...files.map(({ path: file }) => file))).toHaveLength(3000);
});

test('what comes seconds after its time, as behind a disk that stood still, is not cut into more files', async () => {
  const second = 1_000_000_000n;
  const now = BigInt(Math.floor(Date.now() / 1000)) * second;
  // The last six seconds, which come at once, but in many pieces.
  const times = Array.from({ length: 600 }, (_, i) => now - 6n * second + (BigInt(i) * second) / 100n);
  await using capture = await open(traceAt(times), { batchSize: 20 });
  const writer = await openWriter(join(newFolder(), 'x.pcap'), { rotate: { interval: 2, files: 4, stop: true } });
  for await (const batch of capture) {
    await writer.write(batch);
    await writer.flush();
  }
  await writer.close();
  const kept: WrittenFile[] = [];
  for await (const file of writer.files()) kept.push(file);
  expect(kept.reduce((sum, { packets }) => sum + packets, 0)).toBe(600);
  expect(kept.length).toBeLessThanOrEqual(4);
});
