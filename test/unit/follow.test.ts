// `follow` of file:, through the public API and the command; native/test/follow_test.cc has what happens to names.
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { open, openWriter } from 'ringtap';
import { expect, test } from 'vitest';
import { startRingtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { failure } from '../support/packets.js';
import { pcapFile } from '../support/trace.js';
import { until } from '../support/wait.js';

const path = temporaryFolder();

test('a rotation is followed while it is written, compressed or not, and every packet comes once', async () => {
  for (const suffix of ['pcap', 'pcapng.zst', 'pcap.lz4']) {
    const folder = path(suffix);
    mkdirSync(folder);
    const total = 30_000;
    const writing = (async () => {
      await using source = await open(`synth:?count=${total}&rate=60000&sizes=200`);
      const writer = await openWriter(`${folder}/x.${suffix}`, { rotate: { packets: 4000 }, flushMs: 20 });
      for await (const batch of source) await writer.write(batch);
      await writer.close();
      return writer.stats();
    })();
    await using capture = await open(`file:${folder}/x*.${suffix}?follow=true`);
    expect(capture.plan.mode).toBe('stream');
    let seen = 0;
    let before = 0n;
    for await (const batch of capture) {
      for (let i = 0; i < batch.length; i++) {
        const now = batch.timeNs(i);
        expect(now >= before).toBe(true);
        before = now;
      }
      seen += batch.length;
      if (seen >= total) break;
    }
    expect((await writing).files).toBe(8);
    expect(seen).toBe(total);
    expect(capture.tryNext()).toBeNull();
    expect(capture.stats()).toMatchObject({ received: total, delivered: total });
    expect(capture.ended).toBe(false);
  }
});

test('following ends at once by its signal and by close(), and costs no time while nothing comes', async () => {
  const file = path('quiet.pcap');
  writeFileSync(file, pcapFile([{ data: Buffer.alloc(60), time: 1_700_000_000_000_000_000n }]));
  const stop = new AbortController();
  const capture = await open(`file:${file}?follow=true`, { signal: stop.signal });
  let seen = 0;
  const reading = (async () => {
    for await (const batch of capture) seen += batch.length;
  })();
  await until(() => seen === 1, 'the packet that is there');
  const before = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1000).toBeLessThan(100); // ms of a second
  const begin = performance.now();
  stop.abort(new Error('enough'));
  await expect(reading).rejects.toThrow('enough');
  await capture.close();
  expect(performance.now() - begin).toBeLessThan(500);

  const second = await open(`file:${file}?follow=true`);
  setTimeout(() => second.close(), 50);
  for await (const batch of second) expect(batch.length).toBe(1);
  const opening = open(`file:${path('none.pcap')}?follow=true`, { signal: AbortSignal.timeout(100) });
  await expect(opening).rejects.toMatchObject({ name: 'TimeoutError' });
});

test('the command follows with -F, and a signal ends it in good order', async () => {
  const file = path('growing.pcap');
  const packets = Array.from({ length: 3 }, (_, i) => ({
    data: Buffer.alloc(60, i),
    time: 1_700_000_000_000_000_000n + BigInt(i),
  }));
  const whole = pcapFile(packets);
  const cut = whole.length - 20;
  writeFileSync(file, whole.subarray(0, cut));
  const run = startRingtap(['read', '-F', file]);
  let printed = '';
  run.process.stdout!.on('data', (piece: Buffer) => {
    printed += piece.toString();
  });
  await until(() => printed.split('\n').length === 3, 'two lines');
  appendFileSync(file, whole.subarray(cut));
  await until(() => printed.split('\n').length === 4, 'the third line');
  run.process.kill('SIGINT');
  const { code, signal, stderr } = await run.outcome;
  expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
});

test('a list, and a folder that is not there, cannot be followed', async () => {
  const list = await failure(() => open(`file:${path('a')},${path('b')}?follow=true`));
  expect(list).toMatchObject({ code: 'RINGTAP_BAD_OPTION', message: expect.stringContaining('no list') });
  const folder = await failure(() => open(`file:${path('no/such/x.pcap')}?follow=true`));
  expect(folder).toMatchObject({ code: 'RINGTAP_FILE_OPEN', message: expect.stringContaining('no such folder') });
});
