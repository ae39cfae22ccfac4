// Clients that take nothing, and those who come and go at the wrong moment: the daemon answers and ends all the same.
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { connect as secure } from 'node:tls';
import { type Daemon, type ServeOptions, serve } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { certificates } from '../support/certificates.js';
import { temporaryFolder } from '../support/folder.js';
import { lab, send } from '../support/lab.js';
import { Rpcap } from '../support/rpcap.js';
import { ALL, RpcapClient, startOf } from '../support/rpcap-client.js';
import { until, within } from '../support/wait.js';

const path = temporaryFolder();
const start = (options: ServeOptions = {}): Promise<Daemon> =>
  serve({ host: '127.0.0.1', port: 0, nullAuth: true, sources: { vast: 'synth:?sizes=1514' }, ...options });
/** Captures of interfaces that are open. */
const captures = () => readFileSync('/proc/net/packet', 'utf8').trim().split('\n').length - 1;

/** A client that captures, has a connection for its packets, and takes none of it. */
async function lazy(daemon: Daemon, device: string): Promise<{ client: RpcapClient; data: Socket }> {
  const client = await RpcapClient.login(daemon.port);
  await client.ask(Rpcap.open, Buffer.from(device));
  const { payload } = await client.ask(Rpcap.start, startOf());
  const data = connect(payload.readUInt16BE(4), '127.0.0.1').pause();
  data.on('error', () => {});
  return { client, data };
}

/** Until nothing more goes into the connection. */
async function full(client: RpcapClient): Promise<void> {
  let last = -1;
  await until(
    async () => {
      const { sent } = await client.stats();
      const isFull = sent > 1000 && sent === last;
      last = sent;
      return isFull;
    },
    'the connection to be full',
    20_000,
  );
}

describe.skipIf(lab === null)('a client that takes no packets', () => {
  // Together: each waits for times of the daemon's, and has one of its own.
  test.concurrent.each([
    ['ENDCAP', (client: RpcapClient) => client.ask(Rpcap.end).then(() => {})],
    ['CLOSE', (client: RpcapClient) => client.end(Rpcap.close)],
    ['the end of its connection', async (client: RpcapClient) => client[Symbol.dispose]()],
    ['the end of the daemon', (_: RpcapClient, daemon: Daemon) => daemon.close()],
  ])('does not keep its capture from ending by %s', async (_, end) => {
    await using daemon = await start();
    const { client, data } = await lazy(daemon, 'vast');
    await full(client);
    await within(end(client, daemon), 'its end', 4000);
    await until(() => daemon.clients().every((one) => one.captures === undefined), 'the end of its capture', 4000);
    await within(daemon.close(), 'the end of the daemon', 4000);
    data.destroy();
  });

  test('and ends its connection while its capture ends leaves nothing', async () => {
    const before = captures();
    await using daemon = await start();
    const { client, data } = await lazy(daemon, lab!.rx);
    expect(captures()).toBe(before + 1);
    const sent = send({ count: 20_000, size: 1400, rate: 20_000 });
    await full(client);
    client.say(Rpcap.end);
    client[Symbol.dispose]();
    await until(() => captures() === before, 'the end of its capture', 4000);
    await until(() => daemon.clients().length === 0, 'the end of the conversation', 4000);
    await sent;
    data.destroy();
  });

  test('has an answer when it changes its filter, and what is lost is counted', async () => {
    await using daemon = await start();
    const { client, data } = await lazy(daemon, lab!.rx);
    const sent = send({ count: 20_000, size: 1400, rate: 20_000 });
    await full(client);
    const { type } = await within(client.ask(5, ALL), 'the answer', 4000);
    expect(type).toBe(0x85);
    await sent;
    await within(client.ask(Rpcap.end), 'the end', 4000);
    const stats = await client.stats();
    expect(stats.received).toBe(stats.sent + stats.kernelDropped);
    data.destroy();
    client[Symbol.dispose]();
  });
});

describe.skipIf(lab === null)('with one capture for all', () => {
  test('a client that comes while the last one leaves gets packets', async () => {
    await using daemon = await start({ shared: true });
    const first = await lazy(daemon, lab!.rx);
    using second = await RpcapClient.login(daemon.port);
    await second.ask(Rpcap.open, Buffer.from(lab!.rx));
    const { payload } = await second.ask(Rpcap.start, startOf());
    first.client[Symbol.dispose]();
    await until(() => daemon.clients().length === 1, 'the end of the first');
    const data = connect(payload.readUInt16BE(4), '127.0.0.1').resume();
    await until(async () => {
      await send({ count: 10, size: 100 });
      return (await second.stats()).sent > 0;
    }, 'packets');
    data.destroy();
    first.data.destroy();
  });
});

describe.skipIf(lab === null)('a handshake of TLS that stalls on the data connection', () => {
  test('ends with its capture', async () => {
    const { cert, key } = certificates(path).selfSigned('stalls');
    await using daemon = await start({ tls: { cert, key } });
    const socket = secure({ port: daemon.port, host: '127.0.0.1', rejectUnauthorized: false });
    using client = new RpcapClient(socket);
    await client.ask(Rpcap.auth, Buffer.alloc(8));
    await client.ask(Rpcap.open, Buffer.from('vast'));
    const { payload } = await client.ask(Rpcap.start, startOf());
    const data = connect(payload.readUInt16BE(4), '127.0.0.1');
    data.on('error', () => {});
    data.write(Buffer.from([22, 3, 1, 2, 0, 1]));
    let isClosed = false;
    data.resume().on('close', () => {
      isClosed = true;
    });
    await until(() => data.bytesWritten > 0, 'its first bytes to be sent');
    await client.ask(Rpcap.stats); // the daemon has had a turn
    await client.ask(Rpcap.end);
    await until(() => isClosed, 'its end', 4000);
  });
});

describe.skipIf(lab === null)('the ring of a capture', () => {
  test.each([
    [undefined, 16 << 20],
    [1 << 20, 1 << 20],
  ])('is as large as it is said, %s: %i bytes', async (bufferBytes, expected) => {
    const rings = () =>
      readFileSync('/proc/self/smaps', 'latin1')
        .split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/)
        .filter((one) => /socket:\[|anon_inode/.test(one.split('\n')[0]!) && /^VmFlags:.* mm/m.test(one))
        .map((one) => 1024 * Number(/^Size:\s*(\d+)/m.exec(one)?.[1]));
    const before = rings().length;
    await using daemon = await start(bufferBytes === undefined ? {} : { capture: { bufferBytes } });
    const { client, data } = await lazy(daemon, lab!.rx);
    const now = rings();
    expect(now).toHaveLength(before + 1);
    expect(now).toContain(expected);
    client[Symbol.dispose]();
    data.destroy();
  });
});
