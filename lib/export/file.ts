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
   * @throws CaptureError RINGTAP_FILE_WRITE
   */
  constructor(path: string, overwrite: boolean, temporary: boolean) {
    try {
      const found = statSync(path, { throwIfNoEntry: false });
      if (found?.isFile() && found.size > 0 && !overwrite) throw taken(path);
      const isSpecial = found !== undefined && !found.isFile();
      const { O_WRONLY, O_CREAT, O_TRUNC, O_EXCL, O_NONBLOCK } = constants;
      this.#final = temporary && !isSpecial ? path : undefined;
      this.#path = this.#final === undefined ? path : `${path}.part`;
      const isNew = this.#final === undefined ? found === undefined : !overwrite;
      if (this.#final !== undefined && isNew && statSync(this.#path, { throwIfNoEntry: false }) !== undefined) {
        throw unfinished(path, this.#path);
      }
      // WHY not blocking: a named pipe without a reader is told of, and not waited for.
      this.#fd = openSync(this.#path, O_WRONLY | O_CREAT | O_NONBLOCK | (isNew ? O_EXCL : O_TRUNC), 0o666);
      this.#overwrite = overwrite;
      this.#isRegular = fstatSync(this.#fd).isFile();
    } catch (error) {
      throw fileFault(path, 'cannot be created', error);
    }
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
      closeSync(this.#fd);
      if (this.#final === undefined) return;
      const found = this.#overwrite ? undefined : statSync(this.#final, { throwIfNoEntry: false });
      if (found !== undefined && found.size > 0) throw taken(this.#final);
      renameSync(this.#path, this.#final);
    } catch (error) {
      throw fileFault(this.#final ?? this.#path, 'cannot be completed', error);
    }
  }

  /** Closes it as it is; a temporary one is gone. */
  abandon(): void {
    closeSync(this.#fd);
    if (this.#final !== undefined) unlinkSync(this.#path);
  }
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
