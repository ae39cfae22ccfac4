import { afterAll, beforeAll, describe } from 'vitest';
import { lab, traffic } from '../support/lab.js';
import { lifetimes } from '../support/lifetimes.js';

describe.skipIf(lab === null)('under traffic', () => {
  const stop = new AbortController();
  let flowing: ReturnType<typeof traffic>;
  beforeAll(() => {
    flowing = traffic({ count: 0, rate: 40_000 }, stop.signal);
  });
  afterAll(async () => {
    stop.abort();
    await flowing.sent;
  });

  lifetimes(
    'afpacket:',
    () => `afpacket:${lab!.rx}?bufferBytes=4m`,
    () => `afpacket:${lab!.rx}?bufferBytes=256k&blockBytes=64k`,
  );
  lifetimes(
    'pcap:',
    () => `pcap:${lab!.rx}?bufferBytes=4m`,
    () => `pcap:${lab!.rx}?bufferBytes=128k`,
  );
});
