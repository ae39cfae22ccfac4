// Traces that come over TCP, from peers in this process.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { explain, open } from 'ringtap';
import { afterEach, describe, expect, test } from 'vitest';
import { certificates } from '../support/certificates.js';
import { temporaryFolder } from '../support/folder.js';
import { count, expectBalanced, failure, readAll } from '../support/packets.js';
import { ethernet, ipv4, pcapFile, pcapngFile, udp } from '../support/trace.js';
import { sleep, until } from '../support/wait.js';

const path = temporaryFolder();
const packets = Array.from({ length: 300 }, (_, i) => ({
  data: ethernet(0x0800, ipv4({ protocol: 17 }, udp(1000 + i, i % 3 === 0 ? 53 : 9, Buffer.alloc(20 + i, i)))),
  time: 1_700_000_000_000_000_000n + BigInt(i),
}));
const trace = pcapFile(packets);
const pcapng = pcapngFile(
  { resolution: 9 },
  packets.map(({ data, time }) => ({ data, ticks: time })),
);

const servers: Server[] = [];
const sockets = new Set<Socket>();
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers.splice(0)) server.close();
});

/** A peer that does something with whoever connects. */
async function peer(does: (socket: Socket) => void, host = '127.0.0.1', server = createServer()): Promise<string> {
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  server.on('tlsClientError', () => {});
  server.on('setSecureContext' in server ? 'secureConnection' : 'connection', does);
  server.listen(0, host);
  servers.push(server);
  await once(server, 'listening');
  return `${host.includes(':') ? `[${host}]` : host}:${(server.address() as AddressInfo).port}`;
}

const sends = (bytes: Uint8Array) => (socket: Socket) => socket.end(bytes);
const data = async (uri: string, options = {}) => {
  await using capture = await open(`tcp://${uri}`, options);
  const seen = await readAll(capture);
  expectBalanced(capture.stats());
  return seen.map((packet) => [packet.data.toString('hex'), packet.timeNs]);
};
const expected = packets.map((packet) => [Buffer.from(packet.data).toString('hex'), packet.time]);
const openSockets = () => readdirSync('/proc/self/fd').length;

describe('a capture of tcp:', () => {
  test.each([
    ['pcap', trace],
    ['pcapng', pcapng],
  ])('delivers what a peer sends as %s, packet by packet', async (_, bytes) => {
    expect(await data(await peer(sends(bytes)))).toEqual(expected);
  });

  test.each([
    ['zstd', ['zstd', '-q']],
    ['gzip', ['gzip', '-c']],
  ])('tells from the content that it is compressed with %s', async (name, [program, ...args]) => {
    const bytes = execFileSync(program!, args, { input: trace });
    const host = await peer(sends(bytes));
    await using capture = await open(`tcp://${host}`);
    expect(capture.plan.notes).toContain(`compressed with ${name}`);
    expect(await count(capture)).toBe(packets.length);
  });

  test('reaches IPv6, and a host by its name', async () => {
    expect(await data(await peer(sends(trace), '::1'))).toEqual(expected);
    const host = await peer(sends(trace));
    expect(await data(host.replace('127.0.0.1', 'localhost'))).toEqual(expected);
  });

  test('delivers each packet as it comes, however it is cut', async () => {
    const host = await peer(async (socket) => {
      for (let at = 0; at < 400; at++) {
        socket.write(trace.subarray(at, at + 1));
        await new Promise(setImmediate);
      }
      await sleep(50);
      socket.end(trace.subarray(400));
    });
    expect(await data(host)).toEqual(expected);
  });

  test('is open once the header is there, and waits for packets', async () => {
    let socket: Socket | undefined;
    const host = await peer((connected) => {
      socket = connected;
      connected.write(trace.subarray(0, 24));
    });
    await using capture = await open(`tcp://${host}`);
    expect(capture).toMatchObject({ backend: 'tcp', linkType: 1 });
    expect(capture.plan).toMatchObject({ mode: 'stream', backend: 'tcp' });
    expect(capture.tryNext()).toBeNull();
    socket!.end(trace.subarray(24));
    expect(await count(capture)).toBe(packets.length);
    expect(capture.ended).toBe(true);
  });

  test('needs no event loop: nextSync() reads on', async () => {
    const host = await peer(sends(trace));
    await using capture = await open(`tcp://${host}`);
    let seen = 0;
    await sleep(20); // the peer is on this loop, too
    for (let batch = capture.nextSync(1000); batch !== null; batch = capture.nextSync(1000)) seen += batch.length;
    expect(seen).toBe(packets.length);
  });

  test('filters, cuts and explains as a file does', async () => {
    const host = await peer(sends(trace));
    await using capture = await open(`tcp://${host}?snaplen=40`, { filter: 'udp port 53' });
    const seen = await readAll(capture);
    expect(seen).toHaveLength(100);
    expect(seen.every((packet) => packet.data.length === 40)).toBe(true);
    expect(capture.stats()).toMatchObject({ delivered: 100, filtered: 200 });
    expect(await explain(`tcp://${await peer(sends(trace))}`)).toMatchObject({ ok: true, plan: { backend: 'tcp' } });
  });

  test('holds a peer back that sends faster than it is read', async () => {
    let sent = 0;
    const flood = Buffer.concat(Array.from({ length: 400 }, () => trace.subarray(24)));
    const host = await peer((socket) => {
      socket.write(trace.subarray(0, 24));
      const more = () => {
        while (!socket.destroyed && socket.write(flood)) sent += flood.length;
      };
      socket.on('drain', more);
      more();
    });
    await using capture = await open(`tcp://${host}`);
    await sleep(300);
    const held = sent;
    await sleep(300);
    expect(sent).toBe(held);
    expect(process.memoryUsage().rss).toBeLessThan(1 << 30);
    let seen = 0;
    for await (const batch of capture) {
      seen += batch.length;
      if (seen > 500_000) break;
    }
  });
});

describe('TLS of tcp:', () => {
  const own = certificates(path).selfSigned('own');
  const secure = (does: (socket: Socket) => void) =>
    peer(does, '127.0.0.1', createTlsServer({ cert: own.cert, key: own.key }));

  test('brings the same packets, of a certificate that is pinned', async () => {
    const host = await secure(sends(trace));
    expect(await data(host, { tls: { fingerprint: own.fingerprint } })).toEqual(expected);
    expect(await data(host, { tls: { ca: own.cert } })).toEqual(expected);
  });

  test('brings much, no faster than it is read', async () => {
    const many = 3000;
    const host = await secure((socket) => {
      socket.write(trace.subarray(0, 24));
      let left = many;
      const more = () => {
        while (left-- > 0) if (!socket.write(trace.subarray(24))) return;
        socket.end();
      };
      socket.on('drain', more);
      more();
    });
    await using capture = await open(`tcp://${host}`, { tls: { fingerprint: own.fingerprint } });
    await sleep(200);
    expect(await count(capture)).toBe(many * packets.length);
  });

  test('is refused where the certificate is unknown, or TLS is on one end only', async () => {
    const host = await secure(sends(trace));
    const unknown = await failure(() => open(`tcp://${host}?tls=true`));
    expect(unknown).toMatchObject({ code: 'RINGTAP_REMOTE_TLS', backend: 'tcp' });
    expect(unknown.hint).toContain(own.fingerprint);
    const plain = await peer(sends(trace));
    expect(await failure(() => open(`tcp://${plain}`, { tls: true }))).toMatchObject({ code: 'RINGTAP_REMOTE_TLS' });
    const silent = await failure(() => open(`tcp://${host}?replyMs=100`));
    expect(silent).toMatchObject({ code: 'RINGTAP_REMOTE_LOST' });
    expect(silent.hint).toContain('tls');
  });

  test('that breaks in the middle is no end', async () => {
    const host = await secure((socket) => {
      socket.write(trace);
      setTimeout(() => {
        for (const one of sockets) one.resetAndDestroy();
      }, 100);
    });
    await using capture = await open(`tcp://${host}`, { tls: { insecure: true } });
    expect(await failure(() => readAll(capture))).toMatchObject({ code: 'RINGTAP_REMOTE_LOST' });
    expect(capture.stats().delivered).toBe(packets.length);
  });
});

describe('a peer of tcp: that misbehaves', () => {
  test('is told when nobody listens', async () => {
    const host = await peer(() => {});
    await new Promise((closed) => servers.pop()!.close(closed));
    const error = await failure(() => open(`tcp://${host}`));
    expect(error).toMatchObject({ code: 'RINGTAP_REMOTE_UNREACHABLE', syscall: 'connect', backend: 'tcp' });
    expect(error.hint).toContain('Nobody listens there');
    expect(await failure(() => open('tcp://no.such.host.invalid:1'))).toMatchObject({
      code: 'RINGTAP_REMOTE_UNREACHABLE',
    });
  });

  test.each([
    ['sends garbage', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\nand more of the same kind'), 'RINGTAP_FILE_FORMAT'],
    ['sends half a header', trace.subarray(0, 11), 'RINGTAP_FILE_'],
    ['sends nothing', Buffer.alloc(0), 'RINGTAP_FILE_'],
  ])('that %s is refused when it is opened', async (_, bytes, code) => {
    const error = await failure(async () => open(`tcp://${await peer(sends(bytes))}`));
    expect(error.code).toContain(code);
  });

  test('that ends in the middle of a record is told, after all before it', async () => {
    const host = await peer(sends(trace.subarray(0, trace.length - 3)));
    await using capture = await open(`tcp://${host}`);
    expect(await failure(() => readAll(capture))).toMatchObject({ code: 'RINGTAP_FILE_TRUNCATED' });
    expect(capture.stats().delivered).toBe(packets.length - 1);
  });

  test('that stalls in the middle of a record is waited for, without an end of patience', async () => {
    let socket: Socket | undefined;
    const host = await peer((connected) => {
      socket = connected;
      connected.write(trace.subarray(0, 24 + 16 + 20));
    });
    await using capture = await open(`tcp://${host}?replyMs=50`);
    const next = capture[Symbol.asyncIterator]().next();
    await sleep(150);
    socket!.end(trace.subarray(24 + 16 + 20));
    expect((await next).done).toBe(false);
  });

  test('that resets the connection is RINGTAP_REMOTE_LOST', async () => {
    const host = await peer((socket) => {
      socket.write(trace.subarray(0, 24));
      setTimeout(() => socket.resetAndDestroy(), 50);
    });
    await using capture = await open(`tcp://${host}`);
    expect(await failure(() => readAll(capture))).toMatchObject({ code: 'RINGTAP_REMOTE_LOST', syscall: 'recv' });
  });

  test('that keeps silent is given up after replyMs, or at once by a signal', async () => {
    const host = await peer(() => {});
    expect(await failure(() => open(`tcp://${host}?replyMs=100`))).toMatchObject({ code: 'RINGTAP_REMOTE_LOST' });
    const before = performance.now();
    const opening = open(`tcp://${host}`, { signal: AbortSignal.timeout(50) });
    await expect(opening).rejects.toMatchObject({ name: 'TimeoutError' });
    expect(performance.now() - before).toBeLessThan(3000);
  });

  test('leaves no descriptor behind, whatever it did', async () => {
    const attempt = async (bytes: Uint8Array) => {
      const host = await peer(sends(bytes));
      await open(`tcp://${host}`).then(
        (capture) => capture.close(),
        () => {},
      );
      for (const server of servers.splice(0)) server.close();
    };
    await attempt(trace);
    const before = openSockets();
    for (let i = 0; i < 10; i++) await attempt(i % 2 === 0 ? trace : Buffer.from('garbage that is long enough'));
    await until(() => openSockets() <= before, 'descriptors to be closed');
  });
});

describe('a URI of tcp:', () => {
  test.each([
    ['tcp://localhost', 'the port is missing'],
    ['tcp://localhost:0', 'there is no port 0'],
    ['tcp://localhost:99999', 'there is no port 99999'],
    ['tcp://a b:1', 'is no host and port'],
    ['tcp://user@host:1', 'a user has no meaning here'],
    ['tcp:', 'a host is missing'],
    ['tcp://host:1/eth0', 'is no host and port'],
  ])('%s is refused', async (uri, says) => {
    const error = await failure(() => open(uri));
    expect(error.code).toBe('RINGTAP_BAD_URI');
    expect(error.message).toContain(says);
  });
});
