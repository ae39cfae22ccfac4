// What there is to say of a trace, from its packets.
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { CaptureError } from '../../errors/errors.js';
import { linkTypeName } from '../../generated/link_types.js';
import type { Batch, OpenOptions, PacketFlags } from '../../index.js';
import { open } from '../../open.js';
import { bytesOf, statOf, tracesUri } from './inputs.js';
import { type Described, describePcapng } from './pcapng.js';
import { Progress } from './progress.js';

/** WHY not from there at run time: `info` would load all of the library for one number. */
const TIME_INEXACT: (typeof PacketFlags)['timeInexact'] = 8;

export interface LinkTypeCount {
  readonly linkType: number;
  readonly name: string;
  readonly packets: number;
}

/** The keys in JSON are fixed. Times are ns since 1970 as text, as a number would round them. */
export interface TraceFacts {
  readonly file: string;
  readonly format: string;
  readonly fileBytes: number | null;
  readonly packets: number;
  /** On the wire. */
  readonly bytes: number;
  readonly capturedBytes: number;
  /** The most bytes of a packet, by the header of the trace. */
  readonly snaplen: number;
  readonly firstNs: string | null;
  readonly lastNs: string | null;
  readonly durationSeconds: number | null;
  readonly pps: number | null;
  readonly bps: number | null;
  readonly averageBytes: number | null;
  readonly linkTypes: readonly LinkTypeCount[];
  /** Whether no packet is earlier than the one before it, and how many are. */
  readonly inOrder: boolean;
  readonly disordered: number;
  /** The longest time between a packet and the one before it. */
  readonly longestGapSeconds: number | null;
  readonly longestGapAt: string | null;
  readonly cutPackets: number;
  /** Of pcapng files only that are not compressed. */
  readonly pcapng: Described | null;
  readonly sha256?: string;
  readonly sha1?: string;
  /** What ended it early: the packets before it are counted. */
  readonly error?: { readonly code: string; readonly message: string };
}

/** Counts packets: a loop over numbers, without an object for each. */
class Counter {
  packets = 0;
  bytes = 0;
  captured = 0;
  cut = 0;
  disordered = 0;
  readonly linkTypes = new Map<number, number>();
  #epoch = 0n;
  #first = Number.POSITIVE_INFINITY;
  #last = Number.NEGATIVE_INFINITY;
  #before = Number.NaN;
  #gap = -1;
  #gapAt = 0;
  /** Times that are no exact numbers of ns after the epoch. */
  #far: { first: bigint; last: bigint; before: bigint; gap: bigint; gapAt: bigint } | undefined;

  add(batch: Batch): void {
    const { length, caplen, wirelen, time, flags } = batch;
    this.#epoch = batch.epoch;
    let [bytes, captured, cut, disordered, any] = [0, 0, 0, 0, 0];
    let [first, last, before, gap, gapAt] = [this.#first, this.#last, this.#before, this.#gap, this.#gapAt];
    // WHY so: the loop is most of what a long trace costs, and in order and without a longer gap little is to be done.
    if (length > 0 && Number.isNaN(before)) first = last = time[0]!;
    for (let i = 0; i < length; i++) {
      const wire = wirelen[i]!;
      const kept = caplen[i]!;
      bytes += wire;
      captured += kept;
      if (kept < wire) cut++;
      any |= flags[i]!;
      const at = time[i]!;
      const step = at - before;
      if (step < 0) {
        disordered++;
        if (before > last) last = before;
        if (at < first) first = at;
      } else if (step > gap) {
        gap = step;
        gapAt = at;
      }
      before = at;
    }
    if (before > last) last = before;
    this.bytes += bytes;
    this.captured += captured;
    this.cut += cut;
    this.packets += length;
    this.linkTypes.set(batch.linkType, (this.linkTypes.get(batch.linkType) ?? 0) + length);
    if (this.#far !== undefined || (any & TIME_INEXACT) !== 0) {
      this.#addFar(batch);
      return;
    }
    this.disordered += disordered;
    [this.#first, this.#last, this.#before, this.#gap, this.#gapAt] = [first, last, before, gap, gapAt];
  }

  /** The same, exactly. */
  #addFar(batch: Batch): void {
    const known = this.#far ?? this.#times();
    let far = known;
    for (let i = 0; i < batch.length; i++) {
      const at = batch.timeNs(i);
      if (far === undefined) {
        far = { first: at, last: at, before: at, gap: -1n, gapAt: at };
        continue;
      }
      if (at < far.first) far.first = at;
      if (at > far.last) far.last = at;
      const step = at - far.before;
      if (step < 0n) this.disordered++;
      if (step > far.gap) Object.assign(far, { gap: step, gapAt: at });
      far.before = at;
    }
    this.#far = far;
  }

  #times() {
    if (Number.isNaN(this.#before)) return undefined;
    const exact = (at: number) => this.#epoch + BigInt(at);
    return {
      first: exact(this.#first),
      last: exact(this.#last),
      before: exact(this.#before),
      gap: BigInt(this.#gap),
      gapAt: exact(this.#gapAt),
    };
  }

  times() {
    return this.#far ?? this.#times();
  }
}

const seconds = (ns: bigint) => Number(ns / 1_000_000_000n) + Number(ns % 1_000_000_000n) / 1e9;

/** Reads a trace to its end, or to its damage. @throws what keeps it from being opened */
export async function factsOf(
  file: string,
  withHashes: boolean,
  range: { from?: string; to?: string } = {},
): Promise<TraceFacts> {
  await using capture = await open(tracesUri([file]), { batchSize: 4096, ...range } as OpenOptions);
  const stats = statOf(file);
  const fileBytes = stats?.isFile() ? stats.size : null;
  const counter = new Counter();
  const progress = new Progress(bytesOf([file], capture.plan));
  let damage: CaptureError | undefined;
  try {
    for await (const batch of capture) {
      progress.add(batch);
      counter.add(batch);
    }
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error;
    damage = error;
  } finally {
    progress.end();
  }
  const times = counter.times();
  const span = times === undefined ? 0 : seconds(times.last - times.first);
  const { packets, bytes } = counter;
  const { notes } = capture.plan;
  const format = notes.join('; ');
  // Its blocks are looked for in the file as it is.
  const isPlain = !notes.some((note) => note.startsWith('compressed with'));
  return {
    file,
    format,
    fileBytes,
    packets,
    bytes,
    capturedBytes: counter.captured,
    snaplen: capture.plan.snaplen,
    firstNs: times === undefined ? null : String(times.first),
    lastNs: times === undefined ? null : String(times.last),
    durationSeconds: times === undefined ? null : span,
    pps: span > 0 ? packets / span : null,
    bps: span > 0 ? (bytes * 8) / span : null,
    averageBytes: packets > 0 ? bytes / packets : null,
    linkTypes: [...counter.linkTypes].map(([linkType, count]) => ({
      linkType,
      name: linkTypeName(linkType),
      packets: count,
    })),
    inOrder: counter.disordered === 0,
    disordered: counter.disordered,
    longestGapSeconds: times === undefined || times.gap < 0n ? null : seconds(times.gap),
    longestGapAt: times === undefined || times.gap < 0n ? null : String(times.gapAt),
    cutPackets: counter.cut,
    pcapng: isPlain && fileBytes !== null && format.startsWith('pcapng') ? describePcapng(file) : null,
    ...(withHashes && fileBytes !== null ? hashesOf(file) : {}),
    ...(damage === undefined ? {} : { error: { code: damage.code, message: damage.message } }),
  };
}

function hashesOf(file: string): { sha256: string; sha1: string } {
  const [sha256, sha1] = [createHash('sha256'), createHash('sha1')];
  const piece = Buffer.alloc(1 << 20);
  const fd = openSync(file, 'r');
  try {
    for (let n = readSync(fd, piece); n > 0; n = readSync(fd, piece)) {
      sha256.update(piece.subarray(0, n));
      sha1.update(piece.subarray(0, n));
    }
  } finally {
    closeSync(fd);
  }
  return { sha256: sha256.digest('hex'), sha1: sha1.digest('hex') };
}
