// A file that records are written into: all that is in it is whole, whatever the disk says.
import { closeSync, constants, fstatSync, ftruncateSync, openSync, renameSync, statSync, unlinkSync } from 'node:fs';
import { CaptureError, wrapNative } from '../errors/errors.js';
import { addon } from '../native/native.js';

/** Of opening and completing it: what fails while it is written has its hint from the table of errors. */
const HINTS: Readonly<Record<string, string>> = {
  ENOSPC: 'The file system is full: make room (df -h, df -i), or write elsewhere.',
  EDQUOT: 'The disk quota is used up: make room (quota -s), or write elsewhere.',
  EEXIST: 'Choose another name, or give overwrite: true (--force on the command line).',
  ENOENT: 'Make the folder that it is to stand in, or mend the path.',
  ENOTDIR: 'Make the folder that it is to stand in, or mend the path.',
  EISDIR: 'It is a folder: name a file in it.',
  EACCES: 'Let this user write to the file and its folder (ls -ld), or take another path.',
  EROFS: 'The file system is mounted read-only: take another path.',
  ENXIO: 'Nobody reads the named pipe: start its reader first.',
  ENAMETOOLONG: 'Take a shorter name: a part of a path may have 255 bytes.',
};

/** What a file system refuses, as ringtap says it. */
function fileFault(path: string, what: string, cause: unknown): CaptureError {
  if (cause instanceof CaptureError) return cause;
  const { code = '', errno, syscall, message } = cause as NodeJS.ErrnoException;
  const words = message.replace(/^[A-Z0-9]+: /, '').replace(/, \w+( '.*)?$/s, '');
  return new CaptureError('RINGTAP_FILE_WRITE', `${path}: ${what}: ${words}`, {
    uri: path,
    syscall,
    errno: errno === undefined ? undefined : -errno,
    hint: HINTS[code],
  });
}

export class OutputFile {
  readonly #path: string;
  readonly #final: string | undefined;
  readonly #overwrite: boolean;
  readonly #fd: number;
  readonly #isRegular: boolean;
  #position = 0;

  /**
   * @param temporary it has `.part` behind its name until it is complete
   * @throws CaptureError RINGTAP_FILE_WRITE, RINGTAP_BUSY
   */
  constructor(path: string, overwrite: boolean, temporary: boolean) {
    try {
      const found = statSync(path, { throwIfNoEntry: false });
      if (found?.isFile() && found.size > 0 && !overwrite) throw taken(path);
      const isSpecial = found !== undefined && !found.isFile();
      const { O_WRONLY, O_CREAT, O_EXCL, O_NONBLOCK } = constants;
      this.#final = temporary && !isSpecial ? path : undefined;
      this.#path = this.#final === undefined ? path : `${path}.part`;
      const isNew = this.#final === undefined ? found === undefined : !overwrite;
      if (this.#final !== undefined && isNew && statSync(this.#path, { throwIfNoEntry: false }) !== undefined) {
        throw unfinished(path, this.#path);
      }
      // WHY not blocking: a named pipe without a reader is told of, and not waited for.
      this.#fd = openSync(this.#path, O_WRONLY | O_CREAT | O_NONBLOCK | (isNew ? O_EXCL : 0), 0o666);
      this.#overwrite = overwrite;
      this.#isRegular = this.#begin(path);
    } catch (error) {
      throw fileFault(path, 'cannot be created', error);
    }
  }

  /** Makes the file that was opened ours alone, and empty. @returns whether it is a regular one */
  #begin(path: string): boolean {
    try {
      const opened = fstatSync(this.#fd);
      if (!opened.isFile()) return false;
      addon().lockFile(this.#fd, this.#path);
      // WHY: who has written it may have ended since it was opened, and given it its name, or taken it away.
      const { size } = fstatSync(this.#fd);
      const named = statSync(this.#path, { throwIfNoEntry: false });
      if (named?.ino !== opened.ino || named.dev !== opened.dev) throw replaced(this.#path);
      if (size > 0 && !this.#overwrite) throw taken(path);
      ftruncateSync(this.#fd, 0);
      return true;
    } catch (error) {
      closeSync(this.#fd);
      throw wrapNative(error, undefined, path);
    }
  }

  #end(): void {
    if (this.#isRegular) addon().unlockFile(this.#fd);
    closeSync(this.#fd);
  }

  /** Writes all of it, or leaves the file as it was. @throws CaptureError RINGTAP_FILE_WRITE */
  async write(bytes: Uint8Array): Promise<void> {
    try {
      await addon().writeFile(this.#fd, bytes, this.#isRegular ? this.#position : -1);
      this.#position += bytes.length;
    } catch (error) {
      this.#forget();
      const { message, syscall, errno, hint } = wrapNative(error) as CaptureError;
      throw new CaptureError('RINGTAP_FILE_WRITE', `${this.#path}: ${message}`, {
        uri: this.#path,
        syscall,
        errno,
        hint,
      });
    }
  }

  /** What was written in part. */
  #forget(): void {
    try {
      if (this.#isRegular) ftruncateSync(this.#fd, this.#position);
    } catch {
      // The next write begins there all the same.
    }
  }

  /** Completes it, under its name. @throws CaptureError RINGTAP_FILE_WRITE */
  close(): void {
    try {
      try {
        // WHY while it is ours: whoever waits for it would empty it first.
        if (this.#final !== undefined) this.#rename(this.#final);
      } finally {
        this.#end();
      }
    } catch (error) {
      throw fileFault(this.#final ?? this.#path, 'cannot be completed', error);
    }
  }

  #rename(final: string): void {
    const found = this.#overwrite ? undefined : statSync(final, { throwIfNoEntry: false });
    if (found !== undefined && found.size > 0) throw taken(final);
    renameSync(this.#path, final);
  }

  /** Closes it as it is; a temporary one is gone. */
  abandon(): void {
    try {
      if (this.#final !== undefined) unlinkSync(this.#path);
    } finally {
      this.#end();
    }
  }
}

function replaced(path: string): CaptureError {
  const hint = 'Close the other writer first, or write to another file.';
  return new CaptureError('RINGTAP_BUSY', `${path}: somebody else has just written this file`, { uri: path, hint });
}

function taken(path: string): CaptureError {
  const message = `${path}: cannot be created: the file exists and is not empty`;
  return new CaptureError('RINGTAP_FILE_WRITE', message, { uri: path, syscall: 'open', errno: 17, hint: HINTS.EEXIST });
}

function unfinished(path: string, part: string): CaptureError {
  const message = `${path}: cannot be created: ${part} is there, of a writer that did not end, or of one that still writes`;
  const hint = 'Remove or rename it, choose another name, or give overwrite: true (--force on the command line).';
  return new CaptureError('RINGTAP_FILE_WRITE', message, { uri: path, syscall: 'open', errno: 17, hint });
}
