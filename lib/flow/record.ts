// A record of a flow as an object.

/**
 * Why a record was made: nothing came for `idleTimeoutMs`; the flow goes on, and has been for `activeTimeoutMs` since its
 * last record; both ends closed it; one end reset it; there was no room for it beside `maxFlows` others; `flush()` ended it.
 */
export type FlowEnd = 'idle' | 'active' | 'fin' | 'rst' | 'evicted' | 'flushed';

/** In the order in which native code numbers them. */
export const ENDS = ['idle', 'active', 'fin', 'rst', 'evicted', 'flushed'] as const satisfies FlowEnd[];

/**
 * How far a flow has got: of TCP whether the handshake was seen to its end (or the flow was on its way when it was seen
 * first), and whether it was closed; of others whether both ends have spoken.
 */
export type FlowState = 'new' | 'established' | 'closed';

export const STATES = ['new', 'established', 'closed'] as const satisfies FlowState[];

/** The innermost tunnel that the packets of a flow came in. */
export type TunnelName = 'none' | 'vxlan' | 'geneve' | 'gre' | 'erspan' | 'tzsp' | 'mpls' | 'gtp-u';

export const TUNNELS = [
  'none',
  'vxlan',
  'geneve',
  'gre',
  'erspan',
  'tzsp',
  'mpls',
  'gtp-u',
] as const satisfies TunnelName[];

/** Numbers of what each end has sent, who began first. */
export type FlowPair = readonly [toServer: number, toClient: number];

/** A flow, or a part of it. Of pairs the first number is what the source sent, the second what the destination did. */
export interface FlowRecord {
  /** Number of the flow: the same in all parts of a flow, and another one for each flow of a meter. */
  readonly id: number;
  /** ns since 1970 of the first packet of this record. */
  readonly start: bigint;
  /** ns since 1970 of the last packet. */
  readonly end: bigint;
  /** Address of who began: who sent SYN, or else the first packet. */
  readonly src: string;
  /** Address of the other end. */
  readonly dst: string;
  /** Source port; 0 where the protocol has none, or it was not seen. */
  readonly srcPort: number;
  /** Destination port, as `srcPort`. */
  readonly dstPort: number;
  /** What IP carries: 6 TCP, 17 UDP, 1 ICMP, 58 ICMPv6 … */
  readonly protocol: number;
  /** 4 or 6. */
  readonly ipVersion: number;
  /** Ids of the VLANs, numbers, the outer one first: none, one or two. */
  readonly vlans: readonly number[];
  /** The innermost tunnel, and its number: VNI, key, session, TEID or label. */
  readonly tunnel: { readonly kind: TunnelName; readonly id: number };
  /** Number of packets. */
  readonly packets: FlowPair;
  /** By the length field of IP. */
  readonly ipBytes: FlowPair;
  /** On the wire, link headers and tunnels included. */
  readonly frameBytes: FlowPair;
  /** All TCP flags that were set, together. */
  readonly tcpFlags: FlowPair;
  /** Of an IP packet, in bytes; 65535 stands for more, too. */
  readonly minBytes: FlowPair;
  /** Of the largest IP packet, in bytes. */
  readonly maxBytes: FlowPair;
  /** The smallest TTL or hop limit. */
  readonly minTtl: FlowPair;
  /** Between one packet and the next of the same end, in ns. */
  readonly meanGapNs: FlowPair;
  /** Segments whose first byte was seen before. */
  readonly retransmissions: FlowPair;
  /** Segments that fill the latest gap, so that a later one had come first. */
  readonly outOfOrder: FlowPair;
  /** Segments that close the window. */
  readonly zeroWindows: FlowPair;
  /** From SYN to its answer, in µs; 0: not seen. */
  readonly serverRttUs: number;
  /** µs from there to the answer's answer. */
  readonly clientRttUs: number;
  /** ICMP errors that quoted a packet of the flow. */
  readonly icmpErrors: number;
  /** Of ICMP the first packet's; else the last error's. */
  readonly icmpType: number;
  /** Code of the same. */
  readonly icmpCode: number;
  /** Number of records of the flow before this one: one that goes on is told in several. */
  readonly part: number;
  /** Why the record was made. */
  readonly ended: FlowEnd;
  /** How far the flow has got. */
  readonly state: FlowState;
  /** Whether the source is known for it: SYN was seen. */
  readonly initiatorKnown: boolean;
  /** One of so many packets, or flows, was looked at. */
  readonly sampling: number;
}

/**
 * A record as Suricata's EVE has flows, as of its version 8: `bytes_…` are those of frames. What EVE has no name for is
 * named alike (`ip_bytes_…`, `ended`, `part`).
 */
export interface EveFlow {
  /** When the last packet came, in UTC. */
  readonly timestamp: string;
  /** Number of the flow: `id` of its record. */
  readonly flow_id: number;
  /** What kind of event it is. */
  readonly event_type: 'flow';
  /** Address of who began. */
  readonly src_ip: string;
  /** Port of who began. */
  readonly src_port: number;
  /** Address of the other end. */
  readonly dest_ip: string;
  /** Port of the other end. */
  readonly dest_port: number;
  /** TCP, UDP, ICMP …; the number in three digits where it has no name here. */
  readonly proto: string;
  /** 4 or 6. */
  readonly ip_v: number;
  /** Ids of the VLANs, the outer one first: numbers. */
  readonly vlan?: readonly number[];
  /** The innermost tunnel, and its number. */
  readonly tunnel?: { readonly kind: TunnelName; readonly id: number };
  /** Type number, of ICMP, or of the last error that quoted the flow. */
  readonly icmp_type?: number;
  /** Code of the same. */
  readonly icmp_code?: number;
  /** Number of errors that quoted the flow. */
  readonly icmp_errors?: number;
  /** Packets, bytes, times in seconds, and how it ended. */
  readonly flow: {
    readonly pkts_toserver: number;
    readonly pkts_toclient: number;
    readonly bytes_toserver: number;
    readonly bytes_toclient: number;
    readonly ip_bytes_toserver: number;
    readonly ip_bytes_toclient: number;
    readonly start: string;
    readonly end: string;
    /** In seconds. */
    readonly age: number;
    readonly state: FlowState;
    readonly reason: 'timeout' | 'forced' | 'shutdown';
    readonly ended: FlowEnd;
    readonly part: number;
    readonly sampling?: number;
  };
  /** Flags in hex; what is not there is 0: µs of round trip, numbers of segments. */
  readonly tcp?: {
    readonly tcp_flags: string;
    readonly tcp_flags_ts: string;
    readonly tcp_flags_tc: string;
    readonly server_rtt_us?: number;
    readonly client_rtt_us?: number;
    readonly retransmissions_toserver?: number;
    readonly retransmissions_toclient?: number;
    readonly out_of_order_toserver?: number;
    readonly out_of_order_toclient?: number;
    readonly zero_windows_toserver?: number;
    readonly zero_windows_toclient?: number;
  };
}
