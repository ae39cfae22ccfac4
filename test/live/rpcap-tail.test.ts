// Packets that are lost behind the last one that arrived, and a way that is shut while a capture runs: told by what the
// daemon counts.
import { open, serve } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { lab } from '../support/lab.js';
import { LossyRelay } from '../support/lossy-relay.js';
import { expectBalanced, readAll } from '../support/packets.js';
import { FakeDaemon, packet, Rpcap, reply, type Sample, type Sink, stretches } from '../support/rpcap.js';
import { bytes, u32 } from '../support/trace.js';
import { sleep, until } from '../support/wait.js';

const sample = (number: number): Sample => ({ number, data: Buffer.alloc(60, number).fill(0xff, 0, 6) });

/** A daemon that counts what it is told to have sent. */
async function counting(auth?: Uint8Array) {
  const counted = { sent: 0, asked: 0 };
  const daemon = await FakeDaemon.listen({
    [Rpcap.stats]: () => {
      counted.asked++;
      return reply(Rpcap.stats, bytes(u32(counted.sent), u32(0), u32(0), u32(counted.sent)));
    },
    ...(auth === undefined ? {} : { [Rpcap.auth]: () => reply(Rpcap.auth, auth) }),
  });
  const send = async (sink: Sink, first: number, last: number) => {
    for (let i = first; i <= last; i++) await sink.send(packet(sample(i)));
  };
  return { daemon, counted, send };
}

describe.skipIf(lab === null).concurrent('packets over UDP that are lost behind the last one', () => {
  test('are counted while the capture runs, and no more once they come after all', async () => {
    const { daemon, counted, send } = await counting();
    await using _ = daemon;
    await using capture = await open(daemon.uri('?transport=udp&statsMs=50'));
    const sink = await daemon.sink;
    const reading = readAll(capture, 11);
    await send(sink, 1, 4);
    counted.sent = 10;
    await until(() => capture.stats().dropped === 6, 'the count', 4000);
    expectBalanced(capture.stats());
    expect(capture.stats()).toMatchObject({ received: 10, delivered: 4, drops: { network: 6 } });
    await send(sink, 6, 12);
    counted.sent = 12;
    expect(await reading).toHaveLength(11);
    expect(capture.stats()).toMatchObject({ received: 12, delivered: 11, drops: { network: 1 } });
  });

  test('are counted when the capture is closed, at once', async () => {
    const { daemon, counted, send } = await counting();
    await using _ = daemon;
    const capture = await open(daemon.uri('?transport=udp&statsMs=60000'));
    const reading = readAll(capture, 4);
    await send(await daemon.sink, 1, 4);
    await reading;
    counted.sent = 1000;
    const began = performance.now();
    await capture.close();
    expect(performance.now() - began).toBeLessThan(900);
    expect(capture.stats()).toMatchObject({ received: 1000, delivered: 4, drops: { network: 996 } });
  });

  test('are not what has come, and was not read before the capture was closed', async () => {
    const { daemon, counted, send } = await counting();
    await using _ = daemon;
    const capture = await open(daemon.uri('?transport=udp&statsMs=60000'));
    await send(await daemon.sink, 1, 50);
    counted.sent = 50;
    await capture.close();
    expect(capture.stats()).toMatchObject({ delivered: 0, drops: { network: 0 } });
  });

  test('and that many while others wait to be read are not guessed', async () => {
    const { daemon, counted, send } = await counting();
    await using _ = daemon;
    await using capture = await open(daemon.uri('?transport=udp&statsMs=50'));
    await send(await daemon.sink, 1, 3);
    counted.sent = 3;
    await until(() => counted.asked > 25, 'some counts');
    expect(capture.stats()).toMatchObject({ delivered: 0, dropped: 0 });
    expect(await readAll(capture, 3)).toHaveLength(3);
  });

  test("are not told by a daemon that counts what it keeps, as ExtraHop's does", async () => {
    const { daemon, counted } = await counting(new Uint8Array());
    await using _ = daemon;
    await using capture = await open(daemon.uri('?transport=udp&statsMs=50'));
    const reading = readAll(capture, 16);
    for (const datagram of stretches(Array.from({ length: 16 }, (_, i) => sample(i + 1)))) {
      await (await daemon.sink).send(datagram);
    }
    await reading;
    counted.sent = 17;
    await until(() => counted.asked > 25, 'some counts');
    await capture.close();
    expect(capture.stats()).toMatchObject({ delivered: 16, dropped: 0 });
  });

  test.each([
    ['messages', 0, {}],
    ['udpstr', 1472, {}],
    ['udpstr that is sent again', 1472, { recovery: true, recoveryMs: 100 }],
  ])('of a trace that ends are exact: %s', async (_, datagramBytes, asked) => {
    await using daemon = await serve({
      host: '127.0.0.1',
      port: 0,
      nullAuth: true,
      ...{ datagramBytes, recoveryBytes: datagramBytes === 0 ? 0 : 65536 },
      sources: { made: 'synth:?count=200&sizes=400&rate=10000' },
    });
    // Most are lost: the last ones, mostly, among them.
    await using relay = await LossyRelay.open(daemon.port, { seed: 9, lose: 0.97, double: 0, delay: 0 });
    await using capture = await open(`rpcap://127.0.0.1:${relay.port}/made`, { transport: 'udp', ...asked });
    const seen = await readAll(capture, 201);
    const stats = capture.stats();
    expectBalanced(stats);
    expect(stats).toMatchObject({ delivered: seen.length, drops: { network: 200 - seen.length } });
    expect(seen.length).toBeLessThan(200);
  });
});

describe.skipIf(lab === null).concurrent('a way that is shut while a capture runs', () => {
  test('is told of, after two seconds; one packet that is lost, and one that nobody reads, is not', async () => {
    const warned: string[] = [];
    const onWarning = (warning: Error & { code?: string }) => {
      if (warning.code === 'RINGTAP_REMOTE_SILENT') warned.push(warning.message);
    };
    process.on('warning', onWarning);
    const [shut, idle, unread] = [await counting(), await counting(), await counting()];
    await using _ = {
      [Symbol.asyncDispose]: async () =>
        void (await Promise.all([shut, idle, unread].map(({ daemon }) => daemon[Symbol.asyncDispose]()))),
    };
    const captures = [];
    for (const { daemon, counted, send } of [shut, idle, unread]) {
      const capture = await open(daemon.uri('?transport=udp&statsMs=100'));
      captures.push(capture);
      await send(await daemon.sink, 1, 3);
      counted.sent = 3;
      await readAll(capture, 3);
    }
    const reading = captures.slice(0, 2).map((capture) => readAll(capture, 9).catch(() => {}));
    idle.counted.sent = 4;
    await unread.send(await unread.daemon.sink, 4, 4);
    const timer = setInterval(() => {
      shut.counted.sent++;
      unread.counted.sent++;
    }, 50);
    const began = performance.now();
    await until(() => warned.length > 0, 'the warning', 8000);
    expect(performance.now() - began).toBeGreaterThan(1900);
    await sleep(300);
    clearInterval(timer);
    expect(warned).toEqual([
      expect.stringMatching(/goes on sending, \d+ packets so far, and none has arrived for 2 s.*firewall/),
    ]);
    expect(warned[0]).toContain(captures[0]!.uri);
    process.off('warning', onWarning);
    await Promise.all(captures.map((capture) => capture.close()));
    await Promise.all(reading);
  });
});
