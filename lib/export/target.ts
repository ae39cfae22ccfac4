// Where records go: a collector, or a file.
import { isIP } from 'node:net';
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { faultIn } from '../uri/uri.js';
import { pathOf } from './options.js';

export type Target =
  | { readonly transport: 'udp' | 'tcp' | 'tls'; readonly host: string; readonly port: number }
  | { readonly transport: 'file'; readonly path: string };

/** What a protocol is carried by, and where its collectors listen. */
export interface Carried {
  readonly name: string;
  readonly transports: readonly Target['transport'][];
  readonly port: number;
  readonly tlsPort: number;
  /** What files of it are called. */
  readonly suffix: string | undefined;
}

export const IPFIX: Carried = {
  name: 'IPFIX',
  transports: ['udp', 'tcp', 'tls', 'file'],
  port: 4739,
  tlsPort: 4740,
  suffix: '.ipfix',
};
export const NETFLOW: Carried = {
  name: 'NetFlow v9',
  transports: ['udp'],
  port: 2055,
  tlsPort: 0,
  suffix: undefined,
};

const MOST_URI = 4096;

/**
 * Takes `udp://host:port` and the like apart; without a scheme it is UDP, or a file by its suffix.
 * @throws CaptureError RINGTAP_BAD_URI
 */
export function exportTarget(uri: unknown, carried: Carried): Target {
  if (typeof uri !== 'string' || uri === '' || uri.length > MOST_URI) {
    const what = typeof uri === 'string' ? `one of ${uri.length} characters` : show(uri);
    throw new CaptureError(
      'RINGTAP_BAD_URI',
      `${carried.name} goes to a collector such as udp://host:port, not to ${what}`,
      {
        hint: hintOf(carried),
      },
    );
  }
  const no = (what: string) => new CaptureError('RINGTAP_BAD_URI', `${uri}: ${what}`, { uri, hint: hintOf(carried) });
  const fault = faultIn(uri);
  if (fault !== undefined) throw no(fault);
  const [, given, rest = ''] = /^(?:([a-z][a-z0-9]*):\/\/)?(.*)$/is.exec(uri) ?? [];
  const isFile =
    given === undefined && (/^file:/i.test(uri) || (carried.suffix !== undefined && uri.endsWith(carried.suffix)));
  if (isFile && carried.transports.includes('file')) return { transport: 'file', path: pathOf(uri) };
  const transport = (given ?? 'udp').toLowerCase();
  if (transport === 'sctp') throw no('Node.js has no SCTP: use tcp:// or tls://');
  if (transport === 'file' || !(carried.transports as readonly string[]).includes(transport)) {
    throw no(`${carried.name} is not carried by "${transport}"`);
  }
  const match = /^(?:\[([^[\]]+)\]|([^\s:[\]/?#@]+))(?::(\d{1,5}))?\/?$/.exec(rest);
  const host = match?.[1] ?? match?.[2];
  if (match === null || host === undefined) throw no(`"${rest}" is no host and port`);
  if (match[1] !== undefined && isIP(match[1]) !== 6) throw no(`"${match[1]}" is no IPv6 address`);
  const port = match[3] === undefined ? (transport === 'tls' ? carried.tlsPort : carried.port) : Number(match[3]);
  if (port < 1 || port > 65_535) throw no(`there is no port ${port}`);
  return { transport: transport as 'udp' | 'tcp' | 'tls', host, port };
}

function hintOf({ transports, port, suffix }: Carried): string {
  const forms = transports.map((transport) =>
    transport === 'file' ? `flows${suffix ?? ''}` : `${transport}://collector:${transport === 'tls' ? port + 1 : port}`,
  );
  return `Write it as ${forms.join(', ')}; an IPv6 address stands in brackets.`;
}
