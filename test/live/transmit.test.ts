// Sending on a veth pair, by every method: what arrives is what was accepted and not counted as failed.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { type Batch, type Capture, open, openTransmitter, type TransmitStats, type Transmitter } from 'ringtap';
import { afterEach, describe, expect, test } from 'vitest';
import { lab, labMissing } from '../support/lab.js';
import { failure, NO_FAILURES, readAll } from '../support/packets.js';
import { sleep, until } from '../support/wait.js';

const { rx, tx } = lab ?? { rx: 'rt1', tx: 'rt0' };
const METHODS = ['afxdp', 'afpacket', 'pcap'] as const;
/** Nobody else's. */
const ETHER_TYPE = 0x88b5;

/** Numbered, and no two alike. */
function frame(number: number, bytes = 60 + (number % 1400)): Buffer {
  const made = Buffer.alloc(Math.max(bytes, 60), number & 0xff);
  made.write('020000000002020000000001', 'hex');
  made.writeUInt16BE(ETHER_TYPE, 12);
  made.writeUInt32BE(number, 14);
  return made.subarray(0, bytes);
}

const failedOf = ({ failed }: TransmitStats) => Object.values(failed).reduce((sum, count) => sum + count, 0);

function expectExact(stats: TransmitStats): void {
  expect(stats.accepted).toBe(stats.completed + stats.queued + failedOf(stats));
}

/** In the order of their arrival. */
function digest(frames: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const each of frames) hash.update(`${each.length}:`).update(each);
  return hash.digest('hex');
}

async function sendAll(transmitter: Transmitter, frames: readonly Uint8Array[]): Promise<void> {
  for (let from = 0; from < frames.length; ) {
    from += transmitter.sendBatch(frames, { from, count: 300 });
    if (from < frames.length) await transmitter.drain();
  }
  await transmitter.flush();
}

const ip = (...what: string[]) => execFileSync('ip', what, { encoding: 'utf8' });
const link = (...what: string[]) => ip('link', 'set', ...what);
const carrier = () => until(() => ip('link', 'show', 'dev', tx).includes('LOWER_UP'), 'the carrier');

describe.skipIf(lab === null)(`sending${labMissing ? ` (skipped: ${labMissing})` : ''}`, () => {
  let receiver: Capture | undefined;
  const receive = async () => {
    receiver = await open(`afpacket:${rx}`, { direction: 'in', filter: `ether proto ${ETHER_TYPE}` });
    return receiver;
  };

  afterEach(async () => {
    await receiver?.close();
    link(rx, 'up');
    link(tx, 'up');
    await carrier();
  });

  test.each(METHODS)(
    '%s: every frame arrives once, in order and byte for byte, one by one and many at once',
    async (method) => {
      const capture = await receive();
      await using transmitter = await openTransmitter(`${method}:${tx}?fallback=false`);
      const frames = Array.from({ length: 3000 }, (_, i) => frame(i));
      for (const each of frames.slice(0, 500)) while (!transmitter.send(each)) await transmitter.drain();
      await sendAll(transmitter, frames.slice(500));
      expect(transmitter.stats()).toEqual({
        accepted: 3000,
        completed: 3000,
        queued: 0,
        zeroCopy: 0,
        failed: NO_FAILURES,
      });
      const seen = await readAll(capture, 3000);
      expect(digest(seen.map(({ data }) => data))).toBe(digest(frames));
    },
  );

  test.each(METHODS)(
    '%s: of frames in a batch those of a wrong length are counted, and all others go out',
    async (method) => {
      const capture = await receive();
      await using transmitter = await openTransmitter(`${method}:${tx}?fallback=false`);
      const tagged = frame(3, 1518);
      tagged.writeUInt16BE(0x8100, 12);
      const frames = [frame(0, 60), frame(1, 1515), frame(2, 1514), frame(4, 13), tagged, frame(5, 2000), frame(6, 60)];
      expect(transmitter.sendBatch(frames)).toBe(frames.length);
      await transmitter.flush();
      const failed = { ...NO_FAILURES, tooLong: 2, tooShort: 1 };
      expect(transmitter.stats()).toEqual({ accepted: 7, completed: 4, queued: 0, zeroCopy: 0, failed });
      const seen = await readAll(capture, 3); // the tagged one is of another type
      expect(seen.map(({ data }) => data)).toEqual([frame(0, 60), frame(2, 1514), frame(6, 60)]);
      for (const bytes of [13, 1515]) {
        expect(await failure(() => transmitter.send(frame(7, bytes)))).toMatchObject({
          code: 'RINGTAP_BAD_OPTION',
          message: `${method}:${tx}?fallback=false: a frame to send has 14 to 1514 bytes here, not ${bytes}`,
        });
      }
      expect(transmitter.stats().accepted).toBe(7);
    },
  );

  test.each(METHODS)('%s: packets of a batch are sent as they lie there, those that were selected', async (method) => {
    const capture = await receive();
    await using transmitter = await openTransmitter(`${method}:${tx}?fallback=false`);
    await using source = await open('synth:?count=256&seed=5&sizes=64-1500&protocols=udp');
    const batch = source.nextSync();
    const packets = Array.from({ length: batch!.length }, (_, i) => Buffer.from(batch!.copy(i)));
    const mask = Uint8Array.from(packets, (_, i) => Number(i % 3 === 0));
    const indices = Uint32Array.of(9, 4, 4);
    for (const packet of packets) packet.writeUInt16BE(ETHER_TYPE, 12);
    for (let i = 0; i < batch!.length; i++) batch!.view.setUint16(batch!.offset[i]! + 12, ETHER_TYPE);
    expect(transmitter.sendBatch(batch!, { select: mask })).toBe(Math.ceil(packets.length / 3));
    expect(transmitter.sendBatch(batch!, { select: indices, from: 1 })).toBe(2);
    expect(transmitter.sendBatch(batch!.copy(), { from: 250 })).toBe(packets.length - 250);
    await transmitter.flush();
    const wanted = [...packets.filter((_, i) => i % 3 === 0), packets[4]!, packets[4]!, ...packets.slice(250)];
    const seen = await readAll(capture, wanted.length);
    expect(digest(seen.map(({ data }) => data))).toBe(digest(wanted));
    for (const [options, what] of [
      [{ select: Uint32Array.of(256) }, 'select[0] is 256, but the batch has 256 packets'],
      [{ select: new Uint8Array(3) }, 'the mask has 3 bytes, but the batch has 256 packets'],
      [{ from: -1 }, 'from must be a whole number from 0 on, not -1'],
    ] as const) {
      const error = await failure(() => transmitter.sendBatch(batch!, options));
      expect(error).toMatchObject({ code: 'RINGTAP_BAD_OPTION', message: expect.stringContaining(what) });
    }
    batch!.release();
    expect((await failure(() => transmitter.sendBatch(batch!))).code).toBe('RINGTAP_RELEASED');
  });

  test.each(['afxdp', 'afpacket'] as const)(
    '%s: while nobody is at the other end frames are counted as lost to that, and nothing spins',
    async (method) => {
      await using transmitter = await openTransmitter(`${method}:${tx}?fallback=false`);
      const dropped = () => JSON.parse(ip('-s', '-j', 'link', 'show', 'dev', tx))[0].stats64.tx.dropped as number;
      const before = dropped();
      link(rx, 'down');
      const cpu = process.cpuUsage();
      const began = performance.now();
      const frames = Array.from({ length: 64 }, (_, i) => frame(i));
      while (performance.now() - began < 500) {
        if (transmitter.sendBatch(frames) < frames.length) await transmitter.drain();
      }
      const { user, system } = process.cpuUsage(cpu);
      expect((user + system) / 1000).toBeLessThan(400); // of 500 ms; a loop that retries takes them all
      link(rx, 'up');
      await carrier();
      await sleep(5);
      await transmitter.flush();
      const lost = transmitter.stats();
      expectExact(lost);
      expect(lost.failed.linkDown).toBeGreaterThan(64);
      expect(dropped() - before).toBeLessThanOrEqual(lost.accepted);
      const capture = await receive();
      await sendAll(transmitter, frames);
      const after = transmitter.stats();
      expect(after.completed - lost.completed).toBe(64);
      expect(await readAll(capture, 64)).toHaveLength(64);
    },
  );

  test.each(METHODS)(
    '%s: an interface that is down is an error, and what is queued goes out when it is up again',
    async (method) => {
      await using transmitter = await openTransmitter(`${method}:${tx}?fallback=false`);
      link(tx, 'down');
      transmitter.send(frame(1));
      for (const call of [() => transmitter.flush(), () => transmitter.sendBatch([frame(2)])]) {
        expect((await failure(call)).code).toBe('RINGTAP_INTERFACE_DOWN');
      }
      expect(transmitter.stats()).toMatchObject({ accepted: 1, queued: 1 });
      link(tx, 'up');
      await carrier();
      const capture = await receive();
      await transmitter.flush();
      expect(await readAll(capture, 1)).toHaveLength(1);
      expectExact(transmitter.stats());
    },
  );

  test.each(['afpacket', 'pcap'])(
    '%s: a frame that the other end never takes is given up in time, and those behind it go',
    async (method) => {
      const capture = await receive();
      link(tx, 'mtu', '9000');
      try {
        await using transmitter = await openTransmitter(`${method}:${tx}?fallback=false`);
        const frames = [frame(0, 60), ...[1, 2, 3].map((number) => frame(number, 3000)), frame(4, 60)];
        await sendAll(transmitter, frames);
        const failed = { ...NO_FAILURES, noBuffer: 3 };
        expect(transmitter.stats()).toEqual({ accepted: 5, completed: 2, queued: 0, zeroCopy: 0, failed });
        const seen = await readAll(capture, 2);
        expect(seen.map(({ data }) => data)).toEqual([frame(0, 60), frame(4, 60)]);
      } finally {
        link(tx, 'mtu', '1500');
      }
    },
  );

  test('what is received is forwarded, with other addresses and a tag', async () => {
    const capture = await receive();
    await using source = await open('synth:?count=64&batchSize=64&sizes=100&protocols=udp');
    const batch = source.nextSync()!;
    await using transmitter = await openTransmitter(`afpacket:${tx}`);
    const macs = { srcMac: '02:bb:00:00:00:01', dstMac: '02:bb:00:00:00:02' };
    for (let i = 0; i < batch.length; i++) batch.view.setUint16(batch.offset[i]! + 12, ETHER_TYPE);
    const before = batch.copy(3);
    expect(transmitter.forward(batch, { select: [3], rewrite: macs })).toBe(1);
    const [seen] = await readAll(capture, 1);
    expect(seen!.data.subarray(0, 12).toString('hex')).toBe('02bb0000000202bb00000001');
    expect(seen!.data.subarray(12)).toEqual(Buffer.from(before.subarray(12)));
    expect(batch.copy(3)).toEqual(before);
    await using tagged = await open(`afpacket:${rx}`, { direction: 'in', filter: 'vlan 77' });
    expect(transmitter.forward(batch, { select: [3], rewrite: { vlanPush: 77 } })).toBe(1);
    const [other] = await readAll(tagged, 1);
    expect(other!.data).toEqual(
      Buffer.concat([before.subarray(0, 12), Buffer.from('8100004d', 'hex'), before.subarray(12)]),
    );
  });

  test('afxdp passes on what it has received without a copy, in order, changed as it should be, and loses no frame', async () => {
    await using there = await open(`afpacket:${tx}`, { direction: 'in', filter: `ether proto ${ETHER_TYPE} or vlan` });
    await using capture = await open(`afxdp:${rx}?fallback=false&frames=256&batchSize=32`);
    await using sender = await openTransmitter(`afpacket:${tx}`);
    const transmit = capture.transmit!;
    const rewrite = { srcMac: '02:bb:00:00:00:01', dstMac: '02:bb:00:00:00:02' };
    const sent: Buffer[] = [];
    const held: Batch[] = [];
    const wanted: Buffer[] = [];
    const changed = (number: number) =>
      Buffer.concat([Buffer.from('02bb0000000202bb00000001', 'hex'), frame(number).subarray(12)]);
    // Ten times as many as it has frames.
    for (let number = 0; number < 2560; number += 16) {
      sender.sendBatch(Array.from({ length: 16 }, (_, i) => frame(number + i)));
      for (let at = number; at < number + 16; ) {
        const batch = capture.nextSync(2000)!;
        expect(transmit.forward(batch, { rewrite })).toBe(batch.length);
        for (let i = 0; i < batch.length; i++) wanted.push(changed(at + i));
        expect(Buffer.from(batch.copy(0))).toEqual(changed(at));
        at += batch.length;
        if (held.length < 2) held.push(batch.hold());
      }
      if (number % 640 === 0) for (const batch of held.splice(0)) batch.release();
    }
    for (const batch of held) batch.release();
    sent.push(...(await readAll(there, 2560)).map(({ data }) => data));
    expect(digest(sent)).toBe(digest(wanted));
    expect(transmit.stats()).toEqual({
      accepted: 2560,
      completed: 2560,
      queued: 0,
      zeroCopy: 2560,
      failed: NO_FAILURES,
    });
    expect(capture.stats()).toMatchObject({ delivered: 2560, dropped: 0 });

    // What is chosen twice goes twice: with a tag as it lies, and as a copy of that.
    sender.sendBatch([frame(1)]);
    const batch = capture.nextSync(2000)!;
    const before = Buffer.from(batch.copy(0));
    expect(transmit.forward(batch, { select: [0, 0], rewrite: { vlanPush: 77 } })).toBe(2);
    const tagged = Buffer.concat([before.subarray(0, 12), Buffer.from('8100004d', 'hex'), before.subarray(12)]);
    const twice = Buffer.concat([tagged.subarray(0, 16), tagged.subarray(12)]);
    expect([Buffer.from(batch.copy(0)), batch.wirelen[0]]).toEqual([tagged, tagged.length]);
    expect(transmit.forward(batch)).toBe(1);
    expect(transmit.sendBatch(batch)).toBe(1);
    expect((await readAll(there, 4)).map(({ data }) => data)).toEqual([tagged, twice, tagged, tagged]);
    expect(transmit.stats()).toMatchObject({ accepted: 2564, completed: 2564, zeroCopy: 2561 });

    // On a link that is down they wait; a batch that goes meanwhile takes nothing along.
    sender.sendBatch([frame(2), frame(3)]);
    const last = capture.nextSync(2000)!;
    link(rx, 'down');
    expect(transmit.forward(last)).toBe(2);
    expect((await failure(() => transmit.flush())).code).toBe('RINGTAP_INTERFACE_DOWN');
    last.release();
    expect(transmit.stats()).toMatchObject({ queued: 2, zeroCopy: 2563 });
    link(rx, 'up');
    await carrier();
    await transmit.flush();
    expectExact(transmit.stats());
    expect((await readAll(there, 2)).map(({ data }) => data)).toEqual([frame(2), frame(3)]);
    expect(transmit.stats()).toMatchObject({ accepted: 2566, completed: 2566, queued: 0 });
    await capture.close();
    expectExact(transmit.stats());
  });

  test('a capture sends beside what it receives, whatever its method', async () => {
    const capture = await receive();
    for (const method of METHODS) {
      await using both = await open(`${method}:${tx}?fallback=false`);
      await sendAll(both.transmit!, [frame(1), frame(2)]);
      expect(await readAll(capture, 2)).toHaveLength(2);
      await both.close();
      expect(both.transmit!.stats()).toEqual({
        accepted: 2,
        completed: 2,
        queued: 0,
        zeroCopy: 0,
        failed: NO_FAILURES,
      });
    }
  });

  test('what has no frames of its own to send says so', async () => {
    for (const uri of ['afpacket:any', 'pcap:any'] as const) {
      expect((await failure(() => openTransmitter(uri))).code).toBe('RINGTAP_UNSUPPORTED');
    }
  });
});
