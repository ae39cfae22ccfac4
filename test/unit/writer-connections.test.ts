// Traces that are written through connections: pcap over IP, the sender's side.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createSecureServer } from 'node:tls';
import { listen, open, openWriter, type Writer, type WriterOptions } from 'ringtap';
import { afterEach, describe, expect, test } from 'vitest';
import { certificates } from '../support/certificates.js';
import { root } from '../support/child.js';
import { temporaryFolder } from '../support/folder.js';
import { count, failure, readAll } from '../support/packets.js';
import { until, within } from '../support/wait.js';

const path = temporaryFolder();
const LISTEN = 'tcp-listen://127.0.0.1:0';
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function writeAll(writer: Writer, packets: number, sizes = '200'): Promise<void> {
  await using source = await open(`synth:?count=${packets}&sizes=${sizes}`);
  for await (const batch of source) await writer.write(batch);
}

/** Somebody who awaits a trace. */
async function collector(onSocket: (socket: Socket) => void): Promise<{ port: number; server: Server }> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    onSocket(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => server.close());
  return { port: (server.address() as { port: number }).port, server };
}

/** The same through TLS. */
async function secureCollector(sockets: Socket[]): Promise<{ port: number } & WriterOptions> {
  const { cert, key, fingerprint } = certificates(path).selfSigned('collector');
  const server = createSecureServer({ cert, key }, (socket) => sockets.push(socket.on('error', () => {})));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => server.close());
  return { port: (server.address() as { port: number }).port, tls: { fingerprint } };
}

async function ringtap(...args: string[]) {
  const child = spawn(process.execPath, ['dist/cli/main.js', ...args], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  const [status] = await within(once(child, 'close'), 'ringtap');
  return { status: status as number, stderr };
}

async function bytesOf(socket: Socket): Promise<Buffer> {
  const pieces: Buffer[] = [];
  socket.on('data', (piece: Buffer) => pieces.push(piece));
  await within(once(socket, 'end'), 'the end of a trace');
  return Buffer.concat(pieces);
}

function gone(socket: Socket): Promise<unknown> {
  socket.on('error', () => {});
  return within(new Promise((resolve) => socket.once('close', resolve)), 'to be sent away');
}

/** How many packets tcpdump or tshark reads of it from its standard input. */
async function readBy(program: 'tcpdump' | 'tshark', source: Socket | NodeJS.ReadableStream): Promise<number> {
  const reader = spawn(program, ['-n', program === 'tshark' ? '-i' : '-r', '-'], { stdio: ['pipe', 'pipe', 'ignore'] });
  source.pipe(reader.stdin);
  let lines = 0;
  reader.stdout.on('data', (text: Buffer) => {
    lines += text.toString('latin1').split('\n').length - 1;
  });
  await within(once(reader, 'close'), program);
  return lines;
}

describe('openWriter() at tcp-listen:', () => {
  test.each<[string, WriterOptions]>([
    ['pcap', {}],
    ['pcapng', { format: 'pcapng' }],
    ['zstd', { format: 'pcapng', compress: 'zstd' }],
    ['gzip', { compress: 'gzip' }],
    ['lz4', { compress: 'lz4' }],
  ])('gives a trace to our own reader: %s', async (_, options) => {
    const writer = await openWriter(LISTEN, options);
    const reading = open(`tcp://127.0.0.1:${writer.port}`).then(async (capture) => {
      const packets = await count(capture);
      await capture.close();
      return packets;
    });
    await writeAll(writer, 20_000);
    await writer.close();
    expect(await reading).toBe(20_000);
    expect(writer.stats()).toMatchObject({ packets: 20_000, queued: 0, dropped: 0 });
  });

  test.each(['tcpdump', 'tshark'] as const)('gives it to bash and %s', async (program) => {
    const writer = await openWriter(LISTEN, program === 'tshark' ? { format: 'pcapng' } : {});
    const cat = spawn('bash', ['-c', `exec cat < /dev/tcp/127.0.0.1/${writer.port}`], { stdio: ['ignore', 'pipe', 2] });
    const read = readBy(program, cat.stdout!);
    await writeAll(writer, 3000);
    await writer.close();
    expect(await read).toBe(3000);
  });

  test('begins with a header for each, and goes on with what comes then', async () => {
    const writer = await openWriter(LISTEN, { format: 'pcapng' });
    const all = readBy('tshark', connect(writer.port!, '127.0.0.1'));
    await writeAll(writer, 1000);
    await writer.flush();
    const rest = readBy('tshark', connect(writer.port!, '127.0.0.1'));
    await until(() => writer.readers === 2, 'a second reader');
    await writeAll(writer, 500);
    await writer.close();
    expect([await all, await rest]).toEqual([1500, 500]);
    expect(writer.stats()).toMatchObject({ packets: 1500, dropped: 0 });
  });

  test('waits for its first reader, or is closed without one', async () => {
    const writer = await openWriter(LISTEN);
    expect(writer.readers).toBe(0);
    expect(await failure(() => writer.close())).toMatchObject({ code: 'RINGTAP_FILE_WRITE' });
  });

  test('with overflow: drop counts what nobody is there to read', async () => {
    const writer = await openWriter(LISTEN, { overflow: 'drop' });
    await writeAll(writer, 100);
    await writer.close();
    expect(writer.stats()).toMatchObject({ packets: 0, queued: 0, dropped: 100 });
  });

  test('with overflow: drop a reader who stands still holds nobody back, and what it lacks is counted', async () => {
    const writer = await openWriter(LISTEN, { overflow: 'drop', queueBytes: 2 ** 21, linkType: 1 });
    const slow = connect(writer.port!, '127.0.0.1').pause();
    const quick = connect(writer.port!, '127.0.0.1');
    await until(() => writer.readers === 2, 'two readers');
    let received = 0;
    quick.on('data', ({ length }: Buffer) => {
      received += length;
    });
    for (let i = 0; i < 20; i++) {
      await writeAll(writer, 1000, '1000');
      await until(() => received === 24 + 1016 * 1000 * (i + 1), 'the quick one to have it all');
    }
    expect(writer.stats().dropped).toBeGreaterThan(3000);
    const kept = readBy('tcpdump', slow);
    await writer.close();
    const { packets, dropped, queued } = writer.stats();
    expect(packets + dropped).toBe(20_000);
    expect(queued).toBe(0);
    expect(await kept).toBe(packets);
  });

  test('counts what a reader had not acknowledged when it was gone', async () => {
    const writer = await openWriter(LISTEN, { overflow: 'drop', linkType: 1 });
    const reader = connect(writer.port!, '127.0.0.1').pause();
    reader.on('error', () => {});
    await until(() => writer.readers === 1, 'a reader');
    await writeAll(writer, 20_000, '1000');
    reader.resetAndDestroy();
    await until(() => writer.readers === 0, 'it to be gone');
    await writer.close();
    const { packets, dropped, queued } = writer.stats();
    expect(packets + dropped + queued).toBe(20_000);
    expect(dropped).toBeGreaterThan(1000);
  });

  test('lets in who may, and no more than so many', async () => {
    const writer = await openWriter(LISTEN, { allow: ['127.0.0.9'], overflow: 'drop', linkType: 1 });
    const other = connect(writer.port!, '127.0.0.1');
    await gone(other);
    expect(writer.readers).toBe(0);
    const welcome = connect({ port: writer.port!, host: '127.0.0.1', localAddress: '127.0.0.9' });
    await until(() => writer.readers === 1, 'who is on the list');
    welcome.destroy();
    await writer.close();
    const one = await openWriter(LISTEN, { mostConnections: 1, overflow: 'drop', linkType: 1 });
    const first = connect(one.port!, '127.0.0.1');
    await until(() => one.readers === 1, 'the first');
    const second = connect(one.port!, '127.0.0.1');
    await gone(second);
    expect(one.readers).toBe(1);
    await one.close();
    first.destroy();
  });

  test('speaks TLS, and waits at its end until all has left', async () => {
    const { cert, key, fingerprint } = certificates(path).selfSigned('own');
    const writer = await openWriter(LISTEN, { tls: { cert, key } });
    const uri = `tcp://127.0.0.1:${writer.port}`;
    const ours = open(uri, { tls: { fingerprint } }).then(count);
    await writeAll(writer, 5000);
    await writer.flush();
    const theirs = connectTls({ port: writer.port!, host: '127.0.0.1', rejectUnauthorized: false });
    const read = bytesOf(theirs);
    await until(() => writer.readers === 2, 'a second reader');
    await writeAll(writer, 100);
    await writer.close();
    expect(await ours).toBe(5100);
    expect((await read).length).toBe(24 + 216 * 100);
  });
});

describe('ringtap capture -w', () => {
  test('sends what it captures, and serves who connects', async () => {
    const read: Promise<number>[] = [];
    const { port } = await collector((socket) => read.push(readBy('tshark', socket)));
    const sent = await ringtap('capture', 'synth:?count=700', '-q', '-w', `tcp://127.0.0.1:${port}?format=pcapng`);
    expect(sent).toMatchObject({ status: 0 });
    expect(await read[0]).toBe(700);
    const { port: free, server } = await collector(() => {});
    server.close();
    await once(server, 'close');
    const serving = ringtap('capture', 'synth:?count=800', '-q', '-w', `tcp-listen://127.0.0.1:${free}`);
    let capture: Awaited<ReturnType<typeof open>> | undefined;
    await until(async () => {
      capture = await open(`tcp://127.0.0.1:${free}`).catch(() => undefined);
      return capture !== undefined;
    }, 'somebody to listen');
    expect(await count(capture!)).toBe(800);
    expect(await serving).toMatchObject({ status: 0 });
  });

  test('says what cannot be sent', async () => {
    const rotated = await ringtap('capture', 'synth:?count=5', '-q', '-w', 'tcp://127.0.0.1:9', '-C', '1');
    expect(rotated.status).toBe(2);
    expect(rotated.stderr).toContain('rotate');
    const nobody = await ringtap('capture', 'synth:?count=5', '-q', '-w', 'tcp://127.0.0.1:9');
    expect(nobody.status).toBe(1);
    expect(nobody.stderr).toContain('ECONNREFUSED');
  });
});

describe('openWriter() at tcp:', () => {
  test('connects, and sends to listen() of ours', async () => {
    await using listener = await listen(LISTEN);
    const writer = await openWriter(`tcp://127.0.0.1:${listener.port}`, { format: 'pcapng' });
    const reading = within(listener[Symbol.asyncIterator]().next(), 'a capture').then(({ value }) => readAll(value!));
    await writeAll(writer, 2000);
    await writer.close();
    const seen = await reading;
    await using source = await open('synth:?count=2000&sizes=200');
    expect(seen.map(({ data, timeNs }) => [data, timeNs])).toEqual(
      (await readAll(source)).map(({ data, timeNs }) => [data, timeNs]),
    );
  });

  test('sends to tcpdump', async () => {
    const read: Promise<number>[] = [];
    const { port } = await collector((socket) => read.push(readBy('tcpdump', socket)));
    const writer = await openWriter(`tcp://127.0.0.1:${port}`);
    await writeAll(writer, 1000);
    await writer.close();
    expect(await read[0]).toBe(1000);
  });

  test('connects again where that is wanted, and counts what was on its way', async () => {
    const sockets: Socket[] = [];
    const { port } = await collector((socket) => sockets.push(socket.pause()));
    const writer = await openWriter(`tcp://127.0.0.1:${port}`, { reconnect: true, linkType: 1 });
    await until(() => sockets.length === 1, 'the connection');
    await writeAll(writer, 5000, '1000');
    sockets[0]!.resetAndDestroy();
    await until(() => sockets.length === 2, 'another connection');
    const read = readBy('tcpdump', sockets[1]!);
    await writeAll(writer, 1000);
    await writer.close();
    const { packets, dropped, queued } = writer.stats();
    expect(packets + dropped).toBe(6000);
    expect(queued).toBe(0);
    expect(await read).toBeGreaterThanOrEqual(1000);
    expect(dropped).toBeGreaterThan(100);
  });

  test.each([
    ['', false],
    [' through TLS', true],
  ])('hears of the end%s before it writes: what is written then waits for who comes next', async (_, isSecure) => {
    const sockets: Socket[] = [];
    const { port, tls } = isSecure
      ? await secureCollector(sockets)
      : { tls: undefined, ...(await collector((socket) => sockets.push(socket))) };
    const writer = await openWriter(`tcp://127.0.0.1:${port}`, { reconnect: true, linkType: 1, tls });
    await until(() => sockets.length === 1, 'the connection');
    const told = once(process, 'warning');
    sockets[0]!.resume().end();
    expect((await told)[0].message).toContain('it has closed the connection');
    await writeAll(writer, 100);
    await until(() => sockets.length === 2, 'another connection');
    const read = readBy('tcpdump', sockets[1]!);
    await writer.close();
    expect(writer.stats()).toMatchObject({ packets: 100, dropped: 0 });
    expect(await read).toBe(100);
  });

  test('fails once the other end has closed, and says so', async () => {
    const sockets: Socket[] = [];
    const { port } = await collector((socket) => sockets.push(socket));
    const writer = await openWriter(`tcp://127.0.0.1:${port}`, { linkType: 1, flushMs: 0 });
    await until(() => sockets.length === 1, 'the connection');
    const closed = once(sockets[0]!.resume(), 'close');
    sockets[0]!.end();
    await closed;
    const error = await failure(async () => {
      for (let i = 0; i < 100; i++) await writeAll(writer, 10).then(() => writer.flush());
    });
    expect(error).toMatchObject({ code: 'RINGTAP_REMOTE_LOST' });
    expect(error.message).toContain('it has closed the connection');
    await writer.close().catch(() => {});
    expect(writer.stats().packets).toBe(0);
  });

  test('fails where it is lost, and says what was dropped', async () => {
    const sockets: Socket[] = [];
    const { port } = await collector((socket) => sockets.push(socket.pause()));
    const writer = await openWriter(`tcp://127.0.0.1:${port}`, { linkType: 1 });
    await until(() => sockets.length === 1, 'the connection');
    sockets[0]!.resetAndDestroy();
    const error = await failure(async () => {
      for (let i = 0; i < 100; i++) await writeAll(writer, 20_000, '1000');
    });
    expect(error).toMatchObject({ code: 'RINGTAP_REMOTE_LOST' });
    await writer.close().catch(() => {});
    const { packets, queued } = writer.stats();
    expect([packets, queued]).toEqual([0, 0]);
  });

  test.each<[string, WriterOptions, string]>([
    ['tcp://127.0.0.1:9', {}, 'RINGTAP_REMOTE_UNREACHABLE'],
    ['tcp://127.0.0.1', {}, 'RINGTAP_BAD_URI'],
    ['tcp://127.0.0.1:70000', {}, 'RINGTAP_BAD_URI'],
    ['tcp://user@127.0.0.1:9', {}, 'RINGTAP_BAD_URI'],
    ['tcp://127.0.0.1:9?tls=true', {}, 'RINGTAP_UNKNOWN_OPTION'],
    ['tcp://127.0.0.1:9?format=erf', {}, 'RINGTAP_BAD_OPTION'],
    ['tcp://127.0.0.1:9?reconnect=perhaps', {}, 'RINGTAP_BAD_OPTION'],
    ['tcp://127.0.0.1:9', { rotate: { packets: 5 } }, 'RINGTAP_BAD_OPTION'],
    ['tcp://127.0.0.1:9', { direct: true }, 'RINGTAP_BAD_OPTION'],
    ['tcp://127.0.0.1:9', { comment: 'no place' }, 'RINGTAP_BAD_OPTION'],
    ['tcp://127.0.0.1:9', { format: 'erf' as never }, 'RINGTAP_BAD_OPTION'],
    ['tcp://127.0.0.1:9', { allow: ['10.0.0.1'] }, 'RINGTAP_BAD_OPTION'],
    ['tcp-listen://127.0.0.1:0', { reconnect: true }, 'RINGTAP_BAD_OPTION'],
    ['tcp-listen://127.0.0.1:0', { tls: true }, 'RINGTAP_BAD_OPTION'],
    ['tcp-listen://127.0.0.1:0', { mostConnections: 0 }, 'RINGTAP_BAD_OPTION'],
    ['out.pcap', { reconnect: true }, 'RINGTAP_BAD_OPTION'],
  ])('refuses %s with %j', async (uri, options, code) => {
    expect(await failure(() => openWriter(uri, options))).toMatchObject({ code });
  });
});
