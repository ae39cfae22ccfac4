// What a connection begins with: TLS, or not.
import type { Socket } from 'node:net';
import { Refusal } from '../rpcap/messages.js';
import { secureServer } from '../tls/handshake.js';
import type { TlsSettings } from '../uri/tls.js';
import { Refused, refusal } from './messages.js';

/** How long a client may take for its first byte, and for the handshake. */
const GREETING_MS = 10_000;
const HANDSHAKE = 22;

/**
 * The connection, encrypted: the daemon is TLS's server, whoever has connected. One that begins without it is told so.
 * @throws where it is over
 */
export async function secured(socket: Socket, tls: TlsSettings, host: string): Promise<Socket> {
  const first = await firstByte(socket);
  if (first !== HANDSHAKE) {
    turnAway(socket, new Refused(Refusal.tls, 'this daemon speaks TLS only'));
    throw new Error('it does not speak TLS');
  }
  return secureServer(socket, { uri: 'serve()', backend: undefined, host }, tls, { timeoutMs: GREETING_MS });
}

/** Says why, and has nothing more to do with it. */
export function turnAway(socket: Socket, refused: Refused): void {
  socket.on('error', () => {});
  socket.end(refusal(refused));
  socket.resume();
  setTimeout(() => socket.destroy(), 1000).unref();
}

function firstByte(socket: Socket): Promise<number> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => socket.destroy(), GREETING_MS);
    const closed = () => {
      clearTimeout(timer);
      reject(new Error('it said nothing'));
    };
    const readable = () => {
      const piece = socket.read() as Buffer | null;
      if (piece === null) return;
      clearTimeout(timer);
      socket.off('close', closed);
      socket.off('readable', readable);
      socket.unshift(piece);
      resolve(piece[0]!);
    };
    socket.once('close', closed);
    socket.on('readable', readable);
  });
}
