// `ringtap capture -w` into one file after the other: tcpdump's -C -G -W, dumpcap's -b.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ringtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';

const path = temporaryFolder();
let folders = 0;

function newFolder(): string {
  const folder = path(`${++folders}`);
  mkdirSync(folder);
  return folder;
}

const filesIn = (folder: string) => readdirSync(folder).sort();
const packetsIn = (folder: string) =>
  filesIn(folder).map((name) =>
    Number(/([\d]+)$/m.exec(execFileSync('capinfos', ['-cM', join(folder, name)]).toString())![1]),
  );

const dumpOf = (folder: string) =>
  filesIn(folder)
    .map((name) =>
      execFileSync('tcpdump', ['-nn', '-S', '-tt', '-r', join(folder, name)], { stdio: 'pipe' }).toString(),
    )
    .join('');

/** Captures 1000 packets, 516 bytes each in a pcap file. */
async function record(folder: string, ...args: string[]) {
  const outcome = await ringtap(
    'capture',
    'synth:?count=1000&sizes=500&batchSize=50',
    '-w',
    join(folder, 'a.pcap'),
    ...args,
  );
  expect(outcome.code, outcome.stderr).toBe(0);
  return outcome;
}

test('-C begins a file before one has more, with units as tcpdump has them, and loses none of its packets', async () => {
  const folder = newFolder();
  const { stderr } = await record(folder, '-C', '100k');
  const sizes = filesIn(folder).map((name) => statSync(join(folder, name)).size);
  for (const size of sizes) expect(size).toBeLessThanOrEqual(100 * 1024);
  expect(sizes.length).toBe(6);
  expect(stderr).toContain('1,000 packets written to 6 files');
});

test('-C makes as many files as tcpdump, with the same packets', async () => {
  const trace = join(newFolder(), 'whole.pcap');
  await ringtap('capture', 'synth:?count=5000&sizes=500', '-w', trace);
  const [ours, theirs] = [newFolder(), newFolder()];
  await ringtap('capture', `file:${trace}`, '-w', join(ours, 'a.pcap'), '-C', '1');
  const user = execFileSync('id', ['-un']).toString().trim();
  execFileSync('tcpdump', ['-r', trace, '-w', join(theirs, 't'), '-C', '1', '-Z', user], { stdio: 'ignore' });
  expect(packetsIn(ours)).toHaveLength(packetsIn(theirs).length);
  expect(dumpOf(ours)).toEqual(dumpOf(theirs));
});

test('-C with -W keeps the newest files', async () => {
  const folder = newFolder();
  await record(folder, '-C', '100k', '-W', '2');
  expect(filesIn(folder).map((name) => name.slice(0, 8))).toEqual(['a_00005_', 'a_00006_']);
});

test('-G with -W ends after so many files, each as long, and the exit status is 0', async () => {
  const folder = newFolder();
  const begin = performance.now();
  const name = join(folder, 'a-%Y%m%d%H%M%S.pcap');
  const { code, stderr } = await ringtap('capture', 'synth:?rate=100', '-w', name, '-G', '1', '-W', '2');
  expect(code, stderr).toBe(0);
  expect(performance.now() - begin).toBeLessThan(10_000);
  expect(packetsIn(folder)).toEqual([100, 100]);
  for (const name of filesIn(folder)) expect(name).toMatch(/^a-\d{14}\.pcap$/);
});

test('-G with -W ends by itself when no packet comes any more', async () => {
  const folder = newFolder();
  const args = ['capture', 'synth:?rate=10', '-w', join(folder, 'a-%s.pcap'), '-G', '1', '-W', '1', '-f', 'less 10000'];
  expect((await ringtap(...args)).code).toBe(0);
  expect(packetsIn(folder)).toEqual([10]);
});

test('-C with -G and -W keeps the newest files, whichever of the two limits made them', async () => {
  const folder = newFolder();
  await record(folder, '-C', '100k', '-G', '3600', '-W', '3');
  expect(filesIn(folder).map((name) => name.slice(0, 8))).toEqual(['a_00004_', 'a_00005_', 'a_00006_']);
});

test.each([
  [
    ['-b', 'packets:300'],
    [300, 300, 300, 100],
  ],
  [
    ['-b', 'packets:300', '-b', 'files:2'],
    [300, 100],
  ],
  [
    ['-b', 'filesize:200'],
    [387, 387, 226],
  ],
  [
    ['-b', 'filesize:200', '-b', 'packets:380', '--fsync'],
    [380, 380, 240],
  ],
  [['-b', 'duration:3600'], [1000]],
  [['-b', 'interval:3600', '-b', 'files:1'], [1000]],
])('%j makes files as dumpcap means it', async (args, packets) => {
  const folder = newFolder();
  const { stderr } = await record(folder, ...args);
  expect(packetsIn(folder)).toEqual(packets);
  for (const name of filesIn(folder)) {
    expect(name).toMatch(/^a_\d{5}_\d{14}\.pcap$/);
    expect(stderr).toContain(`wrote ${join(folder, name)} (`);
  }
});

test('a file that exists is refused, and overwritten with --force', async () => {
  const name = join(newFolder(), 'a.pcap');
  writeFileSync(name, 'precious');
  const { code, stderr } = await ringtap('capture', 'synth:?count=5', '-w', name);
  expect(code).toBe(1);
  expect(stderr).toContain(`ringtap: ${name}: cannot create: File exists\nhint: Name another file`);
  expect(readFileSync(name, 'utf8')).toBe('precious');
  expect((await ringtap('capture', 'synth:?count=5', '-w', name, '--force')).code).toBe(0);
  expect(execFileSync('capinfos', ['-cM', name]).toString()).toContain('5');
});

describe('it is wrong usage to give', () => {
  test.each([
    [['-W', '3'], '-W counts files: say with -C or -G'],
    [['-b', 'files:3'], '-b files: say with -b filesize'],
    [['--fsync'], '--fsync is for files that follow each other'],
    [['-C', '1', '-b', 'filesize:1'], '-C and -b filesize say the same'],
    [['-G', '1', '-b', 'duration:1'], '-G and -b duration say the same'],
    [['-G', '1', '-b', 'interval:1'], 'exclude each other'],
    [['-C', '1', '-W', '2', '-b', 'files:1'], '-W and -b files say the same'],
    [['-b', 'size:1'], 'Expected duration:N, interval:N (seconds), filesize:N (kB), packets:N or files:N.'],
    [['-b', 'files:0'], 'Expected duration:N'],
    [['-b', 'packets:1', '-b', 'packets:2'], 'packets was given before'],
    [['-C', '1x'], 'Expected millions of bytes'],
  ])('%j', async (args, text) => {
    const folder = newFolder();
    const { code, stderr } = await ringtap('capture', 'synth:?count=5', '-w', join(folder, 'a.pcap'), ...args);
    expect(code).toBe(2);
    expect(stderr).toContain(text);
    expect(filesIn(folder)).toEqual([]);
  });

  test('rotation and no file to rotate', async () => {
    for (const args of [[], ['-w', '-']]) {
      const { code, stderr } = await ringtap('capture', 'synth:?count=5', '-C', '1', ...args);
      expect([code, stderr]).toEqual([2, expect.stringContaining('need a name: -w FILE')]);
    }
  });
});
