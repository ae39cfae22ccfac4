import { onAbort } from '../errors/abort.js';
import { CaptureError } from '../errors/errors.js';
import type { MethodName } from '../generated/options.js';
import { addon, type NativeConnection, type NativeSession, type Purpose } from '../native/native.js';
import type { Request } from '../uri/request.js';
import type { Settings } from '../uri/settings.js';
import { schemaOf } from '../uri/uri.js';
import { flatten } from '../uri/values.js';

let lastOpening = 0;

/**
 * Opens a session with one method. Rejects with the signal's reason when it aborts, once nothing is left of what was
 * being opened.
 */
export async function openSession(
  request: Request,
  method: MethodName,
  settings: Settings,
  purpose: Purpose,
): Promise<NativeSession> {
  const { uri } = request;
  checkPlatform(uri, method);
  // WHY loaded here: most captures are of this host, and what speaks to others takes longer to load than a trace to read.
  if (method === 'tcp') {
    const { openTcp } = await import('../tcp/opening.js');
    return openTcp(request, settings, purpose, (connection) =>
      openNative(request, method, settings, purpose, connection),
    );
  }
  if (method !== 'rpcap') return openNative(request, method, settings, purpose);
  const { openRpcap } = await import('../rpcap/opening.js');
  return openRpcap(request, settings, purpose, (facts) =>
    openNative(request, method, { ...settings, values: { ...settings.values, ...facts } }, purpose),
  );
}

/** That this host could have the method at all. */
export function checkPlatform(uri: string, method: MethodName): void {
  const schema = schemaOf(method);
  if (schema?.platforms.includes(process.platform)) return;
  const where =
    schema === undefined ? 'this version of ringtap does not have it yet' : `it does not exist on ${process.platform}`;
  throw new CaptureError('RINGTAP_BACKEND_MISSING', `${uri}: ${method}: ${where}`, { backend: method, uri });
}

/** Opens what native code has of a method. */
export async function openNative(
  { uri, target, signal }: Pick<Request, 'uri' | 'target' | 'signal'>,
  method: MethodName,
  settings: Settings,
  purpose: Purpose,
  connection?: NativeConnection,
): Promise<NativeSession> {
  return opened(signal, (number) =>
    addon().open({ ...requestOf({ uri, target }, method, settings), number, connection, purpose }),
  );
}

/** What native code is asked for, but for its number and purpose. */
export function requestOf({ uri, target }: Pick<Request, 'uri' | 'target'>, method: MethodName, settings: Settings) {
  return {
    backend: schemaOf(method)?.native ?? method,
    uri,
    target,
    options: settings.values,
    filter: flatten(settings.filter),
    batchSize: Number(settings.values.batchSize ?? 256),
    external: process.env.RINGTAP_NO_EXTERNAL_BUFFERS !== '1',
  };
}

/** What is being opened, under a number that it is given up by when the signal aborts. */
export async function opened<Session extends { close(): Promise<void> }>(
  signal: AbortSignal | undefined,
  open: (number: number) => Promise<Session>,
): Promise<Session> {
  const number = ++lastOpening;
  const opening = open(number);
  if (signal === undefined) return opening;
  const forget = onAbort(signal, () => addon().cancel(number));
  try {
    const session = await opening;
    if (!signal.aborted) return session;
    await session.close(); // it had opened before it heard of it
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    forget();
  }
  throw signal.reason;
}
