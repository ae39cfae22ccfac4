// `ringtap read`: its lines against those of `tcpdump -nn -S`, and what it does with damaged traces.
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lines, ringtap, shell, startRingtap, tcpdump } from '../support/cli.js';
import { tcpdumpCases } from '../support/summary-cases.js';
import {
  bytes,
  cuts,
  ethernet,
  ipv4,
  ipv6,
  LinkType,
  pcapFile,
  pcapngFile,
  type TracePacket,
  tcp,
  u16,
  u32,
  udp,
  writePcap,
} from '../support/trace.js';

const someUdp = ethernet(0x0800, ipv4({ protocol: 17 }, udp(40000, 40001, Buffer.alloc(22))));
const SOME_UDP = 'IP 10.0.0.1.40000 > 10.128.0.254.40001: UDP, length 22';

let folder: string;
let files = 0;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ringtap-read-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function trace(packets: readonly TracePacket[], linkType?: number): string {
  const path = join(folder, `${++files}.pcap`);
  writePcap(path, packets, linkType);
  return path;
}

/** A line of tcpdump 4.99 without its slips of the pen. */
function withoutSlips(line: string): string {
  return line
    .replace(/[:,]? $/, '') // what stands before a hex dump
    .replace('unreachable,  unreachable', 'unreachable, unreachable')
    .replace(/listener (query|report|done)max/, 'listener $1 max')
    .replace('[|tcp]>', '[|tcp]')
    .replace(/^\? {4}/, 'if99999'); // the name of an interface, which only its own host could know
}

describe('the lines of ringtap read', () => {
  test.each(tcpdumpCases)(
    'are those of tcpdump for $name, whole and cut at every byte',
    async ({ packets, linkType, silentCuts }) => {
      const path = trace(silentCuts ? packets.map((data) => ({ data })) : packets.flatMap(cuts), linkType);
      for (const flags of [['-t'], ['-t', '-e']]) {
        const ours = await ringtap('read', ...flags, path);
        const theirs = await tcpdump(...flags, '-r', path);
        expect(ours).toMatchObject({ code: 0, stderr: '' });
        expect(lines(ours.stdout).map(withoutSlips)).toEqual(theirs.map(withoutSlips));
      }
    },
  );

  test('carry the local time in the styles of tcpdump', async () => {
    const time = 1_700_000_000_000_000_000n;
    const path = trace(
      [0n, 1999n, 999_999_999n, 86_400_000_000_000n].map((ns) => ({ data: someUdp, time: time + ns })),
    );
    for (const flags of [[], ['-tt'], ['-tttt']]) {
      for (const TZ of ['UTC', 'Asia/Kolkata']) {
        const line = `TZ=${TZ} tcpdump -nn -S ${flags.join(' ')} -r ${path} 2>/dev/null`;
        const { stdout } = await startRingtap(['read', ...flags, path], { env: { TZ } }).outcome;
        expect(stdout).toBe((await shell(line)).stdout);
      }
    }
  });

  test('carry the exact time of packets that lie years from the first one', async () => {
    const times = [0n, 1_700_000_000_123_457_000n, 1_700_000_000_999_999_000n, 1_700_000_001_000_001_999n];
    const path = trace(times.map((time) => ({ data: someUdp, time })));
    for (const flags of [[], ['-tt'], ['-tttt']]) {
      const { stdout } = await ringtap('read', ...flags, path);
      expect(lines(stdout)).toEqual(await tcpdump(...flags, '-r', path));
    }
  });

  test('carry a sign before 1970, and words where no calendar has the time', async () => {
    const path = join(folder, 'far.pcapng');
    const text = async (...flags: string[]) => (await ringtap('read', ...flags, path)).stdout.split(' IP ')[0];
    writeFileSync(path, pcapngFile({ offset: -1000n }, [{ data: someUdp, ticks: 123_457n }]));
    expect(await text('-tt')).toBe('-999.876543');
    expect(await text('-tttt')).toBe('1969-12-31 23:43:20.123457');
    writeFileSync(path, pcapngFile({}, [{ data: someUdp, ticks: 2n ** 64n - 1n }]));
    expect(await text('-tt')).toBe('18446744073709.551615');
    expect(await text()).toBe('[Error converting time]');
    expect(await text('-tttt')).toBe('[Error converting time]');
  });

  test('are those of tcpdump for jumbograms', async () => {
    const jumbo = (next: number, payload: Uint8Array) => {
      const inner = bytes(next, 0, 0xc2, 4, u32(8 + 70_000), payload);
      return { data: ethernet(0x86dd, ipv6({ next: 0, payloadLength: 0 }, inner)), wirelen: 14 + 40 + 8 + 70_000 };
    };
    const path = trace([
      jumbo(58, bytes(128, 0, u16(0), u16(1), u16(1), Buffer.alloc(50))),
      jumbo(17, udp(40000, 40001, Buffer.alloc(50), 0)),
      jumbo(6, tcp({}, Buffer.alloc(50))),
      { ...jumbo(17, udp(40000, 40001, Buffer.alloc(50), 0)), wirelen: 200 },
    ]);
    const { stdout } = await ringtap('read', '-t', path);
    expect(lines(stdout)).toEqual(await tcpdump('-t', '-r', path));
  });

  test('take lengths of 0 in IPv4 and UDP for a segment whose lengths the NIC was to fill in', async () => {
    const data = ipv4({ protocol: 17, totalLength: 0 }, udp(40000, 40001, Buffer.alloc(22), 0));
    expect((await ringtap('read', '-t', trace([{ data }], LinkType.rawIp))).stdout).toBe(`${SOME_UDP}\n`);
  });

  test('name link types that are not decoded', async () => {
    const { stdout } = await ringtap('read', '-t', trace([{ data: Buffer.alloc(40), wirelen: 50 }], 127));
    expect(stdout).toBe('link type 127, length 50\n');
  });

  test('take an IPv4 length of 0 for a segment whose length the NIC was to fill in', async () => {
    const data = ipv4({ protocol: 17, totalLength: 0 }, udp(40000, 40001, Buffer.alloc(22)));
    expect((await ringtap('read', '-t', trace([{ data }], LinkType.rawIp))).stdout).toBe(`${SOME_UDP}\n`);
  });

  test('follow IP in IP only so deep', async () => {
    let data = ipv4({ protocol: 253 }, Buffer.alloc(1));
    for (let i = 0; i < 3000; i++) data = ipv4({ protocol: 4 }, data);
    const { code, stdout } = await ringtap('read', '-t', trace([{ data }], LinkType.rawIp));
    expect(code).toBe(0);
    expect(stdout).toMatch(/^(IP 10\.0\.0\.1 > 10\.128\.0\.254: ){9} ip-proto-4 \d+\n$/);
  });

  test('are one for each packet, whatever its bytes are', async () => {
    const noise = (i: number) => createHash('sha512').update(String(i)).digest();
    const whole = tcpdumpCases.flatMap(({ packets }) => packets);
    for (const linkType of Object.values(LinkType)) {
      const packets = Array.from({ length: 3000 }, (_, i) => {
        const random = noise(i);
        if (i % 3 === 0) return { data: random };
        const data = Buffer.from(whole[i % whole.length]!);
        for (let flip = 0; flip < 3; flip++) data[random.readUInt16LE(2 * flip) % data.length]! = random[10 + flip]!;
        return { data };
      });
      const { code, stdout, stderr } = await ringtap('read', trace(packets, linkType));
      expect({ code, stderr, lines: lines(stdout).length }).toEqual({ code: 0, stderr: '', lines: packets.length });
    }
  });
});

describe('ringtap read', () => {
  test('stops after -c packets and prints only what -f matches', async () => {
    const packets = Array.from({ length: 1000 }, (_, i) =>
      ethernet(0x0800, ipv4({ protocol: 17 }, udp(40000 + (i % 2), 50000, Buffer.alloc(i % 100)))),
    );
    const path = trace(packets.map((data) => ({ data })));
    expect(lines((await ringtap('read', '-c', '700', path)).stdout)).toHaveLength(700);
    const { stdout } = await ringtap('read', '-t', '-f', 'udp src port 40001', path);
    expect(lines(stdout)).toHaveLength(500);
    expect(stdout).not.toContain('.40000 >');
  });

  test('reads erf: as ERF, though its times step back, and says where a record is damaged', async () => {
    const record = (seconds: number) =>
      bytes(
        0,
        0,
        0,
        0,
        Buffer.from(Uint32Array.of(seconds).buffer),
        2,
        4,
        u16(18 + someUdp.length),
        0,
        0,
        u16(64),
        0,
        0,
        someUdp,
      );
    const path = join(folder, 'backwards');
    const whole = bytes(record(1_700_000_000), record(1_699_999_000), record(1_700_000_001));
    writeFileSync(path, bytes(whole, record(1_700_000_002).fill(0, 10, 12)));
    const { code, stdout, stderr } = await ringtap('read', '-tt', `erf:${path}`);
    expect(code).toBe(1);
    expect(lines(stdout)).toEqual(
      [1_700_000_000, 1_699_999_000, 1_700_000_001].map((at) => `${at}.000000 ${SOME_UDP}`),
    );
    expect(stderr).toContain(`damaged at byte ${whole.length}: `);
  });

  test('reads a path that begins with two slashes', async () => {
    const { stdout } = await ringtap('read', '-t', `/${trace([{ data: someUdp }])}`);
    expect(stdout).toBe(`${SOME_UDP}\n`);
  });

  test('reads standard input', async () => {
    const { stdout, code } = await startRingtap(['read', '-t', '-'], { input: pcapFile([{ data: someUdp }]) }).outcome;
    expect({ stdout, code }).toEqual({ stdout: `${SOME_UDP}\n`, code: 0 });
  });

  test('reads what tcpdump writes into a pipe', async () => {
    const path = trace(Array.from({ length: 5000 }, () => ({ data: someUdp })));
    const { stdout } = await shell(`tcpdump -r ${path} -w - 2>/dev/null | ringtap read -t - | sort | uniq -c`);
    expect(stdout.trim()).toBe(`5000 ${SOME_UDP}`);
  });

  test('ends quietly when the reader of its output does', async () => {
    const path = trace(Array.from({ length: 20_000 }, () => ({ data: someUdp })));
    const { stdout, stderr } = await shell(`ringtap read -t ${path} | head -n 1; echo \${PIPESTATUS[0]}`);
    expect({ stdout, stderr }).toEqual({ stdout: `${SOME_UDP}\n0\n`, stderr: '' });
  });

  test('takes names with characters that mean something in a URI', async () => {
    const path = join(folder, 'a?b%23#c');
    writePcap(path, [{ data: someUdp }]);
    expect((await ringtap('read', '-t', path)).stdout).toBe(`${SOME_UDP}\n`);
    expect((await ringtap('read', '-t', `file:${path.replace(/[%?#]/g, encodeURIComponent)}`)).stdout).toBe(
      `${SOME_UDP}\n`,
    );
  });

  test('prints every good packet of a cut trace, then the byte offset of the cut', async () => {
    const file = pcapFile(Array.from({ length: 3 }, () => ({ data: someUdp })));
    const path = join(folder, 'cut.pcap');
    writeFileSync(path, file.subarray(0, -1));
    const offset = 24 + 2 * (16 + someUdp.length);
    const { code, stdout, stderr } = await ringtap('read', '-t', path);
    expect({ code, stdout }).toEqual({ code: 1, stdout: `${SOME_UDP}\n${SOME_UDP}\n` });
    expect(stderr).toMatch(new RegExp(`^ringtap: .*cut\\.pcap: .* at byte ${offset}\\b.*\nhint: `));
  });

  test('prints every good packet of a damaged trace, then the byte offset of the damage', async () => {
    const file = pcapFile(Array.from({ length: 3 }, () => ({ data: someUdp })));
    const offset = 24 + 16 + someUdp.length;
    file.writeUInt32LE(0xffffffff, offset + 8);
    const path = join(folder, 'damaged.pcap');
    writeFileSync(path, file);
    const { code, stdout, stderr } = await ringtap('read', '-t', path);
    expect({ code, stdout }).toEqual({ code: 1, stdout: `${SOME_UDP}\n` });
    expect(stderr).toMatch(new RegExp(`^ringtap: .*damaged\\.pcap: .*\\bbyte ${offset}\\b`));
  });

  test('reads the longest packets that a format allows', async () => {
    const usbPcap = 249;
    const path = trace([{ data: Buffer.alloc(1 << 20) }], usbPcap);
    expect(await ringtap('read', '-t', path)).toMatchObject({
      code: 0,
      stdout: 'link type 249, length 1048576\n',
      stderr: '',
    });
  });

  test('blames the data and not the command line for a packet that the output cannot hold', async () => {
    const path = join(folder, 'before.pcapng');
    writeFileSync(
      path,
      pcapngFile(
        { offset: -1000n },
        [1_000_000_000n, 5n].map((ticks) => ({ data: someUdp, ticks })),
      ),
    );
    for (const out of ['out.pcap', 'out.pcapng'].map((name) => join(folder, name))) {
      const { code, stderr } = await ringtap('capture', path, '-q', '-w', out);
      expect(code).toBe(1);
      expect(stderr).toMatch(/time that the format cannot hold, about -999\.99\d* s after 1970\nhint: .*1970 to/);
      expect(stderr).toContain('1 packet written');
    }
  });
});
