// `from` and `to` of file:, with and without an index: always the same packets, read in part where there is one.
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { indexTrace, open, openWriter } from 'ringtap';
import { expect, test } from 'vitest';
import { lines, ringtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { failure, readAll } from '../support/packets.js';
import { bytes, pcapFile, pcapngFile, u32 } from '../support/trace.js';

const path = temporaryFolder();
const BEGIN = 1_700_000_000n;
const PACKETS = 40_000;
/** In ms: a packet each, but some come late. */
const times = Array.from({ length: PACKETS }, (_, i) => (i % 1000 === 999 ? i - 30 : i));
const plain = path('plain.pcap');
writeFileSync(
  plain,
  pcapFile(
    times.map((ms, i) => ({
      data: Buffer.alloc(400, (i * 7) % 251).fill(String(i), 0, 8),
      time: BEGIN * 1_000_000_000n + BigInt(ms) * 1_000_000n,
    })),
  ),
);

const iso = (ms: number) => new Date(Number(BEGIN) * 1000 + ms).toISOString();
const wanted = (from: number, to: number) => times.filter((ms) => ms >= from && ms <= to);

async function between(file: string, from: unknown, to: unknown) {
  await using capture = await open(`file:${file}`, { from, to } as { from: string });
  const seen = await readAll(capture);
  return {
    ms: seen.map(({ timeNs }) => Number((timeNs - BEGIN * 1_000_000_000n) / 1_000_000n)),
    read: capture.stats().received,
    notes: capture.plan.notes.join('; '),
  };
}

async function written(name: string): Promise<string> {
  const file = path(name);
  const writer = await openWriter(file, { overwrite: true });
  await using capture = await open(plain);
  for await (const batch of capture) await writer.write(batch);
  await writer.close(capture.stats());
  return file;
}

test.each(['a.pcap', 'a.pcapng', 'a.pcap.zst', 'a.pcapng.zst', 'a.pcap.lz4', 'a.pcapng.lz4', 'a.pcap.gz'])(
  'of %s the same packets come with and without an index, which leaves out what it may',
  async (name) => {
    const file = await written(name);
    const isCompressed = /zst|lz4$/.test(name);
    expect(existsSync(`${file}.rtidx`)).toBe(isCompressed);
    const cases: [number, number][] = [
      [0, 5],
      [17_000, 17_020],
      [25_960, 26_010],
      [39_990, 50_000],
      [-500, -1],
      [50_000, 60_000],
      [12_345, 12_345],
    ];
    const check = async (isIndexed: boolean) => {
      for (const [from, to] of cases) {
        const { ms, read } = await between(file, iso(from), iso(to));
        expect(ms, `${from} to ${to}`).toEqual(wanted(from, to));
        if (isIndexed && !name.endsWith('gz')) expect(read).toBeLessThan(PACKETS * 0.8);
      }
      expect((await between(file, '+1s', '+1.01s')).ms).toEqual(wanted(1000, 1010));
      expect((await between(file, Number(BEGIN) + 20, undefined)).ms).toEqual(wanted(20_000, 1e9));
      expect((await between(file, undefined, new Date(Number(BEGIN) * 1000 + 100))).ms).toEqual(wanted(-1e9, 100));
    };
    await check(isCompressed);
    const { packets, sections } = await indexTrace(file);
    expect(packets).toBe(PACKETS);
    if (name.endsWith('gz')) expect(sections).toBe(1);
    else expect(sections).toBeGreaterThan(3);
    await check(true);
    rmSync(`${file}.rtidx`);
    await check(false);
  },
  60_000,
);

test('an index is not used once its trace was changed or is newer, and the plan says so', async () => {
  const file = path('stale.pcap');
  copyFileSync(plain, file);
  await indexTrace(file);
  const packet = pcapFile([{ data: Buffer.alloc(60), time: (BEGIN + 3n) * 1_000_000_000n }]).subarray(24);
  appendFileSync(file, packet);
  const grown = await between(file, iso(3000), iso(3000));
  expect(grown.ms).toEqual([3000, 3000]);
  expect(grown.notes).toContain('not used');
  await indexTrace(file);
  expect((await between(file, iso(3000), iso(3000))).notes).not.toContain('not used');
  utimesSync(`${file}.rtidx`, 1e9, 1e9);
  const older = await between(file, iso(3000), iso(3000));
  expect(older.ms).toEqual([3000, 3000]);
  expect(older.notes).toContain('older than the trace');
});

test('an index that lies changes what is read, and nothing worse', async () => {
  const file = await written('lies.pcap.zst');
  const good = readFileSync(`${file}.rtidx`);
  for (let at = 40; at < Math.min(good.length, 400); at += 7) {
    const bad = Buffer.from(good);
    bad[at] = bad[at]! ^ 0x55;
    writeFileSync(`${file}.rtidx`, bad);
    try {
      await between(file, iso(17_000), iso(17_020));
    } catch (error) {
      expect((error as { code: string }).code).toMatch(/^RINGTAP_FILE_(CORRUPT|TRUNCATED)$/);
    }
  }
});

test('times that are none, and from after to, are typed errors', async () => {
  for (const from of ['yesterday', '2026-13-01', '', Number.NaN, {}, '+', '-10']) {
    const error = await failure(() => open(`file:${plain}`, { from } as { from: string }));
    expect(error).toMatchObject({
      code: 'RINGTAP_BAD_OPTION',
      message: expect.stringMatching(/option from must be a time/),
    });
  }
  const cases: [string, string][] = [
    [iso(5), iso(4)],
    ['+2s', '+1s'],
    [iso(5000), '+1s'],
  ];
  for (const [from, to] of cases) {
    const error = await failure(() => open(`file:${plain}`, { from, to }));
    expect(error).toMatchObject({
      code: 'RINGTAP_BAD_OPTION',
      message: expect.stringMatching(/^(ringtap: )?\/\S+: option from is after option to/),
    });
    const many = await failure(() => open(`file:${plain},${plain}`, { from, to }));
    expect(many.code).toBe('RINGTAP_BAD_OPTION');
  }
  await using recent = await open(`file:${plain}?from=-10m`);
  expect(await readAll(recent)).toEqual([]);
});

test('of many traces as one, those that have nothing of the time are not read', async () => {
  mkdirSync(path('folder'));
  for (let file = 0; file < 5; file++) {
    const some = times.slice(file * 1000, file * 1000 + 900).map((ms) => ({
      data: Buffer.alloc(100, file),
      time: BEGIN * 1_000_000_000n + BigInt(ms) * 1_000_000n,
    }));
    writeFileSync(path(`folder/${file}.pcap`), pcapFile(some));
    if (file !== 1) await indexTrace(path(`folder/${file}.pcap`));
  }
  const inside = times.slice(0, 5000).filter((_, i) => i % 1000 < 900);
  const some = await between(path('folder'), iso(3100), iso(3200));
  expect(some.ms).toEqual(inside.filter((ms) => ms >= 3100 && ms <= 3200));
  expect(some.notes).toContain('3 more have nothing of this time');
  expect(some.read).toBeLessThan(2000);
  expect((await between(path('folder'), '+3.1s', '+3.2s')).ms).toEqual(some.ms);
  rmSync(path('folder/1.pcap'));
  expect((await between(path('folder'), iso(90_000), iso(90_001))).ms).toEqual([]);
});

test('the command makes indexes, and read, info and convert take --from and --to', async () => {
  const file = path('command.pcap');
  copyFileSync(plain, file);
  const index = await ringtap('index', file, path('none.pcap'));
  expect(index.code).toBe(1);
  expect(index.stderr).toMatch(/command\.pcap\.rtidx: 40,000 packets in \d+ sections\n.*none\.pcap: cannot open/s);
  const range = ['--from', iso(17_000), '--to', iso(17_020)];
  expect(lines((await ringtap('read', file, ...range)).stdout)).toHaveLength(21);
  expect(JSON.parse((await ringtap('info', '--json', file, ...range)).stdout)).toMatchObject({ packets: 21 });
  expect((await ringtap('convert', file, path('part.pcap'), ...range)).code).toBe(0);
  expect(JSON.parse((await ringtap('info', '--json', path('part.pcap'))).stdout)).toMatchObject({ packets: 21 });
  const swapped = await ringtap('read', file, '--from', iso(2), '--to', iso(1));
  expect(swapped.code).toBe(2);
  expect(swapped.stderr).toContain('from is after option to');
});

test('files of a rotation, and what convert, merge and split write, have an index each, which goes with its file', async () => {
  const folder = path('each');
  mkdirSync(folder);
  const indexes = () =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.rtidx'))
      .sort();
  const traces = () =>
    readdirSync(folder)
      .filter((name) => !name.endsWith('.rtidx'))
      .sort();
  for (const options of [{ fsync: true }, { preallocateBytes: 1_000_000 }, { direct: true }] as const) {
    const writer = await openWriter(`${folder}/r.pcapng.zst`, { rotate: { packets: 5000, files: 3 }, ...options });
    await using capture = await open(plain);
    for await (const batch of capture) await writer.write(batch);
    await writer.close();
    expect(traces()).toHaveLength(3);
    expect(indexes()).toEqual(traces().map((name) => `${name}.rtidx`));
    const part = await between(`${folder}/r*`, iso(32_000), iso(32_020));
    expect(part.ms).toEqual(wanted(32_000, 32_020));
    expect(part.notes).not.toContain('not used');
    expect(part.notes).toContain('2 more have nothing of this time');
    for (const name of readdirSync(folder)) rmSync(`${folder}/${name}`);
  }
  const calls = [
    ['convert', plain, `${folder}/converted.pcap.lz4`],
    ['convert', plain, `${folder}/told.pcap`, '--compress', 'zstd:3'],
    ['merge', '-w', `${folder}/merged.pcapng.zst`, plain],
    ['split', plain, '-w', `${folder}/part.pcap.zst`, '--by', 'packets:20000'],
    ['convert', '--force', plain, `${folder}/converted.pcap.lz4`],
  ];
  for (const args of calls) expect(await ringtap(...args)).toMatchObject({ code: 0 });
  expect(traces()).toHaveLength(5);
  expect(indexes()).toEqual(traces().map((name) => `${name}.rtidx`));
  for (const name of ['converted.pcap.lz4', 'told.pcap', 'merged.pcapng.zst', 'part*']) {
    const { ms, read, notes } = await between(`${folder}/${name}`, iso(17_000), iso(17_020));
    expect(ms).toEqual(wanted(17_000, 17_020));
    expect(read).toBeLessThan(PACKETS * 0.8);
    expect(notes).not.toContain('not used');
  }
  // An index that the new trace has none of is gone; a file of that name which is none stays.
  expect(await ringtap('convert', '--force', plain, `${folder}/told.pcap`)).toMatchObject({ code: 0 });
  expect(existsSync(`${folder}/told.pcap.rtidx`)).toBe(false);
  writeFileSync(`${folder}/told.pcap.rtidx`, 'a diary');
  expect(await ringtap('convert', '--force', plain, `${folder}/told.pcap`, '--compress', 'lz4')).toMatchObject({
    code: 0,
  });
  expect(readFileSync(`${folder}/told.pcap.rtidx`, 'latin1')).toBe('a diary');
  expect(readdirSync(folder).filter((name) => name.includes('.part'))).toEqual([]);
});

test('no section begins in the middle of a block that is passed over, whatever stands in it', async () => {
  const packets = (first: number) =>
    Array.from({ length: 900 }, (_, i) => ({
      data: Buffer.alloc(400, i),
      ticks: (BEGIN * 1000n + BigInt(first + i)) * 1_000_000n,
    }));
  const header = pcapngFile({ resolution: 9 }, []).length;
  const large = 900_000; // across a boundary of 1 MiB, where a section would begin
  const length = Buffer.from(u32(large + 12)).reverse();
  const block = bytes(Buffer.from(u32(10)).reverse(), length, Buffer.alloc(large, 'A'), length);
  const file = path('large.pcapng');
  const later = pcapngFile({ resolution: 9 }, packets(900)).subarray(header);
  writeFileSync(file, bytes(pcapngFile({ resolution: 9 }, packets(0)), block, later));
  const before = await between(file, iso(1000), iso(1100));
  expect(before.ms).toEqual(Array.from({ length: 101 }, (_, i) => 1000 + i));
  await indexTrace(file);
  const after = await between(file, iso(1000), iso(1100));
  expect(after.ms).toEqual(before.ms);
  expect(after.read).toBeLessThan(before.read);
});
