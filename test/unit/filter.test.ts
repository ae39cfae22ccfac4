import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { type FilterProgram, open, openWriter } from 'ringtap';
import { beforeAll, describe, expect, test } from 'vitest';
import { run } from '../support/child.js';
import { ringtap, tcpdump } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { expectBalanced, failure, readAll } from '../support/packets.js';
import { ethernet, ipv4, ipv6, LinkType, tcp, udp, writePcap } from '../support/trace.js';

const path = temporaryFolder();
const mixes = { plain: '', tagged: '&vlanId=5' } as const;
const source = (mix: keyof typeof mixes) =>
  `synth:?count=3000&seed=11&sizes=60-400&flows=300&protocols=udp,tcp,icmp,udp6,tcp6,icmp6,arp${mixes[mix]}`;
const trace = (mix: keyof typeof mixes) => path(`${mix}.pcap`);

beforeAll(async () => {
  for (const mix of ['plain', 'tagged'] as const) {
    await using capture = await open(source(mix));
    await using writer = await openWriter(trace(mix));
    for await (const batch of capture) await writer.write(batch);
  }
});

const le32 = (value: number) => {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value >>> 0);
  return buffer;
};

/** The bytes that tcpdump selects from the same packets. */
async function selected(mix: keyof typeof mixes, expression: string): Promise<string[]> {
  const out = path('selected.pcap');
  await run('tcpdump', '-r', trace(mix), '-w', out, expression);
  const file = readFileSync(out);
  const found: string[] = [];
  for (let at = 24; at < file.length; ) {
    const bytes = file.readUInt32LE(at + 8);
    found.push(file.subarray(at + 16, at + 16 + bytes).toString('hex'));
    at += 16 + bytes;
  }
  return found;
}

const expressions = [
  'udp port 53',
  'tcp[tcpflags] & tcp-push != 0',
  'ip6 or arp',
  'greater 200 and not icmp',
  'net 10.0.0.0/26 and src port 1030',
  'vlan',
  'vlan 5 and udp',
  'vlan 6',
  'udp',
  'ip[8] = 64 and ip[2:2] > 100',
  'ether host 02:00:00:00:00:01',
  'len <= 60',
];

describe('a filter', () => {
  test.each(expressions.flatMap((expression) => [['plain', expression] as const, ['tagged', expression] as const]))(
    'selects on %s packets for "%s" what tcpdump selects, on synth: and file:',
    async (mix, filter) => {
      const expected = await selected(mix, filter);
      for (const uri of [source(mix), `file:${trace(mix)}`]) {
        await using capture = await open(uri, { filter });
        const seen = await readAll(capture);
        expect(seen.map(({ data }) => data.toString('hex'))).toEqual(expected);
        const stats = capture.stats();
        expectBalanced(stats);
        expect(stats).toMatchObject({ received: 3000, delivered: expected.length, filtered: 3000 - expected.length });
        expect(capture.plan.filter).toBe('user');
      }
    },
  );

  test('may be a program as tcpdump -ddd prints it', async () => {
    const [, ...lines] = (await run('tcpdump', '-y', 'EN10MB', '-ddd', '-r', trace('plain'), 'udp port 53'))
      .trim()
      .split('\n');
    const filter = lines.map((line) => line.split(' ').map(Number)) as unknown as FilterProgram;
    await using capture = await open(source('plain'), { filter });
    const seen = await readAll(capture);
    expect(seen.map(({ data }) => data.toString('hex'))).toEqual(await selected('plain', 'udp port 53'));
    expect(seen.length).toBeGreaterThan(10);
  });

  test('of blanks is none', async () => {
    await using capture = await open('synth:?count=5', { filter: ' ' });
    expect(capture.plan.filter).toBe('none');
  });

  test.each([
    ['udp prot 53', 'syntax error', 4],
    ['tcp and and udp', 'syntax error', 8],
    ['host 1.2.3.4.5', '', undefined],
    ['ip proto nonsense', 'nonsense', undefined],
    ['ether[0:3] = 1', '', undefined],
  ])('that is wrong ("%s") is refused in the words of libpcap', async (filter, words, position) => {
    const error = await failure(() => open('synth:?count=5', { filter }));
    expect(error).toMatchObject({ code: 'RINGTAP_BAD_FILTER', backend: 'synth' });
    expect(error.message).toContain(words);
    expect(error.message).toContain(filter);
    if (position !== undefined) {
      expect(error.position).toBe(position);
      // A caret stands under the offending character.
      const [, shown, caret] = /\n(.*)\n( *\^)/.exec(error.message) ?? [];
      expect(shown!.slice(caret!.length - 1)).toBe(filter.slice(position));
    }
  });

  test.each([
    ['empty', []],
    ['without a return', [[0x28, 0, 0, 12]]],
    [
      'with a jump out of it',
      [
        [0x15, 9, 0, 1],
        [6, 0, 0, 0],
      ],
    ],
    [
      'with an unknown instruction',
      [
        [0xffff, 0, 0, 0],
        [6, 0, 0, 0],
      ],
    ],
    [
      'that divides by zero',
      [
        [0x34, 0, 0, 0],
        [6, 0, 0, 1],
      ],
    ],
    [
      'with a store out of range',
      [
        [2, 0, 0, 16],
        [6, 0, 0, 1],
      ],
    ],
    ['with rows too short', [[6, 0, 0]]],
    ['with negative numbers', [[6, 0, 0, -1]]],
    ['with numbers too large', [[6, 0, 0, 2 ** 32]]],
    ['with a code of more than 16 bits', [[0x10006, 0, 0, 1]]],
    [
      'with a jump of more than 8 bits',
      [
        [0x15, 256, 0, 1],
        [6, 0, 0, 1],
      ],
    ],
    ['that is too long', Array.from({ length: 100_000 }, () => [6, 0, 0, 1])],
    ['that is a number', 5],
  ])('that is a program %s is refused', async (_, filter) => {
    const error = await failure(() => open('synth:?count=5', { filter: filter as unknown as FilterProgram }));
    expect(error.code).toBe('RINGTAP_BAD_FILTER');
  });
});

const hosts = Array.from({ length: 3000 }, (_, i) => `host 172.${i >> 8}.${i & 255}.7`);

describe('a long filter', () => {
  test('of thousands of hosts opens while others do, and selects what they name', async () => {
    const wanted = 'udp and host 10.0.0.1';
    const filter = `udp and (${hosts.join(' or ')} or host 10.0.0.1)`;
    await using capture = await open(source('plain'), { filter });
    expect((await readAll(capture)).map(({ data }) => data.toString('hex'))).toEqual(await selected('plain', wanted));
    expectBalanced(capture.stats());
  });

  test('that cannot be divided is refused at once, with its length, the limit and what to do', async () => {
    const error = await failure(() => open('synth:?count=5', { filter: `vlan and (${hosts.join(' or ')})` }));
    expect(error.code).toBe('RINGTAP_BAD_FILTER');
    expect(error.message).toMatch(/9003 words .* 768/);
    expect(error.hint).toContain('or');
  });
});

describe('a program that never ends', () => {
  const filter: FilterProgram = [
    [5, 0, 0, 0xffffffff],
    [6, 0, 0, 1],
  ];

  test.each(['synth:?count=200000', () => `file:${path('many.pcap')}`])(
    'leaves the event loop its turns on %s, and rejects what it is run on',
    async (uri) => {
      if (typeof uri === 'function') {
        await using capture = await open('synth:?count=2000');
        await using writer = await openWriter(path('many.pcap'));
        for await (const batch of capture) await writer.write(batch);
      }
      await using capture = await open(typeof uri === 'function' ? uri() : uri, { filter });
      const loop = readAll(capture);
      loop.catch(() => {});
      const delays: number[] = [];
      for (let i = 0; i < 15; i++) {
        const begin = performance.now();
        await new Promise((resolve) => setTimeout(resolve, 10));
        delays.push(performance.now() - begin - 10);
      }
      // Each packet takes a millisecond or two; a batch of them would take seconds.
      expect(delays.sort((a, b) => a - b)[7]).toBeLessThan(100);
      const stats = capture.stats();
      expectBalanced(stats);
      expect(stats.filtered).toBeGreaterThan(0);
      expect(stats.delivered).toBe(0);
    },
  );
});

describe('a filter on a file', () => {
  const frame = ethernet(0x0800, ipv4({ protocol: 17 }, udp(53, 40001, Buffer.alloc(18))));

  test.each(['inbound', 'not outbound and udp', 'ifindex 3'])(
    'may not ask what no file tells: "%s"',
    async (filter) => {
      const error = await failure(() => open(`file:${trace('plain')}`, { filter }));
      expect(error).toMatchObject({ code: 'RINGTAP_BAD_FILTER', backend: 'file' });
      expect(error.message).toContain('not supported on Ethernet when reading savefiles');
    },
  );

  test.each([
    ['little-endian', LinkType.bsdLoopback, false],
    ['big-endian', LinkType.bsdLoopback, true],
    ['OpenBSD', LinkType.openBsdLoopback, false],
  ] as const)('sees through %s loopback headers what tcpdump sees', async (name, linkType, big) => {
    const file = path(`loopback-${name}.pcap`);
    const header = Buffer.alloc(24);
    const put = (value: number, at: number, buffer = header) =>
      big ? buffer.writeUInt32BE(value, at) : buffer.writeUInt32LE(value, at);
    put(0xa1b2c3d4, 0);
    (big ? header.writeUInt16BE : header.writeUInt16LE).call(header, 2, 4);
    (big ? header.writeUInt16BE : header.writeUInt16LE).call(header, 4, 6);
    put(65535, 16);
    put(linkType, 20);
    const records = [2, 10, 24, 28, 30].map((family) => {
      const record = Buffer.alloc(20);
      const payload = family === 2 ? frame.subarray(14) : ipv6({ next: 17 }, udp(53, 40001, Buffer.alloc(18)));
      put(payload.length + 4, 8, record);
      put(payload.length + 4, 12, record);
      if (big || linkType === LinkType.openBsdLoopback) record.writeUInt32BE(family, 16);
      else record.writeUInt32LE(family, 16);
      return Buffer.concat([record, payload]);
    });
    writeFileSync(file, Buffer.concat([header, ...records]));
    for (const filter of ['ip', 'ip6', 'udp', 'port 53', 'not ip6']) {
      await using capture = await open(`file:${file}`, { filter });
      expect([filter, (await readAll(capture)).length]).toEqual([filter, (await tcpdump('-r', file, filter)).length]);
    }
  });

  test('of several link types does not match packets that it cannot speak of', async () => {
    const mixed = path('mixed.pcapng');
    const block = (type: number, ...body: Buffer[]) => {
      const content = Buffer.concat(body);
      const length = le32(content.length + 12);
      return Buffer.concat([le32(type), length, content, length]);
    };
    const describe = (linkType: number) => block(1, le32(linkType), le32(0));
    const packet = (iface: number, data: Buffer) =>
      block(
        6,
        le32(iface),
        le32(0),
        le32(0),
        le32(data.length),
        le32(data.length),
        data,
        Buffer.alloc(-data.length & 3),
      );
    const section = block(0x0a0d0d0a, le32(0x1a2b3c4d), le32(1), Buffer.alloc(8, 0xff));
    const blocks = [describe(1), packet(0, frame), describe(147), packet(1, frame), packet(0, frame)];
    writeFileSync(mixed, Buffer.concat([section, ...blocks]));
    {
      await using capture = await open(`file:${mixed}`, { filter: 'udp' });
      expect(await readAll(capture)).toHaveLength(2);
      expect(capture.stats()).toMatchObject({ received: 3, delivered: 2, filtered: 1 });
    }
    const { code, stdout } = await ringtap('read', '-f', 'udp', mixed);
    expect([code, stdout.trim().split('\n').length]).toEqual([0, 2]);
    writeFileSync(mixed, Buffer.concat([section, describe(147), packet(0, frame)]));
    expect(await failure(() => open(`file:${mixed}`, { filter: 'udp' }))).toMatchObject({ code: 'RINGTAP_BAD_FILTER' });
  });

  test('in a pipe that falls silent delivers what has come', async () => {
    const [fifo, content] = [path('silent'), path('silent.pcap')];
    const tcpFrame = ethernet(0x0800, ipv4({ protocol: 6 }, tcp({}, Buffer.alloc(6))));
    writePcap(
      content,
      Array.from({ length: 2001 }, (_, i) => ({ data: i < 2000 ? tcpFrame : frame })),
    );
    await run('mkfifo', fifo);
    const writer = spawn('sh', ['-c', `exec 3>"${fifo}"; cat "${content}" >&3; sleep 1000`], { stdio: 'ignore' });
    try {
      // The last one matches, and to come to it takes longer than a receive() may.
      const slow = `${hosts.join(' or ')} or udp`;
      await using capture = await open(`file:${fifo}`, { filter: slow });
      expect(await readAll(capture, 1)).toHaveLength(1);
      expect(capture.stats()).toMatchObject({ delivered: 1, filtered: 2000 });
    } finally {
      writer.kill('SIGKILL');
    }
  });
});
