// Where a daemon listens, and who may connect.
import { type BlockList, createServer, isIPv6, type Server, type Socket } from 'node:net';
import { CaptureError } from '../errors/errors.js';
import { addon } from '../native/native.js';
import { isNetwork, networks } from './offered.js';
import type { Settings } from './settings.js';

/** Connections that wait to be accepted. */
const BACKLOG = 128;

/** @throws CaptureError RINGTAP_BUSY, RINGTAP_SYSTEM */
export async function listenAt({ host, port, fd }: Settings, accept: (socket: Socket) => void): Promise<Server> {
  const server = createServer({ noDelay: true }, accept);
  const where = fd === undefined ? { host, port, backlog: BACKLOG } : { fd };
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const what = fd === undefined ? nameOf(host ?? '*', port) : `descriptor ${fd}`;
      const fields = { syscall: error.syscall, errno: error.errno === undefined ? undefined : -error.errno };
      const code = error.code === 'EADDRINUSE' ? 'RINGTAP_BUSY' : 'RINGTAP_SYSTEM';
      const hint = code === 'RINGTAP_BUSY' ? 'Another daemon listens there: end it, or take another port.' : undefined;
      reject(new CaptureError(code, `serve(): cannot listen at ${what}: ${error.message}`, { ...fields, hint }));
    });
    server.listen(where, resolve);
  });
  server.on('error', () => {}); // of a connection that could not be accepted
  return server;
}

export function nameOf(address: string, port: number): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Names are looked up once. Nothing: everybody. */
export async function allowed({ allow }: Settings): Promise<BlockList | undefined> {
  if (allow.length === 0) return undefined;
  const addresses = allow.map(async (one) => {
    if (isNetwork(one)) return [one];
    try {
      return await addon().lookup(one);
    } catch (cause) {
      throw new CaptureError('RINGTAP_BAD_OPTION', `serve(): allow: there is no host ${one}`, { cause });
    }
  });
  return networks((await Promise.all(addresses)).flat());
}
