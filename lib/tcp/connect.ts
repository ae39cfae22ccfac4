// A TCP connection to the first address of a host that answers, with TLS where that is asked for.
import { connect as connectTo, isIP, type Socket } from 'node:net';
import { onAbort } from '../errors/abort.js';
import { CaptureError, type CaptureErrorFields, wrapNative } from '../errors/errors.js';
import type { ErrorCode } from '../generated/errors.js';
import type { MethodName } from '../generated/options.js';
import { addon } from '../native/native.js';
import { secureClient } from '../tls/handshake.js';
import type { TlsSettings } from '../uri/tls.js';

/** Where to, for whom and how long. */
export interface ConnectOptions {
  readonly uri: string;
  readonly backend: MethodName | undefined;
  readonly host: string;
  readonly port: number;
  readonly tls: TlsSettings | undefined;
  /** How long the other end may take for a connection, and for TLS. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * Connects. Nothing is read from the socket yet, which is paused.
 * @throws CaptureError RINGTAP_REMOTE_UNREACHABLE, RINGTAP_REMOTE_TLS, RINGTAP_SYSTEM; or the signal's reason
 */
export async function connect(options: ConnectOptions): Promise<Socket> {
  const { host, signal } = options;
  signal?.throwIfAborted();
  const addresses = isIP(host) === 0 ? await lookup(options) : [host];
  let failure: unknown;
  for (const address of addresses) {
    try {
      return await secured(await connectSocket(address, options), options);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      failure ??= error;
    }
  }
  throw failure;
}

/** TLS over a connection, as its client, where that was asked for. It is paused. */
export async function secured(
  socket: Socket,
  { uri, backend, host, timeoutMs, signal, tls }: Omit<ConnectOptions, 'port'>,
): Promise<Socket> {
  if (tls === undefined) return socket.pause();
  return (await secureClient(socket, { uri, backend, host }, tls, { timeoutMs, signal })).pause();
}

/** An address of IPv4 is that, also at a socket of IPv6. */
export function plainAddress(address = ''): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}

/** The names of hosts are not looked up by libuv's pool. */
async function lookup({ uri, backend, host, signal }: ConnectOptions): Promise<readonly string[]> {
  let forget = () => {};
  try {
    const given = new Promise<never>((_, reject) => {
      if (signal !== undefined) forget = onAbort(signal, () => reject(signal.reason));
    });
    return await Promise.race([addon().lookup(host), given]);
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    const cause = wrapNative(error, backend, uri) as Error;
    throw new CaptureError('RINGTAP_REMOTE_UNREACHABLE', `${uri}: ${host}: ${cause.message}`, {
      uri,
      backend,
      hint: 'Check the name of the host.',
    });
  } finally {
    forget();
  }
}

const HINTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Nobody listens there: start the other end first, and check the port.',
  EHOSTUNREACH: 'There is no way to that host: check address and routes (ip route get ADDRESS).',
  ENETUNREACH: 'There is no way to that network: check address and routes (ip route get ADDRESS).',
  EMFILE: 'Raise the limit of open files: ulimit -n 4096 (systemd: LimitNOFILE=), or close some.',
  ETIMEDOUT: 'Check the address, and that firewalls let the connection pass.',
};

/** What is wrong here, and not there. */
const OURS: Readonly<Record<string, string>> = {
  EMFILE: 'Too many open files',
  ENFILE: 'Too many open files in system',
};

function connectSocket(address: string, options: ConnectOptions): Promise<Socket> {
  const { uri, backend, port, timeoutMs, signal } = options;
  return new Promise((resolve, reject) => {
    // WHY paused: what comes is read by native code, from the first byte on.
    const socket = connectTo({ host: address, port, noDelay: true }).pause();
    let forget = () => {};
    const settle = () => {
      clearTimeout(timer);
      forget();
      socket.removeAllListeners();
    };
    const fail = (what: string, fields: CaptureErrorFields = {}, code: ErrorCode = 'RINGTAP_REMOTE_UNREACHABLE') => {
      settle();
      socket.on('error', () => {});
      socket.destroy();
      const message = `${uri}: cannot connect to ${address} port ${port}: ${what}`;
      reject(new CaptureError(code, message, { uri, backend, syscall: 'connect', ...fields }));
    };
    const timer = setTimeout(() => fail(`no answer for ${timeoutMs} ms`, { hint: HINTS.ETIMEDOUT }), timeoutMs);
    socket.once('connect', () => {
      settle();
      resolve(socket);
    });
    socket.once('error', ({ message, errno, code = '' }: NodeJS.ErrnoException) => {
      const fields = { ...(errno === undefined ? {} : { errno: -errno }), hint: HINTS[code] };
      const ours = OURS[code];
      if (ours === undefined) fail(message, fields);
      else fail(ours, fields, 'RINGTAP_SYSTEM');
    });
    if (signal !== undefined) forget = onAbort(signal, () => fail('it was given up'));
  });
}
