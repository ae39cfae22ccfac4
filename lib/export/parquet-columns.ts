// Columns of a Parquet file, and the rows that wait to become a group.
import type { ColumnSource, SchemaElement } from 'hyparquet-writer';
import type { FlowBatch } from '../flow/index.js';

const TUNNELS = ['none', 'vxlan', 'geneve', 'gre', 'erspan', 'tzsp', 'mpls', 'gtp-u'];
const ENDINGS = ['idle', 'active', 'fin', 'rst', 'evicted', 'flushed'];
const STATES = ['new', 'established', 'closed'];
const NAMES: Readonly<Record<number, string>> = {
  1: 'ICMP',
  2: 'IGMP',
  6: 'TCP',
  17: 'UDP',
  47: 'GRE',
  50: 'ESP',
  58: 'IPv6-ICMP',
  132: 'SCTP',
};

/** How a column is kept until it is written. */
type Kind = 'text' | 'long' | 'short' | 'time';

interface Column {
  readonly name: string;
  readonly kind: Kind;
  /** Writes rows `from` to `from` + `count` of a batch, from row `at` on. */
  readonly fill: (into: Held, at: number, flows: FlowBatch, from: number, count: number) => void;
}

type Held = string[] | BigInt64Array | Int32Array;

type Numbers = ArrayLike<number>;

/** Whole numbers of any size: of those that JavaScript may have written, too. */
function long(name: string, of: (flows: FlowBatch) => Numbers): Column {
  const fill = (into: Held, at: number, flows: FlowBatch, from: number, count: number) => {
    const [to, column] = [into as BigInt64Array, of(flows)];
    for (let i = 0; i < count; i++) to[at + i] = BigInt(whole(column[from + i]!));
  };
  return { name, kind: 'long', fill };
}

function short(name: string, of: (flows: FlowBatch) => Uint8Array | Uint16Array): Column {
  const fill = (into: Held, at: number, flows: FlowBatch, from: number, count: number) => {
    (into as Int32Array).set(of(flows).subarray(from, from + count), at);
  };
  return { name, kind: 'short', fill };
}

function text(name: string, of: (flows: FlowBatch, i: number) => string): Column {
  const fill = (into: Held, at: number, flows: FlowBatch, from: number, count: number) => {
    for (let i = 0; i < count; i++) (into as string[])[at + i] = of(flows, from + i);
  };
  return { name, kind: 'text', fill };
}

/** ns since 1970. */
function time(name: string, of: (flows: FlowBatch) => Numbers): Column {
  const fill = (into: Held, at: number, flows: FlowBatch, from: number, count: number) => {
    const [to, column, { epoch }] = [into as BigInt64Array, of(flows), flows];
    for (let i = 0; i < count; i++) to[at + i] = BigInt.asIntN(64, epoch + BigInt(whole(column[from + i]!)));
  };
  return { name, kind: 'time', fill };
}

function whole(value: number): number {
  return value >= 0 && value <= Number.MAX_SAFE_INTEGER ? Math.round(value) : 0;
}

/** In the order, and by the names, of CSV. */
const COLUMNS: readonly Column[] = [
  time('start', ({ start }) => start),
  time('end', ({ end }) => end),
  text('proto', ({ protocol }, i) => NAMES[protocol[i]!] ?? String(protocol[i]).padStart(3, '0')),
  text('src_ip', (flows, i) => flows.src(i)),
  short('src_port', ({ srcPort }) => srcPort),
  text('dest_ip', (flows, i) => flows.dst(i)),
  short('dest_port', ({ dstPort }) => dstPort),
  long('pkts_toserver', ({ packetsToServer }) => packetsToServer),
  long('pkts_toclient', ({ packetsToClient }) => packetsToClient),
  long('bytes_toserver', ({ frameBytesToServer }) => frameBytesToServer),
  long('bytes_toclient', ({ frameBytesToClient }) => frameBytesToClient),
  long('ip_bytes_toserver', ({ ipBytesToServer }) => ipBytesToServer),
  long('ip_bytes_toclient', ({ ipBytesToClient }) => ipBytesToClient),
  short('tcp_flags_ts', ({ tcpFlagsToServer }) => tcpFlagsToServer),
  short('tcp_flags_tc', ({ tcpFlagsToClient }) => tcpFlagsToClient),
  short('outer_vlan', ({ outerVlan }) => outerVlan),
  short('inner_vlan', ({ innerVlan }) => innerVlan),
  text('tunnel', ({ tunnelKind }, i) => TUNNELS[tunnelKind[i]!] ?? 'none'),
  long('tunnel_id', ({ tunnelId }) => tunnelId),
  long('server_rtt_us', ({ serverRttUs }) => serverRttUs),
  long('client_rtt_us', ({ clientRttUs }) => clientRttUs),
  long('retransmissions_toserver', ({ retransmissionsToServer }) => retransmissionsToServer),
  long('retransmissions_toclient', ({ retransmissionsToClient }) => retransmissionsToClient),
  long('out_of_order_toserver', ({ outOfOrderToServer }) => outOfOrderToServer),
  long('out_of_order_toclient', ({ outOfOrderToClient }) => outOfOrderToClient),
  short('icmp_type', ({ icmpType }) => icmpType),
  short('icmp_code', ({ icmpCode }) => icmpCode),
  short('icmp_errors', ({ icmpErrors }) => icmpErrors),
  text('state', ({ state }, i) => STATES[state[i]!] ?? 'new'),
  text('ended', ({ ended }, i) => ENDINGS[ended[i]!] ?? 'flushed'),
  short('part', ({ part }) => part),
  long('sampling', ({ sampling }) => sampling),
  long('flow_id', ({ id }) => id),
];

function elementOf({ name, kind }: Column): SchemaElement {
  const element = { name, repetition_type: 'REQUIRED' } as const;
  if (kind === 'text') return { ...element, type: 'BYTE_ARRAY', converted_type: 'UTF8' };
  if (kind === 'short') return { ...element, type: 'INT32' };
  if (kind === 'long') return { ...element, type: 'INT64' };
  return { ...element, type: 'INT64', logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'NANOS' } };
}

export const PARQUET_SCHEMA: SchemaElement[] = [
  { name: 'flows', num_children: COLUMNS.length },
  ...COLUMNS.map(elementOf),
];

/** Rows of a group, which are copies. */
export class Rows {
  readonly #held: readonly Held[];
  readonly #most: number;
  count = 0;

  constructor(most: number) {
    this.#most = most;
    const holding = {
      text: () => [] as string[],
      long: () => new BigInt64Array(most),
      time: () => new BigInt64Array(most),
    };
    this.#held = COLUMNS.map(({ kind }) => (kind === 'short' ? new Int32Array(most) : holding[kind]()));
  }

  get isFull(): boolean {
    return this.count === this.#most;
  }

  /** Copies rows from one on, as many as there is room for. @returns how many */
  add(flows: FlowBatch, from: number): number {
    const count = Math.min(flows.length - from, this.#most - this.count);
    COLUMNS.forEach(({ fill }, c) => {
      fill(this.#held[c]!, this.count, flows, from, count);
    });
    this.count += count;
    return count;
  }

  columns(): ColumnSource[] {
    return COLUMNS.map(({ name }, c) => {
      const held = this.#held[c]!;
      return { name, data: Array.isArray(held) ? held : held.subarray(0, this.count) };
    });
  }

  clear(): void {
    this.count = 0;
    for (const held of this.#held) if (Array.isArray(held)) held.length = 0;
  }
}
