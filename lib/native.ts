// The addon as TypeScript sees it. The only file that loads it.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CaptureError } from './errors.js';

/** What `next()` returns instead of a packet count; native/addon/session.cc has the same list. */
export const Rx = { again: -1, eof: -2, noBuffer: -3, interrupted: -4, error: -5, closed: -6, notice: -7 } as const;

export interface NativeStats {
  received: number;
  delivered: number;
  filtered: number;
  dropped: number;
  pending: number;
  joined: number;
  deliveredBytes: number;
  drops: Record<string, number | undefined>;
  details: Record<string, number | undefined>;
}

export interface NativeInfo {
  /** What `next()` knows the session by. */
  number: number;
  linkType: number;
  epochSeconds: number;
  epochNanos: number;
  snaplen: number;
  maxLeases: number;
  mode: string;
  timestamp: string;
  notes: string[];
  filterWhere: string;
  filterReason: string;
  readiness: 'fd' | 'poll' | 'always';
  external: boolean;
  transmits: boolean;
  batchSize: number;
  segments: ArrayBuffer[];
}

export interface NativeSession {
  info(): NativeInfo;
  addSlot(): ArrayBuffer;
  copied(slot: number): ArrayBuffer;
  /** Memory that was added after the capture was opened. */
  segment(index: number): ArrayBuffer;
  release(slot: number): void;
  stats(): NativeStats;
  error(): Error;
  setRef(ref: boolean): void;
  send(frame: Uint8Array): boolean;
  flushTx(): number;
  txStats(): { sent: number; queued: number; failed: number };
  close(): Promise<void>;
}

export interface NativeWriter {
  /** Encodes packets [first, end); the index of the first one that found no room. */
  append(session: NativeSession, slot: number, first: number, end: number): number;
  /** Whether a full buffer waits to be written. */
  ready(): boolean;
  drain(flush: boolean): Promise<void>;
  stats(): { packets: number; bytes: number };
  close(received?: number, dropped?: number): Promise<void>;
}

/** What a session is for: only `capture` touches traffic. */
export type Purpose = 'capture' | 'explain' | 'transmit';

export interface OpenRequest {
  /** What {@link Addon.cancel} knows it by. */
  number: number;
  backend: string;
  uri: string;
  target: string;
  options: Record<string, unknown>;
  filter: string | Uint32Array | undefined;
  purpose: Purpose;
  batchSize: number;
  external: boolean;
}

export interface NativeProbe {
  available: boolean;
  detail: string;
  error?: Error;
}

export interface NativeDevice {
  target: string;
  description: string;
  up: boolean;
  loopback: boolean;
}

export interface Addon {
  open(request: OpenRequest): Promise<NativeSession>;
  /** Ends an open() that waits for others, such as the writer of a pipe. */
  cancel(number: number): void;
  /** The packet count of the next batch, received into the slot, or one of {@link Rx}; blocks for up to `waitMs` first. */
  next(session: number, slot: number, waitMs?: number): number;
  /** Calls back once when there may be packets; never after the session was closed. */
  wait(session: number, callback: () => void): void;
  openWriter(request: {
    path: string;
    format: string;
    linkType: number;
    snaplen: number;
    application: string;
  }): NativeWriter;
  probe(backend: string): NativeProbe;
  devices(backend: string): NativeDevice[];
}

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
let loaded: Addon | undefined;

/** The addon, loaded at the first call: importing ringtap never fails. */
export function addon(): Addon {
  loaded ??= load();
  return loaded;
}

function load(): Addon {
  const require = createRequire(import.meta.url);
  const development = join(root, 'build/addon/Release/ringtap.node');
  try {
    if (existsSync(development)) return require(development) as Addon;
    return (require('node-gyp-build') as (directory: string) => Addon)(root);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
    throw new CaptureError('RINGTAP_ADDON_MISSING', `the native addon cannot be loaded: ${reason}`, { cause });
  }
}
