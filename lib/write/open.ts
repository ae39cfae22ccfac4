import { existsSync, readFileSync } from 'node:fs';
import { onAbort } from '../errors/abort.js';
import { CaptureError, wrapNative } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import type { TlsOptions } from '../generated/options.js';
import { withoutCompression } from '../generated/trace_names.js';
import { addon, type NativeWriter } from '../native/native.js';
import { ownOptions, signalOf } from '../uri/options.js';
import { faultIn, interfaceAddresses, parseUri } from '../uri/uri.js';
import { type CompressOptions, compressionOf } from './compress.js';
import { describeHost } from './describe.js';
import { Interfaces, type WriterInterface } from './interfaces.js';
import type { Readers } from './readers.js';
import { type RotateOptions, readRotation, warnOfLeftOvers } from './rotate.js';
import { Writer } from './writer.js';

/** How a trace is written, into a file or through connections. */
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
  /**
   * What pcapng traces that batches are read from say beside their packets is written, too: the interfaces, each once, however many
   * traces describe it, with the resolution of its times unless `nanosecond` is given; comments and other options of packets
   * and of the section; names of addresses and secrets, in front of the packets that come after them. Up to 8 MiB, 512 KiB
   * of each block, 256 KiB of each packet; a process warning tells of more. Of packets that have no such interface the
   * writer's `interface` tells. With several `interfaces` names and secrets only. `pcapng:` only; elsewhere it means nothing.
   */
  keepBlocks?: boolean | undefined;
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
   * told of at once. What was not needed is given back when a file is complete; readers never see it. Without it 64 MiB at
   * a time, from that size on, and on ext4 only, where it saves a quarter of the kernel's work.
   */
  preallocateBytes?: number | undefined;
  /** Format of what goes through a connection; of a file its name says it (default `'pcap'`). */
  format?: 'pcap' | 'pcapng' | undefined;
  /**
   * `tcp://`, `tcp-listen://`: TLS, and what is to be known of the other end's certificate and of ours, as of a capture
   * from `tcp://`. Who listens has `{ cert, key }`.
   */
  tls?: boolean | TlsOptions | undefined;
  /**
   * `tcp://`: a connection that is lost is made again, after one second, then two, up to 30. What waits is sent then, behind
   * a header of its own; what was on its way is in `stats().dropped`. Default false: `RINGTAP_REMOTE_LOST`.
   */
  reconnect?: boolean | undefined;
  /** `tcp://`, `tcp-listen://`: how long the other end may take for the connection and for TLS: ms, default 5000. */
  replyMs?: number | undefined;
  /** `tcp-listen://`: IP addresses and networks (`10.0.0.0/8`) that may connect; everybody where it is left out. */
  allow?: readonly string[] | undefined;
  /** `tcp-listen://`: number of those who read at once, 1 to 1024 (default 64); more are sent away. */
  mostConnections?: number | undefined;
  /**
   * Gives up when it aborts, now or at any time until it is closed: what waits for the reader of a pipe, or for a slow
   * disk, rejects with the signal's reason. What was written until then goes into the file, but for what a pipe has no
   * room for.
   */
  signal?: AbortSignal | undefined;
}

/** Options that are about connections, and those that are about files. */
const OF_CONNECTIONS = ['format', 'tls', 'reconnect', 'replyMs', 'allow', 'mostConnections'] as const;
const OF_FILES = ['rotate', 'fsync', 'direct', 'preallocateBytes', 'overwrite'] as const;
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
  'keepBlocks',
  'overwrite',
  'rotate',
  'fsync',
  'flushMs',
  'packetBuffered',
  'queueBytes',
  'overflow',
  'direct',
  'preallocateBytes',
  ...OF_CONNECTIONS,
  'signal',
] as const satisfies (keyof WriterOptions)[];
const MAX_SNAPLEN = 262144;
const MAX_COMMENT_BYTES = 4096;
const FLUSH_MS = 500;
/** Who reads along sees packets sooner. */
const FLUSH_READERS_MS = 100;
const MAX_FLUSH_MS = 60_000;
const LATENESS_MS = 200;
const MAX_LATENESS_MS = 60_000;
const MIN_QUEUE_BYTES = 2 ** 21;
const QUEUE_BYTES = 2 ** 22;
const MAX_QUEUE_BYTES = 2 ** 34;
const LEAST_PREALLOCATED = 4096;
const PCAPNG = ['Write pcapng:', "Give format: 'pcapng'"];
const OVERFLOW = ['wait', 'drop'];

/**
 * Opens a trace for writing: a file, or connections to those who read it while it is written (pcap over IP).
 *
 * A file that exists and is not empty is refused, but with `overwrite`. It belongs to one
 * writer at a time: `RINGTAP_BUSY` where another one, of this or another process, has not closed it yet.
 * With `linkType` the file has its header from now on, else from the first batch on.
 *
 * `tcp://host:57012` connects and sends. `tcp-listen://0.0.0.0:57012` gives the trace to everybody who connects, each
 * beginning with a header of its own and the packets of from then on; the first is waited for, unless `overflow` is `drop`.
 * The slowest holds all others and `write()` back; with `overflow: 'drop'` each has `queueBytes`, and what one of them had
 * no room for, or had not acknowledged when its connection ended, is in `stats().dropped`.
 * @example
 * await using writer = await openWriter('pcapng:dns.pcapng', { linkType: capture.linkType });
 * for await (const batch of capture) await writer.write(batch);
 * await writer.close(capture.stats());
 * console.log(writer.stats().packets);
 * @param options how it is written; `signal` gives the writer up
 * @param uri `pcap:out.pcap`, `pcapng:out.pcapng`, `erf:out.erf`, or a bare path or `file:` URI (pcapng or ERF if it ends so, else
 * pcap), with `.zst`, `.lz4` or `.gz` behind it for a compressed trace; `tcp://host:57012`, `tcp-listen://0.0.0.0:57012` (port 0:
 * the system chooses, `writer.port`);
 * `pcap:-` is standard output. A named pipe waits for its reader: here when `linkType` is given, else at the first write.
 * @throws CaptureError RINGTAP_BAD_URI, RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION, RINGTAP_BUSY, RINGTAP_FILE_WRITE,
 * RINGTAP_LIBRARY_MISSING (of the compression), RINGTAP_UNSUPPORTED, RINGTAP_SYSTEM (no thread can be made);
 * RINGTAP_REMOTE_UNREACHABLE, RINGTAP_REMOTE_TLS, RINGTAP_NO_PERMISSION (of a connection, or a port); or the signal's reason
 */
export async function openWriter(uri: string, options: WriterOptions = {}): Promise<Writer> {
  const to = parseWriterUri(uri);
  // WHY only then: files need nothing of TLS and sockets, which take time to load.
  const connections = to.isStream ? await import('./readers.js') : undefined;
  const { target, params } = connections?.streamUri(uri) ?? { target: '', params: {} };
  // WHY without a prototype: nothing that was planted there is an option.
  const own: Readonly<Record<string, unknown>> = Object.assign(
    Object.create(null),
    params,
    ownOptions({ uri }, options),
  );
  const format = to.isStream ? sentFormat(uri, own.format) : to.format;
  const { signal, interfaces, ...settings } = readOptions(uri, format, to, own);
  const through = connections?.readReaders(uri, target, own);
  const { path } = to;
  if (settings.rotate !== undefined && path === '-') {
    throw new CaptureError('RINGTAP_BAD_OPTION', `${uri}: standard output cannot rotate: name a file`, { uri });
  }
  signal?.throwIfAborted();
  let native: NativeWriter | undefined;
  let readers: Readers | undefined;
  const forgetSignal = signal === undefined ? () => {} : onAbort(signal, () => native?.giveUp());
  try {
    if (settings.rotate !== undefined) warnOfLeftOvers(path);
    const application = `ringtap ${version()}`;
    const request = { path, format, application, ...settings, interfaces: interfaces.natives };
    if (connections === undefined || through === undefined) native = addon().openWriter(request);
    else ({ native, readers } = await connections.Readers.open(through, request, signal));
    await native.tried(0);
    const waits = through?.listens !== true && settings.linkType !== undefined;
    if (waits && !native.isOpen()) await native.room(0);
    return new Writer(uri, native, interfaces, settings.rotate !== undefined, signal, forgetSignal, readers);
  } catch (error) {
    forgetSignal();
    readers?.close();
    throw signal?.aborted ? signal.reason : wrapNative(error, undefined, uri);
  }
}

/** Formats that are written. */
type Format = 'pcap' | 'pcapng' | 'erf';

/** What a connection carries. */
function sentFormat(uri: string, format: unknown): Format {
  if (format === undefined || format === 'pcap' || format === 'pcapng') return format ?? 'pcap';
  throw new CaptureError('RINGTAP_BAD_OPTION', `${uri}: option format must be pcap or pcapng, not ${show(format)}`, {
    uri,
  });
}

function readOptions(
  uri: string,
  format: Format,
  { path, isStream }: Pick<WriterTarget, 'path' | 'isStream'>,
  own: Readonly<Record<string, unknown>>,
) {
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
  const misplaced = (isStream ? OF_FILES : OF_CONNECTIONS).find((name) => own[name] !== undefined);
  if (misplaced !== undefined) {
    const what = isStream ? 'files, and this is a connection' : 'tcp:// and tcp-listen://';
    throw new CaptureError('RINGTAP_BAD_OPTION', `${uri}: option ${misplaced} is for ${what}`, { uri });
  }
  const { comment } = own;
  if (comment !== undefined) {
    const isText = typeof comment === 'string' && comment !== '' && faultIn(comment) === undefined;
    if (!isText || Buffer.byteLength(comment) > MAX_COMMENT_BYTES) {
      throw bad('comment', `text of 1 to ${MAX_COMMENT_BYTES} bytes`);
    }
    if (format !== 'pcapng') {
      throw new CaptureError('RINGTAP_BAD_OPTION', `${uri}: ${article(format)} file has no place for a comment`, {
        uri,
        hint: `${PCAPNG[Number(isStream)]}, or leave out comment.`,
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
  if (format !== 'pcapng' && packetDetails) {
    throw new CaptureError(
      'RINGTAP_BAD_OPTION',
      `${uri}: ${article(format)} file has no place for details of packets`,
      { uri, hint: `${PCAPNG[Number(isStream)]}, or leave out packetDetails.` },
    );
  }
  const interfaces = Interfaces.read(uri, format, one, many);
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
    keepBlocks: flag('keepBlocks', false) && format === 'pcapng',
    keepResolution: own.nanosecond === undefined,
    overwrite: flag('overwrite', false),
    rotate,
    sync,
    linkType: interfaces.checkLinkTypes(whole('linkType', 0, 65535)),
    snaplen: whole('snaplen', 14, MAX_SNAPLEN) ?? MAX_SNAPLEN,
    nanosecond: flag('nanosecond', true),
    delayMs: isBuffered ? 0 : (flushMs ?? (isStream ? FLUSH_READERS_MS : FLUSH_MS)),
    queueBytes: whole('queueBytes', MIN_QUEUE_BYTES, MAX_QUEUE_BYTES) ?? QUEUE_BYTES,
    drops: overflow === 'drop',
    direct: flag('direct', false),
    preallocateBytes: whole('preallocateBytes', LEAST_PREALLOCATED, Number.MAX_SAFE_INTEGER),
    comment: comment as string | undefined,
    compression: compressionOf(uri, isStream ? '-' : path, own.compress),
    signal: signalOf({ uri, params: new Map() }, own),
  };
}

interface WriterTarget {
  readonly format: Format;
  /** The URI itself where it is that of a connection. */
  readonly path: string;
  readonly isStream: boolean;
}

const article = (format: Format): string => (format === 'erf' ? 'an ERF' : `a ${format}`);

function parseWriterUri(uri: unknown): WriterTarget {
  const bad = (
    what: string,
    hint = 'Write pcap:out.pcap, pcapng:out.pcapng, erf:out.erf, tcp://host:57012 or a plain path.',
  ) =>
    new CaptureError('RINGTAP_BAD_URI', `${show(uri)} names no trace file${what}`, {
      uri: typeof uri === 'string' ? uri : undefined,
      hint,
    });
  if (typeof uri !== 'string') throw bad('');
  if (/^tcp(-listen)?:/i.test(uri)) {
    const fault = faultIn(uri);
    if (fault !== undefined) throw bad(`: ${fault}`);
    return { format: 'pcap', path: uri, isStream: true };
  }
  const match = /^(pcap|pcapng|erf|file):(.*)$/is.exec(uri);
  const scheme = match?.[1]?.toLowerCase();
  const path = scheme === 'file' ? pathOf(uri) : (match?.[2] ?? uri);
  if (path === '' || (match === null && /^[a-z]{2,}:/i.test(uri))) throw bad('');
  const fault = faultIn(path);
  if (fault !== undefined) throw bad(`: ${fault}`);
  // open() takes pcap:eth0 for a capture with libpcap: a file of that name would be a surprise.
  if (scheme === 'pcap' && Object.hasOwn(interfaceAddresses(), path) && !existsSync(path)) {
    throw bad(`: ${path} is a network interface`, `Capture with open(); a file of this name is pcap:./${path}.`);
  }
  const isNamed = scheme === 'pcap' || scheme === 'pcapng' || scheme === 'erf';
  return { format: isNamed ? scheme : formatOf(withoutCompression(path).name), path, isStream: false };
}

function formatOf(name: string): Format {
  return /\.pcapng$/i.test(name) ? 'pcapng' : /\.erf$/i.test(name) ? 'erf' : 'pcap';
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
