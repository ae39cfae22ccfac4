// info, merge, split and convert, against capinfos, mergecap, editcap and tshark.
import { execFileSync, spawn } from 'node:child_process';

import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { open, openWriter } from 'ringtap';
import { beforeAll, describe, expect, test } from 'vitest';
import { cli, packetsIn, ringtap, shell, start, startRingtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { readAll } from '../support/packets.js';
import { pcapFile } from '../support/trace.js';
import { until } from '../support/wait.js';

const path = temporaryFolder();
const BEGIN = 1_700_000_000_000_000_000n;

/** A row of capinfos by the names of its columns. */
function capinfos(file: string): Record<string, string> {
  const [head, row] = execFileSync('capinfos', ['-T', '-M', file], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
    .split('\n')
    .map((line) => line.split('\t'));
  return Object.fromEntries(head!.map((name, i) => [name, row![i] ?? '']));
}

function times(file: string): string[] {
  return execFileSync('tshark', ['-r', file, '-T', 'fields', '-e', 'frame.time_epoch'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
    .trim()
    .split('\n');
}

async function synth(file: string, query: string): Promise<void> {
  await using capture = await open(`synth:?${query}`);
  const writer = await openWriter(path(file), { linkType: capture.linkType });
  for await (const batch of capture) await writer.write(batch);
  await writer.close(capture.stats());
}

const at = (...ms: number[]) =>
  pcapFile(ms.map((time, i) => ({ data: Buffer.alloc(60 + i, time), time: BEGIN + BigInt(Math.round(time * 1e6)) })));

/** Without the indexes beside them. */
const tracesIn = (folder: string) =>
  readdirSync(folder)
    .filter((name) => !name.endsWith('.rtidx'))
    .sort();

/** Nothing that begins and is not completed stays behind. */
const leftOvers = (folder = '') => readdirSync(path(folder)).filter((name) => name.includes('.part'));

beforeAll(async () => {
  await synth('a.pcap', 'count=5000&seed=1&sizes=60-400&rate=100000');
  await synth('b.pcapng', 'count=3000&seed=2&sizes=60-1500&rate=70000&snaplen=100');
});

describe('what is written', () => {
  test('takes no name that somebody who was killed has left, and any that the file system takes', async () => {
    mkdirSync(path('names'));
    const end = `.${'x'.repeat(230)}.pcap`;
    for (const name of ['day.pcap', end]) {
      const out = path(`names/${name}`);
      // The first two numbers of a process 1.
      for (const number of [1, 2]) writeFileSync(path(`names/.${name.slice(0, 200)}.1-${number}.part`), '');
      const argv = ['--pid', '--fork', process.execPath, cli, 'convert', path('a.pcap'), out];
      const { code, stderr } = await start('unshare', ['--user', '--map-root-user', ...argv]).outcome;
      expect({ code, stderr }).toMatchObject({ code: 0 });
      expect(await packetsIn(out)).toBe(5000);
    }
  });

  test('may be read by whoever could read what it replaces, and goes where a link leads', async () => {
    writeFileSync(path('private.pcap'), '', { mode: 0o600 });
    expect((await ringtap('convert', '--force', path('a.pcap'), path('private.pcap'))).code).toBe(0);
    expect(statSync(path('private.pcap')).mode & 0o777).toBe(0o600);
    symlinkSync('target.pcap', path('leads.pcap'));
    expect((await ringtap('convert', path('a.pcap'), path('leads.pcap'))).code).toBe(0);
    expect(lstatSync(path('leads.pcap')).isSymbolicLink()).toBe(true);
    expect(statSync(path('target.pcap')).size).toBe(statSync(path('a.pcap')).size);
  });

  test('is not written any more when its reader has enough, which is no failure', async () => {
    const argv = `set -o pipefail; "$0" "$1" convert "$2" - | head -c 100 | wc -c`;
    const run = start('bash', ['-c', argv, process.execPath, cli, path('a.pcap')]);
    expect(await run.outcome).toMatchObject({ code: 0, stdout: '100\n', stderr: '' });
  });

  test('has indexes beside it that a pattern may name, too', async () => {
    mkdirSync(path('beside'));
    const files = ['one', 'two'].map((name) => path(`beside/${name}.pcap`));
    for (const file of files) expect((await ringtap('convert', path('a.pcap'), file)).code).toBe(0);
    const all = files.flatMap((file) => [file, `${file}.rtidx`]);
    expect((await ringtap('index', ...files)).code).toBe(0);
    expect((await ringtap('info', ...all)).code).toBe(0);
    expect((await ringtap('index', ...all)).code).toBe(0);
    expect((await ringtap('merge', '-w', path('beside/both.pcap'), ...all)).code).toBe(0);
    expect(await packetsIn(path('beside/both.pcap'))).toBe(10_000);
  });
});

describe('info', () => {
  test.each(['a.pcap', 'b.pcapng'])('says of %s what capinfos says', async (name) => {
    const { code, stdout } = await ringtap('info', '--json', '--hashes', path(name));
    expect(code).toBe(0);
    const facts = JSON.parse(stdout);
    const theirs = capinfos(path(name));
    expect(String(facts.packets)).toBe(theirs['Number of packets']);
    expect(String(facts.fileBytes)).toBe(theirs['File size (bytes)']);
    expect(String(facts.bytes)).toBe(theirs['Data size (bytes)']);
    expect(facts.durationSeconds).toBeCloseTo(Number(theirs['Capture duration (seconds)']), 9);
    // It divides by a time in microseconds.
    expect(facts.pps / Number(theirs['Average packet rate (packets/sec)'])).toBeCloseTo(1, 5);
    expect(facts.bps / Number(theirs['Data bit rate (bits/sec)'])).toBeCloseTo(1, 5);
    expect(facts.averageBytes).toBeCloseTo(Number(theirs['Average packet size (bytes)']), 1);
    expect(facts.snaplen).toBe(262_144);
    if (name.endsWith('.pcap')) expect(theirs['Packet size limit']).toBe('262144');
    expect(facts.inOrder).toBe(theirs['Strict time order'] === 'True');
    expect(facts.sha256).toBe(theirs.SHA256);
    expect(facts.sha1).toBe(theirs.SHA1);
    const [first, last] = [times(path(name))[0], times(path(name)).at(-1)];
    const text = (ns: string) => `${ns.slice(0, -9)}.${ns.slice(-9)}`;
    expect([text(facts.firstNs), text(facts.lastNs)]).toEqual([first, last]);
  });

  test('says nothing of interfaces where it does not look for them', async () => {
    expect((await ringtap('convert', path('b.pcapng'), path('packed.pcapng.zst'))).code).toBe(0);
    const facts = JSON.parse((await ringtap('info', '--json', path('packed.pcapng.zst'))).stdout);
    expect(facts).toMatchObject({ packets: 3000, pcapng: null });
  });

  test('tells order, gaps, cut packets and link types', async () => {
    writeFileSync(path('gaps.pcap'), at(0, 10, 5, 2000, 2001));
    const { code, stdout } = await ringtap('info', path('gaps.pcap'));
    expect(code).toBe(0);
    expect(stdout).toContain('packets      5\n');
    expect(stdout).toContain('order        1 packets are earlier than the one before them');
    expect(stdout).toContain('longest gap  1.995000000 s, until 2023-11-14 22:13:22.000000000 UTC');
    expect(stdout).toContain('1 (Ethernet): 5 packets');
    const cut = JSON.parse((await ringtap('info', '--json', path('b.pcapng'))).stdout);
    expect(cut.cutPackets).toBeGreaterThan(2000);
  });

  test('tells what a pcapng file says of its interfaces, comments and losses', async () => {
    await using capture = await open(path('a.pcap'));
    const writer = await openWriter(path('said.pcapng'), { linkType: 1, comment: 'by hand' });
    for await (const batch of capture) await writer.write(batch);
    await writer.close({ received: 5007, dropped: 7 });
    execFileSync('editcap', ['-a', '3:a remark', path('said.pcapng'), path('remarked.pcapng')]);
    const said = JSON.parse((await ringtap('info', '--json', path('said.pcapng'))).stdout).pcapng;
    expect(said).toMatchObject({ sections: 1, comments: ['by hand'], packetComments: 0 });
    expect(said.application).toMatch(/^ringtap /);
    expect(said.interfaces).toMatchObject([{ linkType: 1, packets: 5000, received: '5007', dropped: '7' }]);
    const remarked = JSON.parse((await ringtap('info', '--json', path('remarked.pcapng'))).stdout).pcapng;
    expect(remarked.packetComments).toBe(1);
  });

  test('of several files is a table, and of a bad one among them an error', async () => {
    const { code, stdout, stderr } = await ringtap('info', path('a.pcap'), path('missing.pcap'), path('b.pcapng'));
    expect(code).toBe(1);
    expect(stdout).toMatch(/a\.pcap.*5,000/);
    expect(stdout).toMatch(/b\.pcapng.*3,000/);
    expect(stderr).toContain('missing.pcap: cannot open');
  });

  test('of a cut file tells the good packets, then the error', async () => {
    writeFileSync(path('cut.pcap'), readFileSync(path('a.pcap')).subarray(0, -10));
    const { code, stdout, stderr } = await ringtap('info', path('cut.pcap'));
    expect(code).toBe(1);
    expect(stdout).toContain('packets      4,999\n');
    expect(stderr).toMatch(/cut\.pcap: the file ends \d+ bytes into the record at byte/);
  });
});

describe('merge', () => {
  test('writes what mergecap writes, byte for byte', async () => {
    writeFileSync(path('m1.pcap'), at(...Array.from({ length: 500 }, (_, i) => 3 * i)));
    writeFileSync(path('m2.pcap'), at(...Array.from({ length: 500 }, (_, i) => 3 * i + 1)));
    const ours = await ringtap('merge', '-w', path('ours.pcap'), path('m1.pcap'), path('m2.pcap'));
    expect(ours).toMatchObject({ code: 0, stdout: '' });
    expect(ours.stderr).toContain('1,000 packets of 2 traces are in');
    execFileSync('mergecap', ['-F', 'nsecpcap', '-w', path('theirs.pcap'), path('m1.pcap'), path('m2.pcap')]);
    expect(readFileSync(path('ours.pcap')).equals(readFileSync(path('theirs.pcap')))).toBe(true);
    expect(leftOvers()).toEqual([]);
  });

  test('takes names with commas and stars for themselves', async () => {
    for (const name of ['x,y.pcap', 'x*.pcap', 'x[1].pcap', 'x?#%41.pcap', 'x\\y.pcap'])
      writeFileSync(path(name), at(1, 2));
    const names = ['x,y.pcap', 'x*.pcap', 'x[1].pcap', 'x?#%41.pcap', 'x\\y.pcap'].map((name) => path(name));
    expect((await ringtap('merge', '-w', path('strange.pcap'), ...names)).code).toBe(0);
    expect(await packetsIn(path('strange.pcap'))).toBe(10);
  });

  test('of differing link types is pcapng, and as pcap an error that leaves nothing', async () => {
    writeFileSync(path('raw.pcap'), pcapFile([{ data: Buffer.from('4500', 'hex'), time: BEGIN }], 101));
    const refused = await ringtap('merge', '-w', path('both.pcap'), path('raw.pcap'), path('m1.pcap'));
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(`${path('both.pcap')}: a batch of link type`);
    expect(refused.stderr).not.toContain('.part');
    expect(existsSync(path('both.pcap'))).toBe(false);
    expect(leftOvers()).toEqual([]);
    const warned = await ringtap('merge', '-w', path('both.pcapng'), path('raw.pcap'), path('m1.pcap'));
    expect(warned.code).toBe(0);
    expect(warned.stderr).toContain(`warning: pcapng:${path('both.pcapng')}: packets of `);
    expect(capinfos(path('both.pcapng'))['Number of packets']).toBe('501');
  });

  test('of a cut file writes all that is good, then names it', async () => {
    const { code, stderr } = await ringtap('merge', '-w', path('rest.pcap'), path('cut.pcap'), path('m1.pcap'));
    expect(code).toBe(1);
    expect(stderr).toContain('5,499 packets of 2 traces are in');
    expect(stderr).toContain('cut.pcap: the file ends');
    expect(await packetsIn(path('rest.pcap'))).toBe(5499);
  });

  test('refuses to overwrite, to write what it reads, and folders that are not there', async () => {
    const existing = readFileSync(path('m1.pcap'));
    symlinkSync(path('m1.pcap'), path('link.pcap'));
    mkdirSync(path('sub'));
    writeFileSync(path('sub/in.pcap'), existing);
    const refused = async (text: string, ...args: string[]) => {
      const { code, stderr } = await ringtap('merge', ...args);
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(text) });
    };
    await refused(
      'a.pcap exists already\nhint: Take another name, or overwrite it with --force.',
      '-w',
      path('a.pcap'),
      path('m1.pcap'),
    );
    await refused(
      'is one of the traces that are read',
      '--force',
      '-w',
      path('link.pcap'),
      path('m1.pcap'),
      path('m2.pcap'),
    );
    await refused('is one of the traces that are read', '--force', '-w', path('sub/in.pcap'), path('sub'));
    const pattern = path('m?.[p]c*');
    await refused('is one of the traces that are read', '--force', '-w', path('m1.pcap'), pattern);
    await refused(
      'is one of the traces that are read',
      '--force',
      '-w',
      path('m1.pcap'),
      `${path('a.pcap')},${pattern}`,
    );
    await refused('is one of', '--force', '-w', path('m1.pcap'), `file:${path('a.pcap')},${path('m1.pcap')}`);
    await refused('there is no folder', '-w', path('none/out.pcap'), path('m1.pcap'));
    await refused('is a folder', '-w', path('sub'), path('m1.pcap'));
    expect(readFileSync(path('m1.pcap')).equals(existing)).toBe(true);
    expect((await ringtap('merge', '--force', '-w', path('theirs.pcap'), path('m1.pcap'))).code).toBe(0);
    expect(await packetsIn(path('theirs.pcap'))).toBe(500);
  });

  test('that is stopped leaves nothing under its name, nor beside it', async () => {
    mkdirSync(path('stop'));
    execFileSync('mkfifo', [path('stop/pipe')]);
    const run = startRingtap(['merge', '-w', path('stop/out.pcap'), path('stop/pipe'), path('m1.pcap')]);
    const keeps = openPipe(path('stop/pipe'));
    await until(() => leftOvers('stop').length === 1, 'the output');
    run.process.kill('SIGINT');
    const { code, signal } = await run.outcome;
    expect(signal === 'SIGINT' || code === 130).toBe(true);
    expect(readdirSync(path('stop'))).toEqual(['pipe']);
    keeps.kill();
  });

  test('into standard output is a trace for the next command', async () => {
    const { code } = await shell(`ringtap merge -w - ${path('m1.pcap')} ${path('m2.pcap')} > ${path('piped.pcap')}`);
    expect(code).toBe(0);
    expect(readFileSync(path('piped.pcap')).equals(readFileSync(path('ours.pcap')))).toBe(true);
  });
});

/** Somebody who writes the header of a trace and a packet into the pipe, and goes on holding it. */
function openPipe(pipe: string) {
  writeFileSync(path('head.bin'), at(1));
  return spawn('bash', ['-c', `exec 3>${pipe}; cat ${path('head.bin')} >&3; sleep 30`], { stdio: 'ignore' });
}

describe('split', () => {
  test('that is stopped leaves nothing, of the parts that are complete either', async () => {
    mkdirSync(path('stopped'));
    execFileSync('mkfifo', [path('stopped/pipe')]);
    writeFileSync(path('three.bin'), at(1, 2, 3));
    const writes = `exec 3>${path('stopped/pipe')}; cat ${path('three.bin')} >&3; sleep 60`;
    const keeps = spawn('bash', ['-c', writes], { stdio: 'ignore' });
    const run = startRingtap(['split', path('stopped/pipe'), '-w', path('stopped/x.pcap'), '--by', 'packets:1']);
    await until(() => readdirSync(path('stopped')).includes('x_00002_20231114221320.pcap'), 'two parts');
    run.process.kill('SIGTERM');
    const { code, signal } = await run.outcome;
    expect(signal === 'SIGTERM' || code === 143).toBe(true);
    expect(readdirSync(path('stopped'))).toEqual(['pipe']);
    keeps.kill();
  });

  const parts = (folder: string) => readdirSync(path(folder)).sort();
  const all = async (folder: string) => {
    const packets: string[] = [];
    for (const name of parts(folder)) {
      await using capture = await open(path(`${folder}/${name}`));
      for (const { data, timeNs } of await readAll(capture)) packets.push(`${timeNs} ${data.toString('hex')}`);
    }
    return packets;
  };
  const whole = async () => {
    await using capture = await open(path('a.pcap'));
    return (await readAll(capture)).map(({ data, timeNs }) => `${timeNs} ${data.toString('hex')}`);
  };

  test.each([
    ['packets:1000', 5],
    ['bytes:200k', undefined],
    ['time:10ms', 5],
  ])('by %s makes files that together are the trace', async (by, count) => {
    const folder = by.replace(':', '-');
    mkdirSync(path(folder));
    expect((await ringtap('split', path('a.pcap'), '-w', path(`${folder}/p.pcap`), '--by', by)).code).toBe(0);
    if (count !== undefined) expect(parts(folder)).toHaveLength(count);
    expect(await all(folder)).toEqual(await whole());
    expect(parts(folder)[0]).toMatch(/^p_00001_\d{14}\.pcap$/);
    for (const name of parts(folder)) {
      if (by.startsWith('bytes')) expect(readFileSync(path(`${folder}/${name}`)).length).toBeLessThanOrEqual(200_000);
      if (by.startsWith('packets')) expect(await packetsIn(path(`${folder}/${name}`))).toBe(1000);
    }
  });

  test('by time makes no file for a time without packets, and its steps do not drift', async () => {
    mkdirSync(path('gap'));
    writeFileSync(path('g.pcap'), at(0, 999, 1001, 5000, 5999, 6000));
    expect((await ringtap('split', path('g.pcap'), '-w', path('gap/g.pcapng'), '--by', 'time:1s')).code).toBe(0);
    const counts = parts('gap').map((name) => capinfos(path(`gap/${name}`))['Number of packets']);
    expect(counts).toEqual(['2', '1', '2', '1']);
  });

  test('by flow keeps both directions of each flow in one file', async () => {
    mkdirSync(path('flows'));
    expect((await ringtap('split', path('a.pcap'), '-w', path('flows/f.pcap'), '--by', 'flow:4')).code).toBe(0);
    expect(parts('flows').length).toBeGreaterThan(1);
    expect((await all('flows')).sort()).toEqual((await whole()).sort());
    const owner = new Map<string, string>();
    for (const name of parts('flows')) {
      const lines = execFileSync(
        'tshark',
        [
          '-r',
          path(`flows/${name}`),
          '-T',
          'fields',
          '-e',
          'ip.src',
          '-e',
          'ip.dst',
          '-e',
          'ipv6.src',
          '-e',
          'ipv6.dst',
          '-e',
          'udp.port',
          '-e',
          'tcp.port',
        ],
        {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'ignore'],
        },
      );
      for (const line of new Set(lines.trim().split('\n'))) {
        const [src = '', dst = '', src6 = '', dst6 = '', udp = '', tcp = ''] = line.split('\t');
        if (`${udp}${tcp}` === '') continue;
        const key = [
          [src, dst, src6, dst6].sort().join(),
          (udp === '' ? 'tcp ' : 'udp ') + `${udp}${tcp}`.split(',').sort().join(),
        ].join(' ');
        expect(owner.get(key) ?? name).toBe(name);
        owner.set(key, name);
      }
    }
  });

  test.each(['time:0s', 'bytes:x', 'files:3', 'flow:5000', 'packets'])('refuses --by %s', async (by) => {
    const { code, stderr } = await ringtap('split', path('a.pcap'), '-w', path('no.pcap'), '--by', by);
    expect(code).toBe(2);
    expect(stderr).toContain('Expected');
  });
});

describe('convert', () => {
  test.each([
    ['b.pcapng', 'b2.pcap', 'nsecpcap'],
    ['a.pcap', 'a2.pcapng', 'pcapng'],
  ])('writes %s as %s with the packets of editcap', async (from, to, format) => {
    expect((await ringtap('convert', path(from), path(to))).code).toBe(0);
    execFileSync('editcap', ['-F', format, path(from), path(`their-${to}`)]);
    await using ours = await open(path(to));
    await using theirs = await open(path(`their-${to}`));
    expect(await readAll(ours)).toEqual(await readAll(theirs));
  });

  test('says how many packets it read, and how many of them it wrote', async () => {
    const { stderr } = await ringtap('convert', path('a.pcap'), path('told.pcap'), '-f', 'udp');
    const written = await packetsIn(path('told.pcap'));
    expect(written).toBeLessThan(5000);
    expect(stderr).toBe(`ringtap: ${written.toLocaleString('en-US')} of 5,000 packets are in ${path('told.pcap')}\n`);
  });

  test('keeps what matches, cut and moved in time, as editcap does', async () => {
    const args = ['-s', '64', '--time-shift', '-1.5s', '-f', 'udp'];
    expect((await ringtap('convert', path('a.pcap'), path('c.pcap'), ...args)).code).toBe(0);
    execFileSync('editcap', ['-F', 'nsecpcap', '-s', '64', '-t', '-1.5', path('a.pcap'), path('e.pcap')]);
    await using ours = await open(path('c.pcap'));
    await using theirs = await open(path('e.pcap'), { filter: 'udp' });
    const expected = await readAll(theirs);
    expect(expected.length).toBeGreaterThan(0);
    expect(await readAll(ours)).toEqual(expected);
  });

  test('moves times by years to the nanosecond', async () => {
    writeFileSync(path('now.pcap'), at(0, 0.000001, 7));
    expect((await ringtap('convert', path('now.pcap'), path('then.pcap'), '--time-shift', '3650d')).code).toBe(0);
    await using capture = await open(path('then.pcap'));
    const shift = 3650n * 86_400_000_000_000n;
    expect((await readAll(capture)).map(({ timeNs }) => timeNs - shift - BEGIN)).toEqual([0n, 1n, 7_000_000n]);
  });

  test.each([
    [
      ['--from', '2023-11-14T22:13:20.010Z', '--to', '1700000000.02'],
      [10, 15, 20],
    ],
    [
      ['--from', '+10ms', '--to', '+20ms'],
      [10, 15, 20],
    ],
    [
      ['--to', '2023-11-14 22:13:20.005'],
      [0, 5],
    ],
    [['--from', '2023-11-14T23:13:20.0250+01:00'], [25]],
  ])('keeps the packets of a time: %j', async (args, expected) => {
    writeFileSync(path('t.pcap'), at(0, 5, 10, 15, 20, 25));
    expect((await ringtap('convert', '--force', path('t.pcap'), path('t2.pcap'), ...args)).code).toBe(0);
    await using capture = await open(path('t2.pcap'));
    expect((await readAll(capture)).map(({ timeNs }) => Number((timeNs - BEGIN) / 1_000_000n))).toEqual(expected);
  });

  test('refuses from after to, and times that are none', async () => {
    const late = await ringtap(
      'convert',
      path('t.pcap'),
      path('no.pcap'),
      '--from',
      '1700000001',
      '--to',
      '1700000000',
    );
    expect(late).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^(ringtap: )?\/\S+: option from is after option to/),
    });
    const mixed = await ringtap('convert', path('t.pcap'), path('no.pcap'), '--from', '+5s', '--to', '1700000000');
    expect(mixed).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^(ringtap: )?\/\S+: option from is after option to/),
    });
    const none = await ringtap('convert', path('t.pcap'), path('no.pcap'), '--from', 'noon');
    expect(none).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('must be a time such as 2026-11-30T10:00:00.5Z'),
    });
    expect(existsSync(path('no.pcap'))).toBe(false);
    expect(leftOvers()).toEqual([]);
  });

  test('drops doubles as editcap does, by packets and by time', async () => {
    const packets = [1, 2, 1, 3, 4, 5, 6, 2, 1, 1, 7, 7].map((kind, i) => ({
      data: Buffer.alloc(64, kind),
      time: BEGIN + BigInt(i) * 1_000_000n,
      wirelen: kind === 7 && i === 11 ? 65 : 64,
    }));
    writeFileSync(path('d.pcap'), pcapFile(packets));
    for (const window of ['1', '5', '10', '8ms']) {
      expect((await ringtap('convert', '--force', path('d.pcap'), path('d2.pcap'), '--dedup', window)).code).toBe(0);
      const how = window.endsWith('ms') ? ['-w', '0.008'] : ['-D', String(Number(window) + 1)];
      execFileSync('editcap', ['-F', 'nsecpcap', ...how, path('d.pcap'), path('d3.pcap')], { stdio: 'ignore' });
      await using ours = await open(path('d2.pcap'));
      await using theirs = await open(path('d3.pcap'));
      const kept = (await readAll(ours)).map(({ timeNs }) => timeNs);
      // editcap does not compare lengths on the wire: for it the last packet is a double.
      const last = BEGIN + 11_000_000n;
      expect(kept).toEqual([...(await readAll(theirs)).map(({ timeNs }) => timeNs).filter((at) => at !== last), last]);
    }
  });
});

describe('a trace that is named as compressed', () => {
  const kinds = [
    ['pcapng.zst', 'pcapng (zstd compressed)', 'zstd', '-qt'],
    ['pcap.gz', 'nanosecond pcap (gzip compressed)', 'gzip', '-t'],
    ['PCAPNG.LZ4', 'pcapng (lz4 compressed)', 'lz4', '-qt'],
  ] as const;

  test.each(kinds)('is what its name says: .%s', async (suffix, type, tool, flag) => {
    const folder = `compressed-${suffix}`;
    mkdirSync(path(folder));
    const named = (name: string) => path(`${folder}/${name}.${suffix}`);
    const [a, b] = [path('a.pcap'), path('b.pcapng')];
    for (const args of [
      ['merge', '-w', named('merged'), a, b],
      ['convert', a, named('converted')],
      ['split', a, '-w', named('part'), '--by', 'packets:3000'],
      ['split', a, '-w', named('flows'), '--by', 'flow:2'],
    ]) {
      const { code, stderr } = await ringtap(...args);
      expect({ code, stderr }).toEqual({ code: 0, stderr: expect.not.stringContaining('hint') });
    }
    const made = tracesIn(path(folder));
    expect(made).toHaveLength(6); // nothing by another name
    const counts: Record<string, number> = {};
    for (const name of made) {
      const file = path(`${folder}/${name}`);
      expect(name).toMatch(new RegExp(`\\.${suffix.replace('.', '\\.')}$`));
      execFileSync(tool, [flag, file], { stdio: 'ignore' });
      expect(execFileSync('capinfos', ['-t', file], { encoding: 'utf8' })).toContain(type);
      const kind = /^[a-z]+/.exec(name)![0];
      counts[kind] = (counts[kind] ?? 0) + Number(capinfos(file)['Number of packets']);
    }
    expect(counts).toEqual({ merged: 8000, converted: 5000, part: 5000, flows: 5000 });
    const info = await ringtap('info', '--json', named('merged'));
    expect(JSON.parse(info.stdout)).toMatchObject({ packets: 8000, format: expect.stringContaining(tool) });
  });

  test('has its suffix at the end of each part, also where that is all the suffix it has', async () => {
    mkdirSync(path('bare'));
    expect((await ringtap('split', path('a.pcap'), '-w', path('bare/x.zst'), '--by', 'flow:2')).code).toBe(0);
    expect(tracesIn(path('bare'))).toEqual(['x_00001.zst', 'x_00002.zst']);
    for (const name of tracesIn(path('bare'))) execFileSync('zstd', ['-qt', path(`bare/${name}`)]);
  });

  test.each(['erf', 'pcap.zstd', 'dmp', 'pcapng.lz4'])(
    'stays behind the number, whatever it is: .%s',
    async (suffix) => {
      const folder = path(`behind-${suffix}`);
      mkdirSync(folder);
      expect((await ringtap('split', path('a.pcap'), '-w', `${folder}/x.${suffix}`, '--by', 'flow:2')).code).toBe(0);
      expect(tracesIn(folder)).toEqual([`x_00001.${suffix}`, `x_00002.${suffix}`]);
      const writer = await openWriter(`${folder}/y.${suffix}`, { rotate: { packets: 1e6 } });
      await using source = await open('synth:?count=1');
      for await (const batch of source) await writer.write(batch);
      await writer.close();
      const [file] = tracesIn(folder).filter((name) => name.startsWith('y'));
      expect(file).toMatch(new RegExp(`^y_00001_\\d{14}\\.${suffix.replace('.', '\\.')}$`));
    },
  );

  test.each(['pcap.gzip', 'pcap.bz2'])('is refused as .%s, which none is written as', async (suffix) => {
    const out = path(`none.${suffix}`);
    for (const args of [
      ['convert', path('a.pcap'), out],
      ['merge', path('a.pcap'), '-w', out],
      ['split', path('a.pcap'), '-w', out, '--by', 'flow:2'],
    ]) {
      const { code, stderr } = await ringtap(...args);
      expect(stderr).toMatch(/no trace is written as.*\nhint: Name it \./);
      expect(code).toBe(2);
    }
    expect(readdirSync(path('')).filter((name) => name.includes('none'))).toEqual([]);
  });
});

describe('--compress', () => {
  const magic = (file: string) => readFileSync(path(file)).subarray(0, 4).toString('hex');

  test('says how each output is compressed, whatever its name is', async () => {
    const a = path('a.pcap');
    expect((await ringtap('convert', a, path('c1.pcap'), '--compress', 'zstd:9')).code).toBe(0);
    expect((await ringtap('convert', a, path('c2.pcap.zst'), '--compress', 'none')).code).toBe(0);
    expect((await ringtap('merge', a, '-w', path('c3.pcap.gz'), '--compress', 'gzip:6')).code).toBe(0);
    expect((await ringtap('split', a, '-w', path('c4.pcap'), '--by', 'flow:1', '--compress', 'lz4')).code).toBe(0);
    expect((await ringtap('capture', '-r', a, '-q', '-w', path('c5.pcap'), '--compress', 'zstd:3')).code).toBe(0);
    const magics = ['c1.pcap', 'c2.pcap.zst', 'c3.pcap.gz', 'c4_00001.pcap', 'c5.pcap'].map(magic);
    expect(magics).toEqual(['28b52ffd', '4d3cb2a1', '1f8b0800', '04224d18', '28b52ffd']);
    for (const name of ['c1.pcap', 'c3.pcap.gz', 'c4_00001.pcap', 'c5.pcap']) {
      expect(capinfos(path(name))['Number of packets']).toBe('5000');
    }
  });

  test('into a pipe is for the tool of that method', async () => {
    const a = path('a.pcap');
    const { stdout } = await shell(
      `ringtap convert ${a} - --compress zstd | zstd -dc | tcpdump -nr - 2>/dev/null | wc -l`,
    );
    expect(stdout.trim()).toBe('5000');
    const captured = await shell(
      `ringtap capture -q -r ${a} -w - --compress gzip:1 | gzip -dc | tshark -r - 2>/dev/null | wc -l`,
    );
    expect(captured.stdout.trim()).toBe('5000');
  });

  test.each([
    [['convert', 'a', 'b', '--compress', 'brotli'], /Expected zstd:1 to/],
    [['convert', 'a', 'b', '--compress', 'gzip:10'], /Expected zstd:1 to zstd:19, .*gzip:1 to gzip:9/],
    [['capture', 'synth:', '--compress', 'zstd'], /--compress is for a trace/],
    [['capture', 'synth:', '-Z', 'tcpdump'], /--compress zstd:3; the user is not changed/],
  ])('%j says what is wrong', async (args, why) => {
    const { code, stderr } = await ringtap(...args);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(why);
  });
});

test('on a full disk an output is told of by its own name, and nothing is left of it', async () => {
  await synth('large.pcap', 'count=20000&sizes=300');
  mkdirSync(path('full'));
  const inside = `mount -t tmpfs -o size=300k none full && "$0" "$1" convert large.pcap full/out.pcap; echo $?; ls -A full`;
  const run = start('unshare', ['--mount', '--map-root-user', 'sh', '-c', inside, process.execPath, cli], {
    cwd: path('.'),
  });
  const { stdout, stderr } = await run.outcome;
  expect(stdout).toBe('1\n');
  expect(stderr).toMatch(/full\/out\.pcap: cannot write beyond [1-9]\d* packets, \d+ bytes, and nothing is left of it/);
  expect(stderr).not.toContain('.part');
});

test.each([
  [['read', 'a.pcap', 'b.pcapng'], /"b.pcapng" is no filter, but a trace.*\nhint: .*ringtap read file:a.pcap,b.pcapng/],
  [['stats', 'file:a.pcap', './b.pcapng'], /ringtap stats file:a.pcap,.\/b.pcapng/],
  [['capture', '-r', 'a.pcap', 'typo.pcap.zst'], /"typo.pcap.zst" is no filter, but a trace/],
])('two traces as words are told how they are read as one: %j', async (args, why) => {
  const { code, stderr } = await start(process.execPath, [cli, ...args], { cwd: path('.') }).outcome;
  expect(code).toBe(2);
  expect(stderr).toMatch(why);
});
