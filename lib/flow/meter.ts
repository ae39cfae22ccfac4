import { types } from 'node:util';
import type { Batch } from '../capture/batch.js';
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { addon, type NativeMeter } from '../native/native.js';
import { EventBatch } from './event-batch.js';
import { FlowBatch } from './flow-batch.js';
import { checked, type FlowMeterOptions } from './options.js';
import { ENDS, type FlowEnd } from './record.js';

/** Records in a FlowBatch at most. */
const MOST_RECORDS = 4096;
const SECOND = 1_000_000_000n;

/** Why a packet is in no flow, in the order in which native code numbers them; the first is that it is in one. */
const CLASSES = ['flow', 'arp', 'mpls', 'pppoe', 'lldp', 'llc', 'other', 'unknownLink', 'malformed'] as const;

/**
 * What became of the packets and the flows; monotonic but for `active` and `waiting`. It balances:
 * `packets` = `inFlows` + `sampledOut` + `withoutMemory` + `malformed` + all of `notIp`,
 * `flows` = `active` + `quiet` + all of `records` but `active`, and all of `records` = drained + `waiting` + `lost`.
 */
export interface FlowStats {
  /** Packets that were given to {@link FlowMeter.add}. */
  readonly packets: number;
  /** Packets that were counted in a flow. */
  readonly inFlows: number;
  /** Packets without IP, by what they are. */
  readonly notIp: Readonly<Record<'arp' | 'mpls' | 'pppoe' | 'lldp' | 'llc' | 'other' | 'unknownLink', number>>;
  /** Packets without a header that says which flow they are of. */
  readonly malformed: number;
  /** Packets that sampling left out. */
  readonly sampledOut: number;
  /** Packets whose flow there was no memory for. */
  readonly withoutMemory: number;
  /** Packets in flows whose ports were not there, because the packet was cut or is a fragment whose first one was not seen. */
  readonly withoutPorts: number;
  /** Number of ICMP errors about a flow that was open, and about none. */
  readonly icmpErrors: { readonly attributed: number; readonly strange: number };
  /** Number of flows that were ever opened. */
  readonly flows: number;
  /** Number of flows that are open. */
  readonly active: number;
  /** Number of flows that ended without a packet since their last record. */
  readonly quiet: number;
  /** Number of records by why they were made. */
  readonly records: Readonly<Record<FlowEnd, number>>;
  /** Number of records that {@link FlowMeter.drain} would give now. */
  readonly waiting: number;
  /** Number of records that there was no room for (`maxRecords`), or no memory, because nobody drained. */
  readonly lost: number;
  /** Memory that flows take, in bytes; records that wait are not in it. */
  readonly memoryBytes: number;
  /** What became of what protocols have said; all is 0 where no protocol is on. */
  readonly events: EventStats;
}

/** What became of what protocols have said; monotonic but for `waiting` and `memoryBytes`. */
export interface EventStats {
  /** Number of events that were made. */
  readonly made: number;
  /** Number of events that {@link FlowMeter.events} would give now. */
  readonly waiting: number;
  /** Number of events that were lost, because 64 MiB of them waited already. */
  readonly lost: number;
  /** Number of events that were not made, because there were more than 1000 of their flow in a second, or more HTTP requests without a response than 128; the next one tells. */
  readonly withheld: number;
  /** Packets that were not looked into, because there was no memory: 256 MiB are for all flows together. */
  readonly withoutMemory: number;
  /** Number of flows that could not be followed to their end: a gap in TCP, or a message that is larger than any should be, or has a length that is none. */
  readonly givenUp: number;
  /** Number of gaps in TCP streams. */
  readonly gaps: number;
  /** Bytes that are missing there. */
  readonly gapBytes: number;
  /** Number of events of HTTP 2 without header fields, because there is no libnghttp2: neither does this Node bring it, nor the system. */
  readonly withoutFields: number;
  /** Memory that is kept of flows, in bytes; events that wait are not in it. */
  readonly memoryBytes: number;
}

/** In the order in which native code numbers them. */
const EVENT_STATS = [
  ...([
    'made',
    'waiting',
    'lost',
    'withheld',
    'withoutMemory',
    'givenUp',
    'gaps',
    'gapBytes',
    'withoutFields',
    'memoryBytes',
  ] as const),
] satisfies (keyof EventStats)[];

/**
 * Makes flows of packets: a native table that batches go into, and records that come out. JavaScript sees records only.
 *
 * A flow is what has the same addresses, ports and protocol in either direction, and the same VLANs and tunnel. Its source is
 * who began: who sent SYN, or else the first packet. Fragments are of the flow of their datagram; an ICMP error is told to the
 * flow that it quotes, and counted in one of its own. Times are those of the packets: a flow ends when a later packet, of
 * whichever flow, or {@link advance} says so, at most 0.6 s after its timeout. Nothing in a packet can harm it.
 *
 * Records wait until they are drained: drain after each batch, or every few. Beyond `maxRecords` new ones are lost.
 * @example
 * const meter = new FlowMeter({ idleTimeoutMs: 30_000 });
 * for await (const batch of capture) {
 *   meter.add(batch);
 *   for (const flows of meter.drain()) console.log(`${flows.length} flows have ended`);
 * }
 * meter.flush();
 * for (const flows of meter.drain()) {
 *   for (let i = 0; i < flows.length; i++) console.log(flows.src(i), flows.dst(i), flows.packetsToServer[i]);
 * }
 * console.log(meter.stats().records);
 */
export class FlowMeter {
  readonly #native: NativeMeter;
  readonly #payloadBytes: number;

  /**
   * Opens a meter without flows.
   * @param options timeouts, room, and what tells flows apart
   * @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION, RINGTAP_NO_MEMORY (address space for `maxFlows`),
   * RINGTAP_ADDON_MISSING
   */
  constructor(options: FlowMeterOptions = {}) {
    const own = checked(options);
    this.#native = addon().openMeter(own);
    this.#payloadBytes = own.payloadBytes;
  }

  /**
   * Counts the packets of a batch, lent or an owned copy, in their flows: at the speed of C, with one call a batch. The batch
   * is not changed, and stays lent.
   * @param batch valid, that is not released
   * @param packets how many packets of it, from the first one on; all by default
   * @returns how many records wait to be drained
   * @throws CaptureError RINGTAP_RELEASED (the batch was released), RINGTAP_BAD_OPTION (no batch, or no number of packets)
   */
  add(batch: Batch, packets?: number): number {
    const seen = seenOf(batch);
    if (packets !== undefined && !(Number.isInteger(packets) && packets >= 0)) {
      throw bad(`FlowMeter.add() takes a whole number of packets, not ${show(packets)}`);
    }
    if (seen.length === 0) throw released();
    const count = Math.min(seen.length, packets ?? seen.length);
    const waiting =
      seen.sessionNumber === undefined
        ? this.#addOwned(seen, count)
        : this.#native.add(seen.sessionNumber, seen.slot, seen.lease, count);
    if (waiting < 0) throw released();
    return waiting;
  }

  /**
   * Says that it is so late by now, so that flows end although no packet comes: for live captures, from a timer, once a second.
   * @param ns since 1970, as `batch.timeNs()` has it; by default the clock of this host. Not for traces, whose time is past.
   * @returns how many records wait to be drained
   * @throws CaptureError RINGTAP_BAD_OPTION when it is no bigint of 64 bits
   * @example
   * const meter = new FlowMeter();
   * meter.add(batch);
   * meter.advance(batch.timeNs(0) + 60_000_000_000n);
   * console.log(meter.stats().active); // 0
   */
  advance(ns?: bigint): number {
    const at = ns === undefined ? BigInt(Date.now()) * 1_000_000n : ns;
    if (typeof at !== 'bigint') throw bad(`advance() takes ns since 1970 as a bigint, not ${show(ns)}`);
    if (BigInt.asIntN(64, at) !== at) throw bad('advance() takes ns since 1970 of 64 bits, and these are more');
    return this.#native.advance(Number(at / SECOND), Number(at % SECOND));
  }

  /**
   * Ends all flows: at the end of a capture.
   * @returns how many records wait to be drained
   * @throws nothing
   */
  flush(): number {
    return this.#native.flush();
  }

  /**
   * The records that wait, oldest first, in batches of up to 4096: each step takes one, which is the caller's.
   * @throws nothing
   */
  *drain(): IterableIterator<FlowBatch> {
    for (;;) {
      const { waiting, epochSeconds, epochNanos } = this.#native.stats();
      if (waiting === 0) return;
      const flows = new FlowBatch({
        capacity: Math.min(waiting, MOST_RECORDS),
        epoch: BigInt(epochSeconds) * SECOND + BigInt(epochNanos),
        payloadBytes: this.#payloadBytes,
        fill: (memory, capacity, beginnings) => this.#native.drain(memory, capacity, beginnings),
      });
      if (flows.length <= 0) return;
      yield flows;
    }
  }

  /**
   * What protocols in the flows have said since the last call, oldest first, where `protocols` are on: objects that are made
   * when they are looked at, or lines of JSON. They are the caller's.
   * @throws nothing
   * @example
   * const meter = new FlowMeter({ protocols: ['dns', 'tls'] });
   * meter.add(batch);
   * for (const event of meter.events()) {
   *   if (event.event_type === 'dns') console.log(event.src_ip, event.dns.queries?.[0]?.rrname, event.dns.rcode);
   * }
   * console.log(meter.stats().events.made);
   */
  events(): EventBatch {
    const parts: { lines: number; text: Uint8Array }[] = [];
    for (let bytes = this.#native.nextEvents(); bytes > 0; bytes = this.#native.nextEvents()) {
      const text = new Uint8Array(bytes);
      parts.push({ text, lines: this.#native.takeEvents(text) });
    }
    return new EventBatch(parts);
  }

  /**
   * What became of the packets and flows so far.
   * @throws nothing
   * @example
   * const meter = new FlowMeter();
   * meter.add(batch);
   * const { packets, inFlows, malformed } = meter.stats();
   * console.log(packets, inFlows, malformed);
   */
  stats(): FlowStats {
    const stats = this.#native.stats();
    const {
      malformed,
      flow: _,
      ...notIp
    } = Object.fromEntries(CLASSES.map((name, i) => [name, stats.withoutFlow[i]!])) as Record<
      (typeof CLASSES)[number],
      number
    >;
    return {
      packets: stats.packets,
      inFlows: stats.inFlows,
      notIp,
      malformed,
      sampledOut: stats.sampledOut,
      withoutMemory: stats.withoutMemory,
      withoutPorts: stats.withoutPorts,
      icmpErrors: { attributed: stats.icmpAttributed, strange: stats.icmpStrange },
      flows: stats.created,
      active: stats.active,
      quiet: stats.quiet,
      records: Object.fromEntries(ENDS.map((name, i) => [name, stats.records[i]!])) as Record<FlowEnd, number>,
      waiting: stats.waiting,
      lost: stats.lost,
      memoryBytes: stats.bytes,
      events: Object.fromEntries(EVENT_STATS.map((name, i) => [name, stats.events?.[i] ?? 0])) as Record<
        keyof EventStats,
        number
      >,
    };
  }

  #addOwned(seen: Seen, count: number): number {
    const { bytes, offset, caplen, wirelen, flags, vlan, time, rest, tunnel, queue, linkType, epoch } = seen;
    const seconds = Number(epoch / SECOND);
    const nanos = Number(epoch % SECOND);
    const arrays = [bytes, offset, caplen, wirelen, flags, vlan, time, rest, tunnel, queue] as const;
    return this.#native.addOwned(...arrays, linkType, count, seconds, nanos);
  }
}

type Seen = ReturnType<typeof seenOf>;

/** What is to be known of a batch, each looked at once: it may be anything. */
function seenOf(batch: Batch) {
  try {
    const { offset, caplen, wirelen, flags, vlan, time, rest, tunnel, queue, bytes } = batch;
    const { length, linkType, sessionNumber, slot, lease, epoch } = batch;
    const isBatch = types.isUint32Array(offset) && types.isUint8Array(bytes) && types.isFloat64Array(time);
    if (isBatch && Number.isInteger(length) && typeof epoch === 'bigint') {
      const arrays = { bytes, offset, caplen, wirelen, flags, vlan, time, rest, tunnel, queue };
      return { ...arrays, length, linkType, sessionNumber, slot, lease, epoch };
    }
  } catch {
    // It cannot be looked at.
  }
  throw bad(`FlowMeter.add() takes a batch, not ${show(batch)}`);
}

function released(): CaptureError {
  return new CaptureError('RINGTAP_RELEASED', 'FlowMeter.add(): the batch was released');
}

function bad(message: string): CaptureError {
  const hint = 'docs/flows.md in the package tells what a FlowMeter takes.';
  return new CaptureError('RINGTAP_BAD_OPTION', message, { hint });
}
