// Records of flows as a table: the largest flows, or sums by what they have in common.
import type { FlowBatch } from '../flow/index.js';
import { integer, scaled } from './format.js';

export const TOPS = ['src', 'dst', 'pair', 'port'] as const;
export type Top = (typeof TOPS)[number];

/** Rows of a table. */
export const ROWS = 20;

const PROTOCOLS: Readonly<Record<number, string>> = {
  1: 'ICMP',
  6: 'TCP',
  17: 'UDP',
  47: 'GRE',
  58: 'ICMPv6',
  132: 'SCTP',
};
const protocolName = (protocol: number) => PROTOCOLS[protocol] ?? String(protocol);

const HEADINGS = {
  src: ['source'],
  dst: ['destination'],
  pair: ['source', 'destination'],
  port: ['protocol', 'port'],
} as const;

/** The columns that say what a row is about: one flow, or all that have it in common. */
export function heading(top: Top | undefined): readonly string[] {
  return top === undefined ? ['protocol', 'source', 'destination'] : HEADINGS[top];
}

/** What record `i` has in them. */
export function namesOf(flows: FlowBatch, i: number, top: Top | undefined): string[] {
  switch (top) {
    case 'src':
      return [flows.src(i)];
    case 'dst':
      return [flows.dst(i)];
    case 'pair':
      return [flows.src(i), flows.dst(i)];
    case 'port':
      return [protocolName(flows.protocol[i]!), String(flows.dstPort[i]!)];
    default: {
      const end = (address: string, port: number) => (port === 0 ? address : `${address}:${port}`);
      return [
        protocolName(flows.protocol[i]!),
        end(flows.src(i), flows.srcPort[i]!),
        end(flows.dst(i), flows.dstPort[i]!),
      ];
    }
  }
}

/** Lines with columns one below the other: of text so many, then numbers. */
export function tableOf(head: readonly string[], lines: readonly (readonly string[])[], texts: number): string[] {
  const widths = head.map((name, i) => Math.max(name.length, ...lines.map((line) => line[i]!.length)));
  const aligned = (line: readonly string[]) =>
    line
      .map((text, i) => (i < texts ? text.padEnd(widths[i]!) : text.padStart(widths[i]!)))
      .join('  ')
      .trimEnd();
  return [head, ...lines].map(aligned);
}

interface Row {
  /** What it is about: a column each. */
  readonly names: readonly string[];
  flows: number;
  packets: number;
  bytes: number;
  /** Seconds from the first packet to the last. */
  seconds: number;
}

export class FlowTable {
  readonly #top: Top | undefined;
  readonly #sums = new Map<string, Row>();
  #largest: Row[] = [];
  /** Bytes of a flow that is not in the table any more. */
  #least = -1;

  constructor(top: Top | undefined) {
    this.#top = top;
  }

  add(flows: FlowBatch): void {
    for (let i = 0; i < flows.length; i++) {
      const packets = flows.packetsToServer[i]! + flows.packetsToClient[i]!;
      const bytes = flows.frameBytesToServer[i]! + flows.frameBytesToClient[i]!;
      if (this.#top === undefined) this.#keep(flows, i, packets, bytes);
      else this.#sum(namesOf(flows, i, this.#top), packets, bytes);
    }
  }

  text(): string {
    const top = this.#top;
    const found = top === undefined ? this.#largest : [...this.#sums.values()];
    const rows = found.sort((a, b) => b.bytes - a.bytes).slice(0, ROWS);
    const names = [...heading(top), ...(top === undefined ? ['ended'] : [])];
    const last = top === undefined ? 'duration' : 'flows';
    const head = [...names, 'packets', 'bytes', last];
    const lines = rows.map((row) => [
      ...row.names,
      integer(row.packets),
      scaled(row.bytes, 'B'),
      top === undefined ? `${row.seconds.toFixed(3)} s` : integer(row.flows),
    ]);
    return `${tableOf(head, lines, names.length).join('\n')}\n`;
  }

  /** Of all flows only those that may be in the table. */
  #keep(flows: FlowBatch, i: number, packets: number, bytes: number): void {
    if (bytes <= this.#least) return;
    if (this.#largest.length >= ROWS * 8) {
      this.#largest.sort((a, b) => b.bytes - a.bytes);
      this.#largest.length = ROWS;
      this.#least = this.#largest[ROWS - 1]!.bytes;
    }
    this.#largest.push({
      names: [...namesOf(flows, i, undefined), flows.record(i).ended],
      flows: 1,
      packets,
      bytes,
      seconds: (flows.end[i]! - flows.start[i]!) / 1e9,
    });
  }

  #sum(names: string[], packets: number, bytes: number): void {
    const key = names.join(' ');
    const row = this.#sums.get(key);
    if (row === undefined) {
      this.#sums.set(key, { names, flows: 1, packets, bytes, seconds: 0 });
      return;
    }
    row.flows++;
    row.packets += packets;
    row.bytes += bytes;
  }
}
