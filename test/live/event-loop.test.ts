// What an application feels of a capture: that its timers keep time under full load.
import { readFileSync } from 'node:fs';
import { open } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { lab, traffic } from '../support/lab.js';
import { best, sleep } from '../support/wait.js';

const LOAD_MS = 1000;

/** ms for which this thread was ready to run, and the machine had it wait for others. */
const waited = () => Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ')[1]) / 1e6;

/** How late the latest of many timers was, in ms, during this; for other reasons than that others had the CPU. */
async function latest(during: Promise<unknown>): Promise<number> {
  let last = performance.now() - waited();
  let worst = 0;
  const timer = setInterval(() => {
    const now = performance.now() - waited();
    worst = Math.max(worst, now - last - 1);
    last = now;
  }, 1);
  await during;
  clearInterval(timer);
  return worst;
}

describe.skipIf(lab === null)('under full load timers are less than 20 ms late', () => {
  test.each([
    ['afpacket:IFACE', {}],
    ['pcap:IFACE', {}],
    ['afxdp:IFACE', {}],
    ['afxdp:IFACE?mode=generic', {}],
    ['afxdp:IFACE', { filter: 'ip protochain 17' }],
    ['synth:', {}],
  ] as const)('of %s %o', async (uri, options) => {
    const attempt = async () => {
      const stop = new AbortController();
      const flowing = uri === 'synth:' ? undefined : traffic({ count: 0, rate: 300_000, flows: 64 }, stop.signal);
      try {
        await using capture = await open(uri.replace('IFACE', lab!.rx), options);
        let packets = 0;
        const reading = (async () => {
          for await (const batch of capture) {
            for (let i = 0; i < batch.length; i++) packets += batch.caplen[i]! > 0 ? 1 : 0;
          }
        })();
        await sleep(100);
        const worst = await latest(sleep(LOAD_MS));
        await capture.close();
        await reading;
        expect(packets).toBeGreaterThan(1000);
        return worst;
      } finally {
        stop.abort();
        await flowing?.sent;
      }
    };
    expect(await best(20, attempt)).toBeLessThan(20);
  });
});
