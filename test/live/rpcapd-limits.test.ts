// What a daemon takes, and what it says of those whom it refuses.
import { execFileSync } from 'node:child_process';
import { open, type ServeEvent, type ServeOptions, serve } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { lab, send } from '../support/lab.js';
import { readAll } from '../support/packets.js';
import { Rpcap } from '../support/rpcap.js';
import { ALL, RpcapClient, startOf } from '../support/rpcap-client.js';
import { bytes, u16 } from '../support/trace.js';
import { until, within } from '../support/wait.js';

const path = temporaryFolder();
const MIB = 1 << 20;
const UPDATE_FILTER = 5;
const start = (options: ServeOptions = {}) => serve({ host: '127.0.0.1', port: 0, nullAuth: true, ...options });
const authOf = (user: string, password: string) =>
  bytes(u16(1), u16(0), u16(Buffer.byteLength(user)), u16(password.length), Buffer.from(user), Buffer.from(password));

async function starts(port: number): Promise<{ client: RpcapClient; refused: [number, string] | undefined }> {
  const client = await RpcapClient.login(port);
  await client.ask(Rpcap.open, Buffer.from(lab!.rx));
  return { client, refused: await client.refusal(Rpcap.start, startOf()) };
}

describe.skipIf(lab === null)('one capture for all clients', () => {
  test('gives a burst that is larger than a piece of memory to each of them, whole', async () => {
    await using daemon = await start({ shared: true });
    const uri = `rpcap://127.0.0.1:${daemon.port}/${lab!.rx}`;
    const captures = await Promise.all([open(uri, { filter: 'udp' }), open(uri, { filter: 'udp' })]);
    const all = captures.map((capture) => readAll(capture, 3000));
    await send({ count: 3000, size: 1400, rate: 60_000 });
    for (const one of all) expect(await within(one, 'all of it')).toHaveLength(3000);
    for (const capture of captures) expect(capture.stats()).toMatchObject({ delivered: 3000, dropped: 0 });
    await Promise.all(captures.map((capture) => capture.close()));
  });
});

describe.skipIf(lab === null)('memory', () => {
  test('of all captures is bounded: who would be too much is told why, and comes in when another has left', async () => {
    await using daemon = await start({ memoryBytes: 36 * MIB });
    const [first, second, third] = [await starts(daemon.port), await starts(daemon.port), await starts(daemon.port)];
    expect([first.refused, second.refused]).toEqual([undefined, undefined]);
    expect(third.refused).toEqual([12, expect.stringMatching(/takes \d+ MiB .* have 36 of the 36 MiB/)]);
    await first.client.end(Rpcap.close);
    await until(async () => (await third.client.refusal(Rpcap.start, startOf())) === undefined, 'room');
    for (const { client } of [second, third]) client[Symbol.dispose]();
  });

  test('is what a filter that changes takes, too, for as long as there are two captures', async () => {
    await using daemon = await start({ memoryBytes: 19 * MIB });
    const { client, refused } = await starts(daemon.port);
    expect(refused).toBeUndefined();
    expect(await client.refusal(UPDATE_FILTER, ALL)).toEqual([7, expect.stringContaining('MiB')]);
    await daemon.reload({ host: '127.0.0.1', port: 0, nullAuth: true, memoryBytes: 36 * MIB });
    expect(await client.refusal(UPDATE_FILTER, ALL)).toBeUndefined();
    expect(await client.refusal(UPDATE_FILTER, ALL)).toBeUndefined(); // the old one's was given back
    client[Symbol.dispose]();
  });

  test('is that of the one capture where it is for all', async () => {
    await using daemon = await start({ shared: true, memoryBytes: 48 * MIB });
    const [first, second, third] = [await starts(daemon.port), await starts(daemon.port), await starts(daemon.port)];
    expect([first.refused, second.refused]).toEqual([undefined, undefined]);
    expect(third.refused?.[1]).toMatch(/takes 16 MiB/);
    for (const { client } of [first, second, third]) client[Symbol.dispose]();
  });
});

describe.skipIf(lab === null)('the log', () => {
  test('has a line for each refusal: who, which user, and why', async () => {
    const events: ServeEvent[] = [];
    const authenticate = (user: string) => user === 'good';
    await using daemon = await start({ nullAuth: false, authenticate, onEvent: (event) => void events.push(event) });
    using client = await RpcapClient.connect(daemon.port);
    const address = client.socket.address() as { port: number };
    const refused = () => events.filter(({ what }) => what.startsWith('refused')).map(({ what }) => what);
    await client.ask(Rpcap.interfaces);
    await client.ask(Rpcap.auth, Buffer.alloc(8));
    await client.ask(Rpcap.auth, authOf('mal\nringtap: all is well \u202e', 'x'));
    await client.ask(Rpcap.auth, authOf('good', 'x'));
    await client.ask(Rpcap.open, Buffer.from('no\x1b[2Jne'));
    expect(refused()).toEqual([
      'refused: the first request is AUTH',
      'refused: nobody gets in without a user and a password',
      'refused user "mal\\nringtap: all is well \\u{202e}": this user and password do not get in',
      'refused user "good": there is no "no\\x1b[2Jne" here',
    ]);
    for (const { peer } of events) expect(peer).toBe(`127.0.0.1:${address.port}`);
  });

  test('has one of whoever does not wait for it, and not more than people read', async () => {
    const events: string[] = [];
    await using daemon = await start({
      nullAuth: false,
      authenticate: () => false,
      onEvent: ({ what }) => void events.push(what),
    });
    using hasty = await RpcapClient.connect(daemon.port);
    hasty.say(Rpcap.auth, authOf('hasty', 'x'));
    await until(() => events.some((what) => what.startsWith('refused user "hasty"')), 'its line', 900);
    const many = await Promise.all(Array.from({ length: 8 }, () => RpcapClient.connect(daemon.port)));
    for (const one of many) for (let i = 0; i < 7; i++) await one.ask(Rpcap.interfaces);
    expect(events.filter((what) => what.startsWith('refused')).length).toBeLessThan(25);
    await until(async () => {
      using one = await RpcapClient.connect(daemon.port);
      await one.ask(Rpcap.interfaces);
      return events.some((what) => /\(and \d+ more refusals before/.test(what));
    }, 'those that were not told to be counted');
    for (const one of many) one[Symbol.dispose]();
  });
});

describe.skipIf(lab === null)('a source', () => {
  test.each([
    ['synth:?ratte=1', 'RINGTAP_UNKNOWN_OPTION', 'rate'],
    ['snyth:', 'RINGTAP_UNKNOWN_SCHEME', 'synth'],
    ['synth:?rate=fast', 'RINGTAP_BAD_OPTION', 'rate'],
  ])('that is mistyped, %s, is found at the start, and when it is read again', async (uri, code, hint) => {
    const failed = start({ sources: { lab: uri } });
    await expect(failed).rejects.toMatchObject({ code, message: expect.stringContaining('sources "lab": ') });
    await expect(failed.catch((error) => `${error.message} ${error.hint}`)).resolves.toContain(hint);
    await using daemon = await start({ sources: { lab: 'synth:?count=1' } });
    await expect(daemon.reload({ nullAuth: true, sources: { lab: uri } })).rejects.toMatchObject({ code });
    await using capture = await open(`rpcap://127.0.0.1:${daemon.port}/lab`);
    expect(await readAll(capture, 1)).toHaveLength(1);
  });

  test('that is not there yet is told of, and offered', async () => {
    const events: ServeEvent[] = [];
    await using daemon = await start({
      sources: { later: 'afpacket:later0' },
      onEvent: (one) => void events.push(one),
    });
    expect(events).toEqual([{ peer: '', what: expect.stringContaining('sources "later": ') }]);
    expect(daemon.port).toBeGreaterThan(0);
    // A pipe that nobody writes to yet.
    execFileSync('mkfifo', [path('pipe')]);
    await using other = await within(start({ sources: { piped: `file:${path('pipe')}` } }), 'the daemon', 4000);
    expect(other.port).toBeGreaterThan(0);
  });
});
