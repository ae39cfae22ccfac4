import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { type CaptureError, formatRule, openInline, parseRules } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { HealthPorts } from '../../dist/inline/health.js';
import { readRules } from '../../dist/inline/rules.js';
import { failure } from '../support/packets.js';

const WEB = 'web: eth1 10.1.0.2 -> 10.1.0.5/24 => eth2 10.2.0.5/24 -> 10.2.0.2';

const MANY =
  'many: nat eth1 10.1.0.0/24 -> 10.1.0.5/24 via 10.1.0.1 => eth2 10.2.0.5 -> 10.2.0.2 via 10.2.0.1 ports 2000-2999 entries 500 per-client 9 established 60s udp 1500ms';
const GW = 'gw: geneve eth1 10.1.0.0/24 -> 10.1.0.5 health 8080';

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

  test('rules for many clients and for balancers have bounds behind them, and read back the same', () => {
    const rules = parseRules(`${MANY}\n${GW}\nall: nat nat any -> fd81::5 => eth2 fd82::5 -> fd82::2`);
    expect(rules).toEqual([
      {
        name: 'many',
        kind: 'nat',
        in: { interface: 'eth1', clients: '10.1.0.0/24', address: '10.1.0.5/24', gateway: '10.1.0.1' },
        out: { interface: 'eth2', address: '10.2.0.5', server: '10.2.0.2', gateway: '10.2.0.1' },
        ports: [2000, 2999],
        limits: { entries: 500, perClient: 9 },
        timeouts: { establishedMs: 60_000, udpMs: 1500 },
      },
      {
        name: 'gw',
        kind: 'geneve',
        in: { interface: 'eth1', balancers: '10.1.0.0/24', address: '10.1.0.5' },
        healthPort: 8080,
      },
      {
        name: 'all',
        kind: 'nat',
        in: { interface: 'nat', clients: 'any', address: 'fd81::5' },
        out: { interface: 'eth2', address: 'fd82::5', server: 'fd82::2' },
      },
    ]);
    expect(rules.slice(0, 2).map(formatRule)).toEqual([MANY, GW]);
    expect(parseRules(rules.map(formatRule).join('\n'))).toEqual(rules);
    // An interface may be called as a kind is.
    expect(parseRules(WEB.replace('eth1', 'geneve'))[0]!.in.interface).toBe('geneve');
  });

  test.each<[string, string, RegExp]>([
    [
      'whose network has bits behind its prefix',
      MANY.replace('0.0/24', '0.1/24'),
      /:1:16: expected a network of clients/,
    ],
    ['with a bound that nobody knows', `${GW.replace('health', 'wealth')}`, /:1:41: expected the end of the line/],
    ['with another one', MANY.replace('entries', 'entry'), /:1:\d+: expected the end of the line, or ports, entries/],
    ['with a time without its unit', MANY.replace('1500ms', '1500'), /:1:\d+: expected a time, such as 120s or 500ms/],
    ['with a bound twice', `${MANY} udp 2s`, /:1:\d+: expected each bound once, not "udp"/],
    ['with ports in the wrong order', MANY.replace('2000-', '3000-'), /:1:1: rule many: the last of ports must be/],
    ['with no entries', MANY.replace('500', '0'), /:1:1: rule many: limits.entries must be a whole number from 1/],
    ['with a time that is too short', MANY.replace('1500ms', '5ms'), /timeouts.udpMs must be .* from 100 to/],
    ['with a port beyond the last one', GW.replace('8080', '80800'), /rule gw: healthPort must be/],
    [
      'of both families',
      MANY.replace('10.1.0.0/24', 'fd81::/64').replace(' via 10.1.0.1', ''),
      /all of IPv4, or all of/,
    ],
  ])('a line for many %s is refused by line and column', async (_, text, message) => {
    const error = await refusal(text);
    expect(error).toMatchObject({ code: 'RINGTAP_BAD_OPTION', message: expect.stringMatching(message) });
    expect(error.message).toMatch(/^rules.txt:1:\d+: /);
  });

  test.each<[string, RegExp]>([
    ['ports', /ports must be the first and the last/],
    ['limits', /limits must be an object/],
    ['timeouts', /timeouts must be an object/],
    ['kind', /kind must be pair, nat, geneve/],
  ])('an object with %s that are none is refused', async (field, message) => {
    const [rule] = parseRules(MANY);
    const error = await failure(async () => formatRule({ ...rule!, [field]: 'rubbish' } as never));
    expect(error).toMatchObject({ code: 'RINGTAP_BAD_OPTION', message: expect.stringMatching(message) });
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

  test.each<[unknown, string, RegExp]>([
    [{ bufferBytes: 5 }, 'RINGTAP_BAD_OPTION', /capture.ingress needs bufferBytes from 1048576 to/],
    [
      { bufferBytes: 2 ** 21, snaplen: 5 },
      'RINGTAP_UNKNOWN_OPTION',
      /capture.ingress, having no uri, has no option "snaplen"/,
    ],
    [{ uri: 'in.pcap', bufferBytes: 2 ** 21 }, 'RINGTAP_UNKNOWN_OPTION', /has no option "bufferBytes"/],
    [{ uri: 7 }, 'RINGTAP_BAD_OPTION', /capture.ingress needs a uri that is a string, not 7/],
    [false, 'RINGTAP_BAD_OPTION', /capture.ingress must be a URI, an object, or true, not false/],
  ])('a tap that is none is refused before anything is opened: %j', async (ingress, code, message) => {
    const error = await failure(() => openInline(WEB, { capture: { ingress: ingress as never } }));
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test('whatever is written, what is not refused reads back the same', () => {
    const words = [
      ...WEB.split(' '),
      ...MANY.split(' '),
      ...GW.split(' '),
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
      const line = [WEB, MANY, GW][i % 3]!.split(' ');
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

describe('ports of health checks', () => {
  const rulesAt = (port: number) =>
    readRules(parseRules(GW.replace('10.1.0.5', '10.9.9.9').replace('8080', String(port))), 'rules', parseRules).map(
      // An address of every host's: rules themselves take none of 127.0.0.0/8.
      (rule) => ({ ...rule, sides: [{ ...rule.sides[0], address: '127.0.0.1' }, rule.sides[1]] as const }),
    );
  const ask = (port: number) =>
    fetch(`http://127.0.0.1:${port}/anything`, { headers: { connection: 'close' } }).then(
      ({ status }) => status,
      ({ cause }) => cause.code as string,
    );

  test('answer while the forwarder is at work, reset connections when it stands still, and go with their rules', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const taken = (other.address() as AddressInfo).port;
    let isWell = true;
    const ports = new HealthPorts(() => isWell);
    const busy = await failure(() => ports.add(rulesAt(taken)));
    expect(busy).toMatchObject({ code: 'RINGTAP_BUSY', message: expect.stringContaining(`port ${taken}`) });
    other.close();
    await once(other, 'close');
    await ports.add(rulesAt(taken));
    await ports.add([...rulesAt(taken), ...rulesAt(taken)]);
    expect(await ask(taken)).toBe(200);
    isWell = false;
    expect(await ask(taken)).toMatch(/ECONNRESET|UND_ERR_SOCKET/);
    isWell = true;
    ports.keep(rulesAt(taken));
    expect(await ask(taken)).toBe(200);
    ports.keep([]);
    expect(await ask(taken)).toBe('ECONNREFUSED');
    ports.close();
  });
});
