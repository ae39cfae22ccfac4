// Several traces as one, through the public API; native/test/many_files_test.cc compares with mergecap, packet by packet.
import { mkdirSync, writeFileSync } from 'node:fs';
import { open, openWriter } from 'ringtap';
import { expect, test } from 'vitest';
import { ringtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { failure, readAll } from '../support/packets.js';
import { pcapFile } from '../support/trace.js';

const path = temporaryFolder();
const BEGIN = 1_700_000_000_000_000_000n;

function trace(name: string, ...times: number[]): string {
  const packets = times.map((time) => ({ data: Buffer.alloc(60, name), time: BEGIN + BigInt(time) * 1_000_000n }));
  writeFileSync(path(name), pcapFile(packets));
  return path(name);
}

test('a list of traces is one capture, in order of time, whose plan says so', async () => {
  const list = `${trace('a', 0, 20, 40)},${trace('b', 10, 30)}`;
  await using capture = await open(`file:${list}`);
  expect(capture.plan.notes[0]).toBe('2 traces, in order of time');
  const seen = await readAll(capture);
  expect(seen.map(({ timeNs }) => Number((timeNs - BEGIN) / 1_000_000n))).toEqual([0, 10, 20, 30, 40]);
  expect(seen.map(({ data }) => String.fromCharCode(data[0]!)).join('')).toBe('ababa');
  expect(capture.stats()).toMatchObject({ received: 5, delivered: 5, deliveredBytes: 300 });
});

test('order is an option of the URI and of the object', async () => {
  const list = `file:${trace('late', 50)},${trace('soon', 1)}` as const;
  for (const capture of [await open(`${list}?order=given`), await open(list, { order: 'given' })]) {
    const seen = await readAll(capture);
    expect(seen.map(({ data }) => data.length && String.fromCharCode(data[0]!))).toEqual(['l', 's']);
    await capture.close();
  }
  expect((await failure(() => open(`${list}?order=name`))).message).toContain('one of time, given');
});

test('batches of many traces can be held, copied and written', async () => {
  const times = Array.from({ length: 3000 }, (_, i) => i * 3);
  mkdirSync(path('folder'));
  for (const shift of [0, 1, 2]) trace(`folder/${shift}`, ...times.map((time) => time + shift));
  await using capture = await open(`${path('folder')}/`, { batchSize: 100 });
  const writer = await openWriter(path('held.pcapng'));
  let held: { release(): void } | undefined;
  for await (const batch of capture) {
    await writer.write(batch);
    held?.release();
    batch.hold();
    held = batch;
  }
  await writer.close(capture.stats());
  await using again = await open(path('held.pcapng'));
  const seen = await readAll(again);
  expect(seen.map(({ timeNs }) => Number((timeNs - BEGIN) / 1_000_000n))).toEqual(
    Array.from({ length: 9000 }, (_, i) => i),
  );
});

test('the command reads lists, patterns and folders, and says what is wrong with them', async () => {
  mkdirSync(path('dir'));
  trace('dir/x1.pcap', 1, 3);
  trace('dir/x2.pcap', 2);
  const read = await ringtap('read', `${path('dir')}/x*.pcap`);
  expect(read).toMatchObject({ code: 0, stderr: '' });
  expect(read.stdout.trim().split('\n')).toHaveLength(3);
  writeFileSync(path('dir/x1.pcap.zst.rtidx'), 'RTID');
  expect((await ringtap('read', path('dir'))).stdout).toBe(read.stdout);
  expect((await ringtap('read', `${path('dir')}/x*`)).stdout).toBe(read.stdout);
  const none = await ringtap('read', `${path('dir')}/y*.pcap`);
  expect(none.code).toBe(1);
  expect(none.stderr).toContain('/y*.pcap: matches no file\nhint: Check the folder and the pattern');
  mkdirSync(path('bare'));
  expect((await ringtap('read', path('bare'))).stderr).toContain(': no file is in this folder');
});

test('time that goes back is a warning, and once', async () => {
  const list = `${trace('back', 0, 30, 10, 40, 20)},${trace('forth', 5, 35)}`;
  const { code, stdout, stderr } = await ringtap('read', '-tt', list);
  expect(code).toBe(0);
  expect(stdout.trim().split('\n')).toHaveLength(7);
  expect(stderr.match(/time goes back by/g)).toHaveLength(1);
});
