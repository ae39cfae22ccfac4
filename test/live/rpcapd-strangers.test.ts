// Whoever reaches the port without being let in: he costs little, and keeps nobody out.

import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type Daemon, open, type ServeOptions, serve, userLine } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { lab } from '../support/lab.js';
import { Rpcap } from '../support/rpcap.js';
import { RpcapClient } from '../support/rpcap-client.js';
import { bytes, u16, u32 } from '../support/trace.js';
import { until, within } from '../support/wait.js';

const path = temporaryFolder();
const start = (options: ServeOptions): Promise<Daemon> =>
  serve({ host: '127.0.0.1', port: 0, sources: { made: 'synth:?rate=1000' }, ...options });
const authOf = (user: string, password: string) =>
  bytes(u16(1), u16(0), u16(user.length), u16(password.length), Buffer.from(user), Buffer.from(password));
const line = userLine('capture', 'secret'); // it costs what it costs
async function withUsers(): Promise<Daemon> {
  const users = path('users');
  writeFileSync(users, `${await line}\n`, { mode: 0o600 });
  return start({ users });
}

describe.skipIf(lab === null)('strangers', () => {
  test('who ask and are gone keep nobody waiting', async () => {
    await using daemon = await withUsers();
    for (let i = 0; i < 150; i++) {
      const client = await RpcapClient.connect(daemon.port);
      client.say(Rpcap.auth, authOf('nobody', 'x'));
      client.socket.end();
    }
    await until(() => daemon.clients().length < 5, 'the end of the strangers', 4000);
    using client = await RpcapClient.connect(daemon.port);
    const answer = await within(client.ask(Rpcap.auth, authOf('capture', 'secret')), 'an answer', 4000);
    expect(answer.type).toBe(Rpcap.auth | 0x80);
  });

  test('who ask together from one address keep none from another out, and most are sent away', async () => {
    await using daemon = await withUsers();
    const many = await Promise.all(Array.from({ length: 40 }, () => RpcapClient.connect(daemon.port)));
    const answers = many.map((one) => one.ask(Rpcap.auth, authOf('nobody', 'x')));
    const other = await RpcapClient.connect(daemon.port, '127.0.0.1', '127.0.0.7');
    const answer = await within(other.ask(Rpcap.auth, authOf('capture', 'secret')), 'an answer', 4000);
    expect(answer.type).toBe(Rpcap.auth | 0x80);
    const refused = (await Promise.all(answers)).filter(({ payload }) => payload.includes('too many'));
    expect(refused.length).toBeGreaterThan(20);
    for (const one of [...many, other]) one[Symbol.dispose]();
  });

  test('have words of a bounded length', async () => {
    await using daemon = await withUsers();
    using client = await RpcapClient.connect(daemon.port);
    expect((await client.refusal(Rpcap.auth, authOf('u', 'x'.repeat(1025))))?.[1]).toContain('1024');
    client.socket.write(bytes(0, Rpcap.auth, u16(0), u32(5000), Buffer.alloc(100)));
    expect((await client.next()).value).toBe(16);
    await client.closed();
    await expect(userLine('capture', 'x'.repeat(1025))).rejects.toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
  });

  test('are refused a few times, and then have to go', async () => {
    await using daemon = await withUsers();
    using client = await RpcapClient.connect(daemon.port);
    for (let i = 0; i < 8; i++) expect((await client.refusal(Rpcap.interfaces))?.[0]).toBe(16);
    await client.closed();
  });

  test('and clients who read no answer are read no more', async () => {
    await using daemon = await start({ nullAuth: true });
    using client = await RpcapClient.login(daemon.port);
    client.socket.pause();
    const asked = Buffer.concat(Array.from({ length: 4096 }, () => bytes(0, Rpcap.interfaces, u16(0), u32(0))));
    let count = 0;
    // Until what is sent is not taken any more: all of it would be 64 MiB.
    while (client.socket.writableLength < 1 << 21 && count < 2048) {
      client.socket.write(asked);
      count++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(count).toBeLessThan(2048);
    client.socket.destroy();
    await until(() => daemon.clients().length === 0, 'the end');
  });
});

describe.skipIf(lab === null)('a function of the owner that fails', () => {
  test('lets nobody in, and is warned of', async () => {
    const warned = once(process, 'warning');
    await using daemon = await start({
      authenticate() {
        throw new Error('the directory is down');
      },
    });
    const auth = { user: 'a', password: 'b' };
    await expect(open(`rpcap://127.0.0.1:${daemon.port}/made`, { auth })).rejects.toMatchObject({
      code: 'RINGTAP_REMOTE_AUTH',
    });
    const [warning] = (await within(warned, 'a warning')) as [Error];
    expect(warning.message).toContain('authenticate failed: the directory is down');
  });

  test.each([
    [
      'throws',
      () => {
        throw new Error('the log is full');
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('the log is full');
      },
    ],
  ])('onEvent %s: no client hears of it', async (_, onEvent) => {
    const warned = once(process, 'warning');
    await using daemon = await start({ nullAuth: true, onEvent: onEvent as () => void });
    await using capture = await open(`rpcap://127.0.0.1:${daemon.port}/made`);
    for await (const batch of capture) if (batch.length > 0) break;
    const [warning] = (await within(warned, 'a warning')) as [Error];
    expect(warning.message).toContain('onEvent failed: the log is full');
  });
});
