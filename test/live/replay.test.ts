// A trace sent again on a veth pair: what arrives, in which order, and what becomes of it when the link fails.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { type Capture, open, type ReplayProgress, replay } from 'ringtap';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ringtap, startRingtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { lab, labMissing } from '../support/lab.js';
import { failure, readAll } from '../support/packets.js';
import { ethernet, ipv4, udp, writePcap } from '../support/trace.js';
import { until } from '../support/wait.js';

const { rx, tx } = lab ?? { rx: 'rt1', tx: 'rt0' };
const METHODS = ['afxdp', 'afpacket', 'pcap'] as const;
const COUNT = 1500;
const temporary = temporaryFolder();
const trace = temporary('trace.pcap');
const ip = (...what: string[]) => execFileSync('ip', what, { encoding: 'utf8' });
const carrier = (name: string) => until(() => ip('link', 'show', 'dev', name).includes('LOWER_UP'), 'the carrier');

/** UDP from port 7 to port 9, numbered. */
const packet = (number: number, bytes = 40 + (number % 1200)) => {
  const payload = Buffer.alloc(bytes, number & 0xff);
  payload.writeUInt32BE(number);
  return ethernet(0x0800, ipv4({ protocol: 17 }, udp(7, 9, payload)));
};
const frames = Array.from({ length: COUNT }, (_, i) => packet(i));

/** Of 16-bit words, in one's complement. */
function sumOf(words: Buffer): number {
  let sum = 0;
  for (let at = 0; at < words.length; at += 2) sum += words.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

function digest(list: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const each of list) hash.update(`${each.length}:`).update(each);
  return hash.digest('hex');
}

describe.skipIf(lab === null)(`replay${labMissing ? ` (skipped: ${labMissing})` : ''}`, () => {
  let receiver: Capture | undefined;
  const receive = async (name = rx) => {
    receiver = await open(`afpacket:${name}`, { direction: 'in', filter: 'udp port 9' });
    return receiver;
  };

  beforeAll(() =>
    writePcap(
      trace,
      frames.map((data, i) => ({ data, time: BigInt(i) * 20_000n })),
    ),
  );
  afterEach(async () => {
    await receiver?.close();
    ip('link', 'set', rx, 'up');
    ip('link', 'set', tx, 'up');
    await carrier(tx);
  });

  test.each(METHODS)(
    '%s: every frame arrives once, in order and byte for byte, in time and flat out',
    async (method) => {
      const capture = await receive();
      for (const options of [{}, { topSpeed: true }]) {
        const result = await replay(trace, `${method}:${tx}?fallback=false`, options);
        expect(result).toMatchObject({ sent: COUNT, transmitter: { accepted: COUNT, completed: COUNT, queued: 0 } });
        expect(digest((await readAll(capture, COUNT)).map(({ data }) => data))).toBe(digest(frames));
      }
    },
  );

  test('what is longer than the MTU is refused before anything is sent, cut, or left out', async () => {
    const path = temporary('long.pcap');
    writePcap(
      path,
      [packet(0), packet(1, 3000), packet(2)].map((data) => ({ data })),
    );
    const capture = await receive();
    const refused = await failure(() => replay(path, `afpacket:${tx}`));
    expect(refused).toMatchObject({ code: 'RINGTAP_UNSUPPORTED', hint: expect.stringContaining('--oversize skip') });
    expect(refused.message).toBe(`${path}: packet 2 has 3042 bytes, and the interface takes 1514: nothing was sent`);
    expect(await replay(path, `afpacket:${tx}`, { oversize: 'skip' })).toMatchObject({ sent: 2, skipped: 1 });
    expect(await replay(path, `afpacket:${tx}`, { oversize: 'truncate' })).toMatchObject({ sent: 3, truncated: 1 });
    const lengths = (await readAll(capture, 5)).map(({ data }) => data.length);
    expect(lengths).toEqual([packet(0).length, packet(2).length, packet(0).length, 1514, packet(2).length]);
  });

  test('frames are changed on the way, and their checksums are right', async () => {
    const capture = await receive();
    const rewrite = {
      srcMac: '02:aa:00:00:00:01',
      dstMac: '02:aa:00:00:00:02',
      addresses: { '0.0.0.0/0': '172.16.0.0/12' },
      ttl: 3,
      dscp: 10,
      srcPort: 77,
      dstPort: 9,
    };
    await replay('synth:?count=50&protocols=udp&sizes=60-700', `afpacket:${tx}`, { topSpeed: true, rewrite });
    for (const { data } of await readAll(capture, 50)) {
      expect(data.subarray(0, 12).toString('hex')).toBe('02aa0000000202aa00000001');
      expect([data[22], data[15]! >> 2, data.readUInt16BE(34), data[26]]).toEqual([3, 10, 77, 172]);
      const length = data.readUInt16BE(38);
      const pseudo = Buffer.concat([data.subarray(26, 34), Buffer.from([0, 17, length >> 8, length & 0xff])]);
      expect(sumOf(data.subarray(14, 34))).toBe(0xffff);
      expect(sumOf(Buffer.concat([pseudo, data.subarray(34, 34 + length), Buffer.alloc(length % 2)]))).toBe(0xffff);
    }
  });

  test('what goes two ways arrives on each, and nothing twice', async () => {
    ip('link', 'add', 'rtc0', 'type', 'veth', 'peer', 'name', 'rtc1');
    try {
      for (const name of ['rtc0', 'rtc1']) ip('link', 'set', name, 'up');
      await carrier('rtc0');
      const asks = packet(1);
      const answers = ethernet(
        0x0800,
        ipv4({ protocol: 17, source: '10.0.0.2', destination: '10.0.0.1' }, udp(9, 7, Buffer.alloc(40))),
      );
      const path = temporary('both.pcap');
      writePcap(
        path,
        Array.from({ length: 100 }, (_, i) => ({ data: i % 4 === 0 ? answers : asks })),
      );
      const clients = await receive();
      await using servers = await open('afpacket:rtc1', { direction: 'in', filter: 'udp port 9' });
      const done = await ringtap(
        ...[
          'replay',
          path,
          '--client-out',
          tx,
          '--server-out',
          'rtc0',
          '--clients',
          '10.0.0.1',
          '--topspeed',
          '--json',
        ],
      );
      const result = JSON.parse(done.stdout) as ReplayProgress;
      expect([result.sent, result.transmitter.completed, result.server!.completed]).toEqual([100, 75, 25]);
      expect((await readAll(clients, 75)).every(({ data }) => data.equals(asks))).toBe(true);
      expect((await readAll(servers, 25)).every(({ data }) => data.equals(answers))).toBe(true);
    } finally {
      ip('link', 'delete', 'rtc0');
    }
  });

  test('a link that goes down on the way is an error, and one without a carrier is counted to the frame', async () => {
    let last: ReplayProgress | undefined;
    const onProgress = (progress: ReplayProgress) => {
      last = progress;
    };
    const options = { pps: 2000, onProgress, progressMs: 20 };
    const down = failure(() => replay(trace, `afpacket:${tx}`, options));
    await until(() => (last?.sent ?? 0) > 50, 'frames');
    ip('link', 'set', tx, 'down');
    expect(await down).toMatchObject({
      code: 'RINGTAP_INTERFACE_DOWN',
      message: expect.stringMatching(new RegExp(`^afpacket:${tx}: `)),
      uri: `afpacket:${tx}`,
    });
    expect(last!.sent).toBeLessThan(COUNT);
    ip('link', 'set', tx, 'up');
    await carrier(tx);
    last = undefined;
    const playing = replay(trace, `afpacket:${tx}`, options);
    await until(() => ((last as ReplayProgress | undefined)?.sent ?? 0) > 50, 'frames');
    ip('link', 'set', rx, 'down');
    await until(() => (last?.transmitter.failed.linkDown ?? 0) > 100, 'losses');
    ip('link', 'set', rx, 'up');
    const { sent, transmitter } = await playing;
    expect(sent).toBe(COUNT);
    expect(transmitter.accepted).toBe(COUNT);
    expect(transmitter.completed + transmitter.failed.linkDown).toBe(COUNT);
  });

  test('a signal ends it while a capture that it waits for has nothing, and the capture stays open', async () => {
    await using idle = await open(`afpacket:${rx}`, { filter: 'ether proto 0x88b6' });
    const signal = AbortSignal.timeout(50);
    const begin = performance.now();
    await expect(replay(idle, `afpacket:${tx}`, { signal })).rejects.toMatchObject({ name: 'TimeoutError' });
    expect(performance.now() - begin).toBeLessThan(2000);
    expect(idle.tryNext()).toBeNull();
  });

  test('frames that did not get out are a failure, and wrong options are wrong usage', async () => {
    ip('link', 'set', rx, 'down');
    const lost = await ringtap('replay', trace, '-o', `afpacket:${tx}`, '--topspeed');
    ip('link', 'set', rx, 'up');
    expect(lost).toMatchObject({
      code: 1,
      stdout: expect.stringContaining(`${COUNT.toLocaleString('en')} frames not sent: no carrier`),
      stderr: expect.stringContaining(
        `${COUNT.toLocaleString('en')} of ${COUNT.toLocaleString('en')} frames were not sent`,
      ),
    });
    for (const wrong of [
      ['--dscp', '64'],
      ['--src-mac', 'zz'],
      ['--pps', '1k', '--bps', '1M'],
      ['-f', 'tcp port'],
    ])
      expect((await ringtap('replay', trace, '-o', tx, ...wrong)).code).toBe(2);
  });

  test('Ctrl-C ends it at once, with its account', async () => {
    const running = startRingtap(['replay', trace, '-o', tx, '--pps', '10', '--json']);
    const capture = await receive();
    await readAll(capture, 1);
    running.process.kill('SIGINT');
    const { code, stdout } = await running.outcome;
    expect(code).toBe(0);
    expect(JSON.parse(stdout).sent).toBeGreaterThan(0);
  });
});
