import { execFileSync } from 'node:child_process';
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

// An interface has one capture by AF_XDP: there are many, and a bridge that floods all of them.
describe.skipIf(lab === null)('under traffic that is taken', () => {
  const INTERFACES = 12;
  const numbers = Array.from({ length: INTERFACES }, (_, i) => i);
  const ip = (commands: string[]) => execFileSync('ip', ['-batch', '-'], { input: commands.join('\n') });
  const stop = new AbortController();
  let flowing: ReturnType<typeof traffic>;
  beforeAll(() => {
    ip([
      'link add ltbr type bridge mcast_snooping 0',
      'link add lttx type veth peer name ltin',
      ...numbers.map((i) => `link add ltp${i} type veth peer name ltr${i}`),
      ...['ltin', ...numbers.map((i) => `ltp${i}`)].map((port) => `link set ${port} master ltbr up`),
      ...['lttx', 'ltbr', ...numbers.map((i) => `ltr${i}`)].map((name) => `link set ${name} up`),
    ]);
    flowing = traffic({ count: 0, rate: 8_000, iface: 'lttx' }, stop.signal);
  }, 60_000);
  afterAll(async () => {
    stop.abort();
    await flowing.sent;
    ip([...numbers.map((i) => `link delete ltr${i}`), 'link delete lttx', 'link delete ltbr']);
  }, 60_000);

  lifetimes(
    'afxdp:',
    () => Array.from({ length: INTERFACES }, (_, i) => `afxdp:ltr${i}?frames=4096`),
    () => Array.from({ length: INTERFACES }, (_, i) => `afxdp:ltr${i}?frames=128&batchSize=16`),
    { NODE_OPTIONS: '--disable-warning=RINGTAP_TAKES_TRAFFIC', RINGTAP_ROUNDS: '3', RINGTAP_CYCLES: '200' },
  );
});
