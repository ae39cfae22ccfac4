// A TCP connection to a daemon, with TLS where that was asked for.
import type { Socket } from 'node:net';
import { connect, secured as securedBy } from '../tcp/connect.js';
import type { TlsSettings } from '../uri/tls.js';

export { plainAddress } from '../tcp/connect.js';

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

/** A connection to the first of the host's addresses that answers, paused. */
export function dial({ replyMs: timeoutMs, ...options }: ConnectOptions): Promise<Socket> {
  return connect({ ...options, backend: 'rpcap', timeoutMs });
}

/**
 * TLS over it, where that was asked for; paused. WHY always as its client: of the two the daemon is the server, whoever
 * connects.
 */
export function secured(
  socket: Socket,
  { replyMs: timeoutMs, ...options }: Omit<ConnectOptions, 'port'>,
): Promise<Socket> {
  return securedBy(socket, { ...options, backend: 'rpcap', timeoutMs });
}
