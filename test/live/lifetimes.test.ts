import { afterAll, beforeAll, describe } from 'vitest';
import { run } from '../support/child.js';
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
  const ip = (...args: string[]) => run('ip', ...args);
  const stop = new AbortController();
  let flowing: ReturnType<typeof traffic>;
  beforeAll(async () => {
    await ip('link', 'add', 'ltbr', 'type', 'bridge', 'mcast_snooping', '0');
    await ip('link', 'add', 'lttx', 'type', 'veth', 'peer', 'name', 'ltin');
    for (let i = 0; i < INTERFACES; i++) await ip('link', 'add', `ltp${i}`, 'type', 'veth', 'peer', 'name', `ltr${i}`);
    const ports = ['ltin', ...Array.from({ length: INTERFACES }, (_, i) => `ltp${i}`)];
    for (const port of ports) await ip('link', 'set', port, 'master', 'ltbr', 'up');
    for (let i = 0; i < INTERFACES; i++) await ip('link', 'set', `ltr${i}`, 'up');
    for (const name of ['lttx', 'ltbr']) await ip('link', 'set', name, 'up');
    flowing = traffic({ count: 0, rate: 8_000, iface: 'lttx' }, stop.signal);
  });
  afterAll(async () => {
    stop.abort();
    await flowing.sent;
    for (let i = 0; i < INTERFACES; i++) await ip('link', 'delete', `ltr${i}`);
    for (const name of ['lttx', 'ltbr']) await ip('link', 'delete', name);
  });

  lifetimes(
    'afxdp:',
    () => Array.from({ length: INTERFACES }, (_, i) => `afxdp:ltr${i}?frames=4096`),
    () => Array.from({ length: INTERFACES }, (_, i) => `afxdp:ltr${i}?frames=128&batchSize=16`),
    { NODE_OPTIONS: '--disable-warning=RINGTAP_TAKES_TRAFFIC', RINGTAP_ROUNDS: '3', RINGTAP_CYCLES: '300' },
  );
});
