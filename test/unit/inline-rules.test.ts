import { type CaptureError, formatRule, parseRules } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { failure } from '../support/packets.js';

const WEB = 'web: eth1 10.1.0.2 -> 10.1.0.5/24 => eth2 10.2.0.5/24 -> 10.2.0.2';

/** What a text is refused with. */
async function refusal(text: string): Promise<CaptureError> {
  return failure(async () => parseRules(text, 'rules.txt'));
}

describe('the rules of a forwarder', () => {
  test('a line is a rule, and comments and empty lines are none', () => {
    const text = `# two\n\n${WEB}  # one\r\n six: eth1 fd81::2 -> fd81::5 via fd81::1 => eth2 fd82::5 -> fd82::2 via fd82::1\n`;
    const rules = parseRules(text);
    expect(rules).toEqual([
      {
        name: 'web',
        in: { interface: 'eth1', client: '10.1.0.2', address: '10.1.0.5/24' },
        out: { interface: 'eth2', address: '10.2.0.5/24', server: '10.2.0.2' },
      },
      {
        name: 'six',
        in: { interface: 'eth1', client: 'fd81::2', address: 'fd81::5', gateway: 'fd81::1' },
        out: { interface: 'eth2', address: 'fd82::5', server: 'fd82::2', gateway: 'fd82::1' },
      },
    ]);
    expect(parseRules(rules.map(formatRule).join('\n'))).toEqual(rules);
  });

  test.each<[string, string, RegExp]>([
    ['without a name', 'eth1 10.1.0.2 -> 10.1.0.5 => eth2 10.2.0.5 -> 10.2.0.2', /^rules.txt:1:1: expected NAME:/],
    [
      'with a client that is no address',
      WEB.replace('10.1.0.2', 'host'),
      /^rules.txt:1:11: expected the client's address, not "host"/,
    ],
    [
      'with a network of clients',
      WEB.replace('10.1.0.2', '10.1.0.0/24'),
      /^rules.txt:1:11: expected the client's address/,
    ],
    ['that ends early', WEB.split(' =>')[0]!, /^rules.txt:1:34: expected =>$/],
    ['that goes on', `${WEB} more`, /^rules.txt:1:\d+: expected the end of the line, not "more"/],
    ['with a group for a server', WEB.replace(/\S+$/, '224.0.0.1'), /expected the server's address/],
    [
      'with a prefix that is too long',
      WEB.replace('0.5/24', '0.5/33'),
      /^rules.txt:1:1: rule web: in.address has a prefix from 1 to 32/,
    ],
    ['of both families', WEB.replace(/10\.2\.0\.5\/24 -> \S+$/, 'fd82::5 -> fd82::2'), /all of IPv4, or all of IPv6/],
    [
      'whose address is that of the client',
      WEB.replace('10.1.0.5/24', '10.1.0.2'),
      /in.address is that of the client itself/,
    ],
    ['whose name another one has', `${WEB}\n${WEB}`, /^rules.txt:2:1: another rule has the name web/],
  ])('a line %s is refused by line and column', async (_, text, message) => {
    const error = await refusal(text);
    expect(error.code).toBe('RINGTAP_BAD_OPTION');
    expect(error.message).toMatch(message);
    expect(error.hint).toContain('NAME: INTERFACE CLIENT -> ADDRESS');
  });

  test('whatever is written, what is not refused reads back the same', () => {
    const words = [
      ...WEB.split(' '),
      'via',
      '->',
      '=>',
      '::',
      'fd81::2',
      '::ffff:1.2.3.4',
      '0.0.0.0',
      '#',
      '\n',
      '%',
      '/',
    ];
    let state = 7;
    const any = (below: number) => {
      state = (state * 1103515245 + 12345) % 2 ** 31;
      return state % below;
    };
    let taken = 0;
    for (let i = 0; i < 20_000; i++) {
      const line = WEB.split(' ');
      for (let change = any(4); change > 0; change--) line[any(line.length)] = words[any(words.length)]!;
      try {
        const rules = parseRules(line.join(' '));
        expect(parseRules(rules.map(formatRule).join('\n'))).toEqual(rules);
        taken++;
      } catch (error) {
        expect((error as CaptureError).code, line.join(' ')).toBe('RINGTAP_BAD_OPTION');
      }
    }
    expect(taken).toBeGreaterThan(100);
  });
});
