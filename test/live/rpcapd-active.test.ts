// The daemon where it connects by itself, encrypted, and on the command line.
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type Capture, type Daemon, listen, open, type ServeOptions, serve } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { certificates } from '../support/certificates.js';
import { type Running, ringtapHere, startRingtap } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { lab } from '../support/lab.js';
import { failure, readAll } from '../support/packets.js';
import { Rpcap } from '../support/rpcap.js';
import { RpcapClient, startOf } from '../support/rpcap-client.js';
import { until, within } from '../support/wait.js';

const path = temporaryFolder();
const SOURCES = { made: 'synth:?count=2000', other: 'synth:?count=10' };

const calling = (port: number, options: ServeOptions = {}): Promise<Daemon> =>
  serve({ passive: false, active: [{ host: '127.0.0.1', port }], nullAuth: true, sources: SOURCES, ...options });

async function take(listener: AsyncIterable<Capture>): Promise<Capture> {
  const { value } = await within(listener[Symbol.asyncIterator]().next(), 'a capture');
  return value as Capture;
}

/** Where daemons connect to, each as a client of its own. */
async function collector(): Promise<{
  server: Server;
  port: number;
  next: () => Promise<RpcapClient>;
  sockets: Socket[];
}> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  let taken = 0;
  const next = async () => {
    await until(() => sockets.length > taken, 'a daemon');
    return new RpcapClient(sockets[taken++]!);
  };
  return { server, port: (server.address() as { port: number }).port, next, sockets };
}

describe.skipIf(lab === null)('a daemon that connects by itself', () => {
  test.each(['tcp', 'udp'] as const)('is a capture of listen(), over %s', async (transport) => {
    await using listener = await listen('rpcap://127.0.0.1:0', { transport, interface: 'made' });
    await using _daemon = await calling(listener.port, { datagramBytes: 1472 });
    await using capture = await take(listener);
    expect((await readAll(capture, 2000)).length).toBe(2000);
    expect(capture.stats()).toMatchObject({ delivered: 2000, dropped: 0 });
  });

  test('offers the preselected interface first, and no other', async () => {
    const { server, port, next } = await collector();
    await using _daemon = await calling(port, { active: [{ host: '127.0.0.1', port, ifname: lab!.rx }] });
    using client = await next();
    await client.ask(Rpcap.auth, Buffer.alloc(8));
    const { payload } = await client.ask(Rpcap.interfaces);
    const [nameBytes, textBytes] = [payload.readUInt16BE(0), payload.readUInt16BE(2)];
    expect(payload.toString('utf8', 12, 12 + nameBytes)).toBe(lab!.rx);
    expect(payload.toString('utf8', 12 + nameBytes, 12 + nameBytes + textBytes)).toMatch(/;preselected$/);
    expect((await client.refusal(Rpcap.open, Buffer.from('made')))?.[0]).toBe(6);
    expect(await client.refusal(Rpcap.open, Buffer.from(lab!.rx))).toBeUndefined();
    server.close();
  });

  test.each([{ ifname: 'nosuch' }, { ifaddr: '192.0.2.0/24' }, { ifname: lab?.rx, ifaddr: '192.0.2.1' }])(
    'offers nothing where what is preselected is not there, and says so: %j',
    async (chosen) => {
      const { server, port, next } = await collector();
      const events: string[] = [];
      const active = [{ host: '127.0.0.1', port, ...chosen }];
      await using _daemon = await calling(port, { active, onEvent: ({ what }) => events.push(what) });
      using client = await next();
      await client.ask(Rpcap.auth, Buffer.alloc(8));
      expect(await client.ask(Rpcap.interfaces)).toMatchObject({ value: 0, payload: Buffer.alloc(0) });
      for (const name of ['made', lab!.rx]) {
        const [number, text] = (await client.refusal(Rpcap.open, Buffer.from(name)))!;
        expect([number, text]).toEqual([6, expect.stringContaining('nothing is offered')]);
      }
      await until(() => events.some((what) => what.startsWith('nothing is offered: there is no')), 'the complaint');
      server.close();
    },
  );

  test('has nothing to capture where what is preselected is not there', async () => {
    const warned: string[] = [];
    const onWarning = ({ message }: Error) => void warned.push(message);
    process.on('warning', onWarning);
    await using listener = await listen('rpcap://127.0.0.1:0');
    const { port } = listener;
    await using _daemon = await calling(port, { active: [{ host: '127.0.0.1', port, ifname: 'nosuch' }] });
    await until(() => warned.some((text) => text.includes('none of its interfaces')), 'the warning');
    process.off('warning', onWarning);
    expect(listener.stats().captures).toBe(0);
  });

  test('comes back when the connection is lost, and not after CLOSE', async () => {
    const { server, port, next, sockets } = await collector();
    const events: string[] = [];
    await using _daemon = await calling(port, { onEvent: ({ what }) => events.push(what) });
    (await next())[Symbol.dispose]();
    using again = await next();
    await again.ask(Rpcap.auth, Buffer.alloc(8));
    again.say(Rpcap.close);
    await again.closed();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(sockets.length).toBe(2);
    expect(events.filter((what) => what === 'connected').length).toBe(2);
    server.close();
  });

  test('tries again where nobody listens yet, and says so once', async () => {
    const { server, port } = await collector();
    await new Promise((resolve) => server.close(resolve));
    const events: string[] = [];
    await using _daemon = await calling(port, { onEvent: ({ what }) => events.push(what) });
    await until(() => events.length > 0, 'a complaint');
    await using listener = await listen(`rpcap://127.0.0.1:${port}` as 'rpcap://', { interface: 'other' });
    await using capture = await take(listener);
    expect((await readAll(capture, 10)).length).toBe(10);
    expect(events.filter((what) => what.startsWith('cannot connect')).length).toBe(1);
  });
});

describe.skipIf(lab === null)('a daemon that speaks TLS', () => {
  test('has its packets encrypted as well, and tells who comes without it', async () => {
    const { cert, key } = certificates(path).selfSigned('daemon');
    await using daemon = await serve({
      host: '127.0.0.1',
      port: 0,
      nullAuth: true,
      sources: SOURCES,
      tls: { cert, key },
    });
    using plain = await RpcapClient.connect(daemon.port);
    expect((await plain.refusal(Rpcap.auth, Buffer.alloc(8)))?.[0]).toBe(19);
    await plain.closed();
    const secured = (port: number) => connectTls({ port, host: '127.0.0.1', ca: cert, servername: 'localhost' });
    using client = new RpcapClient(secured(daemon.port));
    await client.ask(Rpcap.auth, Buffer.alloc(8));
    await client.ask(Rpcap.open, Buffer.from('made'));
    expect((await client.refusal(Rpcap.start, startOf({ flags: 3, port: 9 })))?.[0]).toBe(12); // not over UDP
    const { payload } = await client.ask(Rpcap.start, startOf());
    let bytes = 0;
    const data = secured(payload.readUInt16BE(4)).on('data', ({ length }) => {
      bytes += length;
    });
    await until(async () => (await client.stats()).sent === 2000, 'packets');
    await until(() => bytes === 2000 * (64 + 28), 'their bytes');
    data.destroy();
  });

  test('is asked for by a client of one that does not: that is told so in words of TLS', async () => {
    await using daemon = await serve({ host: '127.0.0.1', port: 0, nullAuth: true });
    const socket = connectTls({ port: daemon.port, host: '127.0.0.1', rejectUnauthorized: false });
    const error = await new Promise<NodeJS.ErrnoException>((resolve) => socket.once('error', resolve));
    expect(error.code).toMatch(/HANDSHAKE_FAILURE/);
  });

  test('has a certificate', async () => {
    expect(await failure(() => serve({ port: 0, nullAuth: true, tls: true as never }))).toMatchObject({
      code: 'RINGTAP_BAD_OPTION',
    });
  });
});

describe.skipIf(lab === null)('ringtap rpcapd', () => {
  const heard = ({ process: child }: Running) => {
    let text = '';
    child.stderr?.on('data', (piece) => {
      text += piece;
    });
    return () => text;
  };
  const portOf = async (stderr: () => string) => {
    await until(() => /listens at port \d+/.test(stderr()), 'the daemon');
    return Number(/listens at port (\d+)/.exec(stderr())?.[1]);
  };

  test('serves until it is told to stop, and says who came', async () => {
    const users = path('users');
    const line = startRingtap(['rpcapd', '--hash-password', 'capture'], { input: Buffer.from('secret\n') });
    writeFileSync(users, (await line.outcome).stdout, { mode: 0o600 });
    expect(readFileSync(users, 'utf8')).toMatch(/^capture:scrypt\$/);
    const running = startRingtap([
      'rpcapd',
      '-b',
      '127.0.0.1',
      '-p',
      '0',
      '--users',
      users,
      '--source',
      `made=${SOURCES.made}`,
    ]);
    const stderr = heard(running);
    const port = await portOf(stderr);
    const uri = `rpcap://127.0.0.1:${port}/made` as const;
    await using capture = await open(uri, { auth: { user: 'capture', password: 'secret' } });
    expect((await readAll(capture, 2000)).length).toBe(2000);
    running.process.kill('SIGTERM');
    expect((await running.outcome).code).toBe(0);
    expect(stderr()).toContain('captures made');
  });

  test('reads its file again at SIGHUP, and goes on as it was where that makes no sense', async () => {
    const config = path('rpcapd.ini');
    writeFileSync(config, '# ours\nNullAuthPermit = YES\n');
    const running = startRingtap(['rpcapd', '-b', '127.0.0.1', '-p', '0', '-f', config]);
    const stderr = heard(running);
    const port = await portOf(stderr);
    writeFileSync(config, 'NullAuthPermit = YES\nPassiveClient = 10.0.0.0/8\n');
    running.process.kill('SIGHUP');
    await until(() => stderr().includes('again'), 'the reading');
    using client = await RpcapClient.connect(port);
    expect((await client.next()).value).toBe(10);
    writeFileSync(config, 'NullAuthPermit = MAYBE\n');
    running.process.kill('SIGHUP');
    await until(() => stderr().includes('goes on as it was'), 'the complaint');
    running.process.kill('SIGTERM');
    expect((await running.outcome).code).toBe(0);
  });

  test.each([
    [['rpcapd'], 2],
    [['rpcapd', '-n', '-v'], 2],
    [['rpcapd', '-n', '-i', 'nosuch'], 2],
    [['rpcapd', '-n', '-a', 'host,99999999'], 2],
    [['rpcapd', '-n', '-a', 'host,99999'], 2],
    [['rpcapd', '-n', '-t', 'many'], 2],
    [['rpcapd', '-n', '-f', '/nonexistent'], 1],
    [['rpcapd', '-n', '-S', '-K', '/nonexistent'], 1],
    [['rpcapd', '-n', '-l', 'no-such-host.invalid'], 2],
  ])('%j is refused', async (args, code) => {
    const outcome = await ringtapHere(args);
    expect(outcome.code).toBe(code);
    expect(outcome.stderr).toContain('hint:');
  });

  test('a private key that everybody may read is refused', async () => {
    const key = path('open.key');
    writeFileSync(key, 'a key', { mode: 0o644 });
    const { code, stderr } = await ringtapHere(['rpcapd', '-n', '-S', '-K', key]);
    expect(code).toBe(2);
    expect(stderr).toContain(`-K: ${key} can be read by everybody`);
    expect(stderr).toContain(`chmod 600 ${key}`);
  });
});
