// udpstr between two ringtaps that have agreed to have lost datagrams sent again: over a way that loses, doubles and
// reorders them in both directions, no packet is lost.
import { createHash } from 'node:crypto';
import { listen, open, type RpcapOptions, type ServeOptions, serve } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { lab } from '../support/lab.js';
import { LossyRelay, type Mischief } from '../support/lossy-relay.js';
import { expectBalanced, readAll } from '../support/packets.js';

const COUNT = 3000;
const MIX = 'seed=3&sizes=imix';
const ALL: Mischief = { seed: 5, lose: 0.1, double: 0.1, delay: 0.05 };
const BESIDE: ServeOptions = { host: '127.0.0.1', port: 0, nullAuth: true, datagramBytes: 1472 };

type Asked = Omit<RpcapOptions, 'transport'>;

/** COUNT packets that have come through the relay, or some more. */
async function through(mischief: Mischief, served: ServeOptions, asked: Asked, made = `synth:?rate=20000&${MIX}`) {
  await using daemon = await serve({ ...BESIDE, sources: { made }, ...served });
  await using relay = await LossyRelay.open(daemon.port, mischief);
  await using capture = await open(`rpcap://127.0.0.1:${relay.port}/made`, { transport: 'udp', ...asked });
  const packets = await readAll(capture, COUNT);
  const stats = capture.stats();
  const { notes } = capture.plan;
  await capture.close();
  return { packets, stats, notes, sent: relay.sent, asked: relay.asked, control: relay.control };
}

/** How many there are, and of all their bytes. */
function digest(packets: readonly { readonly data: Uint8Array }[]): string {
  const hash = createHash('sha256');
  for (const { data } of packets) hash.update(`${data.length}:`).update(data);
  return `${packets.length} ${hash.digest('hex')}`;
}

const bytesOf = (datagrams: readonly Buffer[]) => datagrams.reduce((sum, { length }) => sum + length, 0);

describe.skipIf(lab === null)('recovery', () => {
  test.each<[string, Mischief]>([
    ['nothing happens', { seed: 1, lose: 0, double: 0, delay: 0 }],
    ['one of ten is lost', { seed: 2, lose: 0.1, double: 0, delay: 0 }],
    ['they overtake each other', { seed: 4, lose: 0, double: 0, delay: 0.1 }],
    ['all of that happens', ALL],
  ])('where %s, no packet is lost', async (_, mischief) => {
    // To its end: the last datagrams have nothing behind them that tells of their loss.
    const made = `synth:?count=${COUNT}&rate=20000&${MIX}`;
    const { packets, stats } = await through(mischief, { recoveryBytes: 1 << 22 }, { recovery: true }, made);
    await using source = await open(`synth:?count=${COUNT}&${MIX}`);
    const all = await readAll(source);
    expect(digest(packets)).toEqual(digest(all));
    expect(stats.drops.network).toBe(0);
    expect(stats.details.datagramsGivenUp).toBe(0);
    expect((stats.details.datagramsRecovered ?? 0) > 20).toBe(mischief.lose > 0);
    expectBalanced(stats);
  });

  test('with zstd, too', async () => {
    const options = { recoveryBytes: 1 << 22, zstd: true };
    const made = `synth:?count=${COUNT}&rate=20000&${MIX}`;
    const plain = await through({ ...ALL, lose: 0 }, options, { recovery: true }, made);
    const small = await through(ALL, options, { recovery: true, compression: 'zstd' }, made);
    expect(digest(small.packets)).toEqual(digest(plain.packets));
    expect(small.stats.drops.network).toBe(0);
    expect(small.stats.details.datagramsCompressed).toBeGreaterThan(5);
  });

  test('zstd makes far fewer bytes of packets that are alike', async () => {
    const none: Mischief = { seed: 1, lose: 0, double: 0, delay: 0 };
    const made = 'synth:?rate=20000&sizes=64&flows=4&protocols=udp';
    const plain = await through(none, { zstd: true }, {}, made);
    const small = await through(none, { zstd: true }, { compression: 'zstd' }, made);
    const each = ({ sent, packets }: typeof plain) => bytesOf(sent) / packets.length;
    expect(each(small)).toBeLessThan(each(plain) * 0.7);
    expect(small.stats.drops.network).toBe(0);
  });

  test('a window that is too small gives up, and counts what was lost to the packet', async () => {
    const { packets, stats } = await through(
      { seed: 9, lose: 0.3, double: 0, delay: 0 },
      { recoveryBytes: 65_536 },
      { recovery: true, recoveryMs: 30 },
      `synth:?rate=100000&${MIX}`,
    );
    expect(packets.length).toBeGreaterThanOrEqual(COUNT);
    expect(stats.details.datagramsGivenUp).toBeGreaterThan(0);
    expect(stats.drops.network).toBeGreaterThan(0);
    expectBalanced(stats);
  });

  test.each<[string, ServeOptions, Asked, string[]]>([
    ['a client that does not ask', { recoveryBytes: 1 << 20, zstd: true }, {}, []],
    ['a daemon that does not offer it', {}, { recovery: true, compression: 'zstd' }, ['sends lost', 'compresses']],
  ])('%s gets and says nothing of it', async (_, served, asked, notes) => {
    const plain = await through({ seed: 1, lose: 0, double: 0, delay: 0 }, {}, { ownTraffic: true });
    const result = await through({ seed: 1, lose: 0, double: 0, delay: 0 }, served, { ...asked, ownTraffic: true });
    expect(result.asked).toEqual([]);
    expect(result.notes.filter((note) => note.includes('the daemon is not one'))).toHaveLength(notes.length);
    for (const words of notes) expect(result.notes.join()).toContain(words);
    // Byte for byte, but for our port, and what comes by a timer or at the end.
    const said = ({ control }: typeof plain) =>
      control
        .filter(([, type]) => type !== 9 && type !== 6)
        .map((message) => (message[1] === 4 ? message.fill(0, 18, 20) : message));
    expect(said(result)).toEqual(said(plain));
    expect(new Set(result.sent.map((datagram) => datagram[1]))).toEqual(new Set([110]));
    expect(result.stats.details).not.toHaveProperty('datagramsRecovered');
  });

  test('a daemon that connects offers it, too', async () => {
    const asked = { transport: 'udp', recovery: true, compression: 'zstd', interface: 'made' } as const;
    await using listener = await listen('rpcap://127.0.0.1:0', asked);
    await using _ = await serve({
      ...{ passive: false, active: [{ host: '127.0.0.1', port: listener.port }], nullAuth: true, datagramBytes: 1472 },
      ...{ recoveryBytes: 1 << 20, zstd: true, sources: { made: `synth:?rate=20000&flows=4&protocols=udp` } },
    });
    for await (const capture of listener) {
      await readAll(capture, COUNT);
      const { details } = capture.stats();
      expect(details.datagramsCompressed).toBeGreaterThan(0);
      expect(details.datagramsGivenUp).toBe(0);
      await capture.close();
      break;
    }
  });

  test('options that make no sense are told of', async () => {
    await expect(open('rpcap://127.0.0.1:1/x', { recovery: true })).rejects.toMatchObject({
      code: 'RINGTAP_BAD_OPTION',
    });
    await expect(open('rpcap://127.0.0.1:1/x?compression=zstd')).rejects.toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
    for (const more of [{ recoveryBytes: 1 << 20 }, { zstd: true }]) {
      await expect(serve({ ...BESIDE, datagramBytes: 0, ...more })).rejects.toMatchObject({
        code: 'RINGTAP_BAD_OPTION',
      });
    }
  });
});
