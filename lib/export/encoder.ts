// The native encoder, and what of a FlowBatch it takes.
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import type { FlowBatch, FlowStats } from '../flow/index.js';
import type { EncodedMessages, ExportAccount, NativeExporter } from '../native/native.js';
import type { Counts } from './stats.js';

const SECOND = 1_000_000_000n;

/** Where the columns of a batch lie, how many records they have, and when. */
export function columnsOf(flows: FlowBatch): [ArrayBuffer, number, number, number, number] {
  const { id, length, epoch } = flows;
  if (!(id instanceof Float64Array) || !(id.buffer instanceof ArrayBuffer) || typeof epoch !== 'bigint') throw gone();
  // The memory begins with the ids, of which there is one for each record that it has room for.
  return [id.buffer, id.length, length, Number(epoch / SECOND), Number(epoch % SECOND)];
}

export function gone(): CaptureError {
  return new CaptureError('RINGTAP_BAD_OPTION', 'the memory of the columns was transferred away', {
    hint: 'Write a batch first, and transfer its memory then.',
  });
}

/** What lost records have counted. */
export interface Lost {
  packets: number;
  octets: number;
}

/** What the collector is told. */
export function accountOf(counts: Counts, lost: Lost, ignoredPackets: number): ExportAccount {
  return {
    messages: counts.messages,
    octets: counts.bytes,
    records: counts.sent,
    lostRecords: counts.lost,
    lostPackets: lost.packets,
    lostOctets: lost.octets,
    ignoredPackets,
  };
}

/** Packets that a meter has put into no flow. @throws CaptureError RINGTAP_BAD_OPTION */
export function ignoredOf(stats: FlowStats): number {
  try {
    const { packets, inFlows } = stats;
    if (Number.isFinite(packets) && Number.isFinite(inFlows)) return Math.max(0, packets - inFlows);
  } catch {
    // It cannot be looked at.
  }
  throw new CaptureError(
    'RINGTAP_BAD_OPTION',
    `account() takes what stats() of a FlowMeter gives, not ${show(stats)}`,
    {
      hint: 'Write exporter.account(meter.stats()).',
    },
  );
}

export function encode(native: NativeExporter, flows: FlowBatch): EncodedMessages {
  const made = native.encode(...columnsOf(flows), Date.now());
  if (made === undefined) throw gone();
  return made;
}

/** Numbers of records on one connection, or in one file: those in messages count from 0 until they are sent. */
export class Numbering {
  #next = 0;
  #next0 = 0;

  /** The messages as they are sent next. */
  number(made: EncodedMessages): Uint8Array {
    const view = new DataView(made.bytes);
    for (let at = 0; at + 16 <= view.byteLength; at += Math.max(16, view.getUint16(at + 2))) {
      const base = view.getUint32(at + 12) === 0 ? this.#next0 : this.#next;
      view.setUint32(at + 8, (base + view.getUint32(at + 8)) >>> 0);
    }
    this.#next = (this.#next + made.next) >>> 0;
    this.#next0 = (this.#next0 + made.next0) >>> 0;
    return new Uint8Array(made.bytes);
  }
}
