// Traces whose senders connect to us.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { type Capture, type Listener, listen, open } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { certificates } from '../support/certificates.js';
import { root } from '../support/child.js';
import { temporaryFolder } from '../support/folder.js';
import { count, failure } from '../support/packets.js';
import { ethernet, ipv4, pcapFile, udp } from '../support/trace.js';
import { until, within } from '../support/wait.js';

const path = temporaryFolder();
const trace = (packets: number) =>
  pcapFile(
    Array.from({ length: packets }, (_, i) => ({
      data: ethernet(0x0800, ipv4({ protocol: 17 }, udp(i, 9, Buffer.alloc(30)))),
    })),
  );

async function next(listener: Listener): Promise<Capture> {
  const { value } = await within(listener[Symbol.asyncIterator]().next(), 'a capture');
  return value as Capture;
}

function sender(port: number, bytes: Uint8Array): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.end(bytes);
  return socket;
}

describe('listen() at tcp-listen:', () => {
  test('gives a capture for each who sends a trace', async () => {
    await using listener = await listen('tcp-listen://127.0.0.1:0');
    const sent = [5, 50, 500];
    for (const packets of sent) sender(listener.port, trace(packets));
    const seen: number[] = [];
    for (let i = 0; i < sent.length; i++) {
      await using capture = await next(listener);
      expect(capture).toMatchObject({ backend: 'tcp', linkType: 1, peer: { address: '127.0.0.1', interface: '' } });
      expect(capture.uri).toBe(`tcp://127.0.0.1:${capture.peer!.port}`);
      seen.push(await count(capture));
    }
    expect(seen.sort((a, b) => a - b)).toEqual(sent);
    expect(listener.stats()).toMatchObject({ accepted: 3, captures: 3, failed: 0 });
  });

  test('filters each, and ends with its signal', async () => {
    const abort = new AbortController();
    const listener = await listen('tcp-listen://127.0.0.1:0', { filter: 'udp src port 3', signal: abort.signal });
    sender(listener.port, trace(10));
    const capture = await next(listener);
    expect(await count(capture)).toBe(1);
    await capture.close();
    const waiting = listener[Symbol.asyncIterator]().next();
    abort.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
  });

  test('takes TLS where it has a certificate, and refuses who speaks none', async () => {
    const own = certificates(path).selfSigned('own');
    const { cert, key } = own;
    await using listener = await listen('tcp-listen://127.0.0.1:0', { tls: { cert, key } });
    sender(listener.port, trace(3));
    await until(() => listener.stats().failed === 1, 'a sender without TLS to be sent away');
    const socket = connectTls({
      port: listener.port,
      host: '127.0.0.1',
      ca: cert,
      checkServerIdentity: () => undefined,
    });
    socket.on('error', () => {});
    socket.end(trace(7));
    await using capture = await next(listener);
    expect(await count(capture)).toBe(7);
    expect(await failure(() => listen('tcp-listen://127.0.0.1:0?tls=true'))).toMatchObject({
      code: 'RINGTAP_BAD_OPTION',
    });
  });

  test('lets in whom it allows, and goes on after garbage and silence', async () => {
    await using listener = await listen('tcp-listen://127.0.0.1:0?replyMs=100', { allow: ['127.0.0.0/8'] });
    sender(listener.port, Buffer.from('GET / HTTP/1.1\r\nHost: example\r\n\r\n'));
    const silent = connect(listener.port, '127.0.0.1');
    silent.on('error', () => {});
    await until(() => listener.stats().failed === 2, 'both to be sent away');
    sender(listener.port, trace(4));
    await using capture = await next(listener);
    expect(await count(capture)).toBe(4);
    silent.destroy();
    await using closed = await listen('tcp-listen://127.0.0.1:0', { allow: ['192.0.2.0/24'] });
    sender(closed.port, trace(4));
    await until(() => closed.stats().refused === 1, 'a stranger to be refused');
  });

  test('is not what open() takes, nor tcp: what listen() takes', async () => {
    const opened = await failure(() => open('tcp-listen://127.0.0.1:0'));
    expect(opened).toMatchObject({ code: 'RINGTAP_UNSUPPORTED' });
    expect(opened.hint).toContain("listen('tcp-listen://127.0.0.1:0')");
    expect(await failure(() => listen('tcp://127.0.0.1:1'))).toMatchObject({ code: 'RINGTAP_UNSUPPORTED' });
  });
});

describe('ringtap listen', () => {
  test('writes a trace for each who connects', async () => {
    const args = ['dist/cli/main.js', 'listen', 'tcp-listen://127.0.0.1:0', '-w', path('%h.pcapng'), '-c', '23'];
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (text) => {
      said += text;
    });
    await until(() => /port (\d+)/.test(said), 'the port');
    const port = Number(/port (\d+)/.exec(said)![1]);
    sender(port, trace(11));
    sender(port, trace(12));
    const [code] = await within(once(child, 'close'), 'its end');
    expect(code, said).toBe(0);
    const written = readdirSync(join(path('.'))).filter((name) => name.endsWith('.pcapng'));
    expect(written.sort()).toEqual(['127.0.0.1-2.pcapng', '127.0.0.1.pcapng']);
    let packets = 0;
    for (const name of written) {
      await using capture = await open(`file:${path(name)}`);
      packets += await count(capture);
    }
    expect(packets).toBe(23);
  });
});
