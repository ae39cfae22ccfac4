import { existsSync, readFileSync } from 'node:fs';
import { onAbort } from '../errors/abort.js';
import { CaptureError, wrapNative } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { addon, type NativeWriter } from '../native/native.js';
import { ownOptions, signalOf } from '../uri/options.js';
import { faultIn, interfaceAddresses, parseUri } from '../uri/uri.js';
import { type CompressOptions, compressionOf, withoutCompression } from './compress.js';
import { describeHost } from './describe.js';
import { Interfaces, type WriterInterface } from './interfaces.js';
import { type RotateOptions, readRotation, warnOfLeftOvers } from './rotate.js';
import { Writer } from './writer.js';

/** How a trace file is written. */
export interface WriterOptions {
  /**
   * LINKTYPE_ value of the packets, such as `capture.linkType`; default: that of the first batch. A `pcap:` file holds
   * one link type.
   */
  linkType?: number | undefined;
  /** Packets are cut to this many bytes (14 to 262144, the default). */
  snaplen?: number | undefined;
  /** Times in nanoseconds (the default), or else in microseconds, rounded down, for readers that know no others. */
  nanosecond?: boolean | undefined;
  /**
   * How the trace is compressed: `'zstd'`, `'zstd:3'`, `'lz4'`, `'gzip:6'` (a method, and a level of it), an object, or
   * `'none'`. Default: what the file's name says by `.zst`, `.lz4` or `.gz`.
   */
  compress?: string | false | CompressOptions | undefined;
  /** A remark about the whole trace, of up to 4096 bytes of UTF-8. `pcapng:` only. */
  comment?: string | undefined;
  /** What the packets come from, for readers of the trace: `pcapng:` only, but for `capture` and `linkType` of it. */
  interface?: WriterInterface | undefined;
  /**
   * The same of several captures, 1 to 64, whose packets go into one trace in order of time; in pcapng each has its interface
   * block and its counts. `write()` finds a batch's by its capture, or is told.
   */
  interfaces?: readonly WriterInterface[] | undefined;
  /**
   * With several `interfaces`: how long a packet waits for earlier ones of others, ms, 0 to 60000, default 200; 0 writes them
   * as they come. They wait in up to 64 MiB (or `queueBytes`, where that is more), and less long where these are full. What
   * comes later than that stands behind later ones: `stats().late` counts it.
   */
  latenessMs?: number | undefined;
  /** Direction, number and, of lent batches, queue of each packet are written, too. `pcapng:` only. */
  packetDetails?: boolean | undefined;
  /** A file that exists, and is not empty, is emptied or replaced, instead of `RINGTAP_FILE_WRITE` (EEXIST). */
  overwrite?: boolean | undefined;
  /**
   * One file after the other. The path is a pattern of their names: with conversions of strftime(3), such as
   * `%Y%m%d-%H%M%S`, filled in with the local time that a file begins at; with none, a number and that time stand before
   * the suffix (`a.pcap` makes `a_00001_20261130101500.pcap`). A file is called `….part` until it is complete.
   */
  rotate?: RotateOptions | undefined;
  /** With `rotate`: each file, and then its name, is on the disk (fsync) before it is told of as complete. */
  fsync?: boolean | undefined;
  /**
   * How long a batch may wait for others, so that they are written together: ms, 0 to 60000, default 500. What is lost
   * when the machine fails is no older.
   */
  flushMs?: number | undefined;
  /** Each batch is written at once: `flushMs: 0` by the name that tcpdump's -U has. */
  packetBuffered?: boolean | undefined;
  /**
   * Memory that packets wait in for a disk that stands still or a slow reader: bytes, 2 MiB to 16 GiB, default 4 MiB. It is
   * used as far as it is needed. Rate times the longest stall is enough: 500 ms at 200 MB/s are 100 MB.
   */
  queueBytes?: number | undefined;
  /**
   * What becomes of packets that the queue has no room for: `wait` (the default) lets `write()` wait, `drop` counts them in
   * `stats().dropped`, so that `write()` never waits and what else the loop does goes on.
   */
  overflow?: 'wait' | 'drop' | undefined;
  /**
   * Writes past the page cache (O_DIRECT), for days of capture that nobody reads soon: less CPU on many disks, and nothing
   * else is pushed out of the cache. `RINGTAP_UNSUPPORTED` where the file system cannot.
   */
  direct?: boolean | undefined;
  /**
   * Bytes of the disk that are claimed ahead at a time (4096 or more): files lie in one piece, and a disk that is full is
   * told of at once. What was not needed is given back when a file is complete; readers never see it.
   */
  preallocateBytes?: number | undefined;
  /**
   * Gives up when it aborts, now or at any time until it is closed: what waits for the reader of a pipe, or for a slow
   * disk, rejects with the signal's reason. What was written until then goes into the file, but for what a pipe has no
   * room for.
   */
  signal?: AbortSignal | undefined;
}

const OPTIONS = [
  'linkType',
  'snaplen',
  'nanosecond',
  'comment',
  'compress',
  'interface',
  'interfaces',
  'latenessMs',
  'packetDetails',
  'overwrite',
  'rotate',
  'fsync',
  'flushMs',
  'packetBuffered',
  'queueBytes',
  'overflow',
  'direct',
  'preallocateBytes',
  'signal',
] as const satisfies (keyof WriterOptions)[];
const MAX_SNAPLEN = 262144;
const MAX_COMMENT_BYTES = 4096;
const FLUSH_MS = 500;
const MAX_FLUSH_MS = 60_000;
const LATENESS_MS = 200;
const MAX_LATENESS_MS = 60_000;
const MIN_QUEUE_BYTES = 2 ** 21;
const QUEUE_BYTES = 2 ** 22;
const MAX_QUEUE_BYTES = 2 ** 34;
const LEAST_PREALLOCATED = 4096;
const OVERFLOW = ['wait', 'drop'];

/**
 * Opens a trace file for writing. One that exists and is not empty is refused, but with `overwrite`. It belongs to one
 * writer at a time: `RINGTAP_BUSY` where another one, of this or another process, has not closed it yet.
 * With `linkType` the file has its header from now on, else from the first batch on.
 * @example
 * await using writer = await openWriter('pcapng:dns.pcapng', { linkType: capture.linkType });
 * for await (const batch of capture) await writer.write(batch);
 * await writer.close(capture.stats());
 * console.log(writer.stats().packets);
 * @param options how it is written; `signal` gives the writer up
 * @param uri `pcap:out.pcap`, `pcapng:out.pcapng`, or a bare path or `file:` URI (pcapng if it ends so, else pcap), with `.zst`, `.lz4`
 * or `.gz` behind it for a compressed trace;
 * `pcap:-` is standard output. A named pipe waits for its reader: here when `linkType` is given, else at the first write.
 * @throws CaptureError RINGTAP_BAD_URI, RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION, RINGTAP_BUSY, RINGTAP_FILE_WRITE,
 * RINGTAP_LIBRARY_MISSING (of the compression), RINGTAP_UNSUPPORTED, RINGTAP_SYSTEM (no thread can be made); or the signal's reason
 */
export async function openWriter(uri: string, options: WriterOptions = {}): Promise<Writer> {
  const { format, path } = parseWriterUri(uri);
  const { signal, interfaces, ...settings } = readOptions(uri, format, path, options);
  if (settings.rotate !== undefined && path === '-') {
    throw new CaptureError('RINGTAP_BAD_OPTION', `${uri}: standard output cannot rotate: name a file`, { uri });
  }
  signal?.throwIfAborted();
  let native: NativeWriter | undefined;
  const forgetSignal = signal === undefined ? () => {} : onAbort(signal, () => native?.giveUp());
  try {
    if (settings.rotate !== undefined) warnOfLeftOvers(path);
    const application = `ringtap ${version()}`;
    native = addon().openWriter({ path, format, application, ...settings, interfaces: interfaces.natives });
    await native.tried(0);
    if (settings.linkType !== undefined && !native.isOpen()) await native.room(0);
    return new Writer(uri, native, interfaces, settings.rotate !== undefined, signal, forgetSignal);
  } catch (error) {
    forgetSignal();
    throw signal?.aborted ? signal.reason : wrapNative(error, undefined, uri);
  }
}

function readOptions(uri: string, format: 'pcap' | 'pcapng', path: string, options: unknown) {
  const own = ownOptions({ uri }, options);
  const bad = (name: string, what: string) =>
    new CaptureError('RINGTAP_BAD_OPTION', `${uri}: option ${name} must be ${what}, not ${show(own[name])}`, { uri });
  const whole = (name: string, min: number, max: number): number | undefined => {
    const value = own[name];
    if (value === undefined || (Number.isInteger(value) && (value as number) >= min && (value as number) <= max)) {
      return value as number | undefined;
    }
    throw bad(name, `a whole number from ${min} to ${max}`);
  };
  const flag = (name: string, otherwise: boolean): boolean => {
    const { [name]: value = otherwise } = own;
    if (typeof value !== 'boolean') throw bad(name, 'true or false');
    return value;
  };
  for (const name of Object.keys(own)) {
    if ((OPTIONS as readonly string[]).includes(name)) continue;
    throw new CaptureError('RINGTAP_UNKNOWN_OPTION', `${uri}: a writer has no option "${name}"`, {
      uri,
      hint: `Options of a writer: ${OPTIONS.join(', ')}`,
    });
  }
  const { comment } = own;
  if (comment !== undefined) {
    const isText = typeof comment === 'string' && comment !== '' && faultIn(comment) === undefined;
    if (!isText || Buffer.byteLength(comment) > MAX_COMMENT_BYTES) {
      throw bad('comment', `text of 1 to ${MAX_COMMENT_BYTES} bytes`);
    }
    if (format === 'pcap') {
      throw new CaptureError('RINGTAP_BAD_OPTION', `${uri}: a pcap file has no place for a comment`, {
        uri,
        hint: 'Write pcapng:, or leave out comment.',
      });
    }
  }
  const { rotate: asked, interface: one, interfaces: many } = own;
  const rotate = readRotation(uri, asked);
  const sync = flag('fsync', false);
  if (sync && rotate === undefined) {
    throw new CaptureError('RINGTAP_BAD_OPTION', `${uri}: option fsync is for files that rotate`, { uri });
  }
  const flushMs = whole('flushMs', 0, MAX_FLUSH_MS);
  const isBuffered = flag('packetBuffered', false);
  if (isBuffered && flushMs !== undefined && flushMs > 0) {
    throw new CaptureError('RINGTAP_BAD_OPTION', `${uri}: packetBuffered waits for nothing, flushMs ${flushMs} ms`, {
      uri,
      hint: 'Give one of the two.',
    });
  }
  const packetDetails = flag('packetDetails', false);
  if (format === 'pcap' && packetDetails) {
    throw new CaptureError('RINGTAP_BAD_OPTION', `${uri}: a pcap file has no place for details of packets`, {
      uri,
      hint: 'Write pcapng:, or leave out packetDetails.',
    });
  }
  const interfaces = Interfaces.read(uri, format === 'pcap', one, many);
  const latenessMs = whole('latenessMs', 0, MAX_LATENESS_MS);
  if (latenessMs !== undefined && interfaces.count === 1) {
    throw new CaptureError('RINGTAP_BAD_OPTION', `${uri}: option latenessMs is for several interfaces`, { uri });
  }
  const { overflow = 'wait' } = own;
  if (!OVERFLOW.includes(overflow as string)) throw bad('overflow', OVERFLOW.join(' or '));
  return {
    ...describeHost(),
    interfaces,
    latenessMs: latenessMs ?? LATENESS_MS,
    packetDetails,
    overwrite: flag('overwrite', false),
    rotate,
    sync,
    linkType: interfaces.checkLinkTypes(whole('linkType', 0, 65535)),
    snaplen: whole('snaplen', 14, MAX_SNAPLEN) ?? MAX_SNAPLEN,
    nanosecond: flag('nanosecond', true),
    delayMs: isBuffered ? 0 : (flushMs ?? FLUSH_MS),
    queueBytes: whole('queueBytes', MIN_QUEUE_BYTES, MAX_QUEUE_BYTES) ?? QUEUE_BYTES,
    drops: overflow === 'drop',
    direct: flag('direct', false),
    preallocateBytes: whole('preallocateBytes', LEAST_PREALLOCATED, Number.MAX_SAFE_INTEGER),
    comment: comment as string | undefined,
    compression: compressionOf(uri, path, own.compress),
    signal: signalOf({ uri, params: new Map() }, own),
  };
}

function parseWriterUri(uri: unknown): { format: 'pcap' | 'pcapng'; path: string } {
  const bad = (what: string, hint = 'Write pcap:out.pcap, pcapng:out.pcapng or a plain path.') =>
    new CaptureError('RINGTAP_BAD_URI', `${show(uri)} names no trace file${what}`, {
      uri: typeof uri === 'string' ? uri : undefined,
      hint,
    });
  if (typeof uri !== 'string') throw bad('');
  const match = /^(pcap|pcapng|file):(.*)$/is.exec(uri);
  const scheme = match?.[1]?.toLowerCase();
  const path = scheme === 'file' ? pathOf(uri) : (match?.[2] ?? uri);
  if (path === '' || (match === null && /^[a-z]{2,}:/i.test(uri))) throw bad('');
  const fault = faultIn(path);
  if (fault !== undefined) throw bad(`: ${fault}`);
  // open() takes pcap:eth0 for a capture with libpcap: a file of that name would be a surprise.
  if (scheme === 'pcap' && Object.hasOwn(interfaceAddresses(), path) && !existsSync(path)) {
    throw bad(`: ${path} is a network interface`, `Capture with open(); a file of this name is pcap:./${path}.`);
  }
  const isNamed = scheme === 'pcap' || scheme === 'pcapng';
  return { format: isNamed ? scheme : /\.pcapng$/i.test(withoutCompression(path).path) ? 'pcapng' : 'pcap', path };
}

/** The path of a `file:` URI, read as open() reads it: what is written is found again by the same name. */
function pathOf(uri: string): string {
  const { target, params } = parseUri(uri);
  const [name] = params.keys();
  if (name === undefined) return target;
  throw new CaptureError('RINGTAP_UNKNOWN_OPTION', `${uri}: a writer takes no "${name}" in its URI`, {
    uri,
    hint: 'Options of a writer go into its options object; a ? of the name itself is %3f.',
  });
}

let cachedVersion: string | undefined;

function version(): string {
  cachedVersion ??= (
    JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
  ).version;
  return cachedVersion;
}
