// Connections that a daemon makes.
import type { Socket } from 'node:net';
import { connect } from '../tcp/connect.js';

/** How long it may take. */
const CONNECT_MS = 10_000;

/**
 * Nothing is read from it yet, and what goes wrong with it later its end tells.
 * @throws CaptureError RINGTAP_REMOTE_UNREACHABLE, or the signal's reason
 */
export async function dial(host: string, port: number, signal?: AbortSignal): Promise<Socket> {
  // WHY no TLS: of the two the daemon is its server, whoever connects.
  const where = { uri: 'serve()', backend: 'rpcap', host, port, tls: undefined } as const;
  const socket = await connect({ ...where, timeoutMs: CONNECT_MS, signal });
  socket.on('error', () => {});
  return socket;
}
