// A trace that has its name when it is complete: until then it is written beside it by another one.
import {
  type BigIntStats,
  closeSync,
  fchmodSync,
  fstatSync,
  linkSync,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
  renameSync,
  unlinkSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { CaptureError, openWriter, type Writer, type WriterOptions } from '../../index.js';
import { tellAs, UsageError } from '../errors.js';
import type { CompressFlags } from './compress.js';
import { statOf } from './inputs.js';
import { readTraceName } from './trace-name.js';

/** What a command line says of each file that is written. */
export interface OutputFlags extends CompressFlags {
  force?: true;
}

let lastNumber = 0;

export class OutputFile {
  readonly #path: string;
  readonly #part: string;
  readonly #force: boolean;
  /** What `#part` stood for when it was made. */
  readonly #made: BigIntStats | undefined;
  #isNamed = false;
  readonly writer: Writer;

  private constructor(path: string, part: string, force: boolean, writer: Writer, made?: BigIntStats) {
    this.#path = path;
    this.#part = part;
    this.#force = force;
    this.#made = made;
    this.writer = writer;
  }

  /** @param path `-` is standard output, which has nothing to be renamed */
  static async open(path: string, { force, compress: told }: OutputFlags, options: WriterOptions): Promise<OutputFile> {
    if (path === '-') {
      if (process.stdout.isTTY) {
        throw new UsageError('a trace is not for a terminal: redirect standard output, or name a file');
      }
      return new OutputFile(path, '', false, await openWriter('pcap:-', { ...options, compress: told ?? 'none' }));
    }
    refuseExisting(path, force === true);
    const { scheme, method } = readTraceName(path);
    const target = targetOf(path);
    const compress = told ?? method ?? 'none';
    const openNamed = (name: string) => openWriter(`${scheme}:${name}`, { ...options, keepBlocks: true, compress });
    // Special files, such as pipes, are written as they are.
    if (statOf(path)?.isFile() === false) return new OutputFile(path, '', false, await openNamed(path));
    const { part, made } = makePart(path, target);
    tellAs(part, path);
    try {
      return new OutputFile(target, part, force === true, await openNamed(part), made);
    } catch (error) {
      unlinkSync(part);
      throw error;
    }
  }

  /** As the writer's own, but a failure speaks of the file as the user knows it, of which nothing is left. */
  async write(...packets: Parameters<Writer['write']>): Promise<void> {
    try {
      await this.writer.write(...packets);
    } catch (error) {
      throw this.#ofUser(error);
    }
  }

  /** Completes the file, which gets its name. */
  async finish(): Promise<void> {
    try {
      await this.writer.close().catch((error) => {
        throw this.#ofUser(error);
      });
      if (this.#part === '') return;
      this.#refuseExchanged();
      if (this.#force) renameSync(this.#part, this.#path);
      else this.#nameNew();
      this.#isNamed = true;
      moveIndex(this.#part, this.#path);
    } catch (error) {
      this.#remove();
      throw error;
    }
  }

  /** Nothing is left of it, also where it was complete. */
  async discard(): Promise<void> {
    await this.writer.close().catch(() => {});
    this.#remove();
  }

  #ofUser(error: unknown): unknown {
    if (this.#part === '' || !(error instanceof CaptureError)) return error;
    const { code, message, uri, syscall, errno, position } = error;
    const hint = error.hint?.replace(/ *The packets before this one are in the file\.$/, '');
    if (code !== 'RINGTAP_FILE_WRITE' && hint === error.hint) return error;
    const own = message.replace(/, which are (kept|followed by part of a record)/, ', and nothing is left of it');
    return new CaptureError(code, own, { uri, syscall, errno, position, hint, cause: error });
  }

  /** What somebody else has put there meanwhile is not what was written. */
  #refuseExchanged(): void {
    if (this.#isOurs()) return;
    throw new CaptureError('RINGTAP_FILE_WRITE', `${this.#part} is another file than the one that was written`, {
      hint: 'Somebody has exchanged it: nothing is called what was asked for.',
    });
  }

  get #name(): string {
    return this.#isNamed ? this.#path : this.#part;
  }

  #isOurs(): boolean {
    const stats = lstatSync(this.#name, { bigint: true, throwIfNoEntry: false });
    return stats !== undefined && stats.ino === this.#made?.ino && stats.dev === this.#made.dev;
  }

  /** WHY not renamed: that would overwrite a file that was made meanwhile. */
  #nameNew(): void {
    try {
      linkSync(this.#part, this.#path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') refuseExisting(this.#path, false);
      renameSync(this.#part, this.#path); // a file system without hard links
      return;
    }
    unlinkSync(this.#part);
  }

  #remove(): void {
    if (this.#part === '' || !this.#isOurs()) return;
    forgetIndex(this.#name);
    try {
      unlinkSync(this.#name);
    } catch {
      // It is gone already.
    }
  }
}

/** Where a link leads, also to what is not there yet: what it is called stays a link. */
function targetOf(path: string): string {
  let target = path;
  for (let links = 0; links < 40; links++) {
    if (!lstatSync(target, { throwIfNoEntry: false })?.isSymbolicLink()) break;
    target = resolve(dirname(target), readlinkSync(target));
  }
  return target;
}

const MOST_NAME_BYTES = 255 - '.rtidx'.length;
const MOST_TRIES = 1000;

/** A new file beside `target`, whoever may read that may read it, whose name is as much of its as fits. */
function makePart(path: string, target: string): { part: string; made: BigIntStats } {
  for (let tries = 1; ; tries++) {
    const end = `.${process.pid}-${++lastNumber}.part`;
    const begin = Buffer.from(basename(target)).subarray(0, MOST_NAME_BYTES - end.length - 1);
    const part = join(dirname(target), `.${begin.toString().replace(/\ufffd+$/, '')}${end}`);
    try {
      const mode = statOf(target)?.mode;
      const fd = openSync(part, 'wx', 0o666);
      if (mode !== undefined) fchmodSync(fd, mode & 0o777);
      const made = fstatSync(fd, { bigint: true });
      closeSync(fd);
      return { part, made };
    } catch (error) {
      const { code, errno = 0, syscall } = error as NodeJS.ErrnoException;
      // One that was killed, with the same number of its process, has left it.
      if (code === 'EEXIST' && tries < MOST_TRIES) continue;
      if (code === 'ENOENT' || code === 'ENOTDIR')
        throw new UsageError(`${path}: there is no folder ${dirname(target)}`, 'Make it (mkdir -p), or mend the path.');
      const hint = 'Name a file in a folder that can be written to.';
      throw new CaptureError('RINGTAP_FILE_WRITE', `${path}: cannot create`, {
        syscall,
        errno: -errno,
        hint,
        cause: error,
      });
    }
  }
}

const INDEX_MAGIC = 'RTIDX\r\n';

/** Whether it is an index of ours, and not somebody's file of that name. */
function isIndex(path: string): boolean {
  if (!statOf(path)?.isFile()) return false;
  const head = Buffer.alloc(INDEX_MAGIC.length);
  const fd = openSync(path, 'r');
  try {
    return readSync(fd, head, 0, head.length, 0) === head.length && head.toString('latin1') === INDEX_MAGIC;
  } finally {
    closeSync(fd);
  }
}

function forgetIndex(trace: string): void {
  try {
    if (isIndex(`${trace}.rtidx`)) unlinkSync(`${trace}.rtidx`);
  } catch {
    // One that is left behind is not of this trace, which who reads it sees.
  }
}

/** The trace is called `to` now, and its index likewise, where the writer has made one. */
function moveIndex(from: string, to: string): void {
  forgetIndex(to);
  try {
    if (!isIndex(`${from}.rtidx`)) return;
    if (statOf(`${to}.rtidx`) === undefined) renameSync(`${from}.rtidx`, `${to}.rtidx`);
    else unlinkSync(`${from}.rtidx`);
  } catch {
    // Without an index it is read as any other.
  }
}

function refuseExisting(path: string, force: boolean): void {
  const stats = statOf(path);
  if (stats?.isDirectory()) throw new UsageError(`${path} is a folder`, 'Name a file in it.');
  if (stats?.isFile() && !force)
    throw new UsageError(`${path} exists already`, 'Take another name, or overwrite it with --force.');
}

/** What is read must not be written: its packets would be gone before they are read. */
export function refuseInput(output: string, inputs: readonly string[]): void {
  const out = statOf(output);
  if (out === undefined || output === '-') return;
  const same = (path: string) => {
    const stats = statOf(path);
    return stats !== undefined && stats.ino === out.ino && stats.dev === out.dev;
  };
  const names = (input: string) =>
    same(input) || (statOf(input)?.isDirectory() && same(join(input, basename(output)))) || matches(input, output);
  const read = inputs.find((input) => names(input) || (statOf(input) === undefined && listed(input).some(names)));
  if (read === undefined) return;
  throw new UsageError(`${output} is one of the traces that are read (${read})`, 'Write to another file.');
}

/** The names and patterns in a list, which may be a URI. */
function listed(input: string): string[] {
  const parts = input.replace(/^(file|pcapfile|erf):/i, '').split(/(?<!\\),/);
  return [...parts, ...parts.map((part) => part.replace(/\\([,*?[\]\\])/g, '$1'))];
}

/** Whether a pattern matches a file by its path. WHY generous: a match too many asks for another name, one too few loses a trace. */
function matches(pattern: string, path: string): boolean {
  if (!/[*?[]/.test(pattern)) return false;
  const parts = resolve(pattern).split(/(\[[^\]]*\]|[*?])/);
  const source = parts.map((part, i) => {
    if (i % 2 === 0) return part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
    return part === '*' ? '[^/]*' : '[^/]';
  });
  return new RegExp(`^${source.join('')}$`).test(resolve(path));
}
