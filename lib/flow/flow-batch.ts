import { ipv4Text, ipv6Text } from '../decode/address.js';
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { addon } from '../native/native.js';
import { ENDS, type EveFlow, type FlowPair, type FlowRecord, STATES, TUNNELS } from './record.js';

/** As Columns::kRecordBytes in native/flow/records.h. */
const RECORD_BYTES = 9 * 8 + 12 * 4 + 12 * 2 + 12 + 2 * 16;
/**
 * How native code calls what records can be written as, what none is longer than (kLongestLine in native/flow/text.h, kLongestFlow
 * in native/export/protobuf.h), and what they rarely are on the average.
 */
const JSON_LINES = { form: 0, longest: 1536, usual: 640 };
const CSV_LINES = { form: 1, longest: 1536, usual: 288 };
const PROTOBUF = { form: 2, longest: 400, usual: 160 };

const HEAD =
  'start,end,proto,src_ip,src_port,dest_ip,dest_port,pkts_toserver,pkts_toclient,bytes_toserver,bytes_toclient,' +
  'ip_bytes_toserver,ip_bytes_toclient,tcp_flags_ts,tcp_flags_tc,outer_vlan,inner_vlan,tunnel,tunnel_id,' +
  'server_rtt_us,client_rtt_us,retransmissions_toserver,retransmissions_toclient,out_of_order_toserver,' +
  'out_of_order_toclient,icmp_type,icmp_code,icmp_errors,state,ended,part,sampling,flow_id';

/** What a FlowBatch is made with. */
export interface Filling {
  readonly capacity: number;
  readonly epoch: bigint;
  /** Of each end's first payload that is kept. */
  readonly payloadBytes: number;
  /** Fills the memory and says how many records are in it. */
  readonly fill: (memory: ArrayBuffer, capacity: number, beginnings: Uint8Array) => number;
}

/**
 * Records of flows as columns: entry `i` of each array is about record `i`, and {@link record} makes an object of one. Names
 * that end in ToServer are about what the source sent (who began, the client), those in ToClient about the answers.
 *
 * It is the caller's, and stays as it is. {@link FlowRecord} says what each column means.
 * @example
 * const meter = new FlowMeter();
 * meter.add(batch);
 * meter.flush();
 * for (const flows of meter.drain()) {
 *   const { length, ipBytesToServer, ipBytesToClient } = flows;
 *   let bytes = 0;
 *   for (let i = 0; i < length; i++) bytes += ipBytesToServer[i]! + ipBytesToClient[i]!;
 *   console.log(`${length} flows of ${bytes} bytes`);
 * }
 */
export class FlowBatch {
  /** Number of records in it. */
  readonly length: number;
  /** ns since 1970 that `start` and `end` count from. */
  readonly epoch: bigint;
  /** Number of the flow, the same in all its parts, below 2^53. */
  readonly id: Float64Array;
  /** ns from the epoch of the first packet, exact within 104 days of it. */
  readonly start: Float64Array;
  /** ns from the epoch of the last packet. */
  readonly end: Float64Array;
  /** Bytes of IP packets that the source has sent, by their length fields. */
  readonly ipBytesToServer: Float64Array;
  /** Bytes of IP packets that the destination has sent, by their length fields. */
  readonly ipBytesToClient: Float64Array;
  /** Bytes on the wire that the source has sent, link headers and tunnels included. */
  readonly frameBytesToServer: Float64Array;
  /** Bytes on the wire that the destination has sent, link headers and tunnels included. */
  readonly frameBytesToClient: Float64Array;
  /** ns between packets that the source has sent, the mean. */
  readonly meanGapNsToServer: Float64Array;
  /** ns between packets that the destination has sent, the mean. */
  readonly meanGapNsToClient: Float64Array;
  /** IPv4 source: 0x0a000001 is 10.0.0.1; 0 of IPv6. */
  readonly src4: Uint32Array;
  /** IPv4 destination, as `src4`. */
  readonly dst4: Uint32Array;
  /** Packets that the source has sent. */
  readonly packetsToServer: Uint32Array;
  /** Packets that the destination has sent. */
  readonly packetsToClient: Uint32Array;
  /** Number of segments that the source has sent again. */
  readonly retransmissionsToServer: Uint32Array;
  /** Number of segments that the destination has sent again. */
  readonly retransmissionsToClient: Uint32Array;
  /** Number of segments that the source has sent and a later one overtook. */
  readonly outOfOrderToServer: Uint32Array;
  /** Number of segments that the destination has sent and a later one overtook. */
  readonly outOfOrderToClient: Uint32Array;
  /** µs from SYN to its answer; 0: not seen. */
  readonly serverRttUs: Uint32Array;
  /** µs from there to the answer's answer; 0: not seen. */
  readonly clientRttUs: Uint32Array;
  /** Number of the tunnel: VNI, key, session, TEID or label. */
  readonly tunnelId: Uint32Array;
  /** One of this number of packets, or of flows, was looked at. */
  readonly sampling: Uint32Array;
  /** Source port; 0: none, or not seen. */
  readonly srcPort: Uint16Array;
  /** Destination port. */
  readonly dstPort: Uint16Array;
  /** Id of the outer VLAN; 0: none. */
  readonly outerVlan: Uint16Array;
  /** Id of the inner VLAN; 0: none. */
  readonly innerVlan: Uint16Array;
  /** Bytes of the smallest IP packet that the source has sent. */
  readonly minBytesToServer: Uint16Array;
  /** Bytes of the smallest IP packet that the destination has sent. */
  readonly minBytesToClient: Uint16Array;
  /** Bytes of the largest IP packet that the source has sent; 65535 stands for more, too. */
  readonly maxBytesToServer: Uint16Array;
  /** Bytes of the largest IP packet that the destination has sent; 65535 stands for more, too. */
  readonly maxBytesToClient: Uint16Array;
  /** Number of segments that the source has sent and that close its window. */
  readonly zeroWindowsToServer: Uint16Array;
  /** Number of segments that the destination has sent and that close its window. */
  readonly zeroWindowsToClient: Uint16Array;
  /** Number of records of the flow before this one. */
  readonly part: Uint16Array;
  /** Number of ICMP errors that quoted a packet of the flow. */
  readonly icmpErrors: Uint16Array;
  /** 4 or 6. */
  readonly ipVersion: Uint8Array;
  /** What IP carries: 6 TCP, 17 UDP, 1 ICMP, 58 ICMPv6 … */
  readonly protocol: Uint8Array;
  /** All TCP flags that the source has sent, together. */
  readonly tcpFlagsToServer: Uint8Array;
  /** All TCP flags that the destination has sent, together. */
  readonly tcpFlagsToClient: Uint8Array;
  /** The smallest number of hops left (TTL, hop limit) in what the source has sent. */
  readonly minTtlToServer: Uint8Array;
  /** The smallest number of hops left (TTL, hop limit) in what the destination has sent. */
  readonly minTtlToClient: Uint8Array;
  /** 0 none, 1 VXLAN, 2 GENEVE, 3 GRE, 4 ERSPAN, 5 TZSP, 6 MPLS, 7 GTP-U. */
  readonly tunnelKind: Uint8Array;
  /** 0 idle, 1 active, 2 fin, 3 rst, 4 evicted, 5 flushed. */
  readonly ended: Uint8Array;
  /** 0 new, 1 established, 2 closed. */
  readonly state: Uint8Array;
  /** Type number: of ICMP the first packet's; else that of the last error that quoted the flow. */
  readonly icmpType: Uint8Array;
  /** Code of the same. */
  readonly icmpCode: Uint8Array;
  /** 1: the source is known by its SYN. */
  readonly initiatorKnown: Uint8Array;
  /** IPv6 sources, 16 bytes a record; they mean something where `ipVersion` is 6. */
  readonly src6: Uint8Array;
  /** IPv6 destinations, 16 bytes a record. */
  readonly dst6: Uint8Array;

  readonly #memory: ArrayBuffer;
  readonly #capacity: number;
  /** Of each record what the source sent first and what the destination did, each behind a byte with its length. */
  readonly #beginnings: Uint8Array;
  readonly #payloadBytes: number;

  /** @internal Only a meter makes them. */
  constructor({ capacity, epoch, payloadBytes, fill }: Filling) {
    this.epoch = epoch;
    this.#capacity = capacity;
    this.#memory = new ArrayBuffer(capacity * RECORD_BYTES);
    let at = 0;
    const take = (bytes: number) => {
      const from = at;
      at += bytes * capacity;
      return from;
    };
    const f64 = () => new Float64Array(this.#memory, take(8), capacity);
    const u32 = () => new Uint32Array(this.#memory, take(4), capacity);
    const u16 = () => new Uint16Array(this.#memory, take(2), capacity);
    const u8 = (bytes = 1) => new Uint8Array(this.#memory, take(bytes), bytes * capacity);
    // In the order of struct Columns in native/flow/records.h.
    this.id = f64();
    this.start = f64();
    this.end = f64();
    this.ipBytesToServer = f64();
    this.ipBytesToClient = f64();
    this.frameBytesToServer = f64();
    this.frameBytesToClient = f64();
    this.meanGapNsToServer = f64();
    this.meanGapNsToClient = f64();
    this.src4 = u32();
    this.dst4 = u32();
    this.packetsToServer = u32();
    this.packetsToClient = u32();
    this.retransmissionsToServer = u32();
    this.retransmissionsToClient = u32();
    this.outOfOrderToServer = u32();
    this.outOfOrderToClient = u32();
    this.serverRttUs = u32();
    this.clientRttUs = u32();
    this.tunnelId = u32();
    this.sampling = u32();
    this.srcPort = u16();
    this.dstPort = u16();
    this.outerVlan = u16();
    this.innerVlan = u16();
    this.minBytesToServer = u16();
    this.minBytesToClient = u16();
    this.maxBytesToServer = u16();
    this.maxBytesToClient = u16();
    this.zeroWindowsToServer = u16();
    this.zeroWindowsToClient = u16();
    this.part = u16();
    this.icmpErrors = u16();
    this.ipVersion = u8();
    this.protocol = u8();
    this.tcpFlagsToServer = u8();
    this.tcpFlagsToClient = u8();
    this.minTtlToServer = u8();
    this.minTtlToClient = u8();
    this.tunnelKind = u8();
    this.ended = u8();
    this.state = u8();
    this.icmpType = u8();
    this.icmpCode = u8();
    this.initiatorKnown = u8();
    this.src6 = u8(16);
    this.dst6 = u8(16);
    this.#payloadBytes = payloadBytes;
    this.#beginnings = new Uint8Array(payloadBytes === 0 ? 0 : capacity * 2 * (payloadBytes + 1));
    this.length = fill(this.#memory, capacity, this.#beginnings);
  }

  /**
   * The source address of record `i` as text.
   * @throws RangeError where there is no record `i`; CaptureError RINGTAP_BAD_OPTION when the memory was transferred away
   */
  src(i: number): string {
    this.#check(i);
    return this.#address(i, this.src4, this.src6);
  }

  /**
   * The destination address of record `i` as text.
   * @throws RangeError where there is no record `i`; CaptureError RINGTAP_BAD_OPTION when the memory was transferred away
   */
  dst(i: number): string {
    this.#check(i);
    return this.#address(i, this.dst4, this.dst6);
  }

  /**
   * The first payload that each end of record `i` has sent, who began first: of one packet, and of that as many bytes as
   * `payloadBytes` says and were captured. Views of the batch's own memory; empty where an end sent none, or
   * `payloadBytes` is 0.
   * @param i index of the record
   * @example
   * const meter = new FlowMeter({ payloadBytes: 16 });
   * meter.add(batch);
   * meter.flush();
   * for (const flows of meter.drain()) console.log(flows.payload(0).map((bytes) => bytes.length));
   * @throws RangeError where there is no record `i`; CaptureError RINGTAP_BAD_OPTION when the memory was transferred away
   */
  payload(i: number): readonly [toServer: Uint8Array, toClient: Uint8Array] {
    this.#check(i);
    const room = this.#payloadBytes + 1;
    const beginning = (side: 0 | 1) => {
      const at = (2 * i + side) * room;
      const length = Math.min(this.#beginnings[at] ?? 0, this.#payloadBytes);
      return this.#beginnings.subarray(at + 1, at + 1 + length);
    };
    return [beginning(0), beginning(1)];
  }

  /**
   * Record `i` as an object, made at each call.
   * @param i index of the record
   * @example
   * const meter = new FlowMeter();
   * meter.add(batch);
   * meter.flush();
   * for (const flows of meter.drain()) console.log(flows.record(0).packets, flows.eve(0).flow.age);
   * @throws RangeError where there is no record `i`; CaptureError RINGTAP_BAD_OPTION when the memory was transferred away
   */
  record(i: number): FlowRecord {
    this.#check(i);
    const pair = (toServer: ArrayLike<number>, toClient: ArrayLike<number>): FlowPair => [toServer[i]!, toClient[i]!];
    const [outer, inner] = [this.outerVlan[i]!, this.innerVlan[i]!];
    return {
      id: this.id[i]!,
      start: this.epoch + BigInt(Math.round(this.start[i]!)),
      end: this.epoch + BigInt(Math.round(this.end[i]!)),
      src: this.#address(i, this.src4, this.src6),
      dst: this.#address(i, this.dst4, this.dst6),
      srcPort: this.srcPort[i]!,
      dstPort: this.dstPort[i]!,
      protocol: this.protocol[i]!,
      ipVersion: this.ipVersion[i]!,
      vlans: inner !== 0 ? [outer, inner] : outer !== 0 ? [outer] : [],
      tunnel: { kind: TUNNELS[this.tunnelKind[i]!] ?? 'none', id: this.tunnelId[i]! },
      packets: pair(this.packetsToServer, this.packetsToClient),
      ipBytes: pair(this.ipBytesToServer, this.ipBytesToClient),
      frameBytes: pair(this.frameBytesToServer, this.frameBytesToClient),
      tcpFlags: pair(this.tcpFlagsToServer, this.tcpFlagsToClient),
      minBytes: pair(this.minBytesToServer, this.minBytesToClient),
      maxBytes: pair(this.maxBytesToServer, this.maxBytesToClient),
      minTtl: pair(this.minTtlToServer, this.minTtlToClient),
      meanGapNs: pair(this.meanGapNsToServer, this.meanGapNsToClient),
      retransmissions: pair(this.retransmissionsToServer, this.retransmissionsToClient),
      outOfOrder: pair(this.outOfOrderToServer, this.outOfOrderToClient),
      zeroWindows: pair(this.zeroWindowsToServer, this.zeroWindowsToClient),
      serverRttUs: this.serverRttUs[i]!,
      clientRttUs: this.clientRttUs[i]!,
      icmpErrors: this.icmpErrors[i]!,
      icmpType: this.icmpType[i]!,
      icmpCode: this.icmpCode[i]!,
      part: this.part[i]!,
      ended: ENDS[this.ended[i]!] ?? 'idle',
      state: STATES[this.state[i]!] ?? 'new',
      initiatorKnown: this.initiatorKnown[i] === 1,
      sampling: this.sampling[i]!,
    };
  }

  /**
   * Record `i` as Suricata's EVE has it, made at each call.
   * @param i index of the record
   * @throws RangeError where there is no record `i`; CaptureError RINGTAP_BAD_OPTION when the memory was transferred away
   */
  eve(i: number): EveFlow {
    this.#check(i);
    return JSON.parse(new TextDecoder().decode(this.#written(i, 1, JSON_LINES))) as EveFlow;
  }

  /**
   * All records as EVE, a line of JSON each, made natively: UTF-8, the caller's own.
   * @throws CaptureError RINGTAP_BAD_OPTION when the memory of the columns was transferred away
   * @example
   * const meter = new FlowMeter();
   * meter.add(batch);
   * meter.flush();
   * for (const flows of meter.drain()) console.log(Buffer.from(flows.toJsonLines()).toString());
   */
  toJsonLines(): Uint8Array {
    return this.#written(0, this.length, JSON_LINES);
  }

  /**
   * All records as CSV, a line each, without the names: those are {@link csvHead}. UTF-8, the caller's own.
   * @example
   * const meter = new FlowMeter();
   * meter.add(batch);
   * meter.flush();
   * console.log(FlowBatch.csvHead);
   * for (const flows of meter.drain()) process.stdout.write(flows.toCsvLines());
   * @throws CaptureError RINGTAP_BAD_OPTION when the memory of the columns was transferred away
   */
  toCsvLines(): Uint8Array {
    return this.#written(0, this.length, CSV_LINES);
  }

  /**
   * All records as protobuf, made natively: each is a `Flow` of [ringtap.v1](https://www.npmjs.com/package/@ringtap/wire), and they are
   * the field `repeated Flow flows = 8`. Put into a message of that package's `Batch`, behind or before its other fields, they are part of
   * it, since messages of protobuf are joined by joining their bytes. The bytes are the caller's own.
   * @throws CaptureError RINGTAP_BAD_OPTION when the memory of the columns was transferred away
   * @example
   * const meter = new FlowMeter();
   * meter.add(batch);
   * meter.flush();
   * for (const flows of meter.drain()) console.log(`${flows.length} records in ${flows.toProtobuf().length} bytes`);
   */
  toProtobuf(): Uint8Array {
    return this.#written(0, this.length, PROTOBUF);
  }

  /** The names of the columns of {@link toCsvLines}, without a line end. */
  static get csvHead(): string {
    return HEAD;
  }

  #written(from: number, count: number, as: typeof PROTOBUF): Uint8Array {
    // WHY not for the longest ones at once: memory that is zeroed and not used costs more than the text.
    return this.#writtenInto(as.usual, from, count, as) ?? this.#writtenInto(as.longest, from, count, as)!;
  }

  /** Undefined where not all may have had room: they end where the longest one might not fit. */
  #writtenInto(each: number, from: number, count: number, as: typeof PROTOBUF): Uint8Array | undefined {
    const { form, longest } = as;
    const into = new Uint8Array(count * each + longest);
    const seconds = Number(this.epoch / 1_000_000_000n);
    const nanos = Number(this.epoch % 1_000_000_000n);
    const bytes = addon().flowLines(this.#memory, this.#capacity, from, count, seconds, nanos, form, into);
    if (bytes >= 0) return bytes + longest <= into.length ? into.subarray(0, bytes) : undefined;
    throw new CaptureError('RINGTAP_BAD_OPTION', 'the memory of the columns was transferred away');
  }

  #address(i: number, four: Uint32Array, six: Uint8Array): string {
    return this.ipVersion[i] === 6 ? ipv6Text(six, 16 * i) : ipv4Text(four[i]!);
  }

  #check(i: number): void {
    if (Number.isInteger(i) && i >= 0 && i < this.length) {
      if (this.#memory.byteLength > 0) return;
      throw new CaptureError('RINGTAP_BAD_OPTION', 'the memory of the columns was transferred away', {
        hint: 'Look at the batch before its memory is transferred, or transfer a copy.',
      });
    }
    throw new RangeError(`record ${show(i)} is outside the ${this.length} that there are`);
  }
}
