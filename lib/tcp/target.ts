import { CaptureError } from '../errors/errors.js';
import { bad } from '../uri/options.js';
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
      hint: 'Write it as tcp://host:57012 or tcp://[2001:db8::7]:57012.',
    });
  if (target.includes('@')) throw no('a user has no meaning here');
  const match = /^(?:\[([^[\]]+)\]|([^:[\]/]+))(?::(\d{1,5}))?\/?$/.exec(target);
  const host = match?.[1] ?? match?.[2];
  if (match === null || host === undefined) throw no(`"${target}" is no host and port`);
  if (match[3] === undefined) throw no('the port is missing');
  const port = Number(match[3]);
  if (port < least || port > 65535) throw no(`there is no port ${port}`);
  return { host, port };
}

/** How long the other end may take, out of the options. */
export function replyMsOf(uri: string, value: unknown): number {
  const ms = value ?? 5000;
  if (Number.isInteger(ms) && (ms as number) >= 50 && (ms as number) <= 600_000) return ms as number;
  throw bad({ uri }, 'replyMs', `must be a whole number from 50 to 600000, not ${String(ms)}`);
}
