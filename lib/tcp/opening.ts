import { CaptureError } from '../errors/errors.js';
import type { NativeConnection, NativeSession, Purpose } from '../native/native.js';
import type { Request } from '../uri/request.js';
import type { Settings } from '../uri/settings.js';
import { connect } from './connect.js';
import { handOver } from './handover.js';
import { Returning } from './returning.js';
import { isListening, targetOf } from './target.js';

/**
 * Opens a capture of the trace that somebody sends: connects, and reads it as a file is read.
 * @throws CaptureError, or the signal's reason
 */
export async function openTcp(
  request: Request,
  settings: Settings,
  purpose: Purpose,
  openConnected: (connection: NativeConnection) => Promise<NativeSession>,
): Promise<NativeSession> {
  const { uri, signal } = request;
  if (isListening(uri)) {
    throw new CaptureError('RINGTAP_UNSUPPORTED', `${uri}: others connect to this, each with a trace of its own`, {
      uri,
      backend: 'tcp',
      hint: `Use listen('${uri}'), or ringtap listen: it gives a capture for each.`,
    });
  }
  const { host, port } = targetOf(request);
  if (purpose === 'transmit') {
    throw new CaptureError('RINGTAP_UNSUPPORTED', `${uri}: a trace is written, not sent packet by packet`, {
      uri,
      backend: 'tcp',
      hint: `Use openWriter('${uri}').`,
    });
  }
  const timeoutMs = Number(settings.values.replyMs);
  const where = { uri, backend: 'tcp', host, port, tls: settings.tls, timeoutMs } as const;
  const socket = await connect({ ...where, signal });
  if (settings.values.reconnect === true) {
    const returning = new Returning(uri, socket, (ending) => connect({ ...where, signal: ending }));
    try {
      const session = await openConnected(returning.connection);
      returning.until(session);
      return session;
    } catch (error) {
      returning.connection.close();
      returning.stop();
      throw error;
    }
  }
  const connection = handOver(socket);
  try {
    return await openConnected(connection);
  } catch (error) {
    connection.close();
    throw error;
  }
}
