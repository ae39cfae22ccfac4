// What convert, merge and split keep of pcapng beside packets, against editcap and mergecap.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { open, openWriter } from 'ringtap';
import { expect, test } from 'vitest';
import { ringtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { type Option, Pcapng } from '../support/pcapng.js';
import { pcapFile } from '../support/trace.js';

const path = temporaryFolder();
const SECOND = 1_700_000_000n;
const frame = (i: number, bytes = 60) =>
  Buffer.concat([Buffer.alloc(12, i), Buffer.from([8, 0]), Buffer.alloc(bytes - 14, i)]);

const run = (program: string, ...args: string[]) =>
  execFileSync(program, args, { stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 2 ** 28 }).toString();

const FIELDS = [
  'frame.time_epoch',
  'frame.interface_id',
  'frame.interface_name',
  'frame.interface_description',
  'frame.comment',
  'frame.packet_flags',
  'frame.drop_count',
  'frame.packet_id',
  'frame.interface_queue',
  'frame.encap_type',
  'frame.len',
];

/** A row for each packet. */
function rows(file: string, fields: readonly string[] = FIELDS): string[] {
  const args = ['-r', file, '-T', 'fields', '-E', 'aggregator=|', ...fields.flatMap((field) => ['-e', field])];
  return run('tshark', ...args)
    .split('\n')
    .slice(0, -1);
}

/** What capinfos tells of each interface, but for counts of blocks that editcap drops, and whether a usual unit is told of. */
function interfaces(file: string): string[] {
  const told = run('capinfos', '-I', file)
    .split('\n')
    .map((line) => line.trim());
  return told.filter(
    (line) => line !== '' && !/^(File name|Number of (stat|decryption|resolved)|Time resolution)/i.test(line),
  );
}

const dissected = (file: string) => run('tshark', '-X', 'read_format:MIME Files Format', '-r', file, '-V');

const convert = async (from: string, to: string, ...args: string[]) =>
  expect(await ringtap('convert', '--force', from, to, ...args)).toMatchObject({ code: 0 });

/** Two cards, one of them twice in the same words, a tunnel, and everything that is told of packets. */
function rich(isLittle: boolean): Buffer {
  const ng = new Pcapng(isLittle);
  const eth: Option[] = [
    [1, 'the card on the left'],
    [2, 'eth0'],
    [3, 'Ethernet of the host'],
    [8, ng.u64(10_000_000_000n)],
    [11, Buffer.from('\0udp port 53')],
    [12, 'an operating system'],
    [15, 'a card'],
  ];
  const tap: Option[] = [
    [2, 'tap'],
    [9, Buffer.from([9])],
  ];
  ng.section([
    [1, 'of the section'],
    [1, 'another of it'],
    [2, 'hardware of old'],
    [3, 'system of old'],
    [4, 'its program'],
  ]);
  ng.interface(1, eth)
    .interface(1, tap)
    .interface(1, tap)
    .interface(1, [
      [2, 'coarse'],
      [9, Buffer.from([3])],
    ]);
  for (let i = 0; i < 40; i++) {
    const of = i % 4;
    const ticks =
      of === 0 ? SECOND * 1_000_000n + BigInt(i) : of === 3 ? SECOND * 1000n : SECOND * 1_000_000_000n + BigInt(i);
    const options: Option[] = [
      [1, `remark ${i}`],
      ...(i % 8 === 0 ? ([[1, 'and one more']] as Option[]) : []),
      [2, ng.u32(i % 2 === 0 ? 0x01000001 : 0x2)],
      [4, ng.u64(BigInt(i))],
      [5, ng.u64(2n ** 40n + BigInt(i))],
      [6, ng.u32(i % 5)],
    ];
    ng.packet(of, ticks, frame(i, 60 + i), i % 3 === 2 ? [] : options);
  }
  return ng.bytes();
}

test.each([true, false])(
  'convert keeps interfaces and options of packets as editcap does (little-endian: %s)',
  async (isLittle) => {
    const [from, ours, theirs] = [path('rich.pcapng'), path('ours.pcapng'), path('theirs.pcapng')];
    writeFileSync(from, rich(isLittle));
    await convert(from, ours);
    run('editcap', from, theirs);
    expect(rows(ours)).toHaveLength(40);
    expect(rows(ours)).toEqual(rows(theirs));
    expect(interfaces(ours)).toEqual(interfaces(theirs));
    const told = dissected(ours);
    for (const text of [
      'of the section',
      'another of it',
      'hardware of old',
      'system of old',
      'an operating system',
      'the card on the left',
    ])
      expect(told).toContain(text);
    expect(told).not.toContain('its program');
    const facts = JSON.parse((await ringtap('info', '--json', ours)).stdout);
    expect(
      facts.pcapng.interfaces.map(({ name, packets }: { name: string; packets: number }) => [name, packets]),
    ).toEqual([
      ['eth0', 10],
      ['tap', 10],
      ['tap', 10],
      ['coarse', 10],
    ]);
    // A second time nothing more is lost, through a compressed one and a pipe.
    const again = path('again.pcapng');
    await convert(ours, `${again}.zst`);
    await convert(`${again}.zst`, again);
    expect(rows(again)).toEqual(rows(theirs));
    expect(interfaces(again)).toEqual(interfaces(theirs));
  },
);

test('a part of a trace keeps what is told of its packets, and times that are moved are not rounded', async () => {
  const [from, ours, theirs] = [path('part.pcapng'), path('part-ours.pcapng'), path('part-theirs.pcapng')];
  writeFileSync(from, rich(true));
  await convert(from, ours, '-s', '30');
  run('editcap', '-s', '30', from, theirs);
  expect(rows(ours)).toEqual(rows(theirs));
  await convert(from, ours, '-f', 'greater 80');
  const longer = rows(from).filter((row) => Number(row.split('\t').at(-1)) >= 80);
  expect(rows(ours)).toEqual(longer);
  await convert(from, ours, '--time-shift', '7ns');
  const moved = rows(from, ['frame.time_epoch']).map(
    (time) => `${time.slice(0, -9)}${String(Number(time.slice(-9)) + 7).padStart(9, '0')}`,
  );
  expect(rows(ours, ['frame.time_epoch'])).toEqual(moved);
  await convert(from, ours, '--micro');
  expect(run('capinfos', '-I', ours).match(/Time resolution = 0x06/g)).toHaveLength(4);
  await convert(from, ours, '--from', '+10ns', '--dedup', '5');
  const times = rows(ours, ['frame.time_epoch']);
  expect(rows(from).filter((row) => times.includes(row.split('\t')[0]!))).toEqual(rows(ours));
});

test('merge gives each source its interface, as mergecap does, once for those that are the same', async () => {
  const trace = (name: string, section: string, shift: bigint) => {
    const ng = new Pcapng();
    ng.section([[1, section]]).interface(1, [
      [2, name],
      [9, Buffer.from([9])],
    ]);
    for (let i = 0; i < 500; i++) {
      ng.packet(0, (SECOND + BigInt(i)) * 1_000_000_000n + shift, frame(i), i % 2 ? [[1, `${name} ${i}`]] : []);
    }
    writeFileSync(path(`${name}-${section}.pcapng`), ng.bytes());
    return path(`${name}-${section}.pcapng`);
  };
  const files = [trace('eth0', 'a', 0n), trace('eth1', 'b', 5n), trace('eth0', 'c', 9n)];
  const [ours, theirs] = [path('merged.pcapng'), path('mergecap.pcapng')];
  expect(await ringtap('merge', '--force', '-w', ours, ...files)).toMatchObject({ code: 0 });
  run('mergecap', '-w', theirs, ...files);
  const fields = ['frame.time_epoch', 'frame.interface_name', 'frame.comment', 'frame.len'];
  expect(rows(ours, fields)).toHaveLength(1500);
  expect(rows(ours, fields)).toEqual(rows(theirs, fields));
  expect(run('capinfos', '-I', ours)).toContain('Number of interfaces in file: 2');
  const told = run('capinfos', ours);
  for (const comment of ['a', 'b', 'c']) expect(told).toMatch(new RegExp(`Capture comment: +${comment}$`, 'm'));
  expect(Number(/Number of packets = 1000/.exec(run('capinfos', '-I', ours)) !== null)).toBe(1);

  const folder = path('given');
  mkdirSync(folder);
  expect(await ringtap('merge', '--force', '--order', 'given', '-w', ours, ...files)).toMatchObject({ code: 0 });
  expect(rows(ours, fields)).toEqual(files.flatMap((file) => rows(file, fields)));
});

test('merge of different link types and formats has an interface for each', async () => {
  const [raw, ethernet, ng] = [path('raw.pcap'), path('eth.pcap'), path('both.pcapng')];
  const at = (i: number) => SECOND * 1_000_000_000n + BigInt(i);
  const packet = Buffer.from(`4500001c00070000400100000a0000010a0000020800f7ff00000000`, 'hex');
  writeFileSync(
    raw,
    pcapFile(
      [0, 3, 6].map((i) => ({ data: packet, time: at(i) })),
      101,
    ),
  );
  writeFileSync(ethernet, pcapFile([1, 4, 7].map((i) => ({ data: frame(i), time: at(i) }))));
  const both = new Pcapng(false)
    .section()
    .interface(101, [
      [2, 'tun0'],
      [9, Buffer.from([9])],
    ])
    .interface(1, [
      [2, 'eth7'],
      [9, Buffer.from([9])],
    ]);
  for (const i of [2, 5, 8]) both.packet(i % 2, at(i), i % 2 ? frame(i) : packet, [[1, `no. ${i}`]]);
  writeFileSync(ng, both.bytes());
  const [ours, theirs] = [path('types.pcapng'), path('types-theirs.pcapng')];
  const merged = await ringtap('merge', '--force', '-w', ours, raw, ethernet, ng);
  expect(merged).toMatchObject({ code: 0 });
  run('mergecap', '-w', theirs, raw, ethernet, ng);
  const fields = ['frame.time_epoch', 'frame.encap_type', 'frame.interface_name', 'frame.comment', 'frame.len'];
  const unnamed = (file: string) => rows(file, fields).map((row) => row.replace(/Unknown[^\t]*/, ''));
  expect(unnamed(ours)).toHaveLength(9);
  expect(unnamed(ours)).toEqual(unnamed(theirs));
  expect(run('capinfos', '-I', ours)).toContain('Number of interfaces in file: 4');
});

test('split and rotation describe the interfaces in each file', async () => {
  const [from, folder] = [path('whole.pcapng'), path('split')];
  mkdirSync(folder);
  writeFileSync(from, rich(true));
  expect(await ringtap('split', from, '-w', join(folder, 'x.pcapng'), '--by', 'packets:10')).toMatchObject({ code: 0 });
  await using capture = await open(`file:${from}`);
  const writer = await openWriter(join(folder, 'y.pcapng'), { keepBlocks: true, rotate: { packets: 10 } });
  for await (const batch of capture) await writer.write(batch);
  await writer.close();
  for (const first of ['x', 'y']) {
    const parts = readdirSync(folder)
      .filter((name) => name.startsWith(first))
      .sort();
    expect(parts).toHaveLength(4);
    expect(parts.flatMap((name) => rows(join(folder, name)))).toEqual(rows(from));
  }
});

test('sections of one file, interfaces that nobody uses, and packets that say nothing of theirs', async () => {
  const [from, ours] = [path('odd.pcapng'), path('odd-ours.pcapng')];
  const little = new Pcapng()
    .section()
    .interface(1, [[2, 'unused']])
    .interface(1, [
      [2, 'used'],
      [9, Buffer.from([9])],
    ]);
  little.packet(1, SECOND * 1_000_000_000n, frame(1), [[1, 'first']]);
  const simple = frame(2);
  const big = new Pcapng(false).section([[1, 'the other order']]).interface(1, [
    [2, 'used'],
    [9, Buffer.from([9])],
  ]);
  big.block(3, big.u32(simple.length), simple).packet(0, SECOND * 1_000_000_000n, frame(3), [
    [1, 'second'],
    [2988, Buffer.concat([big.u32(32473), Buffer.from('ours')])],
    [40_000, 'not known'],
  ]);
  writeFileSync(from, Buffer.concat([little.bytes(), big.bytes()]));
  await convert(from, ours);
  expect(rows(ours, ['frame.interface_name', 'frame.comment'])).toEqual(['used\tfirst', 'used\t', 'used\tsecond']);
  expect(run('capinfos', '-I', ours)).toContain('Number of interfaces in file: 2');
  expect(dissected(ours)).toContain('the other order');
});

test('options that are damaged, or too much, cost no packet, and are told of', async () => {
  const [from, ours] = [path('bad.pcapng'), path('bad-ours.pcapng')];
  const ng = new Pcapng().section().interface(1, [[9, Buffer.from([9])]]);
  const many: Option[] = Array.from({ length: 8 }, (_, i) => [1, Buffer.alloc(65_000, 97 + i)]);
  const broken = Buffer.concat([
    ng.u16(1),
    ng.u16(2),
    Buffer.from('ok\0\0'),
    ng.u16(1),
    ng.u16(60_000),
    Buffer.from('none'),
  ]);
  const at = SECOND * 1_000_000_000n;
  ng.packet(0, at, frame(1), many);
  const data = frame(2);
  ng.block(
    6,
    ng.u32(0),
    ng.u32(Number(at >> 32n)),
    ng.u32(Number(at & 0xffffffffn)),
    ng.u32(60),
    ng.u32(60),
    data,
    broken,
  );
  for (let i = 0; i < 30; i++) ng.packet(0, at, frame(i, 60), many);
  writeFileSync(from, ng.bytes());
  const { code, stderr } = await ringtap('convert', '--force', from, ours);
  expect([code, stderr]).toEqual([0, expect.stringContaining('is left out')]);
  const comments = rows(ours, ['frame.comment']);
  expect(comments).toHaveLength(32);
  expect(comments[1]).toBe('ok');
  expect(comments[0]!.split('|')).toHaveLength(4);
});
