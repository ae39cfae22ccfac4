// What a pcapng trace holds beside packets, as Wireshark's reader of the file format shows it.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { open, openWriter, type WriterOptions } from 'ringtap';
import { expect, test } from 'vitest';
import { ringtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { failure } from '../support/packets.js';

const path = temporaryFolder();
let files = 0;
const newFile = () => path(`${++files}.pcapng`);

/** Every block and option of the file. */
const dissected = (file: string) =>
  execFileSync('tshark', ['-X', 'read_format:MIME Files Format', '-r', file, '-V'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 2 ** 28,
  }).toString();
const fields = (file: string, ...names: string[]) =>
  execFileSync('tshark', ['-r', file, '-T', 'fields', ...names.flatMap((name) => ['-e', name])], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'));

async function record(file: string, options: WriterOptions, uri = 'synth:?count=20') {
  await using capture = await open(uri);
  const writer = await openWriter(file, { linkType: 1, ...options });
  for await (const batch of capture) await writer.write(batch);
  await writer.close({
    ...capture.stats(),
    received: 25,
    dropped: 5,
    drops: { ring: 4, nic: 1, kernel: null },
  } as never);
}

test('the section and the interface are described', async () => {
  const file = newFile();
  const description = { name: 'eth7', description: 'the uplink', filter: 'udp port 53', bitsPerSecond: 10_000_000_000 };
  await record(file, { interface: description });
  const text = dissected(file);
  const about = execFileSync('capinfos', [file]).toString();
  expect(about).toMatch(/^Capture oper-sys: +Linux \d/m);
  expect(about).toMatch(/^Capture hardware: +\S/m);
  expect(text).toMatch(/Option: User Application = ringtap \d/);
  expect(text).toContain('Option: Interface Name = eth7');
  expect(text).toContain('Option: Interface Description = the uplink');
  expect(text).toContain('udp port 53');
  expect(fields(file, 'frame.interface_name', 'frame.interface_description')[19]).toEqual(['eth7', 'the uplink']);
  const infos = execFileSync('capinfos', ['-I', file]).toString();
  expect(infos).toContain('Speed = 10000000000');
  expect(infos).toContain('Filter string = udp port 53');
  expect(execFileSync('tcpdump', ['-r', file], { stdio: 'pipe' }).toString().trimEnd().split('\n')).toHaveLength(20);
});

test('a trace ends with counts, times and each cause of loss, which is no packet to anybody', async () => {
  const file = newFile();
  await record(file, {});
  const text = dissected(file);
  expect(text).toMatch(/Number of Received Packets = 25/i);
  expect(text).toMatch(/Number of Dropped Packets = 5/i);
  const bytes = readFileSync(file, 'latin1');
  expect(bytes).toContain('ring=4');
  expect(bytes).toContain('nic=1');
  expect(bytes).not.toContain('kernel=');
  expect(text).toMatch(/Start Time/i);
  expect(execFileSync('capinfos', ['-cM', file]).toString()).toMatch(/: +20$/m);
});

test('every file that rotates ends with what its capture counted', async () => {
  const folder = path('rotated');
  mkdirSync(folder);
  await record(join(folder, 'a.pcapng'), { rotate: { packets: 5 } });
  const names = readdirSync(folder);
  expect(names).toHaveLength(4);
  for (const name of names) expect(dissected(join(folder, name))).toMatch(/Number of Received Packets = \d+/i);
});

test('details of packets are those that tshark shows, and cost nothing where they are not wanted', async () => {
  const [with_, without] = [newFile(), newFile()];
  await record(with_, { packetDetails: true });
  await record(without, {});
  const names = ['frame.packet_flags_direction', 'frame.packet_id', 'frame.interface_queue'];
  expect(fields(with_, ...names)).toEqual(Array.from({ length: 20 }, (_, i) => ['0x00000001', `${i + 1}`, '0']));
  expect(fields(without, ...names).every((line) => line.join('') === '')).toBe(true);
});

test('a comment is about the next packet, whatever its length', async () => {
  const file = newFile();
  await using capture = await open('synth:?count=20&batchSize=5');
  const writer = await openWriter(file, { linkType: 1 });
  const long = 'é'.repeat(32_767);
  for await (const batch of capture) {
    writer.comment(batch.timeNs(0) % 2n === 0n ? 'replaced' : long);
    writer.comment(`before ${batch.timeNs(0)}`);
    await writer.write(batch);
  }
  writer.comment(long);
  await using more = await open('synth:?count=1');
  await writer.write(more.tryNext()!);
  await writer.close();
  const comments = fields(file, 'frame.comment').map(([text]) => text ?? '');
  expect(comments.map((text, i) => (text === '' ? -1 : i)).filter((i) => i >= 0)).toEqual([0, 5, 10, 15, 20]);
  expect(comments[5]).toBe('before 1600000000000005000');
  expect(Buffer.byteLength(comments[20]!)).toBe(65_534);
});

test('secrets stand in front of the packets, in every file that follows', async () => {
  const folder = path('secrets');
  mkdirSync(folder);
  const log = `CLIENT_RANDOM ${'ab'.repeat(32)} ${'cd'.repeat(48)}\n`;
  await using capture = await open('synth:?count=20');
  const writer = await openWriter(join(folder, 'a.pcapng'), { linkType: 1, rotate: { packets: 10 } });
  writer.secrets('tls', log);
  writer.secrets(0x57474b4c, Buffer.from('xyz'));
  for await (const batch of capture) await writer.write(batch);
  await writer.close();
  for (const name of readdirSync(folder)) {
    const text = dissected(join(folder, name));
    expect(text.match(/Secrets Type: /g)).toHaveLength(2);
    expect(text.indexOf('Secrets Type: ')).toBeLessThan(text.indexOf('Enhanced Packet Block'));
    expect(execFileSync('capinfos', ['-cM', join(folder, name)]).toString()).toMatch(/: +10$/m);
  }
});

test('what a pcap file has no place for, and what is no text, is refused', async () => {
  for (const options of [{ interface: { name: 'x' } }, { packetDetails: true }]) {
    expect((await failure(() => openWriter('pcap:/dev/null', options))).message).toContain('no place for');
  }
  const bad = await failure(() => openWriter('pcapng:/dev/null', { interface: { speed: 1 } as never }));
  expect(bad.message).toContain('interface has no option "speed"');
  await using plain = await openWriter('pcap:/dev/null', { linkType: 1 });
  for (const call of [() => plain.comment('x'), () => plain.secrets('tls', 'x')]) {
    expect((await failure(async () => call())).code).toBe('RINGTAP_UNSUPPORTED');
  }
  await using writer = await openWriter('pcapng:/dev/null', { linkType: 1 });
  const calls = [
    () => writer.comment(''),
    () => writer.comment('x'.repeat(65_536)),
    () => writer.comment(5 as never),
    () => writer.secrets('rsa' as never, 'x'),
    () => writer.secrets('tls', 5 as never),
    () => writer.secrets('tls', Buffer.alloc(600_000)),
  ];
  for (const call of calls) expect((await failure(async () => call())).code).toBe('RINGTAP_BAD_OPTION');
  await writer.close();
  expect((await failure(async () => writer.comment('x'))).code).toBe('RINGTAP_CLOSED');
});

test('the command describes what it captures from', async () => {
  const file = newFile();
  await ringtap('capture', 'synth:?count=20&protocols=udp', '-w', file, '-f', 'udp');
  const infos = execFileSync('capinfos', ['-I', file]).toString();
  expect(infos).toContain('Filter string = udp');
  expect(infos).toMatch(/Name = \S/);
});

test('what a capture has lost between packets stands in the packet behind it', async () => {
  const file = newFile();
  await using capture = await open('synth:?count=5000&dropEvery=10');
  const writer = await openWriter(file, { interface: { capture }, packetDetails: true });
  for await (const batch of capture) await writer.write(batch);
  await writer.close();
  const rows = fields(file, 'frame.drop_count', 'frame.packet_id', 'frame.interface_queue');
  const lost = rows.reduce((sum, [drops]) => sum + Number(drops), 0);
  expect(lost).toBeGreaterThan(400);
  expect(lost).toBeLessThanOrEqual(capture.stats().dropped);
  expect(rows.map(([, id]) => Number(id))).toEqual(rows.map((_, i) => i + 1));
  expect(rows[0]![2]).toBe('0');
  expect(dissected(file)).toMatch(/Drop Count/i);
});

const NAMED = [
  { address: '10.0.0.1', names: ['one.example', 'eins.example'] },
  { address: '2001:db8::7', names: ['six.example'] },
  { address: '::ffff:192.0.2.1', names: ['mapped.example'] },
];

test('names stand in front of the packets, and are kept by convert, merge and split, as secrets are', async () => {
  const file = newFile();
  const writer = await openWriter(file, { linkType: 1 });
  writer.names(NAMED);
  writer.secrets('tls', 'CLIENT_RANDOM 00 11\n');
  await using capture = await open('synth:?count=50');
  for await (const batch of capture) await writer.write(batch);
  await writer.close();
  const other = newFile();
  const second = await openWriter(other, { linkType: 1 });
  second.names([{ address: '10.0.0.2', names: ['two.example'] }]);
  await using more = await open('synth:?count=50&seed=9');
  for await (const batch of more) await second.write(batch);
  await second.close();

  const [converted, compressed, merged] = [newFile(), newFile(), newFile()];
  expect(await ringtap('convert', file, converted)).toMatchObject({ code: 0 });
  expect(await ringtap('convert', file, `${compressed}.zst`)).toMatchObject({ code: 0 });
  expect(await ringtap('convert', `${compressed}.zst`, compressed)).toMatchObject({ code: 0 });
  expect(await ringtap('merge', '-w', merged, file, other)).toMatchObject({ code: 0 });
  const folder = path('parts');
  mkdirSync(folder);
  expect(await ringtap('split', file, '-w', join(folder, 'p.pcapng'), '--by', 'packets:20')).toMatchObject({ code: 0 });
  const parts = readdirSync(folder).map((name) => join(folder, name));
  expect(parts).toHaveLength(3);
  for (const each of [file, converted, compressed, merged, ...parts]) {
    const text = dissected(each);
    for (const name of ['one.example', 'eins.example', 'six.example', 'mapped.example']) expect(text).toContain(name);
    expect(text).toContain('2001:db8::7');
    expect(text).toContain('::ffff:192.0.2.1');
    expect(text).toMatch(/Secrets Type: TLS/i);
    expect(readFileSync(each, 'latin1')).toContain('CLIENT_RANDOM 00 11');
    // Before any packet.
    expect(text.indexOf('one.example')).toBeLessThan(text.indexOf('Enhanced Packet Block'));
    expect(execFileSync('capinfos', ['-cM', each], { stdio: 'pipe' }).toString()).toMatch(/: +\d+$/m);
  }
  expect(dissected(merged)).toContain('two.example');
});

test('names and secrets that are too many or too long to be kept are told of', async () => {
  const [many, long, kept] = [newFile(), newFile(), newFile()];
  const writer = await openWriter(many, { linkType: 1 });
  for (let i = 0; i < 15; i++) writer.secrets('tls', Buffer.alloc(2 ** 19, i + 1));
  await using capture = await open('synth:?count=1');
  for await (const batch of capture) await writer.write(batch);
  await writer.close();
  const told = 'is left out: up to 8 MiB are kept';
  expect((await ringtap('convert', many, kept, '--force')).stderr).not.toContain(told);
  const both = await ringtap('merge', '-w', kept, '--force', many, many);
  expect(both.code).toBe(0);
  expect(both.stderr).toContain(told);

  const words = (...numbers: number[]) => Buffer.from(new Uint32Array(numbers).buffer);
  const bytes = 2 ** 20;
  const block = Buffer.concat([words(10, bytes + 20, 0x544c534b, bytes), Buffer.alloc(bytes, 'x'), words(bytes + 20)]);
  const whole = readFileSync(many);
  const section = whole.readUInt32LE(4);
  writeFileSync(long, Buffer.concat([whole.subarray(0, section), block, whole.subarray(section)]));
  const converted = await ringtap('convert', long, kept, '--force');
  expect(converted.code).toBe(0);
  expect(converted.stderr).toContain(told);
});

test('what are no names of addresses is refused', async () => {
  const writer = await openWriter(newFile());
  const bad = [[], {}, null, [5], [{}], [{ address: '10.0.0.1' }], [{ address: '10.0.0.1', names: [] }]];
  const worse = [[{ address: 'x', names: ['a'] }], [{ address: '1.2.3.4', names: ['a\0b'] }]];
  for (const list of [...bad, ...worse]) {
    expect(() => writer.names(list as never)).toThrow(expect.objectContaining({ code: 'RINGTAP_BAD_OPTION' }));
  }
  await writer.close();
  expect(() => writer.names(NAMED)).toThrow(expect.objectContaining({ code: 'RINGTAP_CLOSED' }));
});
