import { CaptureError } from '../errors/errors.js';
import type { Request } from '../uri/request.js';
import type { Settings } from '../uri/settings.js';
import { Control } from './control.js';
import { authPayload, type Extras, readAuthReply, Type } from './messages.js';
import type { Target } from './target.js';

/** A connection to a daemon that has let us in. */
export interface Login {
  readonly control: Control;
  /** The byte order of the daemon's host. */
  readonly bigEndian: boolean;
  /** Its count of packets that were sent is the number of the last one. WHY not of one that tells no byte order: ExtraHop's has
   * counted some that it keeps, and never sends. */
  readonly countsExactly: boolean;
  /** What it can do beyond the protocol. */
  readonly offers: Extras;
}

export async function logIn(
  { uri, signal }: Pick<Request, 'uri' | 'signal'>,
  { host, port }: Target,
  { values, auth, tls }: Settings,
): Promise<Login> {
  return greet(await Control.connect({ uri, host, port, replyMs: Number(values.replyMs), signal, tls }), auth);
}

/** Begins a conversation; where that fails, ends it. */
export async function greet(control: Control, auth: Settings['auth']): Promise<Login> {
  try {
    const reply = readAuthReply(await control.request(Type.auth, authPayload(auth)));
    if (typeof reply === 'string')
      throw control.fault('RINGTAP_REMOTE_PROTOCOL', `the daemon cannot be used: ${reply}`);
    const { bigEndian, offers } = reply;
    return { control, bigEndian: bigEndian ?? hostIsBig, countsExactly: bigEndian !== undefined, offers };
  } catch (error) {
    control.close();
    if (auth === undefined || !(error instanceof CaptureError) || error.code !== 'RINGTAP_REMOTE_AUTH') throw error;
    const { code, message, uri, backend } = error;
    throw new CaptureError(code, message, { uri, backend, hint: WRONG_USER });
  }
}

const WRONG_USER =
  'Check user and password as the daemon has them: auth: { user, password }, on the command line --auth-file or RINGTAP_AUTH.';

const hostIsBig = new Uint8Array(Uint16Array.of(1).buffer)[0] === 0;
