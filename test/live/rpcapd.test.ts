// The daemon: what our own client gets of it, and what anybody else who connects.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { type Daemon, devices, open, type ServeOptions, serve, userLine } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { certificates } from '../support/certificates.js';
import { temporaryFolder } from '../support/folder.js';
import { lab, send, traffic } from '../support/lab.js';
import { expectBalanced, failure, readAll } from '../support/packets.js';
import { descriptors } from '../support/resources.js';
import { Rpcap } from '../support/rpcap.js';
import { ALL, Datagrams, RpcapClient, startOf } from '../support/rpcap-client.js';
import { bytes, u16, u32 } from '../support/trace.js';
import { sleep, until } from '../support/wait.js';

const path = temporaryFolder();
const SOURCES = { made: 'synth:?count=5000&sizes=imix', paced: 'synth:?rate=2000', vast: 'synth:?sizes=1514' };

function start(options: ServeOptions = {}): Promise<Daemon> {
  return serve({ host: '127.0.0.1', port: 0, nullAuth: true, sources: SOURCES, ...options });
}

const at = ({ port }: Daemon, device: string, parameters = ''): `rpcap://${string}` =>
  `rpcap://127.0.0.1:${port}/${device}${parameters}`;

/** Of a source of its own, what it has. */
async function expectedOf(uri: string, filter?: string) {
  await using capture = await open(uri as 'synth:', filter === undefined ? {} : { filter });
  return (await readAll(capture)).map(({ data, wirelen }) => [data.toString('hex'), wirelen]);
}

describe.skipIf(lab === null)('a capture at our daemon', () => {
  test.each([
    ['tcp', 0],
    ['udp', 0],
    ['udp', 1472],
    ['udp', 512],
  ] as const)(
    'over %s, datagrams of %i bytes, has every packet to the byte, also the last',
    async (transport, size) => {
      await using daemon = await start({ datagramBytes: size });
      await using capture = await open(at(daemon, 'made'), { transport });
      const seen = await readAll(capture, 5000);
      expect(seen.map(({ data, wirelen }) => [data.toString('hex'), wirelen])).toEqual(await expectedOf(SOURCES.made));
      const stats = capture.stats();
      expectBalanced(stats);
      expect(stats).toMatchObject({ received: 5000, delivered: 5000, dropped: 0 });
      const datagrams = stats.details.datagrams ?? 0;
      if (size === 1472) expect(datagrams).toBeLessThan(5000 / 3);
    },
  );

  test('over TLS has the last packets before its end', async () => {
    const { cert, key, fingerprint } = certificates(path).selfSigned('tail');
    const packets = 60_000;
    await using daemon = await start({ tls: { cert, key }, sources: { long: `synth:?count=${packets}&sizes=500` } });
    await using capture = await open(`rpcaps://127.0.0.1:${daemon.port}/long`, { tls: { fingerprint } });
    let seen = 0;
    const reading = (async () => {
      for await (const batch of capture) seen += batch.length;
    })();
    await reading;
    expect(seen).toBe(packets);
    expect(capture.ended).toBe(true);
  });

  test.each(['tcp', 'udp'] as const)('of a source that ends is no error over %s', async (transport) => {
    await using daemon = await start({ sources: { few: 'synth:?count=1000', one: 'synth:?count=1' } });
    for (const [device, packets] of [
      ['few', 1000],
      ['one', 1],
    ] as const) {
      await using capture = await open(at(daemon, device), { transport });
      expect(await readAll(capture)).toHaveLength(packets);
      expect(capture.ended).toBe(true);
    }
  });

  test('of an interface has what is sent there, filtered in its kernel, and the counters say so', async () => {
    await using daemon = await start({ datagramBytes: 1472 });
    await using capture = await open(at(daemon, lab!.rx, '?transport=udp'), { filter: 'udp' });
    await send({ count: 3000, proto: 'udp', size: 300, rate: 30_000 });
    await send({ count: 100, proto: 'tcp', size: 100, rate: 30_000 });
    expect((await readAll(capture, 3000)).length).toBe(3000);
    await until(() => daemon.clients()[0]?.sent === 3000, 'the counter of the daemon');
    expect(daemon.clients()[0]).toMatchObject({ captures: lab!.rx, received: 3000, sent: 3000, dropped: 0 });
  });

  test.each([0, 1472])('has no descriptor any more once it is closed: datagrams of %i bytes', async (datagramBytes) => {
    await using daemon = await start({ datagramBytes });
    const visit = async () => {
      await using capture = await open(at(daemon, 'paced', '?transport=udp'));
      await readAll(capture, 10);
    };
    await visit(); // what is opened once for all stays
    await until(() => daemon.clients().length === 0, 'the first client to be gone');
    const before = descriptors().size;
    // WHY so many: whatever is left to the collector of garbage, it does not come for all of them.
    for (let i = 0; i < 40; i++) await visit();
    await until(() => daemon.clients().length === 0, 'the clients to be gone');
    await until(() => descriptors().size <= before, `${descriptors().size} descriptors to be ${before}`);
  });

  test('is one of several, each with its own filter, on captures of their own or a shared one', async () => {
    for (const shared of [false, true]) {
      await using daemon = await start({ shared, datagramBytes: 1472 });
      await using udp = await open(at(daemon, lab!.rx), { filter: 'udp' });
      await using tcp = await open(at(daemon, lab!.rx, '?transport=udp'), { filter: 'tcp', snaplen: 60 });
      await using all = await open(at(daemon, lab!.rx));
      await sleep(50);
      await send({ count: 200, proto: 'udp', size: 200, rate: 5000 });
      await send({ count: 100, proto: 'tcp', size: 200, rate: 5000 });
      expect((await readAll(udp, 200)).length).toBe(200);
      const cut = await readAll(tcp, 100);
      expect(new Set(cut.map(({ data, wirelen }) => `${data.length} of ${wirelen}`))).toEqual(new Set(['60 of 200']));
      expect((await readAll(all, 300)).length).toBe(300);
      expect(daemon.clients().map(({ sent }) => sent)).toEqual([200, 100, 300]);
    }
  });

  test('is listed with the interfaces of the host and their addresses', async () => {
    await using daemon = await start();
    const list = await devices(`rpcap://127.0.0.1:${daemon.port}`);
    const names = list.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['made', 'lo', lab!.rx]));
    expect(list.find(({ name }) => name === 'lo')).toMatchObject({
      loopback: true,
      addresses: expect.arrayContaining(['127.0.0.1/8']),
    });
    await using only = await start({ sourcesOnly: true });
    expect((await devices(`rpcap://127.0.0.1:${only.port}`)).map(({ name }) => name)).toEqual(Object.keys(SOURCES));
  });

  test('of an interface that goes ends with what has come, and says why', async () => {
    execFileSync('ip', ['link', 'add', 'goes0', 'type', 'veth', 'peer', 'name', 'goes1']);
    for (const name of ['goes0', 'goes1']) execFileSync('ip', ['link', 'set', name, 'up']);
    await using daemon = await start();
    for (const transport of ['tcp', 'udp'] as const) {
      await using capture = await open(at(daemon, 'goes1'), { transport, filter: 'udp' });
      await traffic({ count: 50, iface: 'goes0' }).sent;
      expect(await readAll(capture, 50)).toHaveLength(50);
      if (transport === 'tcp') continue;
      execFileSync('ip', ['link', 'delete', 'goes0']);
      expect(await failure(() => readAll(capture))).toMatchObject({
        code: 'RINGTAP_REMOTE_LOST',
        message: expect.stringContaining('goes1'),
      });
    }
  });

  test('that nobody reads loses packets in the daemon, and each is counted there', async () => {
    await using daemon = await start();
    using client = await RpcapClient.login(daemon.port);
    await client.ask(Rpcap.open, Buffer.from('paced'));
    const { payload } = await client.ask(Rpcap.start, startOf());
    const data = connect(payload.readUInt16BE(4), '127.0.0.1').pause();
    await until(async () => (await client.stats()).sent > 100, 'packets');
    await client.ask(Rpcap.end);
    const { received, kernelDropped, sent } = await client.stats();
    expect(received).toBe(sent + kernelDropped);
    data.destroy();
  });
});

describe.skipIf(lab === null)('who gets in', () => {
  test('has a line in the file of users, and the right password', async () => {
    const users = path('users');
    writeFileSync(users, `# ours\n${await userLine('capture', 'pass:word')}\n`, { mode: 0o600 });
    await using daemon = await start({ nullAuth: false, users });
    const auth = { user: 'capture', password: 'pass:word' };
    await using capture = await open(at(daemon, 'made'), { auth });
    expect(capture.linkType).toBe(1);
    for (const wrong of [{ ...auth, password: 'password' }, { ...auth, user: 'root' }, undefined]) {
      expect(await failure(() => open(at(daemon, 'made'), { auth: wrong }))).toMatchObject({
        code: 'RINGTAP_REMOTE_AUTH',
      });
    }
  });

  test('is said by a function, which sees user, password and address', async () => {
    const asked: string[][] = [];
    await using daemon = await start({
      nullAuth: false,
      authenticate: async (...given) => asked.push(given) > 1,
    });
    using client = await RpcapClient.connect(daemon.port);
    const auth = bytes(u16(1), u16(0), u16(1), u16(2), Buffer.from('upw'));
    const began = performance.now();
    expect((await client.refusal(Rpcap.auth, auth))?.[0]).toBe(18);
    expect(performance.now() - began).toBeGreaterThan(900); // who guesses has to wait
    expect(await client.refusal(Rpcap.auth, auth)).toBeUndefined();
    expect(asked[0]).toEqual(['u', 'pw', '127.0.0.1']);
  });

  test('is on the list of hosts', async () => {
    await using daemon = await start({ allow: ['10.0.0.0/8', '2001:db8::/32'] });
    using client = await RpcapClient.connect(daemon.port);
    expect((await client.next()).value).toBe(10);
    await client.closed();
  });

  test('is nobody where nobody was named, and files that make no sense are refused', async () => {
    expect(await failure(() => serve({ port: 0 }))).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
    for (const [text, mode] of [
      ['capture:scrypt$3$8$1$AAAA$AAAA\n', 0o600],
      ['', 0o644],
    ] as const) {
      const users = path(`bad-${mode}`);
      writeFileSync(users, text, { mode });
      expect(await failure(() => serve({ port: 0, users }))).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
    }
    expect(await failure(() => serve({ port: 0, users: path('none') }))).toMatchObject({ code: 'RINGTAP_FILE_OPEN' });
    await using daemon = await start();
    expect(await failure(() => start({ port: daemon.port }))).toMatchObject({ code: 'RINGTAP_BUSY' });
  });
});

describe.skipIf(lab === null)('whoever says something else', () => {
  const auth = Buffer.alloc(8);

  test.each([
    ['a request before AUTH', Rpcap.interfaces, Buffer.alloc(0), 0, 16, false],
    ['AUTH of another version', Rpcap.auth, auth, 7, 17, true],
    ['AUTH that is cut', Rpcap.auth, bytes(0, 0), 0, 3, false],
    ['AUTH whose strings overrun it', Rpcap.auth, bytes(u16(1), u16(0), u16(9), u16(9), 1, 2), 0, 3, false],
    ['an unknown kind of AUTH', Rpcap.auth, bytes(u16(7), u16(0), u32(0)), 0, 20, false],
    ['a type that is none', 99, Buffer.alloc(0), 0, 16, true],
    ['a type of answers', 0x83, Buffer.alloc(0), 0, 16, true],
  ] as const)('is told the number for %s', async (_, type, payload, version, number, isLast) => {
    await using daemon = await start();
    using client = await RpcapClient.connect(daemon.port);
    const answer = await client.ask(type, payload, version);
    expect([answer.type, answer.value, answer.version]).toEqual([Rpcap.error, number, version]);
    if (isLast) await client.closed();
    else expect((await client.ask(Rpcap.auth, auth)).type).toBe(Rpcap.auth | 0x80);
  });

  test.each([
    ['STARTCAP before OPEN', Rpcap.start, startOf(), 12],
    ['OPEN of nothing that is offered', Rpcap.open, Buffer.from('/etc/passwd'), 6],
    ['OPEN of a URI', Rpcap.open, Buffer.from('synth:'), 6],
    ['OPEN of a name without end', Rpcap.open, Buffer.alloc(2000, 97), 6],
    ['UPDATEFILTER without a capture', 5, ALL, 7],
    ['a filter without its instructions', 5, bytes(u16(1), u16(0), u32(3)), 7],
    ['ENDCAP without a capture', Rpcap.end, Buffer.alloc(0), 13],
    ['SETSAMPLING that is cut', Rpcap.sampling, bytes(1), 15],
  ] as const)('after AUTH, too, and goes on: %s', async (_, type, payload, number) => {
    await using daemon = await start();
    using client = await RpcapClient.login(daemon.port);
    expect((await client.refusal(type, payload))?.[0]).toBe(number);
    expect((await client.stats()).sent).toBe(0);
  });

  test.each([
    ['is cut', startOf().subarray(0, 11)],
    ['has a filter of another type', startOf({ filter: bytes(u16(9), u16(0), u32(1), u32(6), u32(0)) })],
    ['has a filter of no instructions', startOf({ filter: bytes(u16(1), u16(0), u32(0)) })],
    ['has more instructions than there are', startOf({ filter: bytes(u16(1), u16(0), u32(0xffffffff)) })],
    ['has a filter that jumps out of itself', startOf({ filter: bytes(u16(1), u16(0), u32(1), u16(5), 0, 0, u32(9)) })],
    ['wants datagrams at no port', startOf({ flags: 2 })],
  ] as const)('in a STARTCAP that %s, is told 12', async (_, payload) => {
    await using daemon = await start();
    using client = await RpcapClient.login(daemon.port);
    for (const device of ['made', lab!.rx]) {
      await client.ask(Rpcap.open, Buffer.from(device));
      expect((await client.refusal(Rpcap.start, payload))?.[0]).toBe(12);
    }
    expect((await client.ask(Rpcap.start, startOf())).type).toBe(Rpcap.start | 0x80);
  });

  test('in a second AUTH, or a request without end, is told so and has to go', async () => {
    await using daemon = await start();
    using twice = await RpcapClient.login(daemon.port);
    expect((await twice.refusal(Rpcap.auth, auth))?.[0]).toBe(16);
    await twice.closed();
    using endless = await RpcapClient.login(daemon.port);
    endless.socket.write(bytes(0, Rpcap.open, u16(0), u32(0xffffffff), Buffer.alloc(1000)));
    expect((await endless.next()).value).toBe(16);
    await endless.closed();
  });

  test('without a filter of its own, as libpcap does, gets everything, though its STARTCAP is too short by one instruction', async () => {
    for (const pieces of [1, 3]) {
      await using daemon = await start();
      using client = await RpcapClient.login(daemon.port);
      await client.ask(Rpcap.open, Buffer.from('made'));
      const whole = bytes(
        0,
        Rpcap.start,
        u16(0),
        u32(20),
        startOf({ filter: bytes(u16(1), u16(0), u32(1), u16(6), 0, 0, u32(65535)) }),
      );
      const at = whole.length - (pieces === 1 ? 0 : 6);
      client.socket.write(whole.subarray(0, at));
      const answer = await client.next();
      expect(answer.type).toBe(Rpcap.start | 0x80);
      client.socket.write(whole.subarray(at));
      const data = connect(answer.payload.readUInt16BE(4), '127.0.0.1').resume();
      await until(async () => (await client.stats()).sent === 5000, 'packets');
      data.destroy();
    }
  });

  test('who connects to the port for packets from elsewhere gets none, and the control channel goes on', async () => {
    await using daemon = await start();
    using client = await RpcapClient.login(daemon.port);
    await client.ask(Rpcap.open, Buffer.from('made'));
    const port = (await client.ask(Rpcap.start, startOf())).payload.readUInt16BE(4);
    const stranger = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.5' });
    stranger.on('error', () => {});
    let got = 0;
    stranger.on('data', ({ length }) => {
      got += length;
    });
    await until(() => stranger.destroyed, 'the end of the stranger');
    expect(got).toBe(0);
    expect((await client.stats()).sent).toBe(0);
    const data = connect({ port, host: '127.0.0.1' });
    data.on('data', () => {});
    await until(async () => (await client.stats()).sent === 5000, 'packets');
    data.destroy();
  });

  test('says nothing is replaced by others once there are too many', async () => {
    await using daemon = await start({ maxClients: 10 });
    const silent = await Promise.all(Array.from({ length: 40 }, () => RpcapClient.connect(daemon.port)));
    using client = await RpcapClient.login(daemon.port);
    expect((await client.stats()).sent).toBe(0);
    expect(daemon.clients().length).toBeLessThanOrEqual(10);
    await until(() => silent.filter(({ isClosed }) => isClosed).length >= 30, 'the end of the silent ones');
    for (const one of silent) one[Symbol.dispose]();
  });
});

describe.skipIf(lab === null)('datagrams of udpstr', () => {
  test('that are not full leave in time, and at the end', async () => {
    await using daemon = await start({ datagramBytes: 1472 });
    using datagrams = await Datagrams.listen();
    using client = await RpcapClient.login(daemon.port);
    await client.ask(Rpcap.open, Buffer.from(lab!.rx));
    await client.ask(Rpcap.start, startOf({ flags: 3, port: datagrams.port, timeoutMs: 5000 }));
    await send({ count: 3, size: 100 });
    await until(() => datagrams.seen.length > 0, 'a datagram', 1000);
    await send({ count: 2, size: 100 });
    expect((await client.ask(Rpcap.end)).type).toBe(Rpcap.end | 0x80);
    const packets = datagrams.seen.reduce((sum, datagram) => sum + (datagram.length - 8) / 120, 0);
    expect(packets).toBe(5);
    expect(datagrams.seen.map((datagram) => [datagram[1], datagram.readUInt16BE(2)])).toEqual(
      datagrams.seen.map(() => [110, 8]),
    );
    expect(await client.stats()).toEqual({ received: 5, interfaceDropped: 0, kernelDropped: 0, sent: 5 });
  });
});

describe.skipIf(lab === null)('what a client changes while it captures', () => {
  test('is the filter: none is missed that either wants, and none comes twice', async () => {
    await using daemon = await start();
    using datagrams = await Datagrams.listen();
    using client = await RpcapClient.login(daemon.port);
    await client.ask(Rpcap.open, Buffer.from(lab!.rx));
    const none = bytes(u16(1), u16(0), u32(1), u16(6), 0, 0, u32(0));
    await client.ask(Rpcap.start, startOf({ flags: 3, port: datagrams.port }));
    const sent = send({ count: 4000, size: 100, rate: 4000 });
    for (let i = 0; i < 5; i++) {
      await sleep(100);
      expect((await client.ask(5, ALL)).type).toBe(0x85);
    }
    await sent;
    await client.ask(5, none);
    await send({ count: 50, size: 100 });
    await client.ask(Rpcap.end);
    const stats = await client.stats();
    expect(stats).toEqual({ received: 4000, interfaceDropped: 0, kernelDropped: 0, sent: 4000 });
    await until(() => datagrams.seen.length === 4000, 'all of them');
    expect(datagrams.seen.map((one) => one.readUInt32BE(24))).toEqual(Array.from({ length: 4000 }, (_, i) => i + 1));
  });

  test('is sampling: one of so many, and 0, which clients write by mistake, is all', async () => {
    await using daemon = await start();
    for (const [every, count] of [
      [10, 500],
      [0, 5000],
    ] as const) {
      using datagrams = await Datagrams.listen();
      using client = await RpcapClient.login(daemon.port);
      await client.ask(Rpcap.open, Buffer.from('made'));
      expect((await client.ask(Rpcap.sampling, bytes(1, 0, 0, 0, u32(every)))).type).toBe(0x8b);
      await client.ask(Rpcap.start, startOf({ flags: 3, port: datagrams.port }));
      expect((await client.next()).payload.toString()).toContain('end');
      expect((await client.stats()).sent).toBe(count);
    }
  });
});
