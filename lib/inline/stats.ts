// What a forwarder has counted.
import type { CaptureStats } from '../capture/stats.js';
import type { NativeInlineStats } from '../native/native.js';
import type { WriterStats } from '../write/writer.js';

/** Why packets of a rule were not sent on. */
export type InlineDrop =
  | 'ttl'
  | 'tooBig'
  | 'malformed'
  | 'checksum'
  | 'unresolved'
  | 'linkDown'
  | 'noBuffer'
  | 'refused'
  | 'redirect'
  | 'closed'
  | 'protocol'
  | 'unmapped'
  | 'tableFull'
  | 'clientFull'
  | 'noPort'
  | 'fragment'
  | 'geneve';

/** One direction of a rule: `ingress = egress + dropped + waiting`, to the packet. */
export interface InlineDirection {
  /** Packets that came. */
  readonly ingress: number;
  /** Bytes of the frames that they came in. */
  readonly ingressBytes: number;
  /** Packets of them that were sent on. One that was cut into fragments is one. */
  readonly egress: number;
  /** Bytes of the frames that they left in. */
  readonly egressBytes: number;
  /** Packets that wait until the next hop's address is known. */
  readonly waiting: number;
  /** Fragments that were made, as packets were too long for the way out. */
  readonly fragments: number;
  /** ICMP messages that the senders of dropped packets were told with. */
  readonly errors: number;
  /** Packets that were not sent on: the sum of `drops`. */
  readonly dropped: number;
  /** Packets that were not sent on, by cause. */
  readonly drops: Readonly<Record<InlineDrop, number>>;
}

/** The table of a rule for many clients. */
export interface InlineTable {
  /** Number of conversations that there are: of TCP, of UDP, and of ICMP. */
  readonly entries: number;
  /** Number of clients that have some. */
  readonly clients: number;
  /** Number of conversations that ever began. */
  readonly created: number;
  /** Number of those that were forgotten, nobody having said anything for their time. */
  readonly expired: number;
}

/** What a rule has counted since it is in force. */
export interface InlineRuleStats {
  /** The rule's. */
  readonly name: string;
  /** From the client to the server. Of a rule for GENEVE: all that balancers have sent, and got back. */
  readonly toServer: InlineDirection;
  /** From the server to the client. Of a rule for GENEVE: nothing. */
  readonly toClient: InlineDirection;
  /** Its table, of a rule for many clients. */
  readonly nat?: InlineTable;
}

/** What an interface of a forwarder has counted. */
export interface InlineInterfaceStats {
  /** The kernel's own name of it. */
  readonly name: string;
  /** Frames that were received, of rules or not. */
  readonly frames: number;
  /** Frames that were lost before: the socket had no room. */
  readonly missed: number;
  /** Packets of rules. */
  readonly matched: number;
  /** Packets to an address of a rule from somebody whom it does not know. */
  readonly unmatched: number;
  /** Number of questions after an address of ours that were answered. */
  readonly answered: number;
  /** Number of questions after the address of a next hop. */
  readonly asked: number;
  /** Number of times that somebody else has claimed an address of a rule. */
  readonly conflicts: number;
  /** Number of times that the link was lost. */
  readonly downs: number;
}

/** What a tap has counted: a trace, or a capture. */
export type InlineTapStats = WriterStats | CaptureStats;

/** The ledger of a forwarder. */
export interface InlineStats {
  /** Of each rule that is in force. */
  readonly rules: readonly InlineRuleStats[];
  /** Of each interface that was opened. */
  readonly interfaces: readonly InlineInterfaceStats[];
  /** Of each tap that there is: `dropped` are packets that its writer, or the reader of its batches, had no room for. */
  readonly taps: {
    readonly ingress?: InlineTapStats;
    readonly egress?: InlineTapStats;
    readonly inline?: InlineTapStats;
  };
}

const DROPS = [
  ...(['ttl', 'tooBig', 'malformed', 'checksum', 'unresolved'] as const),
  ...(['linkDown', 'noBuffer', 'refused', 'redirect', 'closed'] as const),
  ...(['protocol', 'unmapped', 'tableFull', 'clientFull', 'noPort', 'fragment', 'geneve'] as const),
] as const satisfies InlineDrop[];

type NativeDirection = NativeInlineStats['rules'][number]['directions'][number];

function direction(native: NativeDirection): InlineDirection {
  const drops = Object.fromEntries(DROPS.map((name) => [name, native.drops[name] ?? 0])) as Record<InlineDrop, number>;
  const dropped = Object.values(drops).reduce((sum, one) => sum + one, 0);
  return { ...native, drops, dropped };
}

/** Of the addon's numbers. */
export function toStats(native: NativeInlineStats, taps: InlineStats['taps']): InlineStats {
  return {
    rules: native.rules.map(({ name, directions: [toServer, toClient], nat }) => ({
      name,
      toServer: direction(toServer),
      toClient: direction(toClient),
      ...(nat === undefined ? {} : { nat }),
    })),
    interfaces: native.interfaces,
    taps,
  };
}
