import { CaptureError } from '../errors/errors.js';
import type { Request } from '../uri/request.js';

/** The two ends of a connection are told by a host and a port. */
export interface Target {
  readonly host: string;
  readonly port: number;
}

/**
 * Reads `host:port`, what follows `tcp://` or `tcp-listen://`. @param least 0 where the system may choose a port
 * @throws CaptureError RINGTAP_BAD_URI
 */
export function targetOf({ uri, target }: Pick<Request, 'uri' | 'target'>, least = 1): Target {
  const no = (what: string) =>
    new CaptureError('RINGTAP_BAD_URI', `${uri}: ${what}`, {
      uri,
      hint: 'Write it as tcp://host:57012, tcp://[2001:db8::7]:57012 or tcp-listen://0.0.0.0:57012.',
    });
  if (target.includes('@')) throw no('a user has no meaning here');
  const match = /^(?:\[([^[\]]+)\]|([^\s:[\]/]+))(?::(\d{1,5}))?\/?$/.exec(target);
  const host = match?.[1] ?? match?.[2];
  if (match === null || host === undefined) throw no(`"${target}" is no host and port`);
  if (match[3] === undefined) throw no('the port is missing');
  const port = Number(match[3]);
  if (port < least || port > 65535) throw no(`there is no port ${port}`);
  return { host, port };
}

/** Whether others connect to it. */
export function isListening(uri: string): boolean {
  return /^tcp-listen:/i.test(uri);
}
