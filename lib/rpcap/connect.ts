// A TCP connection to a daemon, with TLS where that was asked for.
import { connect as connectTo, isIP, type Socket } from 'node:net';
import { onAbort } from '../errors/abort.js';
import { CaptureError, type CaptureErrorFields, wrapNative } from '../errors/errors.js';
import { addon } from '../native/native.js';
import { secureClient } from '../tls/handshake.js';
import type { TlsSettings } from '../uri/tls.js';

/** Where to. */
export interface ConnectOptions {
  readonly uri: string;
  readonly host: string;
  readonly port: number;
  /** How long each step may take. */
  readonly replyMs: number;
  readonly signal: AbortSignal | undefined;
  readonly tls: TlsSettings | undefined;
}

/** A connection to the first of the host's addresses that answers. */
export async function dial(options: ConnectOptions): Promise<Socket> {
  const { host, signal } = options;
  signal?.throwIfAborted();
  const addresses = isIP(host) === 0 ? await lookup(options) : [host];
  let failure: unknown;
  for (const address of addresses) {
    let socket: Socket;
    try {
      socket = await connectSocket(address, options);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      failure ??= error;
      continue;
    }
    return secured(socket, options);
  }
  throw failure;
}

/** TLS over it, where that was asked for. WHY always as its client: of the two the daemon is the server, whoever connects. */
export async function secured(
  socket: Socket,
  { uri, host, replyMs: timeoutMs, signal, tls }: Omit<ConnectOptions, 'port'>,
): Promise<Socket> {
  if (tls === undefined) return socket;
  return secureClient(socket, { uri, backend: 'rpcap', host }, tls, { timeoutMs, signal });
}

async function lookup({ uri, host, signal }: ConnectOptions): Promise<readonly string[]> {
  const looking = addon().lookup(host);
  try {
    return await (signal === undefined ? looking : Promise.race([looking, rejection(signal)]));
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    const cause = wrapNative(error, 'rpcap', uri) as Error;
    throw new CaptureError('RINGTAP_REMOTE_UNREACHABLE', `${uri}: ${host}: ${cause.message}`, {
      uri,
      backend: 'rpcap',
      hint: 'Check the name of the host.',
    });
  }
}

/** An address of IPv4 is that, also at a socket of IPv6. */
export function plainAddress(address = ''): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}

function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => onAbort(signal, () => reject(signal.reason)));
}

function connectSocket(address: string, { uri, port, replyMs, signal }: ConnectOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTo({ host: address, port });
    let forget = () => {};
    const settle = () => {
      clearTimeout(timer);
      forget();
      socket.removeAllListeners();
    };
    const fail = (what: string, fields: CaptureErrorFields = {}) => {
      settle();
      socket.on('error', () => {});
      socket.destroy();
      const message = `${uri}: cannot connect to ${address} port ${port}: ${what}`;
      reject(new CaptureError('RINGTAP_REMOTE_UNREACHABLE', message, { uri, backend: 'rpcap', ...fields }));
    };
    const timer = setTimeout(() => fail(`no answer for ${replyMs} ms`), replyMs);
    socket.once('connect', () => {
      settle();
      resolve(socket);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      fail(error.message, { syscall: 'connect', ...(error.errno === undefined ? {} : { errno: -error.errno }) });
    });
    if (signal !== undefined) forget = onAbort(signal, () => fail('it was given up'));
  });
}
