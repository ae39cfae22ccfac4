// Who asks a daemon on another host: never in the URI, which other users of this host see in its list of processes.
import { Option } from 'commander';
import { CaptureError } from '../errors/errors.js';
import type { RemoteAuth } from '../index.js';
import { readSecret } from './secret.js';

const VARIABLE = 'RINGTAP_AUTH';

/** A user as `open()` takes it; nothing where none is given. */
interface Auth {
  readonly auth?: RemoteAuth;
}

export function authFileOption(): Option {
  return new Option('--auth-file <path>', `file with user:password for rpcap:// (or what ${VARIABLE} holds)`);
}

export function authFromFile(path: string | undefined): Auth {
  return path === undefined ? {} : { auth: readAuth(readSecret(path, '--auth-file').toString(), path) };
}

/** From the environment, for URIs that ask a daemon. */
export function authFor(uri: string): Auth {
  const text = process.env[VARIABLE];
  return text === undefined || !/^rpcaps?:/i.test(uri) ? {} : { auth: readAuth(text, VARIABLE) };
}

function readAuth(text: string, where: string): RemoteAuth {
  const match = /^([^:\n]*):([^\r\n]*)\r?\n?$/.exec(text);
  if (match !== null) return { user: match[1]!, password: match[2]! };
  throw new CaptureError('RINGTAP_BAD_OPTION', `${where}: expected one line user:password`);
}
