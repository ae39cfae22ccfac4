// Files that hold a secret: a password, a private key.
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { CaptureError } from '../errors/errors.js';

/** Of other users: who can read it knows it. */
const OTHERS = 0o007;

/**
 * What is in it.
 * @param where the option or variable that names it
 * @throws CaptureError RINGTAP_FILE_OPEN, RINGTAP_BAD_OPTION for a file that everybody may read or change
 */
export function readSecret(path: string, where: string): Buffer {
  let fd: number | undefined;
  try {
    fd = openSync(path, 'r');
    const stat = fstatSync(fd);
    if (stat.isFile() && (stat.mode & OTHERS) !== 0) {
      const hint = `chmod 600 ${path}`;
      throw new CaptureError('RINGTAP_BAD_OPTION', `${where}: ${path} can be read by everybody`, { hint });
    }
    return readFileSync(fd);
  } catch (cause) {
    if (cause instanceof CaptureError) throw cause;
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new CaptureError('RINGTAP_FILE_OPEN', `${where}: ${what}`, { cause });
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
