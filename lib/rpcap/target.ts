import { CaptureError } from '../errors/errors.js';
import type { Request } from '../uri/request.js';

/** Where a daemon listens, and what it is to capture. */
export interface Target {
  readonly host: string;
  readonly port: number;
  /** Empty where the URI names none. */
  readonly device: string;
}

const PORT = 2002;
/** What daemons take of a name. */
const MOST_NAME = 1023;

/** Reads `host[:port][/device]`, what follows `rpcap://`. Where another port is usual we listen, and 0 is any. */
export function targetOf({ uri, target }: Pick<Request, 'uri' | 'target'>, usualPort = PORT): Target {
  const bad = (what: string, hint = 'Write it as rpcap://host/eth0 or rpcap://host:2002/eth0.') =>
    new CaptureError('RINGTAP_BAD_URI', `${uri}: ${what}`, { uri, backend: 'rpcap', hint });
  const [authority = '', ...rest] = target.split('/');
  if (authority.includes('@')) {
    throw new CaptureError('RINGTAP_BAD_URI', 'rpcap: a user does not go into the URI, which is shown and logged', {
      backend: 'rpcap',
      hint: 'Give it as the option auth: { user, password }.',
    });
  }
  const match = /^(?:\[([^[\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(authority);
  const host = match?.[1] ?? match?.[2];
  if (match === null || host === undefined) throw bad(`"${authority}" is no host`);
  const port = match[3] === undefined ? usualPort : Number(match[3]);
  if ((port < 1 && usualPort === PORT) || port > 65535) throw bad(`there is no port ${port}`);
  const device = rest.join('/');
  if (Buffer.byteLength(device) > MOST_NAME) throw bad(`the name of a device has up to ${MOST_NAME} bytes`);
  return { host, port, device };
}
