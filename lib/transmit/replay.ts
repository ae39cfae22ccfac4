import type { Batch } from '../capture/batch.js';
import { Capture } from '../capture/capture.js';
import { onAbort } from '../errors/abort.js';
import { CaptureError, type CaptureErrorFields, wrapNative } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import type { ErrorCode } from '../generated/errors.js';
import { Appended, addon, type NativeReplay, type NativeReplayRequest } from '../native/native.js';
import { callOptions } from '../uri/options.js';
import { isA } from './kinds.js';
import { editsOf, macBytes, networkBytes, type Rewrite, RewriteFault } from './rewrite.js';
import { SessionTransmitter, type TransmitStats, type Transmitter } from './transmit.js';

/** How a trace is sent again. */
export interface ReplayOptions {
  /** As recorded, but as fast as a number times that (default: 1, without a unit). At most one of `speed`, `pps`, `bps` and `topSpeed`. */
  readonly speed?: number | undefined;
  /** So many packets a second, evenly. */
  readonly pps?: number | undefined;
  /** So many bits a second, of frames without preamble and checksum. */
  readonly bps?: number | undefined;
  /** As fast as the interface takes them. */
  readonly topSpeed?: boolean | undefined;
  /** How often in all, a number of times (default: 1); Infinity is until it is aborted. */
  readonly loop?: number | undefined;
  /** Only packets that this pcap-filter(7) expression matches; of a source that is a URI. */
  readonly filter?: string | undefined;
  /** Only packets from this time on, as `file:` takes it; of a source that is a URI. */
  readonly from?: string | undefined;
  /** Only packets up to this time. */
  readonly to?: string | undefined;
  /** At most so many packets of the source. */
  readonly count?: number | undefined;
  /**
   * Of packets that are longer than the interface's MTU: `'refuse'` (default) fails before anything is sent, `'truncate'`
   * cuts them, `'skip'` leaves them out; both are counted.
   */
  readonly oversize?: 'refuse' | 'truncate' | 'skip' | undefined;
  /**
   * After a delay: `'catchUp'` (default) sends what is due at once, so that the end is where it should be, `'shift'` sends
   * all the rest later.
   */
  readonly late?: 'catchUp' | 'shift' | undefined;
  /** What the trace may take in memory, which it is played from, in bytes (default: 2 GiB). */
  readonly memoryBytes?: number | undefined;
  /** What to change in frames. */
  readonly rewrite?: Rewrite | undefined;
  /** The way for frames of servers: then only those of clients go the first way. A transmitter or URI. */
  readonly server?: Transmitter | string | undefined;
  /** What to change in frames of servers (default: what `rewrite` says). */
  readonly serverRewrite?: Rewrite | undefined;
  /**
   * Who the clients are, by address, network or MAC address: `['10.0.0.0/8']`. Without it, whoever of two addresses speaks
   * first; an answer to a TCP connection tells, too.
   */
  readonly clients?: readonly string[] | undefined;
  /** Hears how it gets on, each `progressMs`, and once more when it has ended, in whatever way. */
  readonly onProgress?: ((progress: ReplayProgress) => void) | undefined;
  /** How often `onProgress` is called, in ms (default: 500). */
  readonly progressMs?: number | undefined;
  /** Ends it at once: it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** How late frames went out, against the schedule, in ns. */
export interface ReplayLateness {
  /** Half of the frames were so late or less, in ns. */
  readonly p50: number;
  /** Nine of ten, in ns. */
  readonly p90: number;
  /** 99 of a hundred, in ns. */
  readonly p99: number;
  /** The latest one, in ns. */
  readonly max: number;
}

/** What has become of a trace by now. */
export interface ReplayProgress {
  /** Packets of the source. */
  readonly read: number;
  /** Frames of one loop: those packets that are sent. */
  readonly frames: number;
  /** Packets left out, because they are too long, too short for a frame, or have no time to live left that goes down. */
  readonly skipped: number;
  /** Packets that were too long, and are sent in part. */
  readonly truncated: number;
  /** Packets that were not captured whole: what there is of them is sent. */
  readonly cut: number;
  /** Packets that are earlier than one before: they are sent right behind it. */
  readonly backwards: number;
  /** Frames sent, of all loops: accepted by the interface. */
  readonly sent: number;
  /** Bytes of these frames. */
  readonly bytes: number;
  /** Frames that were accepted, but still queued when it ended. */
  readonly unsent: number;
  /** Times that all frames were sent, a number of loops. */
  readonly loops: number;
  /** How long it has been sending, in seconds. */
  readonly seconds: number;
  /** When the last frame that was sent should have been, in seconds after the start. */
  readonly planned: number;
  /** Of frames that were sent in time; all 0 with `topSpeed`. */
  readonly lateness: ReplayLateness;
  /** What became of the frames since the transmitter was opened, and why some did not go out. */
  readonly transmitter: TransmitStats;
  /** The same of the way for servers; null where there is none. */
  readonly server: TransmitStats | null;
}

/** Where packets come from: a URI or path, several that are read as one, in order of time, or a capture. */
export type ReplaySource = string | readonly string[] | Capture;

/** @internal What replay() opens things with; lib/open.ts has it. */
export interface Openers {
  readonly open: (uri: string, options: object) => Promise<Capture>;
  readonly openTransmitter: (uri: string, options: object) => Promise<Transmitter>;
}

const NAMES = [
  ...['speed', 'pps', 'bps', 'topSpeed', 'loop', 'filter', 'from', 'to', 'count', 'oversize', 'late', 'memoryBytes'],
  ...['rewrite', 'server', 'serverRewrite', 'clients', 'onProgress', 'progressMs', 'signal'],
];
/** Stands for the source, where that is no URI. */
const NO_URI = 'replay()';
const PACES = ['speed', 'pps', 'bps', 'topSpeed'] as const;
const MEMORY_BYTES = 2 * 1024 ** 3;
const PROGRESS_MS = 500;
const MOST_LOOPS = 0xffff_ffff;

type Own = Readonly<Record<string, unknown>> & { readonly signal?: AbortSignal | undefined };

/** @internal One replay, from its options to its end. */
export class Replay {
  readonly #uri: string;
  readonly #own: Own;
  readonly #openers: Openers;
  readonly #request: NativeReplayRequest;
  readonly #progressMs: number;
  readonly #count: number;
  /** Of what was opened here. */
  readonly #closers: (() => Promise<void>)[] = [];

  constructor(source: ReplaySource, options: unknown, openers: Openers) {
    this.#uri = isA(source, Capture) ? source.uri : typeof source === 'string' ? source : NO_URI;
    this.#own = callOptions({ uri: this.#uri }, 'replay', options, NAMES);
    this.#openers = openers;
    this.#request = this.#read();
    this.#progressMs = this.#number('progressMs', 1, 2 ** 31 - 1) ?? PROGRESS_MS;
    this.#count = this.#number('count', 1, Number.MAX_SAFE_INTEGER) ?? Number.POSITIVE_INFINITY;
    const { onProgress } = this.#own;
    if (onProgress !== undefined && typeof onProgress !== 'function') {
      throw this.#bad('onProgress', `must be a function, not ${show(onProgress)}`);
    }
  }

  async run(source: ReplaySource, to: Transmitter | string): Promise<ReplayProgress> {
    this.#own.signal?.throwIfAborted();
    try {
      return await this.#through(source, to);
    } finally {
      for (const close of this.#closers.reverse()) await close();
    }
  }

  async #through(source: ReplaySource, to: Transmitter | string): Promise<ReplayProgress> {
    const ways = [await this.#way(to, 'the transmitter')];
    if (this.#own.server !== undefined) ways.push(await this.#way(this.#own.server, 'server'));
    const capture = await this.#source(source);
    for (const { sender } of ways) {
      if (sender.linkType === capture.linkType) continue;
      throw this.#error(
        'RINGTAP_UNSUPPORTED',
        `packets have link type ${capture.linkType}, and ${sender.uri} sends frames of link type ${sender.linkType}`,
        { hint: 'Send them on an interface of the same kind; a tun interface takes raw IP (101).' },
      );
    }
    const native = this.#call(() => addon().openReplay(this.#request, ...ways.map(({ sender }) => sender.number)));
    await this.#load(native, capture);
    return this.#play(native, ways);
  }

  async #way(to: unknown, what: string): Promise<SessionTransmitter> {
    if (isA(to, SessionTransmitter)) return to;
    if (typeof to !== 'string') {
      throw this.#error('RINGTAP_BAD_OPTION', `replay(): ${what} must be a Transmitter or a URI, not ${show(to)}`);
    }
    const { signal } = this.#own;
    const opened = (await this.#openers.openTransmitter(
      to,
      signal === undefined ? {} : { signal },
    )) as SessionTransmitter;
    this.#closers.push(() => opened.leave());
    return opened;
  }

  async #source(source: unknown): Promise<Capture> {
    const { filter, from, to, signal } = this.#own;
    const given = Object.entries({ filter, from, to }).filter(([, value]) => value !== undefined);
    if (isA(source, Capture)) {
      if (given.length === 0) return source;
      throw this.#bad(given[0]![0], 'is for a source that is a URI: open the capture with it');
    }
    const uris = typeof source === 'string' ? [source] : this.#uris(source);
    const options = { ...Object.fromEntries(given), ...(signal === undefined ? {} : { signal }) };
    const uri = uris.length === 1 ? uris[0]! : `file:${uris.map((each) => each.replace(/^file:/, '')).join(',')}`;
    const capture = await this.#openers.open(uri, options);
    this.#closers.push(() => capture.close());
    return capture;
  }

  /** A list of them, each looked at once. */
  #uris(source: unknown): string[] {
    const no = () =>
      this.#error(
        'RINGTAP_BAD_OPTION',
        `replay(): the source must be a URI, several, or a Capture, not ${show(source)}`,
      );
    const uris: string[] = [];
    try {
      if (!Array.isArray(source)) throw no();
      const { length } = source;
      for (let i = 0; i < length; i++) {
        const uri: unknown = source[i];
        if (typeof uri !== 'string') throw no();
        uris.push(uri);
      }
    } catch {
      throw no(); // it throws when it is looked at
    }
    if (uris.length === 0) throw no();
    return uris;
  }

  /** Everything into memory first: a slow disk must not disturb what is sent. */
  async #load(native: NativeReplay, capture: Capture): Promise<void> {
    const { signal } = this.#own;
    const batches = capture[Symbol.asyncIterator]();
    // The capture may be somebody else's, and stay open; who waits for its packets is told that there are none.
    const forget = signal === undefined ? () => {} : onAbort(signal, () => void batches.return?.());
    try {
      await this.#loadFrom(batches, native, capture);
    } finally {
      forget();
    }
    signal?.throwIfAborted();
    if (native.progress().kept > 0) return;
    throw this.#error('RINGTAP_UNSUPPORTED', 'there is no packet to send', {
      hint: 'See what the trace holds with `ringtap info`, and what filter and times leave of it.',
    });
  }

  async #loadFrom(batches: AsyncIterable<Batch>, native: NativeReplay, capture: Capture): Promise<void> {
    let left = this.#count;
    for await (const batch of batches) {
      if (batch.linkType !== capture.linkType) {
        throw this.#error(
          'RINGTAP_UNSUPPORTED',
          `packets have link types ${capture.linkType} and ${batch.linkType}: one interface sends one of them`,
        );
      }
      const count = Math.min(batch.length, left);
      const kept = this.#call(() => native.add(batch.sessionNumber ?? 0, batch.slot, batch.lease, count));
      if (kept === Appended.released) throw this.#error('RINGTAP_RELEASED', 'replay(): the batch was released');
      left -= count;
      if (left === 0) break;
    }
  }

  async #play(native: NativeReplay, ways: readonly SessionTransmitter[]): Promise<ReplayProgress> {
    const { signal } = this.#own;
    const onProgress = this.#own.onProgress as ReplayOptions['onProgress'];
    const now = () => progressOf(native, ways);
    const timer = onProgress === undefined ? undefined : setInterval(() => onProgress(now()), this.#progressMs);
    const forget = signal === undefined ? () => {} : onAbort(signal, () => native.stop());
    try {
      await native.play();
    } catch (error) {
      throw this.#wrap(error, uriOf(error, ways));
    } finally {
      clearInterval(timer);
      forget();
      onProgress?.(now());
    }
    signal?.throwIfAborted();
    return now();
  }

  #read(): NativeReplayRequest {
    const own = this.#own;
    const given = PACES.filter((name) => own[name] !== undefined && own[name] !== false);
    if (given.length > 1) throw this.#bad(given[1]!, `contradicts ${given[0]}: give one of ${PACES.join(', ')}`);
    if (own.topSpeed !== undefined && typeof own.topSpeed !== 'boolean') {
      throw this.#bad('topSpeed', `must be true or false, not ${show(own.topSpeed)}`);
    }
    const speed = this.#number('speed', 1e-6, 1e9, false);
    const pps = this.#number('pps', 1e-6, 1e9, false);
    const bps = this.#number('bps', 1e-3, 1e13, false);
    const loop = own.loop === Number.POSITIVE_INFINITY ? 0 : (this.#number('loop', 1, MOST_LOOPS) ?? 1);
    const rewrite = this.#edits('rewrite');
    for (const name of ['serverRewrite', 'clients']) {
      if (own[name] !== undefined && own.server === undefined)
        throw this.#bad(name, 'is for two ways: give server, too');
    }
    return {
      pace: own.topSpeed === true ? 'topSpeed' : pps !== undefined ? 'pps' : bps !== undefined ? 'bps' : 'recorded',
      rate: pps ?? bps ?? speed ?? 1,
      loops: loop,
      shifts: this.#choice('late', ['catchUp', 'shift']) === 'shift',
      oversize: this.#choice('oversize', ['refuse', 'truncate', 'skip']) as NativeReplayRequest['oversize'],
      memoryBytes: this.#number('memoryBytes', 1, Number.MAX_SAFE_INTEGER) ?? MEMORY_BYTES,
      rewrite,
      serverRewrite: own.serverRewrite === undefined ? rewrite : this.#edits('serverRewrite'),
      clients: this.#clients(),
    };
  }

  #clients(): Uint8Array[] {
    const { clients } = this.#own;
    if (clients === undefined) return [];
    const what = 'must be a list of addresses, networks or MAC addresses, all of one kind';
    if (!Array.isArray(clients)) throw this.#bad('clients', `${what}, not ${show(clients)}`);
    const ends: Uint8Array[] = [];
    const { length } = clients;
    for (let i = 0; i < length; i++) {
      const client: unknown = clients[i];
      const bytes = typeof client === 'string' ? (macBytes(client) ?? networkBytes(client)) : undefined;
      if (bytes === undefined) throw this.#bad('clients', `${what}: ${show(client)} is none`);
      ends.push(bytes);
    }
    if (ends.some((end) => (end.length === 6) !== (ends[0]!.length === 6))) throw this.#bad('clients', what);
    return ends;
  }

  #edits(name: string): NativeReplayRequest['rewrite'] {
    try {
      return editsOf(this.#own[name]);
    } catch (error) {
      if (error instanceof RewriteFault) throw this.#bad(name, error.message);
      throw this.#bad(name, 'cannot be read');
    }
  }

  #number(name: string, least: number, most: number, whole = true): number | undefined {
    const value = this.#own[name];
    if (value === undefined) return undefined;
    const fits = typeof value === 'number' && value >= least && value <= most && (!whole || Number.isInteger(value));
    if (fits) return value;
    throw this.#bad(name, `must be a ${whole ? 'whole ' : ''}number from ${least} to ${most}, not ${show(value)}`);
  }

  #choice(name: string, choices: readonly string[]): string {
    const value = this.#own[name] ?? choices[0];
    if (typeof value === 'string' && choices.includes(value)) return value;
    throw this.#bad(name, `must be ${choices.join(' or ')}, not ${show(value)}`);
  }

  #bad(name: string, what: string): CaptureError {
    return this.#error('RINGTAP_BAD_OPTION', `replay(): ${name} ${what}`);
  }

  #error(code: ErrorCode, message: string, fields: CaptureErrorFields = {}): CaptureError {
    const { uri = this.#uri } = fields;
    const isTold = uri === NO_URI && message.startsWith(NO_URI);
    return new CaptureError(code, isTold ? message : `${uri}: ${message}`, { ...fields, uri });
  }

  #call<T>(ask: () => T): T {
    try {
      return ask();
    } catch (error) {
      throw this.#wrap(error);
    }
  }

  /** What native code says of the trace does not name it; what it says of an interface names that. */
  #wrap(error: unknown, uri = this.#uri): unknown {
    const wrapped = wrapNative(error, undefined, uri);
    if (!(wrapped instanceof CaptureError) || /^[a-z]+:/.test(wrapped.message)) return wrapped;
    const { code, message, syscall, errno, hint } = wrapped;
    return this.#error(code, message, { uri, syscall, errno, hint });
  }
}

/** The way that an error is of: it names the interface. */
function uriOf(error: unknown, ways: readonly SessionTransmitter[]): string {
  const { message } = error as Error;
  const [, named] = /^([^:]+):/.exec(message) ?? [];
  return (ways.find(({ sender }) => named !== undefined && sender.uri.includes(named)) ?? ways[0]!).sender.uri;
}

function progressOf(native: NativeReplay, ways: readonly SessionTransmitter[]): ReplayProgress {
  const { kept, elapsedNs, plannedNs, late50Ns, late90Ns, late99Ns, lateMostNs, ...counts } = native.progress();
  return {
    ...counts,
    frames: kept,
    seconds: elapsedNs / 1e9,
    planned: plannedNs / 1e9,
    lateness: { p50: late50Ns, p90: late90Ns, p99: late99Ns, max: lateMostNs },
    transmitter: ways[0]!.stats(),
    server: ways[1]?.stats() ?? null,
  };
}
