// TLS over a TCP connection, whoever opened that.
import { isIP, type Socket } from 'node:net';
import { checkServerIdentity, connect, createServer, type TLSSocket } from 'node:tls';
import { onAbort } from '../errors/abort.js';
import { CaptureError } from '../errors/errors.js';
import type { TlsSettings } from '../uri/tls.js';
import {
  certificateFault,
  fingerprintOf,
  handshakeFault,
  plainPin,
  type TlsPeer,
  tlsFault,
  withoutTls,
} from './faults.js';

/** How long a handshake may take. */
export interface Patience {
  readonly timeoutMs: number;
  /** Gives the handshake up: it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Makes TLS of a TCP connection, as its client, and verifies who is at the other end before anything is sent or read:
 * by a fingerprint, whoever signed the certificate, and by the authorities that are trusted and the name, where no
 * fingerprint is given or `ca` is, too. The connection is the TLS socket's from now on: where this rejects, it is closed.
 * @throws CaptureError RINGTAP_REMOTE_TLS; or the signal's reason
 */
export async function secureClient(
  socket: Socket,
  peer: TlsPeer,
  tls: TlsSettings,
  patience: Patience,
): Promise<TLSSocket> {
  patience.signal?.throwIfAborted();
  const name = tls.serverName ?? peer.host;
  const secured = connect({
    socket,
    ...identityOf(tls),
    ...(tls.ca === undefined ? {} : { ca: [...tls.ca] }),
    // Verified below, where what is wrong can be said.
    rejectUnauthorized: false,
    checkServerIdentity: (_, certificate) => checkServerIdentity(name, certificate),
    ...(isIP(name) === 0 ? { servername: name } : {}),
  });
  return within(socket, peer, patience, (done, failed) => {
    secured.once('secureConnect', () => verify(secured, faultOf(secured, peer, tls), done, failed));
    secured.once('error', failed);
  });
}

/**
 * Hands it out, or closes it: nothing that is not trusted is read or written. WHY in the event: what the other end has
 * sent by now may have ended the connection before a promise is settled, and its certificate is gone then.
 */
function verify(
  secured: TLSSocket,
  fault: CaptureError | undefined,
  done: (secured: TLSSocket) => void,
  failed: (why: Error) => void,
): void {
  secured.removeAllListeners('error');
  if (fault === undefined) {
    done(secured);
    return;
  }
  secured.on('error', () => {});
  secured.destroy();
  failed(fault);
}

function faultOf(secured: TLSSocket, peer: TlsPeer, tls: TlsSettings): CaptureError | undefined {
  if (tls.insecure) return undefined;
  // WHY once: Node.js 20 has no answer any more when it is asked again.
  const shown = fingerprintOf(secured);
  if (tls.fingerprints.length > 0) {
    if (shown === undefined || !tls.fingerprints.includes(plainPin(shown))) {
      const hint =
        'Somebody may stand between you and it. If its certificate was renewed, and this is the new one, pin this.';
      return tlsFault(peer, `its certificate is not the one that is pinned, but ${shown ?? 'none at all'}`, hint);
    }
    if (tls.ca === undefined) return undefined;
  }
  if (secured.authorized) return undefined;
  const { what, hint } = certificateFault(String(secured.authorizationError), shown);
  return tlsFault(peer, what, hint);
}

/**
 * The same as its server, with `cert` and `key`. With `ca` or a fingerprint each client has to show a certificate of its
 * own, signed by one of those or the one that is pinned.
 * @throws CaptureError RINGTAP_REMOTE_TLS; or the signal's reason
 */
export async function secureServer(
  socket: Socket,
  peer: TlsPeer,
  tls: TlsSettings,
  patience: Patience,
): Promise<TLSSocket> {
  patience.signal?.throwIfAborted();
  const asks = tls.ca !== undefined || tls.fingerprints.length > 0;
  // WHY a server for each connection, which never listens: it is what verifies a client's certificate.
  const server = createServer({
    ...identityOf(tls),
    ...(tls.ca === undefined ? {} : { ca: [...tls.ca] }),
    requestCert: asks,
    rejectUnauthorized: false,
    handshakeTimeout: patience.timeoutMs,
  });
  return within<TLSSocket>(socket, peer, patience, (done, failed) => {
    server.once('secureConnection', (secured) =>
      verify(secured, asks ? faultOf(secured, peer, tls) : undefined, done, failed),
    );
    server.once('tlsClientError', failed);
    server.emit('connection', socket);
  });
}

function identityOf({ cert, key, passphrase }: TlsSettings) {
  return {
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(passphrase === undefined ? {} : { passphrase }),
  };
}

type Settle<T> = (done: (secured: T) => void, failed: (why: Error) => void) => void;

/** Waits for a handshake. What it fails with is ours, and the connection closed. */
async function within<T>(
  socket: Socket,
  peer: TlsPeer,
  { timeoutMs, signal }: Patience,
  handshake: Settle<T>,
): Promise<T> {
  let end = () => {};
  try {
    return await new Promise<T>((done, failed) => {
      const closed = () => failed(Object.assign(new Error('it was closed'), { code: 'ECONNRESET' }));
      const late = () =>
        failed(tlsFault(peer, `no handshake for ${timeoutMs} ms`, `It may speak no TLS: ${withoutTls(peer.backend)}.`));
      const timer = setTimeout(late, timeoutMs);
      const forget = signal === undefined ? () => {} : onAbort(signal, () => failed(new Error('it was given up')));
      socket.once('close', closed);
      end = () => {
        clearTimeout(timer);
        forget();
        socket.off('close', closed);
      };
      handshake(done, failed);
    });
  } catch (error) {
    socket.on('error', () => {});
    socket.destroy();
    if (signal?.aborted) throw signal.reason;
    if (error instanceof CaptureError) throw error;
    const { what, hint } = handshakeFault(error as NodeJS.ErrnoException, peer.backend);
    throw tlsFault(peer, what, hint, error);
  } finally {
    end();
  }
}
