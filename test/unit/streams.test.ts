import { execFileSync } from 'node:child_process';
import { createWriteStream, readFileSync, writeFileSync } from 'node:fs';
import { Readable, Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream, WritableStream } from 'node:stream/web';
import { type Batch, CaptureError, open, openWriter } from 'ringtap';
import { type OwnedPacket, readBatches, readPackets, readTrace, writeTo } from 'ringtap/streams';
import { beforeAll, expect, test } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { readAll } from '../support/packets.js';
import { pcapFile } from '../support/trace.js';
import { within } from '../support/wait.js';

const path = temporaryFolder();
const source = `file:${path('source')}` as const;

// WHY not synth: itself each time: its packets have the time at which it was opened.
beforeAll(async () => {
  await using capture = await open('synth:?count=3000&seed=4&sizes=60-900&rate=50000');
  const writer = await openWriter(`pcapng:${path('source')}`);
  for await (const batch of capture) await writer.write(batch);
  await writer.close();
});

test('packets come as objects that are owned, all of them, and at the pace of the reader', async () => {
  await using expected = await open(source);
  const all = await readAll(expected);
  await using capture = await open(source);
  const packets: OwnedPacket[] = [];
  for await (const packet of readPackets(capture, { highWaterMark: 4 })) packets.push(packet);
  expect(packets.map(({ data, timeNs, wirelen }) => [Buffer.from(data).toString('hex'), timeNs, wirelen])).toEqual(
    all.map(({ data, timeNs, wirelen }) => [data.toString('hex'), timeNs, wirelen]),
  );
  expect(packets[0]!.linkType).toBe(1);
});

test('a web stream of packets is read to its end', async () => {
  await using capture = await open(source);
  let count = 0;
  for await (const { data } of Readable.toWeb(readPackets(capture)) as AsyncIterable<OwnedPacket>) {
    count += data.length > 0 ? 1 : 0;
  }
  expect(count).toBe(3000);
});

test('batches go through a pipeline into a writer, which completes the file', async () => {
  await using capture = await open(source);
  await pipeline(readBatches(capture), writeTo(await openWriter(path('piped.pcapng'))));
  await using again = await open(path('piped.pcapng'));
  await using expected = await open(source);
  expect(await readAll(again)).toEqual(await readAll(expected));
});

test('a pcap stream is byte for byte what the writer writes', async () => {
  await using capture = await open(source);
  await pipeline(readTrace(capture), createWriteStream(path('bytes.pcap')));
  await using again = await open(source);
  const writer = await openWriter(path('written.pcap'), { linkType: 1 });
  for await (const batch of again) await writer.write(batch);
  await writer.close();
  expect(readFileSync(path('bytes.pcap')).equals(readFileSync(path('written.pcap')))).toBe(true);
});

test('a pcapng stream has what the capture had, and tshark reads it', async () => {
  await using capture = await open(source);
  await pipeline(readTrace(capture, { format: 'pcapng' }), createWriteStream(path('bytes.pcapng')));
  await using again = await open(path('bytes.pcapng'));
  await using expected = await open(source);
  expect(await readAll(again)).toEqual(await readAll(expected));
  const count = execFileSync('tshark', ['-r', path('bytes.pcapng'), '-T', 'fields', '-e', 'frame.number'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  expect(count.trim().split('\n')).toHaveLength(3000);
});

test('a second link type is an interface of pcapng, and an error of pcap', async () => {
  const packet = { data: Buffer.alloc(20, 0x45), time: 1_700_000_000_000_000_000n };
  writeFileSync(path('eth'), pcapFile([packet]));
  writeFileSync(path('raw'), pcapFile([packet], 101));
  const both = `file:${path('eth')},${path('raw')}` as const;
  await using ng = await open(both);
  writeFileSync(path('both.pcapng'), await buffer(readTrace(ng, { format: 'pcapng' })));
  await using again = await open(path('both.pcapng'));
  expect(await readAll(again)).toHaveLength(2);
  await using one = await open(both);
  const error = await buffer(readTrace(one)).catch((reason) => reason);
  expect(error).toBeInstanceOf(CaptureError);
  expect(error.message).toContain('a packet of link type 101 does not fit a pcap stream of 1');
});

test('a stream that is destroyed while it waits lets the capture be read by others', async () => {
  execFileSync('mkfifo', [path('quiet')]);
  const { openSync, writeSync, closeSync, constants } = await import('node:fs');
  const end = openSync(path('quiet'), constants.O_RDWR);
  writeSync(end, pcapFile([{ data: Buffer.alloc(60) }]));
  await using capture = await open(path('quiet'));
  const stream = readPackets(capture);
  await within(new Promise((resolve) => stream.once('data', resolve)), 'the first packet');
  const closed = new Promise((resolve) => stream.once('close', resolve));
  stream.destroy();
  await within(closed, 'the end of the stream');
  writeSync(end, pcapFile([{ data: Buffer.alloc(61) }]).subarray(24));
  const { value } = await within(capture[Symbol.asyncIterator]().next(), 'the second packet');
  expect(value?.wirelen[0]).toBe(61);
  closeSync(end);
});

test('a damaged trace fails the stream after its good packets, and bad options are refused', async () => {
  writeFileSync(path('cut'), pcapFile([{ data: Buffer.alloc(60) }, { data: Buffer.alloc(60) }]).subarray(0, -5));
  await using capture = await open(path('cut'));
  const seen: OwnedPacket[] = [];
  const reading = (async () => {
    for await (const packet of readPackets(capture)) seen.push(packet);
  })();
  await expect(reading).rejects.toMatchObject({ code: 'RINGTAP_FILE_TRUNCATED' });
  expect(seen).toHaveLength(1);
  await using other = await open(source);
  expect(() => readPackets(other, { highWaterMark: 0 })).toThrow('highWaterMark must be a whole number from 1');
  expect(() => readTrace(other, { format: 'erf' as 'pcap' })).toThrow('format must be pcap or pcapng, not "erf"');
  expect(() => readBatches(other, { high: 1 } as object)).toThrow('readBatches() has no option "high"');
});

test('what a damaged trace had before its damage is all written, however slow the writer', async () => {
  const packets = Array.from({ length: 500 }, (_, i) => ({ data: Buffer.alloc(60, i) }));
  writeFileSync(path('cut-short'), pcapFile(packets).subarray(0, -5));
  await using capture = await open(path('cut-short'), { batchSize: 8 });
  const writer = await openWriter(path('saved.pcap'));
  const slow = {
    write: async (batch: Parameters<typeof writer.write>[0]) => {
      await new Promise((resolve) => setTimeout(resolve, 3));
      await writer.write(batch);
    },
    close: () => writer.close(),
  };
  const into = writeTo(slow);
  const closed = new Promise((resolve) => into.once('close', resolve));
  await expect(pipeline(readBatches(capture), into)).rejects.toMatchObject({ code: 'RINGTAP_FILE_TRUNCATED' });
  await closed; // a pipeline that fails does not wait for it
  await using saved = await open(path('saved.pcap'));
  expect(await readAll(saved)).toHaveLength(499);
});

test('what is no capture, or no writer, is refused with what to give', () => {
  const refusal = (call: () => unknown) => {
    try {
      return call();
    } catch (error) {
      return error;
    }
  };
  for (const wrong of [null, undefined, 'afpacket:eth0', {}, Promise.resolve()]) {
    for (const read of [readBatches, readPackets, readTrace]) {
      expect(refusal(() => read(wrong as never))).toMatchObject({
        code: 'RINGTAP_BAD_OPTION',
        message: expect.stringMatching(/\(\) reads a capture, not /),
        hint: expect.stringContaining('await open('),
      });
    }
    expect(refusal(() => writeTo(wrong as never))).toMatchObject({
      code: 'RINGTAP_BAD_OPTION',
      message: expect.stringMatching(/^writeTo\(\) writes with a writer, not /),
      hint: expect.stringContaining('await openWriter('),
    });
  }
});

test('web streams carry batches from a capture into a writer, and a trace into a response', async () => {
  await using capture = await open('synth:?count=5000');
  const writer = await openWriter(path('web.pcap'), { linkType: capture.linkType });
  const into = Writable.toWeb(writeTo(writer)) as WritableStream<Batch>;
  await (Readable.toWeb(readBatches(capture)) as ReadableStream<Batch>).pipeTo(into);
  expect(writer.stats().packets).toBe(5000);
  await using again = await open('synth:?count=5000');
  const { body } = new Response(Readable.toWeb(readTrace(again)) as globalThis.ReadableStream);
  let bytes = 0;
  for await (const piece of body!) bytes += piece.length;
  expect(bytes).toBe(24 + 5000 * (16 + 64));
});
