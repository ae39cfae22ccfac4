// Somebody who has connected with a trace: its capture.
import { isIPv6, type Socket } from 'node:net';
import { Capture } from '../capture/capture.js';
import { CaptureError, wrapNative } from '../errors/errors.js';
import { openNative } from '../plan/opening.js';
import { planOf } from '../plan/plan.js';
import { plainAddress } from '../tcp/connect.js';
import { passOn } from '../tcp/handover.js';
import { isListening, targetOf } from '../tcp/target.js';
import { secureServer } from '../tls/handshake.js';
import type { Request } from '../uri/request.js';
import type { Settings } from '../uri/settings.js';

interface Wanted {
  readonly settings: Settings;
  readonly signal: AbortSignal | undefined;
  /** Counts the connections of an address. */
  readonly count: (address: string, name: string) => number;
}

/**
 * Where traces are awaited.
 * @throws CaptureError RINGTAP_BAD_URI, RINGTAP_BAD_OPTION, RINGTAP_UNSUPPORTED
 */
export function streamsAt(request: Request, { tls }: Settings): { readonly host: string; readonly port: number } {
  const { uri } = request;
  const fields = { uri, backend: 'tcp' } as const;
  if (!isListening(uri)) {
    const hint = `Use tcp-listen:${uri.slice(uri.indexOf(':') + 1)}, or open() to connect there.`;
    throw new CaptureError('RINGTAP_UNSUPPORTED', `${uri}: tcp: connects, and does not listen`, { ...fields, hint });
  }
  if (tls !== undefined && tls.cert === undefined) {
    const hint = 'Give both as PEM: tls: { cert, key }; on the command line --tls-cert and --tls-key.';
    throw new CaptureError('RINGTAP_BAD_OPTION', `${uri}: whoever serves TLS has a certificate`, { ...fields, hint });
  }
  return targetOf(request, 0);
}

/** @throws CaptureError, or the signal's reason; the connection is at its end then */
export async function captureOfStream(socket: Socket, { settings, signal, count }: Wanted): Promise<Capture> {
  const address = plainAddress(socket.remoteAddress);
  const port = socket.remotePort ?? 0;
  const target = `${isIPv6(address) ? `[${address}]` : address}:${port}`;
  const uri = `tcp://${target}`;
  const timeoutMs = Number(settings.values.replyMs);
  const { tls } = settings;
  const peer = { uri, backend: 'tcp', host: address } as const;
  const plain = tls === undefined ? socket : await secureServer(socket, peer, tls, { timeoutMs, signal });
  const connection = passOn(plain);
  try {
    const session = await openNative({ uri, target, signal }, 'tcp', settings, 'capture', connection);
    const info = session.info();
    const plan = planOf({ uri, target }, 'tcp', settings, info, [{ backend: 'tcp', chosen: true }]);
    const from = Object.freeze({ address, port, interface: '', connection: count(address, '') });
    return new Capture(session, info, plan, null, signal, from);
  } catch (error) {
    connection.close();
    throw wrapNative(error, 'tcp', uri);
  }
}
