import type { OptionsOf } from '../generated/options.js';
import type { Listener } from './listener.js';
import type { ChooseInterface } from './remote-daemon.js';

/** Who may connect to {@link listen}, and what is captured there; the options of a scheme are those of its captures. */
export interface ListenOptions {
  /** IP addresses and networks (`10.0.0.0/8`) that may connect; everybody where it is left out. */
  allow?: readonly string[] | undefined;
  /**
   * What to capture from at each daemon: a name, or who chooses one. Left out it is the interface that the daemon comes
   * from, else its first one that is up and no loopback. Where the daemon has preselected one, it is that in any case.
   */
  interface?: string | ChooseInterface | undefined;
  /** Number of connections at once, 1 to 65536; more are refused (default 2048) */
  mostConnections?: number | undefined;
}

/**
 * Listens for daemons that connect to us: `rpcapd -a HOST`, rpcap's active mode; or, with `tcp-listen:`, for whoever
 * sends a trace (pcap over IP). Each becomes a capture, which runs when it is given; a daemon that comes back is a new
 * one, with `capture.peer.connection` above 1. When a capture is closed its daemon is left, and free to come again.
 *
 * A connection that becomes no capture (refused, silent, nonsense) is a process warning, `RINGTAP_REMOTE_CONNECTION`,
 * and ends nothing.
 * @param uri such as `rpcap://0.0.0.0:2003` or `tcp-listen://0.0.0.0:57012`, an address of this host; of rpcap port 2003
 * where none is given; 0 where the system is to choose; with `/eth0` behind it that is the interface
 * @param options those of the scheme, and who may connect; `signal` ends the listening and its captures
 * @throws CaptureError RINGTAP_BAD_URI, RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION; RINGTAP_BUSY where somebody else has
 * the port, RINGTAP_NO_PERMISSION, RINGTAP_SYSTEM; RINGTAP_UNSUPPORTED for a scheme that nobody connects by; or the
 * signal's reason
 * @example
 * await using listener = await listen('rpcap://127.0.0.1:0', { allow: ['10.0.0.0/8'], filter: 'udp port 53' });
 * console.log('daemons connect to', listener.port);
 * setTimeout(() => listener.close(), 10);
 * for await (const capture of listener) console.log(capture.peer?.address, capture.peer?.interface);
 */
export async function listen<Uri extends string>(
  uri: Uri,
  options?: OptionsOf<Uri> & ListenOptions,
): Promise<Listener> {
  const { listenAt } = await import('./listening.js'); // most programs let nobody connect
  return listenAt(uri, options);
}
