import { readFileSync } from 'node:fs';
import { type FilterProgram, open, openWriter } from 'ringtap';
import { beforeAll, describe, expect, test } from 'vitest';
import { run } from '../support/child.js';
import { temporaryFolder } from '../support/folder.js';
import { expectBalanced, failure, readAll } from '../support/packets.js';

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
