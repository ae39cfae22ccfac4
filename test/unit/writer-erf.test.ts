// ERF that is written, as we, Wireshark and, where they are installed, libtrace's tools read it.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { open, openWriter, type WriterOptions } from 'ringtap';
import { expect, test } from 'vitest';
import { ringtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { failure } from '../support/packets.js';

const path = temporaryFolder();
let files = 0;
const newFile = (suffix = 'erf') => path(`${++files}.${suffix}`);
const run = (command: string, ...args: string[]) =>
  execFileSync(command, args, { stdio: ['ignore', 'pipe', 'ignore'] }).toString();
const fields = (file: string, ...names: string[]) =>
  run('tshark', '-r', file, '-T', 'fields', ...names.flatMap((name) => ['-e', name]))
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'));

async function record(file: string, uri: string, options: WriterOptions = {}) {
  await using capture = await open(uri);
  const writer = await openWriter(file, { linkType: 1, ...options });
  for await (const batch of capture) await writer.write(batch);
  await writer.close();
  return capture.stats();
}

test('packets, lengths and times of ERF are those of the pcap that it was made of, and back', async () => {
  const [pcap, erf, back] = [newFile('pcap'), newFile(), newFile('pcap')];
  await record(pcap, 'synth:?count=500&seed=3&sizes=imix');
  expect(await ringtap('convert', pcap, erf)).toMatchObject({ code: 0 });
  expect(await ringtap('convert', erf, back)).toMatchObject({ code: 0 });
  expect(readFileSync(back).equals(readFileSync(pcap))).toBe(true);
  expect(run('capinfos', '-tcM', erf)).toMatch(/File type: +erf$[\s\S]*Number of packets: +500$/m);
  const told = ['frame.time_epoch', 'ip.src', 'ip.len', 'udp.srcport', 'tcp.srcport', '_ws.malformed'];
  expect(fields(erf, ...told)).toEqual(fields(pcap, ...told));
  // The length on the wire has the FCS, which was not captured.
  const length = fields(pcap, 'frame.len').map(([n]) => String(Number(n) + 4));
  expect(fields(erf, 'frame.len').map(([n]) => n)).toEqual(length);
  expect(fields(erf, 'eth.fcs').every(([fcs]) => fcs === '')).toBe(true);
});

test('libtrace reads the same packets, lengths and times', async () => {
  const [pcap, erf, theirs] = [newFile('pcap'), newFile(), newFile('pcap')];
  await record(pcap, 'synth:?count=500&seed=4&sizes=imix', { nanosecond: false });
  await ringtap('convert', pcap, erf);
  run('traceconvert', `erf:${erf}`, `pcapfile:${theirs}`);
  const told = ['frame.time_epoch', 'frame.len', 'frame.cap_len', 'frame.protocols', 'ip.id', 'ip.src'];
  const shorter = (rows: string[][]) => rows.map(([time, ...others]) => [time?.slice(0, -4), ...others]);
  expect(shorter(fields(theirs, ...told))).toEqual(shorter(fields(pcap, ...told)));
});

test('extension headers, types and interfaces that were read are written as they were', async () => {
  const records = [0x82, 0x01, 0x16, 0x0b, 0x95].map((type, i) => {
    const extensions = type & 0x80 ? ['8300000000000001', '0500000000000002'] : [];
    const pad = [2, 11].includes(type & 0x7f) ? '0000' : '';
    const payload = '45'.repeat(60);
    const bytes = Buffer.from(`${'00'.repeat(16)}${extensions.join('')}${pad}${payload}`, 'hex');
    bytes.writeUInt32LE(0x80000001 + i, 0);
    bytes.writeUInt32LE(1_700_000_000 + i, 4);
    bytes[8] = type;
    bytes[9] = 4 | (i % 4);
    bytes.writeUInt16BE(bytes.length, 10);
    bytes.writeUInt16BE(i, 12);
    bytes.writeUInt16BE(60, 14);
    return bytes;
  });
  const [before, after, plain] = [newFile(), newFile(), newFile()];
  writeFileSync(before, Buffer.concat(records));
  expect(await ringtap('convert', before, after)).toMatchObject({ code: 0 });
  expect(readFileSync(after).equals(readFileSync(before))).toBe(true);
  const merged = newFile();
  expect(await ringtap('merge', '-w', merged, before, after)).toMatchObject({ code: 0 });
  expect(readFileSync(merged).length).toBe(2 * readFileSync(before).length);
  // Packets that are cut are records of their own.
  expect(await ringtap('convert', before, plain, '-s', '40')).toMatchObject({ code: 0 });
  expect(run('capinfos', '-cM', plain)).toMatch(/: +5$/m);
  const shifted = newFile();
  await ringtap('convert', before, shifted, '--time-shift', '1s');
  expect(readFileSync(shifted).readUInt32LE(4)).toBe(1_700_000_001);
});

test('what was lost between packets is told by their records', async () => {
  const file = newFile();
  const { dropped } = await record(file, 'synth:?count=5000&dropEvery=10');
  const bytes = readFileSync(file);
  let lost = 0;
  for (let at = 0; at < bytes.length; at += bytes.readUInt16BE(at + 10)) lost += bytes.readUInt16BE(at + 12);
  expect(dropped).toBe(500);
  expect(lost).toBeGreaterThan(400);
  expect(lost).toBeLessThanOrEqual(500);
});

test('what ERF has no place for is refused', async () => {
  for (const options of [{ comment: 'x' }, { packetDetails: true }, { interface: { name: 'x' } }]) {
    expect(await failure(() => openWriter(newFile(), options))).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
  }
  const writer = await openWriter(`erf:${newFile('anything')}`);
  expect(() => writer.comment('x')).toThrow(/an ERF file has no place for a comment/);
  await using capture = await open('synth:?count=3');
  for await (const batch of capture) {
    const odd = batch.copy() as { linkType: number } & ReturnType<typeof batch.copy>;
    odd.linkType = 113;
    expect(await failure(() => writer.write(odd))).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
    await writer.write(batch);
  }
  // Shorter than a record's header.
  await using cut = await open('synth:?count=1&snaplen=15');
  for await (const batch of cut) {
    const odd = batch.copy() as { linkType: number } & ReturnType<typeof batch.copy>;
    odd.linkType = 197;
    expect(await failure(() => writer.write(odd))).toMatchObject({ code: 'RINGTAP_UNSUPPORTED' });
  }
  await writer.close();
  expect(writer.stats().packets).toBe(3);
  const empty = newFile();
  await (await openWriter(empty)).close();
  expect(readFileSync(empty).length).toBe(0);
});
