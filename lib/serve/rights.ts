// Rights that nobody needs once the daemon listens.
import { isMainThread } from 'node:worker_threads';
import { CaptureError, wrapNative } from '../errors/errors.js';
import { addon } from '../native/native.js';

/**
 * The process is this user from now on.
 * @throws CaptureError RINGTAP_BAD_OPTION (there is no such user), RINGTAP_NO_PERMISSION (it is not root), RINGTAP_UNSUPPORTED
 */
export function becomeUser(name: string): void {
  const { becomeUser: become } = addon();
  // WHY not in a worker: the main thread would keep no right to capture.
  if (become === undefined || !isMainThread) {
    throw new CaptureError('RINGTAP_UNSUPPORTED', 'serve(): a worker cannot make another user of its process', {
      hint: 'Leave user out, or serve in the main thread.',
    });
  }
  try {
    become(name);
  } catch (error) {
    throw wrapNative(error);
  }
}
