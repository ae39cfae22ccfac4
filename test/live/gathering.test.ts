// While packets gather a reader sleeps: how it is woken all the same, and how long it may sleep.
import { execFileSync } from 'node:child_process';
import { type Capture, open } from 'ringtap';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { lab, type Sent, traffic } from '../support/lab.js';
import { sleep } from '../support/wait.js';

/** Under load this one gathers for 200 ms. */
const SLOW = { timeoutMs: 40 } as const;
/** What a busy machine may add. */
const SLACK_MS = 100;

describe.skipIf(lab === null)('while packets gather', () => {
  let stop: AbortController;
  let sent: Promise<Sent>;
  beforeEach(() => {
    stop = new AbortController();
    sent = traffic({ count: 0, rate: 30_000 }, stop.signal).sent;
  });
  afterEach(async () => {
    execFileSync('ip', ['link', 'set', lab!.rx, 'up']);
    stop.abort();
    await sent;
  });

  /** Reads until the sleeps are long; then `then()` falls into one. Gives how the loop ended, and how long after it. */
  async function during(
    capture: Capture,
    then: () => void,
  ): Promise<{ error?: unknown; afterMs: number; gapMs: number }> {
    let began = 0;
    let last = performance.now();
    let gapMs = 0;
    const start = last;
    try {
      for await (const _ of capture) {
        const now = performance.now();
        if (now - start > 500) gapMs = Math.max(gapMs, now - last);
        last = now;
        if (began > 0 || now - start < 1200) continue;
        setTimeout(() => {
          began = performance.now();
          then();
        }, 50);
        began = Number.POSITIVE_INFINITY;
      }
      return { afterMs: performance.now() - began, gapMs };
    } catch (error) {
      return { error, afterMs: performance.now() - began, gapMs };
    }
  }

  test('the reader sleeps for five timeouts, and close() ends the loop at once', async () => {
    const capture = await open(`afpacket:${lab!.rx}`, SLOW);
    const { error, afterMs, gapMs } = await during(capture, () => void capture.close());
    expect(error).toBeUndefined();
    expect(gapMs).toBeGreaterThan(100);
    expect(afterMs).toBeLessThan(SLACK_MS);
  });

  test('an abort ends the loop at once', async () => {
    const abort = new AbortController();
    await using capture = await open(`afpacket:${lab!.rx}`, { ...SLOW, signal: abort.signal });
    const { error, afterMs } = await during(capture, () => abort.abort());
    expect(error).toMatchObject({ name: 'AbortError' });
    expect(afterMs).toBeLessThan(SLACK_MS);
  });

  test('an interface that goes down is told after the sleep, with all packets before it', async () => {
    await using capture = await open(`afpacket:${lab!.rx}`, SLOW);
    const { error, afterMs } = await during(capture, () => execFileSync('ip', ['link', 'set', lab!.rx, 'down']));
    expect(error).toMatchObject({ code: 'RINGTAP_INTERFACE_DOWN' });
    expect(afterMs).toBeLessThan(200 + 200 + SLACK_MS);
    const { received, delivered, dropped, pending } = capture.stats();
    expect([dropped, pending]).toEqual([0, 0]);
    expect(delivered).toBe(received);
  });

  test('a loop that was left while packets gathered can be gone on with', async () => {
    await using capture = await open(`afpacket:${lab!.rx}`, SLOW);
    const iterator = capture[Symbol.asyncIterator]();
    for (const end = performance.now() + 800; performance.now() < end; ) await iterator.next();
    const waiting = iterator.next();
    await sleep(20);
    await iterator.return?.();
    await waiting;
    const again = await capture[Symbol.asyncIterator]().next();
    expect(again.done).toBe(false);
  });
});
