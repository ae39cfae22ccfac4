// The addon as TypeScript sees it. The only file that loads it.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CaptureError, type CaptureErrorFields } from '../errors/errors.js';
import type { ErrorCode } from '../generated/errors.js';
import type { CaptureMode, DropCause, FilterPlacement, TimestampSource } from '../generated/vocabulary.js';

/** What `next()` returns instead of a packet count; native/addon/slots.cc has the same list. */
export const Rx = { again: -1, eof: -2, noBuffer: -3, error: -4, closed: -5, notice: -6 } as const;

/** What `append()` returns instead of a count; native/addon/writer.cc has the same list. */
export const Appended = { all: -1, released: -2 } as const;

/** What `drainTx()` ends for; native/addon/sending.h has the same list. */
export const Drained = { empty: 0, room: 1, nothingSent: 2, cancelled: 3 } as const;

/** What `decode()` returns instead of a packet count; native/addon/decode.cc has the same list. */
export const Undecoded = { released: -1, noColumns: -2 } as const;

export interface NativeStats {
  received: number;
  delivered: number;
  filtered: number;
  dropped: number;
  pending: number;
  joined: number;
  deliveredBytes: number;
  drops: Partial<Record<DropCause, number | null>>;
  details: Record<string, number | null>;
}

export interface NativeInfo {
  /** What `next()` knows the session by. */
  number: number;
  linkType: number;
  epochSeconds: number;
  epochNanos: number;
  snaplen: number;
  maxLeases: number;
  copies: boolean;
  mode: CaptureMode;
  timestamp: TimestampSource;
  notes: string[];
  filterWhere: FilterPlacement;
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
  /** What {@link Addon.wait} calls back. Held weakly until somebody waits. */
  onReady(callback: () => void): void;
  /** How many of the chosen packets were accepted from the `first`-th on, or {@link Appended.released}. */
  sendBatch(
    first: number,
    count: number,
    select: Uint32Array | Uint8Array | undefined,
    session: number,
    slot: number,
    generation: number,
    edits: NativeEdits | undefined,
  ): number;
  /** The same with packets in memory of JavaScript's own. */
  sendOwned(
    first: number,
    count: number,
    select: Uint32Array | Uint8Array | undefined,
    bytes: Uint8Array,
    offset: Uint32Array,
    caplen: Uint32Array,
    length: number,
    edits: NativeEdits | undefined,
  ): number;
  sendFrames(frames: readonly Uint8Array[], first: number, count: number): number;
  flushTx(): number;
  /** Whether `send()` would take a frame now. */
  hasRoomTx(): boolean;
  /** Sends what is queued on another thread, until {@link steerTx} is satisfied. One at a time. */
  drainTx(): Promise<number>;
  /** What `drainTx()` ends for, before nothing is queued: room for a frame, nothing sent for so long, or now. */
  steerTx(wantsRoom: boolean, patienceMs: number, cancelled: boolean): void;
  txStats(): {
    accepted: number;
    completed: number;
    queued: number;
    zeroCopy: number;
    failed: Record<'tooShort' | 'tooLong' | 'linkDown' | 'noBuffer' | 'malformed' | 'dropped' | 'ttl', number>;
  };
  /** Of packets that another host sends: the port that datagrams are awaited at (0: none) and the program to filter with. */
  remote(): { port: number; filter: Uint32Array } | undefined;
  /** Packets come over a connection to that port of the other host. */
  remoteConnect(port: number): Promise<void>;
  /** What was agreed on with the other host: the token has 8 bytes. Before the first packet is received. */
  remoteAgree(token: Uint8Array, datagramBytes: number, recovery: boolean): void;
  /** A descriptor, the caller's, that packets are written to as the daemon sends them; -1 where it is closed. */
  remotePipe(): number;
  /** A program for the other host, of another filter; undefined is none. */
  remoteCompile(filter: string | Uint32Array | undefined): Promise<Uint32Array>;
  /** Whether packets that the other host let pass are looked at here, too: not while it changes its filter. */
  remoteLook(on: boolean): void;
  /** The other host filters with what was compiled last from now on, and so do we. */
  remoteAdopt(): void;
  /** How many bytes of packets have come and were read by now; undefined: some wait to be read. */
  remoteArrived(): number | undefined;
  /** Changes the filter of a running capture. Of captures that can, and not the addon's: lib/rpcap puts it there. */
  changeFilter?(filter: string | Uint32Array | undefined): Promise<void>;
  /** What the other host has counted since the capture began there; `sent`: undefined where that is not the number of the
   * last packet. */
  remoteCounted(interfaceDropped: number, kernelDropped: number, sent: number | undefined): void;
  /** Before a close(), again and again: true once all that the other host had sent has come, or is known to be lost. */
  remoteSettle(): boolean;
  /** Nothing comes any more; once what has arrived was read, the capture fails with this. */
  remoteEnd(code: ErrorCode, message: string, hint: string): void;
  /** The same, and nothing is wrong: the capture ends as a trace does. */
  remoteFinish(): void;
  close(): Promise<void>;
}

/** What waits has a number, which {@link cancel} knows it by. */
/** What the addon has to know of packets that JavaScript owns. */
export type OwnedPackets = [
  linkType: number,
  epochSeconds: number,
  epochNanos: number,
  time: Float64Array,
  rest: Float64Array,
  offset: Uint32Array,
  caplen: Uint32Array,
  wirelen: Uint32Array,
  flags: Uint32Array,
  bytes: Uint8Array,
];

export interface NativeWriter {
  /** Settles when the file is open, or turned out to be a named pipe that nobody reads yet. */
  tried(number: number): Promise<void>;
  isOpen(): boolean;
  /**
   * Encodes what was selected of what the slot lends in this generation, from the `first`-th on: {@link Appended}, or how
   * many are taken by then. The selection is read and kept; null is the one before.
   */
  append(
    first: number,
    select: Uint32Array | Uint8Array | null | undefined,
    source: number,
    session: NativeSession,
    slot: number,
    generation: number,
  ): number;
  /** The same with packets in memory of JavaScript's own: a Batch that was copied. */
  appendCopy(
    first: number,
    select: Uint32Array | Uint8Array | null | undefined,
    source: number,
    length: number,
    ...packets: OwnedPackets
  ): number;
  /** Settles when `append()` may take more. */
  room(number: number): Promise<void>;
  /** Settles when all that was taken has reached the file. */
  flush(number: number): Promise<void>;
  close(number: number): Promise<void>;
  /** Counts of what an interface captures by now; `causes`: `ring=5`, one on each line. */
  ledger(source: number, received: number, dropped: number, causes: string): void;
  /** A remark about the next packet. */
  comment(text: string): void;
  /** A block in front of the packets that come: its type and body, as pcapng has them in this host's byte order. */
  block(type: number, body: Uint8Array): void;
  /** Whether some blocks of the traces that were read did not fit. */
  leavesBlocksOut(): boolean;
  /** Nobody waits for that any more: it resolves. */
  cancel(number: number): void;
  /** Closes, but waits for no reader any more. Returns at once. */
  giveUp(): void;
  stats(): { packets: number; bytes: number; queued: number; dropped: number; files: number; late: number };
  /** Whether somebody reads through it now: else it is the caller's to close. */
  attach(connection: NativeConnection): boolean;
  /** Why a reader has left, once one has; undefined: there will be none. Keeps no process alive. */
  left(): Promise<string | undefined>;
  /** How many there are. */
  readers(): number;
  /** Complete files that were not told yet, once there are any; none: there will be no more. Keeps no process alive. */
  files(): Promise<NativeFile[]>;
}

export interface NativeFile {
  path: string;
  packets: number;
  bytes: number;
  first?: bigint;
  last?: bigint;
}

/** A trace in memory that a thread sends. */
export interface NativeReplay {
  /** How many of the first `count` packets that the slot lends are kept, or {@link Appended.released}. */
  add(session: number, slot: number, generation: number, count: number): number;
  /** Settles when all was sent, it failed, or was stopped. */
  play(): Promise<void>;
  stop(): void;
  progress(): NativeProgress;
}

export interface NativeProgress {
  read: number;
  kept: number;
  skipped: number;
  truncated: number;
  cut: number;
  backwards: number;
  sent: number;
  bytes: number;
  unsent: number;
  loops: number;
  elapsedNs: number;
  plannedNs: number;
  late50Ns: number;
  late90Ns: number;
  late99Ns: number;
  lateMostNs: number;
}

/** MACs have 6 bytes, networks 5 or 17: an address and the number of its bits. */
export interface NativeEdits {
  srcMac: Uint8Array | undefined;
  dstMac: Uint8Array | undefined;
  vlan: 'push' | 'pop' | 'set' | undefined;
  vlanTci: number | undefined;
  /** By twos: what becomes what. */
  addresses: Uint8Array[];
  srcPort: number | undefined;
  dstPort: number | undefined;
  ttl: number | undefined;
  decrementTtl: boolean;
  dscp: number | undefined;
}

export interface NativeReplayRequest {
  pace: 'recorded' | 'pps' | 'bps' | 'topSpeed';
  rate: number;
  /** 0: for ever. */
  loops: number;
  shifts: boolean;
  oversize: 'refuse' | 'truncate' | 'skip';
  memoryBytes: number;
  rewrite: NativeEdits | undefined;
  serverRewrite: NativeEdits | undefined;
  clients: Uint8Array[];
}

/** What packets come from, as a pcapng trace describes it. */
export interface NativeInterface {
  name: string | undefined;
  description: string | undefined;
  filter: string | undefined;
  bitsPerSecond: number | undefined;
  linkType: number | undefined;
}

/** When one file of a trace is complete, and the next begins. */
export interface NativeRotation {
  bytes: number | undefined;
  packets: number | undefined;
  periodMs: number | undefined;
  intervalMs: number | undefined;
  files: number | undefined;
  stop: boolean;
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
  /** Where its bytes come from, instead of what the target names. */
  connection?: NativeConnection | undefined;
  batchSize: number;
  external: boolean;
}

/** A connection for native code to read from, or to write to. It owns its socket until something is opened with it. */
export interface NativeConnection {
  /** What comes behind so many of its bytes is another trace, from its header on. */
  cut(at: number): void;
  /** Why it ends, which whoever reads it fails with: before its bytes do. */
  end(message: string, hint: string): void;
  /** Nothing was opened with it. */
  close(): void;
}

/** Packets that leave for a client of the daemon. */
export interface NativeOutlet {
  /**
   * Chooses, numbers and encodes what the slot lends in this generation, from the `first`-th on: {@link Appended}, or how
   * many it is done with by then. Without `waits` what has no room is dropped. `since`, `until`: Unix times in ns.
   */
  put(
    session: number,
    slot: number,
    generation: number,
    first: number,
    waits: boolean,
    since: number | undefined,
    until: number | undefined,
    into: Uint8Array | undefined,
  ): number;
  /** How many bytes the last `put()` has written into its memory. */
  written(): number;
  /** False: the socket takes nothing now. */
  flush(): boolean;
  /** Whether `flush()` has something to send. */
  hasMore(): boolean;
  /** Hears what the client lacks, and sends it again. Whether it makes sense to call it again soon. */
  attend(): boolean;
  /** code, jt, jf, k of each instruction; none keeps all packets. */
  setFilter(program: Uint32Array): void;
  setSampling(method: number, value: number): void;
  /** Packets of these connections are left out: 40 bytes each, as native/serve/own_traffic.h has them. */
  setOwn(connections: Uint8Array): void;
  /** Ours, that datagrams leave from; 0: none do. */
  port(): number;
  stats(): NativeOutletStats;
  /** Its socket, and its memory. The others do nothing any more, but for `stats()`, which says what it said last. */
  close(): void;
}

/** Makes flows of packets. What counts records that wait is -1 where there was no such batch. */
export interface NativeMeter {
  /** `count`: of its packets, from the first one on. */
  add(session: number, slot: number, generation: number, count: number): number;
  addOwned(
    bytes: Uint8Array,
    offset: Uint32Array,
    caplen: Uint32Array,
    wirelen: Uint32Array,
    flags: Uint32Array,
    vlan: Uint16Array,
    time: Float64Array,
    rest: Float64Array,
    tunnel: Uint32Array,
    queue: Uint16Array,
    linkType: number,
    count: number,
    epochSeconds: number,
    epochNanos: number,
  ): number;
  advance(seconds: number, nanos: number): number;
  flush(): number;
  /**
   * Moves records into columns for `capacity` of them, and what both ends of each have sent first into `beginnings`, with
   * the length in a byte before each.
   */
  drain(memory: ArrayBuffer, capacity: number, beginnings: Uint8Array): number;
  stats(): NativeFlowStats;
  /** Bytes that `takeEvents()` gives; 0: none wait. */
  nextEvents(): number;
  /** Moves lines of JSON into memory for as many bytes. How many lines, or -2: it is too small. */
  takeEvents(into: Uint8Array): number;
}

export interface NativeFlowStats {
  packets: number;
  inFlows: number;
  sampledOut: number;
  withoutMemory: number;
  withoutPorts: number;
  icmpAttributed: number;
  icmpStrange: number;
  withoutFlow: number[];
  created: number;
  quiet: number;
  records: number[];
  active: number;
  waiting: number;
  lost: number;
  bytes: number;
  /** made, waiting, lost, withheld, withoutMemory, givenUp, gaps, gapBytes, withoutFields, memoryBytes; none where no protocol is on. */
  events?: number[];
  epochSeconds: number;
  epochNanos: number;
}

/** What an exporter is opened with. */
export interface ExporterRequest {
  readonly protocol: 'ipfix' | 'netflow9';
  readonly biflow: boolean;
  readonly times: 'ms' | 'us' | 'ns';
  readonly enterprise: number;
  readonly domain: number;
  readonly messageBytes: number;
  readonly interfaceIndex: number;
  readonly interfaceName: string;
  readonly interfaceDescription: string;
  readonly samplePackets: number;
  readonly sampleFlows: number;
  /** Messages leave as datagrams, and are not given to the caller. Addresses in numbers. */
  readonly datagrams?: { local: string; peer: string; port: number; bufferBytes: number } | undefined;
}

/** What the collector is told of the exporter. With datagrams the first three, and what these lost, are known natively. */
export interface ExportAccount {
  readonly messages: number;
  readonly octets: number;
  readonly records: number;
  readonly lostRecords: number;
  readonly lostPackets: number;
  readonly lostOctets: number;
  readonly ignoredPackets: number;
}

/** Messages one after the other. Numbers of records in their headers count from 0: that of each domain, and what comes next. */
export interface EncodedMessages {
  readonly bytes: ArrayBuffer;
  readonly messages: number;
  readonly records: number;
  readonly packets: number;
  readonly octets: number;
  readonly next: number;
  /** Of domain 0. */
  readonly next0: number;
}

/** Makes messages of flow records. */
export interface NativeExporter {
  encode(
    memory: ArrayBuffer,
    capacity: number,
    count: number,
    epochSeconds: number,
    epochNanos: number,
    nowMs: number,
  ): EncodedMessages | undefined;
  announce(nowMs: number, account: ExportAccount): EncodedMessages;
  withdraw(nowMs: number): EncodedMessages;
  /** How many messages wait for the socket; negative where the memory was transferred away. */
  send(
    memory: ArrayBuffer,
    capacity: number,
    count: number,
    epochSeconds: number,
    epochNanos: number,
    nowMs: number,
    account: ExportAccount | undefined,
  ): number;
  flush(): number;
  drop(): void;
  /** That, and lets the socket go. */
  close(): void;
  stats(): {
    messages: number;
    octets: number;
    records: number;
    refusedRecords: number;
    droppedRecords: number;
    waitingRecords: number;
    refusals: number;
    errno: number;
  };
}

export interface NativeOutletStats {
  looked: number;
  outside: number;
  filtered: number;
  /** Of the daemon's own connections. */
  own: number;
  sampled: number;
  damaged: number;
  sent: number;
  dropped: number;
  lost: number;
  datagrams: number;
  bytes: number;
  /** Datagrams that were sent again. */
  again: number;
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
  /** Not on every platform. */
  /** Sources that share a target's packets, opened and not started. Not on every platform. */
  openShares?(request: OpenRequest & { shares: number; hash: string }): Promise<NativeShares>;
  /** The reader of a share, in whatever thread; one at a time. */
  attachShare?(set: number, share: number): NativeSession;
  /** Processor time that this thread has used, in ms. */
  threadCpu?(): number;
  /** Those that this thread may run on. */
  cpus?(): number[];
  /** This thread runs on these processors; false where it may not. */
  pin?(cpus: readonly number[]): boolean;
  openInline?(request: {
    interfaces: readonly string[];
    method: 'afpacket' | 'afxdp';
    ingress?: NativeWriter | number;
    egress?: NativeWriter | number;
    inline?: NativeWriter | number;
  }): NativeInline;
  open(request: OpenRequest): Promise<NativeSession>;
  /** Nobody waits for that open() any more: it rejects, or has opened by then. */
  cancel(number: number): void;
  /** The process is about to end: gives up what is being opened, and waits for what is at work. */
  exiting(): void;
  /** The packet count of the next batch, received into the slot, or one of {@link Rx}; blocks for up to `waitMs` first.
   * `goesOn`: the caller will wait on, so that what is gathering need not be given yet. */
  next(session: number, slot: number, waitMs?: number, goesOn?: boolean): number;
  /** Calls back once, as {@link NativeSession.onReady} says, when there may be packets; never after the session was closed. */
  wait(session: number): void;
  /** False: all frames are under way. Undefined: the session was closed. */
  send(session: number, frame: Uint8Array): boolean | undefined;
  /** The packets decoded of what the slot lends in this generation, or one of {@link Undecoded}. */
  decode(session: number, slot: number, generation: number, columns: ArrayBuffer, capacity: number): number;
  /** The same with packets in memory of JavaScript's own. */
  decodeOwned(
    bytes: Uint8Array,
    offset: Uint32Array,
    caplen: Uint32Array,
    wirelen: Uint32Array,
    flags: Uint32Array,
    vlan: Uint16Array,
    linkType: number,
    count: number,
    columns: ArrayBuffer,
    capacity: number,
  ): number;
  openMeter(options: object): NativeMeter;
  openExporter(request: ExporterRequest): NativeExporter;
  /** Plays through the sending side of a session, or of two: what clients send, and what servers do. */
  openReplay(request: NativeReplayRequest, ...sessions: number[]): NativeReplay;
  /** Bytes that were written; negative where the memory was transferred away. `form`: 0 JSON, 1 CSV, 2 protobuf. */
  flowLines(
    memory: ArrayBuffer,
    capacity: number,
    from: number,
    count: number,
    epochSeconds: number,
    epochNanos: number,
    form: number,
    into: Uint8Array,
  ): number;
  openWriter(request: {
    path: string;
    format: string;
    linkType: number | undefined;
    snaplen: number;
    nanosecond: boolean;
    delayMs: number;
    application: string;
    comment: string | undefined;
    compression: { method: string; level: number; sections: string } | undefined;
    hardware: string;
    os: string;
    interfaces: readonly NativeInterface[];
    latenessMs: number;
    packetDetails: boolean;
    keepBlocks: boolean;
    keepResolution: boolean;
    overwrite: boolean;
    sync: boolean;
    rotate: NativeRotation | undefined;
    direct: boolean;
    preallocateBytes: number | undefined;
    queueBytes: number;
    drops: boolean;
    /** Those who read it through connections, instead of a file. `comesBack`: who has left may come again. */
    readers?: { listens: boolean; comesBack: boolean };
  }): NativeWriter;
  /** Not on every platform. */
  openOutlet?(request: {
    datagrams: boolean;
    local: string;
    peer: string;
    port: number;
    datagramBytes: number;
    bufferBytes: number;
    snaplen: number;
    /** Of datagrams that may be sent again; 0: none are. */
    againBytes: number;
    /** 8 bytes, known to both. */
    token: Uint8Array;
    /** Datagrams are compressed together. */
    trains: boolean;
  }): NativeOutlet;
  /** The whole process is this user from now on, with the rights that capturing takes and no others. */
  becomeUser?(name: string): void;
  probe(backend: string): Promise<NativeProbe>;
  devices(backend: string): Promise<NativeDevice[]>;
  /** An Error where it cannot be made. */
  indexTrace(path: string): Promise<{ path: string; packets: number; sections: number } | Error>;
  /** The addresses of a host, in numbers and in the order in which to try them. */
  lookup(name: string): Promise<string[]>;
  /** The connection of a socket that is about to be closed here; undefined where the descriptor is no socket's. */
  adopt(fd: number): NativeConnection | undefined;
  /**
   * Writes all bytes into an open file, from the position on; below 0: behind what was written last. They are copied; the
   * descriptor has to stay open until it settles.
   */
  writeFile(fd: number, bytes: Uint8Array, position: number): Promise<void>;
  /** Makes an open file this descriptor's alone until it is unlocked; throws where somebody else writes it. */
  lockFile(fd: number, path: string): void;
  unlockFile(fd: number): void;
  /** Two ends of a new connection, of which the second one is the caller's to close. */
  pair(): [NativeConnection, number];
}

/** A side of a rule: addresses are 4 or 16 bytes. */
export interface NativeInlineSide {
  port: number;
  peer: Uint8Array;
  own: Uint8Array;
  /** Of the network of `own`; 0: there is none. */
  ownBits: number;
  gateway?: Uint8Array;
}

export interface NativeInlineRule {
  name: string;
  kind: string;
  sides: [NativeInlineSide, NativeInlineSide];
  /** Of the network that `sides[0].peer` is, where there are many. */
  clientBits: number;
  nat?: NativeInlineNat;
}

/** Bounds of a table. Times: established, transitory, closing, UDP, ICMP. */
export interface NativeInlineNat {
  ports: Uint32Array;
  entries: number;
  perClient: number;
  timeoutsMs: Float64Array;
}

export interface NativeInlineStats {
  rules: {
    name: string;
    directions: [NativeInlineDirection, NativeInlineDirection];
    nat?: { entries: number; clients: number; created: number; expired: number };
  }[];
  /** Since the thread has looked up. */
  silentMs: number;
  interfaces: {
    name: string;
    frames: number;
    missed: number;
    matched: number;
    unmatched: number;
    answered: number;
    asked: number;
    conflicts: number;
    downs: number;
  }[];
}

export interface NativeInlineDirection {
  ingress: number;
  ingressBytes: number;
  egress: number;
  egressBytes: number;
  waiting: number;
  fragments: number;
  errors: number;
  drops: Record<string, number>;
}

/** A forwarder. What is pending when it is closed resolves. */
export interface NativeInline {
  set(rules: readonly NativeInlineRule[]): Promise<void>;
  probe(places: readonly { port: number; address: Uint8Array }[]): Promise<{ index: number; mac: string } | undefined>;
  /** Of a tap that was asked for by a number of bytes; once. */
  tap(name: string, uri: string): NativeSession | undefined;
  /** Undefined once it is closed. */
  stats(): NativeInlineStats | undefined;
  /** Nothing is forwarded any more; what was counted stays. */
  stop(): void;
  close(): void;
}

/** Sources that share a target's packets. */
export interface NativeShares {
  /** `number` is what {@link Addon.attachShare} takes; there are no segments. */
  info(): NativeInfo & { shares: number; method: string; hash: string };
  start(): Promise<void>;
  /** Also once it is closed. */
  stats(): { total: NativeStats; shares: NativeStats[]; orphans: number };
  /** Nobody will read that share any more. */
  giveUp(share: number): void;
  close(): Promise<void>;
}

let loaded: Addon | undefined;

/** The addon, loaded at the first call: importing ringtap never fails. */
export function addon(): Addon {
  if (loaded === undefined) {
    loaded = load();
    process.on('exit', loaded.exiting);
  }
  return loaded;
}

function load(): Addon {
  const { bun, deno } = process.versions as Record<string, string | undefined>;
  if (bun !== undefined || deno !== undefined) {
    throw missing(`it is made for Node.js, and this is ${bun === undefined ? `Deno ${deno}` : `Bun ${bun}`}`, {
      hint: 'Run the program with Node.js 20.19 or newer.',
    });
  }
  const root = packageRoot();
  if (root === undefined) {
    throw missing('this program was bundled, and the addon is no part of the bundle', {
      hint: 'Leave ringtap out of the bundle (esbuild --external:ringtap) and install it beside.',
    });
  }
  const require = createRequire(import.meta.url);
  const development = join(root, 'build/addon/Release/ringtap.node');
  try {
    if (existsSync(development)) return require(development) as Addon;
    return installed(require, root);
  } catch (cause) {
    throw missing(cause instanceof Error ? cause.message.split('\n')[0]! : String(cause), { cause });
  }
}

/** What was built here, or the prebuilt one that fits. */
function installed(require: NodeJS.Require, root: string): Addon {
  try {
    return (require('node-gyp-build') as (directory: string) => Addon)(root);
  } catch (cause) {
    // It takes every Linux but Alpine for one with glibc.
    const musl = join(root, `prebuilds/${process.platform}-${process.arch}/ringtap.musl.node`);
    try {
      return require(musl) as Addon;
    } catch {
      throw cause;
    }
  }
}

/** Where the package lies; undefined where its code was taken elsewhere, as bundlers do. */
function packageRoot(): string | undefined {
  try {
    const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
    const { name } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { name?: unknown };
    return name === 'ringtap' ? root : undefined;
  } catch {
    return undefined; // in a CommonJS bundle there is not even a URL
  }
}

function missing(reason: string, fields: CaptureErrorFields): CaptureError {
  return new CaptureError('RINGTAP_ADDON_MISSING', `the native addon cannot be loaded: ${reason}`, fields);
}
