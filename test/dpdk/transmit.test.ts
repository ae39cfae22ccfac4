// A port that takes nothing: net_ring's other end is nobody's.
import { getEventListeners } from 'node:events';
import { explain, openTransmitter, type Transmitter } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { failure, NO_FAILURES } from '../support/packets.js';
import { sleep, within } from '../support/wait.js';

const options = { mbufs: 1024 };
const frame = Buffer.alloc(60, 1);

describe('dpdk: a transmitter whose port takes nothing', () => {
  /** With as many frames as the ring takes, and some that it does not. */
  async function full(uri: string): Promise<Transmitter> {
    const transmitter = await openTransmitter(uri as `dpdk:${string}`, options);
    for (let before = -1; transmitter.stats().completed !== before; ) {
      before = transmitter.stats().completed;
      while (transmitter.send(frame));
      await transmitter.flush({ signal: AbortSignal.timeout(50) }).catch(() => {});
    }
    expect(transmitter.stats().queued).toBeGreaterThan(0);
    return transmitter;
  }

  test('waits in flush() without turning the event loop, and ends with its signal', async () => {
    const transmitter = await full('dpdk:net_ring0');
    const controller = new AbortController();
    const flushing = transmitter.flush({ signal: controller.signal }).catch((error) => error);
    const before = process.cpuUsage();
    const began = performance.now();
    await sleep(500);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000 / (performance.now() - began)).toBeLessThan(0.5);
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await within(flushing, 'the flush')).toBe(reason);
    // What is queued stays so, and a signal that has aborted before ends the next flush at once.
    const { queued } = transmitter.stats();
    expect(queued).toBeGreaterThan(0);
    await expect(transmitter.flush({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(transmitter.stats().queued).toBe(queued);
    await failure(() => transmitter.close());
  });

  test('waits in drain() without turning the event loop, and a thousand end with one signal and no warning', async () => {
    const transmitter = await full('dpdk:net_ring0');
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on('warning', onWarning);
    const controller = new AbortController();
    const { signal } = controller;
    const outcome = (promise: Promise<void>) => promise.catch((error: unknown) => error);
    while (transmitter.send(frame));
    const waiting = [outcome(transmitter.drain({ signal }))];
    const before = process.cpuUsage();
    const began = performance.now();
    await sleep(500);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000 / (performance.now() - began)).toBeLessThan(0.5);
    for (let i = 0; i < 1000; i++) waiting.push(outcome(transmitter[i % 2 === 0 ? 'drain' : 'flush']({ signal })));
    await sleep(50);
    expect(getEventListeners(signal, 'abort').length).toBe(1);
    controller.abort('enough');
    expect(new Set(await within(Promise.all(waiting), 'the calls'))).toEqual(new Set(['enough']));
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    await sleep(1);
    process.off('warning', onWarning);
    expect(warnings).toEqual([]);
    expect(await outcome(transmitter.drain({ signal }))).toBe('enough');
    const closing = failure(() => transmitter.close());
    expect((await failure(() => transmitter.drain())).code).toBe('RINGTAP_CLOSED');
    await closing;
  });

  test('is closed within a bounded time, says how many frames were never sent, and gives the port back', async () => {
    const transmitter = await full('dpdk:net_ring1');
    const flushing = failure(() => transmitter.flush());
    const { accepted, completed, queued } = transmitter.stats();
    const error = await within(
      failure(() => transmitter.close()),
      'close()',
    );
    expect(error).toMatchObject({
      code: 'RINGTAP_SYSTEM',
      uri: 'dpdk:net_ring1',
      backend: 'dpdk',
      message: `dpdk:net_ring1: closed with ${queued} frames that were never sent: the port took none for a second`,
    });
    expect(transmitter.stats()).toEqual({ accepted, completed, queued, zeroCopy: 0, failed: NO_FAILURES });
    expect((await within(flushing, 'the flush')).code).toBe('RINGTAP_CLOSED');
    expect(await explain('dpdk:net_ring1', options)).toMatchObject({ ok: true });
  });

  test.each([null, 5, 'x', { signal: null }, { signal: {} }])(
    'refuses flush(%j) and drain() with it',
    async (given) => {
      await using transmitter = await openTransmitter('dpdk:net_ring2', options);
      for (const method of ['flush', 'drain'] as const) {
        const error = await failure(() => transmitter[method](given as never));
        expect(error).toMatchObject({
          code: 'RINGTAP_BAD_OPTION',
          message: expect.stringMatching(/^dpdk:net_ring2: ((flush|drain)\(\): options are|option signal)/),
        });
      }
      await transmitter.close();
    },
  );
});
