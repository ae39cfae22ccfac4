import { open } from './open.js';
import type { Daemon } from './serve/daemon.js';
import type { ServeOptions } from './serve/settings.js';

/**
 * Starts a daemon that clients on other hosts capture with, as libpcap's `rpcapd`: on top of any capture method, over TCP
 * and UDP, several clients at once. When the promise resolves it listens.
 *
 * @param options how it serves; who gets in has to be said: `users`, `authenticate` or `nullAuth`
 * @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION, RINGTAP_FILE_OPEN (of `users`), RINGTAP_BUSY (the port is
 * taken), RINGTAP_SYSTEM, RINGTAP_UNSUPPORTED (not on Linux); or the signal's reason
 * @example
 * await using daemon = await serve({ host: '127.0.0.1', port: 0, nullAuth: true, sources: { made: 'synth:?count=100' } });
 * await using capture = await open(`rpcap://127.0.0.1:${daemon.port}/made`, { transport: 'tcp' });
 * console.log(capture.linkType, daemon.clients());
 */
export async function serve(options: ServeOptions): Promise<Daemon> {
  const { Daemon } = await import('./serve/daemon.js'); // most programs serve nobody
  return Daemon.start(options, open as never);
}
