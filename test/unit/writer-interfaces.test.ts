// Several captures in one trace: their interfaces, their order, their counts.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Batch, type Capture, CaptureError, open, openWriter } from 'ringtap';
import { expect, test } from 'vitest';
import { ringtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { failure } from '../support/packets.js';

const path = temporaryFolder();
let files = 0;
const newFile = (suffix = 'pcapng') => path(`${++files}.${suffix}`);

const run = (command: string, ...args: string[]) =>
  execFileSync(command, args, { stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 2 ** 26 }).toString();
const isInOrder = (file: string) => /Strict time order: +True/.test(run('capinfos', '-o', file));
/** Of each packet: its time, and the name of its interface. */
const packetsOf = (file: string) =>
  run('tshark', '-r', file, '-T', 'fields', '-e', 'frame.time_epoch', '-e', 'frame.interface_name')
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'));
const dissected = (file: string) => run('tshark', '-X', 'read_format:MIME Files Format', '-r', file, '-V');

/** Packets that begin so many microseconds later, one every 10 µs. */
async function copies(count: number, uri = 'synth:?', from = 0): Promise<Batch> {
  await using capture = await open(`${uri}&count=${count}`);
  for await (const batch of capture) {
    const copy = batch.copy();
    for (let i = 0; i < copy.length; i++) copy.time[i] = 1e9 + i * 10_000 + from * 1000;
    return copy;
  }
  throw new Error('no packets');
}

async function writeAll(captures: readonly Capture[], file: string, options = {}) {
  const writer = await openWriter(file, { interfaces: captures.map((capture) => ({ capture })), ...options });
  await Promise.all(
    captures.map(async (capture) => {
      for await (const batch of capture) await writer.write(batch);
    }),
  );
  await writer.close();
  return writer.stats();
}

test('several captures are written at once, in order of time, each with its interface and its counts', async () => {
  const file = newFile();
  await using one = await open('synth:?count=600&rate=2000&seed=1&dropEvery=10');
  await using two = await open('synth:?count=300&rate=1000&seed=2');
  const stats = await writeAll([one, two], file, { latenessMs: 30_000 });
  expect(stats).toMatchObject({ packets: 540 + 300, queued: 0, dropped: 0, late: 0 });
  expect(isInOrder(file)).toBe(true);
  const packets = packetsOf(file);
  expect(packets.filter(([, name]) => name === one.uri)).toHaveLength(540);
  expect(packets.filter(([, name]) => name === two.uri)).toHaveLength(300);
  const text = dissected(file);
  expect([...text.matchAll(/Option: Number of Received Packets = (\d+)/g)].map(([, n]) => n)).toEqual(['600', '300']);
  expect([...text.matchAll(/Option: Number of Dropped Packets = (\d+)/g)].map(([, n]) => n)).toEqual(['60', '0']);
  expect(run('tcpdump', '-nr', file).trimEnd().split('\n')).toHaveLength(840);
});

test('each file of a rotation describes and counts all of them', async () => {
  const folder = path('rotated');
  mkdirSync(folder);
  await using one = await open('synth:?count=900&rate=9000&seed=1');
  await using two = await open('synth:?count=900&rate=9000&seed=2');
  await writeAll([one, two], join(folder, 'a.pcapng'), { rotate: { packets: 600 }, latenessMs: 30_000 });
  const names = readdirSync(folder);
  expect(names).toHaveLength(3);
  for (const name of names) {
    const text = dissected(join(folder, name));
    expect(text.match(/Option: Interface Name = synth:/g)).toHaveLength(2);
    expect(text.match(/Block: Interface Statistics Block/g)).toHaveLength(2);
    expect(isInOrder(join(folder, name))).toBe(true);
  }
});

test('what comes within the lateness is put in order, and what comes later is written as it is and counted', async () => {
  const [early, late] = [await copies(100), await copies(100, 'synth:?', 5)];
  const interfaces = [{ name: 'a' }, { name: 'b' }];
  const sorted = newFile();
  const patient = await openWriter(sorted, { linkType: 1, interfaces });
  await patient.write(late, { interface: 1 });
  await patient.write(early, { interface: 0 });
  expect(patient.stats()).toMatchObject({ packets: 0, queued: 200 });
  await patient.flush();
  expect(patient.stats()).toMatchObject({ packets: 200, queued: 0, late: 0 });
  await patient.close();
  const names = packetsOf(sorted).map(([, name]) => name);
  expect(names).toEqual(Array.from({ length: 200 }, (_, i) => (i % 2 === 0 ? 'a' : 'b')));
  const torn = newFile();
  const hasty = await openWriter(torn, { linkType: 1, interfaces, latenessMs: 10 });
  await hasty.write(late, { interface: 1 });
  const begin = performance.now();
  while (hasty.stats().packets < 100 && performance.now() < begin + 5000) await new Promise((go) => setTimeout(go, 20));
  expect(hasty.stats()).toMatchObject({ packets: 100, queued: 0 }); // nobody flushes
  await hasty.write(early, { interface: 0 });
  await hasty.close();
  expect(hasty.stats()).toMatchObject({ packets: 200, late: 100 });
  expect(isInOrder(torn)).toBe(false);
});

test('one packet from the far future keeps no others from being put in order', async () => {
  const [early, late, odd] = [
    await copies(100, 'synth:?', 1e7),
    await copies(100, 'synth:?', 1e7 + 5),
    await copies(1),
  ];
  odd.time[0] = 4e18 - Number(odd.timeNs(0) - BigInt(odd.time[0]!));
  const file = newFile();
  const writer = await openWriter(file, { linkType: 1, interfaces: [{}, {}], latenessMs: 40 });
  await writer.write(odd, { interface: 0 });
  await new Promise((go) => setTimeout(go, 200));
  await writer.write(late, { interface: 1 });
  await writer.write(early, { interface: 0 });
  await writer.close();
  const times = packetsOf(file).map(([time]) => Number(time));
  expect(times.slice(1)).toEqual(times.slice(1).sort((a, b) => a - b));
});

test('more than there is memory to keep is written in order, and waits for nothing that does not come', async () => {
  const file = newFile('pcap');
  await using one = await open('synth:?count=120000&sizes=1400&seed=1');
  await using two = await open('synth:?count=10&sizes=64&seed=2');
  const stats = await writeAll([one, two], file, { latenessMs: 60_000 });
  expect(stats).toMatchObject({ packets: 120_010, dropped: 0 });
  expect(run('capinfos', '-cM', file)).toMatch(/Number of packets: +120010$/m);
});

test('differing link types are told of where libpcap will not read them, and refused for pcap', async () => {
  const warnings: string[] = [];
  const hear = ({ code, message }: Error & { code?: string }) => {
    if (code === 'RINGTAP_LINK_TYPES') warnings.push(message);
  };
  process.on('warning', hear);
  const file = newFile();
  const writer = await openWriter(file, { interfaces: [{ linkType: 1 }, { linkType: 113 }] });
  await writer.close([
    { received: 1, dropped: 0 },
    { received: 2, dropped: 0 },
  ]);
  await new Promise((go) => setImmediate(go));
  process.off('warning', hear);
  expect(warnings).toEqual([expect.stringMatching(/Ethernet and of Linux cooked.*tcpdump, does not/)]);
  expect(run('capinfos', '-I', file)).toMatch(/Number of interfaces in file: 2/);
  expect(() => run('tcpdump', '-nr', file)).toThrow();
  const refused = await failure(() =>
    openWriter(newFile('pcap'), { interfaces: [{ linkType: 1 }, { linkType: 113 }] }),
  );
  expect(refused).toMatchObject({ code: 'RINGTAP_BAD_OPTION', message: expect.stringMatching(/one pcap file$/) });
});

test('what fits no interface is refused, and the writer goes on', async () => {
  await using stranger = await open('synth:?count=10');
  await using known = await open('synth:?count=10');
  const writer = await openWriter(newFile(), { interfaces: [{ capture: known }, {}] });
  for await (const batch of stranger) {
    for (const options of [undefined, { interface: 2 }, { interface: -1 }, { interface: 0.5 }, { interface: 'a' }]) {
      const error = await failure(() => writer.write(batch, options as never));
      expect(error).toBeInstanceOf(CaptureError);
      expect(error).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
    }
    await writer.write(batch, { interface: 1 });
  }
  expect(await failure(() => writer.close({ received: 1, dropped: 0 }))).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
  await writer.close();
  expect(writer.stats().packets).toBe(10);
  const bad = [
    { interfaces: [] },
    { interfaces: {} },
    { interfaces: Array.from({ length: 65 }, () => ({})) },
    { interfaces: [{ capture: known }, { capture: known }] },
    { interfaces: [{ capture: {} }] },
    { interfaces: [{ speed: 1 }] },
    { interfaces: [{}], interface: {} },
    { interfaces: [{}], latenessMs: 5 },
    { interfaces: [{}, {}], latenessMs: -1 },
    { interfaces: [{ name: 'x' }, {}], uri: 'pcap' },
  ];
  for (const { uri = 'pcapng', ...options } of bad) {
    expect(await failure(() => openWriter(newFile(uri), options as never))).toMatchObject({
      code: expect.stringMatching(/^RINGTAP_(BAD|UNKNOWN)_OPTION$/),
    });
  }
});

test('ringtap capture writes several into one trace', async () => {
  const file = newFile();
  const uris = ['synth:?count=400&rate=4000&seed=1', 'synth:?count=200&rate=2000&seed=2'];
  const { code, stderr } = await ringtap('capture', '-i', uris[0]!, '-i', uris[1]!, '-w', file, '-q');
  expect(code).toBe(0);
  expect(stderr).toContain('600 packets written');
  expect(isInOrder(file)).toBe(true);
  expect(run('capinfos', '-I', file)).toMatch(/Number of packets = 400[\s\S]*Number of packets = 200/);
  const plain = newFile('pcap');
  const pcap = await ringtap('capture', uris[0]!, uris[1]!, '-w', plain, '-q', '--lateness', '50ms');
  expect(pcap.stderr).toMatch(/will not say which packet is from where/);
  expect(readFileSync(plain).length).toBe(24 + 600 * (16 + 64));
});
