// udpstr over a way that loses datagrams: exactly the packets that touch a lost one are lost, and are counted.
import { open, serve } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { expectExactLoss } from '../support/exact-loss.js';
import { lab } from '../support/lab.js';
import { LossyRelay, type Mischief } from '../support/lossy-relay.js';
import { readAll } from '../support/packets.js';

const WANTED = 1500;
const MIX = 'seed=3&sizes=imix';

describe.skipIf(lab === null)('over a way that loses datagrams', () => {
  test.each<[string, Mischief]>([
    ['nothing happens', { seed: 1, lose: 0, double: 0, delay: 0 }],
    ['one of ten is lost', { seed: 2, lose: 0.1, double: 0, delay: 0 }],
    ['they come twice', { seed: 3, lose: 0, double: 0.2, delay: 0 }],
    ['they overtake each other', { seed: 4, lose: 0, double: 0, delay: 0.1 }],
    ['all of that happens', { seed: 5, lose: 0.1, double: 0.1, delay: 0.05 }],
  ])('where %s', async (_, mischief) => {
    await using daemon = await serve({
      host: '127.0.0.1',
      port: 0,
      nullAuth: true,
      datagramBytes: 1472,
      sources: { made: `synth:?rate=20000&${MIX}` },
    });
    await using relay = await LossyRelay.open(daemon.port, mischief);
    await using capture = await open(`rpcap://127.0.0.1:${relay.port}/made`, { transport: 'udp' });
    const seen = await readAll(capture, WANTED);
    const stats = capture.stats();
    await capture.close();

    const lost = await expectExactLoss({ relay, seen, stats }, `synth:?${MIX}`);
    expect(mischief.lose + mischief.delay > 0).toBe(lost > 0);
    if (mischief.double > 0 && mischief.lose === 0) expect(stats.details.datagramsLate).toBeGreaterThan(10);
  });
});
