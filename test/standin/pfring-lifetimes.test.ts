import { afterAll, beforeAll, describe } from 'vitest';
import { lab, traffic } from '../support/lab.js';
import { lifetimes } from '../support/lifetimes.js';

describe.skipIf(lab === null)('under traffic', () => {
  const stop = new AbortController();
  let flowing: ReturnType<typeof traffic>;
  beforeAll(() => {
    flowing = traffic({ count: 0, rate: 20_000 }, stop.signal);
  });
  afterAll(async () => {
    stop.abort();
    await flowing.sent;
  });

  lifetimes('pfring:', () => `pfring:${lab!.rx}?path=ring`);
  lifetimes('pfring: through the library', () => `pfring:${lab!.rx}?path=library`);
  const zc = () => `pfring:zc:${lab!.rx}`;
  // Its threads get memory arenas of their own, until each has one.
  lifetimes('pfring: with zero copy', zc, zc, { RINGTAP_WARMUP: '2000' });
});
