import { readFileSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Batch } from './batch.js';
import { sourceOf } from './capture.js';
import { CaptureError, wrapNative } from './errors.js';
import type { ErrorCode } from './generated/errors.js';
import { addon, type NativeWriter } from './native.js';

/** How a trace file is written. */
export interface WriterOptions {
  /** LINKTYPE_ value of the packets; default: that of the first batch. A `pcap:` file holds one link type. */
  linkType?: number | undefined;
  /** Packets are cut to this many bytes (14 to 262144, the default). */
  snaplen?: number | undefined;
}

/** What has safely reached the file. */
export interface WriterStats {
  /** Packets in the file. */
  readonly packets: number;
  /** Bytes in the file, headers included. */
  readonly bytes: number;
}

const DEFAULT_LINK_TYPE = 1;
const MAX_SNAPLEN = 262144;
/** How often to look whether somebody reads a pipe by now. */
const PIPE_MS = 50;

/** Opens the file, and as long as `goesOn()`, waits until a named pipe has a reader. */
type Create = (linkType: number, goesOn: () => boolean) => Promise<NativeWriter>;

/**
 * A trace file being written. Batches are copied natively, without an object per packet, and written off the event
 * loop. One write at a time: a second one beside it is `RINGTAP_BUSY`.
 */
export class Writer implements AsyncDisposable {
  /** The URI as it was given to `openWriter()`. */
  readonly uri: string;
  readonly #create: Create;
  #native: NativeWriter | undefined;
  #writing = false;
  #draining: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #failure: unknown;

  /** @internal Use `openWriter()`. */
  constructor(uri: string, create: Create, native: NativeWriter | undefined) {
    this.uri = uri;
    this.#create = create;
    this.#native = native;
  }

  /**
   * Appends the packets of a lent batch, or the first `count` of them. The batch may be released as soon as the promise
   * settles; what it resolves to be written may still be in memory until `flush()` or `close()`.
   * @throws CaptureError RINGTAP_FILE_WRITE (disk full …: complete records stay readable), RINGTAP_RELEASED,
   * RINGTAP_BAD_OPTION (another link type in a `pcap:` file, a `count` that is no whole number), RINGTAP_BUSY,
   * RINGTAP_CLOSED
   */
  async write(batch: Batch, count = batch.length): Promise<void> {
    if (this.#closing !== undefined) throw this.#error('RINGTAP_CLOSED', 'the writer was closed');
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#writing) throw this.#error('RINGTAP_BUSY', 'write() was called before the last one settled');
    if (!Number.isInteger(count) || count < 0) {
      throw this.#error('RINGTAP_BAD_OPTION', `write(): count must be a whole number, not ${count}`);
    }
    const session = sourceOf(batch);
    if (session === undefined) {
      throw this.#error('RINGTAP_RELEASED', 'write() takes batches that a capture lends');
    }
    this.#writing = true;
    const generation = batch.control[3]!;
    try {
      this.#native ??= await this.#create(batch.linkType, () => this.#closing === undefined);
      const end = Math.min(count, batch.length);
      for (let taken = 0; ; ) {
        taken = this.#native.append(session, batch.slot, taken, end, generation);
        if (taken >= end) break;
        await this.#drain(false);
      }
    } catch (error) {
      throw this.#wrap(error);
    } finally {
      this.#writing = false;
    }
    // Writing goes on beside the reading; its failure surfaces at the next call.
    void this.#drainInBackground();
  }

  /** Resolves when everything written so far has reached the file. */
  async flush(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      await this.#draining;
      await this.#drain(true);
    } catch (error) {
      throw this.#wrap(error);
    }
  }

  /**
   * Completes the file. Idempotent. pcapng files end with the counts of `ledger`, such as `capture.stats()`.
   * @throws CaptureError what could not be written
   */
  close(ledger?: { readonly received: number; readonly dropped: number }): Promise<void> {
    this.#closing ??= this.#finish(ledger);
    return this.#closing;
  }

  /** What has safely reached the file. */
  stats(): WriterStats {
    return this.#native?.stats() ?? { packets: 0, bytes: 0 };
  }

  /** {@link close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #finish(ledger?: { readonly received: number; readonly dropped: number }): Promise<void> {
    await this.#draining?.catch(() => {});
    try {
      // An empty capture makes an empty, valid trace.
      this.#native ??= await this.#create(DEFAULT_LINK_TYPE, () => false);
      await this.#native.close(ledger?.received, ledger?.dropped);
    } catch (error) {
      throw this.#wrap(error);
    }
  }

  #drain(flush: boolean): Promise<void> {
    const before = this.#draining ?? Promise.resolve();
    this.#draining = before
      .then(() => this.#native?.drain(flush))
      .finally(() => {
        this.#draining = undefined;
      });
    return this.#draining;
  }

  async #drainInBackground(): Promise<void> {
    if (this.#draining !== undefined || !this.#native?.ready()) return;
    await this.#drain(false).catch((error: unknown) => {
      this.#failure = this.#wrap(error);
    });
  }

  #error(code: ErrorCode, message: string): CaptureError {
    return new CaptureError(code, `${this.uri}: ${message}`, { uri: this.uri });
  }

  #wrap(error: unknown): unknown {
    return wrapNative(error, undefined, this.uri);
  }
}

/**
 * Opens a trace file for writing; an existing one is replaced.
 * @param uri `pcap:out.pcap`, `pcapng:out.pcapng`, or a bare path (pcapng if it ends so, else pcap); `pcap:-` is
 * standard output. pcap files carry nanoseconds. A named pipe waits for its reader: here when `linkType` is given, else
 * at the first write.
 * @throws CaptureError RINGTAP_BAD_URI, RINGTAP_BAD_OPTION, RINGTAP_FILE_WRITE
 */
export async function openWriter(uri: string, options: WriterOptions = {}): Promise<Writer> {
  const { format, path } = parseWriterUri(uri);
  const { linkType, snaplen = MAX_SNAPLEN } = options;
  const whole = (name: string, value: number, min: number, max: number) => {
    if (Number.isInteger(value) && value >= min && value <= max) return;
    throw new CaptureError(
      'RINGTAP_BAD_OPTION',
      `${uri}: option ${name} must be a whole number from ${min} to ${max}, not ${value}`,
      { uri },
    );
  };
  whole('snaplen', snaplen, 14, MAX_SNAPLEN);
  if (linkType !== undefined) whole('linkType', linkType, 0, 65535);
  const isPipe = await touch(path, uri);
  const create: Create = async (type, goesOn) => {
    for (;;) {
      try {
        return addon().openWriter({ path, format, linkType: type, snaplen, application: `ringtap ${version()}` });
      } catch (error) {
        const wrapped = wrapNative(error, undefined, uri);
        const isUnread = isPipe && wrapped instanceof CaptureError && wrapped.errno === constants.errno.ENXIO;
        if (!isUnread || !goesOn()) throw wrapped;
        await sleep(PIPE_MS);
      }
    }
  };
  return new Writer(uri, create, linkType === undefined ? undefined : await create(linkType, () => true));
}

/** Fails now, not at the first batch, where the file cannot be created. @returns whether it is a named pipe */
async function touch(path: string, uri: string): Promise<boolean> {
  if (path === '-') return false;
  try {
    const existing = await stat(path).catch(() => undefined);
    // A FIFO or device is opened once, by the writer: opening it here would wait for, or confuse, its reader.
    if (existing === undefined || existing.isFile()) await (await open(path, 'w')).close();
    else if (existing.isDirectory())
      throw Object.assign(new Error('is a directory'), { errno: -constants.errno.EISDIR, syscall: 'open' });
    return existing?.isFIFO() ?? false;
  } catch (error) {
    const { message, errno, syscall } = error as NodeJS.ErrnoException;
    throw new CaptureError('RINGTAP_FILE_WRITE', `${uri}: cannot create ${path}: ${message}`, {
      uri,
      syscall,
      errno: errno === undefined ? undefined : -errno,
      cause: error,
    });
  }
}

function parseWriterUri(uri: string): { format: 'pcap' | 'pcapng'; path: string } {
  const match = /^(pcap|pcapng):(.*)$/s.exec(uri);
  const path = match?.[2] ?? uri;
  const other = /^([a-z]{2,}):/i.exec(uri);
  if (path === '' || path.includes('\0') || (match === null && other !== null)) {
    throw new CaptureError('RINGTAP_BAD_URI', `${JSON.stringify(uri)} names no trace file`, {
      uri,
      hint: 'Write pcap:out.pcap, pcapng:out.pcapng or a plain path.',
    });
  }
  const format = (match?.[1] ?? (path.endsWith('.pcapng') ? 'pcapng' : 'pcap')) as 'pcap' | 'pcapng';
  return { format, path };
}

let cachedVersion: string | undefined;

function version(): string {
  cachedVersion ??= (
    JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
  ).version;
  return cachedVersion;
}
