// A file that records are written into: all that is in it is whole, whatever the disk says.
import { type FileHandle, open, rename, stat, unlink } from 'node:fs/promises';
import { CaptureError } from '../errors/errors.js';

const HINTS: Readonly<Record<string, string>> = {
  ENOSPC: 'The file system is full: make room (df -h, df -i), or write elsewhere. What was written before is kept.',
  EDQUOT: 'The disk quota is used up: make room (quota -s), or write elsewhere. What was written before is kept.',
  EFBIG: 'The file may not grow further: raise the limit (ulimit -f). What was written before is kept.',
  EEXIST: 'Choose another name, or give overwrite: true (--force on the command line).',
  ENOENT: 'Make the folder that it is to stand in, or mend the path.',
  ENOTDIR: 'Make the folder that it is to stand in, or mend the path.',
  EISDIR: 'It is a folder: name a file in it.',
  EACCES: 'Let this user write to the file and its folder (ls -ld), or take another path.',
  EROFS: 'The file system is mounted read-only: take another path.',
  ENAMETOOLONG: 'Take a shorter name: a part of a path may have 255 bytes.',
};

/** What a file system refuses, as ringtap says it. */
export function fileFault(path: string, what: string, cause: unknown): CaptureError {
  if (cause instanceof CaptureError) return cause;
  const { code = '', errno, syscall, message } = cause as NodeJS.ErrnoException;
  const words = message.replace(/^[A-Z0-9]+: /, '').replace(/, \w+( '.*)?$/, '');
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
  readonly #handle: FileHandle;
  readonly #isRegular: boolean;
  #position = 0;

  /**
   * @param temporary it has `.part` behind its name until it is complete
   * @throws CaptureError RINGTAP_FILE_WRITE
   */
  static async open(path: string, overwrite: boolean, temporary: boolean): Promise<OutputFile> {
    try {
      const found = await stat(path).catch(() => undefined);
      const isTaken = found?.isFile() === true && found.size > 0;
      if (isTaken && !overwrite) throw taken(path);
      const isSpecial = found !== undefined && !found.isFile();
      if (!temporary || isSpecial) {
        // WHY not truncated before it is open: of a pipe or a device that means nothing.
        const handle = await open(path, found === undefined ? 'wx' : 'w');
        return new OutputFile(path, undefined, overwrite, handle, !isSpecial);
      }
      return new OutputFile(`${path}.part`, path, overwrite, await open(`${path}.part`, 'w'), true);
    } catch (error) {
      throw fileFault(path, 'cannot be created', error);
    }
  }

  private constructor(
    path: string,
    final: string | undefined,
    overwrite: boolean,
    handle: FileHandle,
    isRegular: boolean,
  ) {
    this.#path = path;
    this.#final = final;
    this.#overwrite = overwrite;
    this.#handle = handle;
    this.#isRegular = isRegular;
  }

  /** Bytes in it. */
  get position(): number {
    return this.#position;
  }

  /** Writes all of it, or leaves the file as it was. @throws CaptureError RINGTAP_FILE_WRITE */
  async write(bytes: Uint8Array): Promise<void> {
    let done = 0;
    try {
      while (done < bytes.length) {
        const at = this.#isRegular ? this.#position + done : null;
        const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, at);
        done += bytesWritten;
      }
      this.#position += done;
    } catch (error) {
      if (this.#isRegular && done > 0) await this.#handle.truncate(this.#position).catch(() => {});
      throw fileFault(this.#path, 'cannot be written', error);
    }
  }

  /** Completes it, under its name. @throws CaptureError RINGTAP_FILE_WRITE */
  async close(): Promise<void> {
    try {
      await this.#handle.close();
      if (this.#final === undefined) return;
      const found = this.#overwrite ? undefined : await stat(this.#final).catch(() => undefined);
      if (found !== undefined && found.size > 0) throw taken(this.#final);
      await rename(this.#path, this.#final);
    } catch (error) {
      throw fileFault(this.#final ?? this.#path, 'cannot be completed', error);
    }
  }

  /** Closes it as it is; a temporary one is gone. */
  async abandon(): Promise<void> {
    await this.#handle.close().catch(() => {});
    if (this.#final !== undefined) await unlink(this.#path).catch(() => {});
  }
}

function taken(path: string): CaptureError {
  const message = `${path}: cannot be created: the file exists and is not empty`;
  return new CaptureError('RINGTAP_FILE_WRITE', message, { uri: path, syscall: 'open', errno: 17, hint: HINTS.EEXIST });
}
