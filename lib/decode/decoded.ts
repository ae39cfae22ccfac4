import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { ipv4Text, ipv6Text } from './address.js';

/** As Columns::bytes_for() in native/decode/decode.h. */
const PACKET_BYTES = 109;
/** Past this a batch is no batch any more. */
const MOST = 1 << 20;

/**
 * The headers of a batch as columns: entry `i` of each array is about packet `i`. {@link decode} fills them, and fills
 * them anew when they are given to it again.
 *
 * They are the caller's: numbers stay valid whatever becomes of the batch. Only the offsets point into the batch's memory
 * (`batch.view`, `batch.bytes`), for as long as that is valid; each points at a captured byte of its packet or is
 * {@link ABSENT}. What a packet does not have is 0; `flags` tell it from a 0 that was read, and say where decoding ended
 * early and why: then the fields up to there are right.
 * @example
 * const decoded = decode(batch, new Decoded(4096));
 * for (let i = 0; i < decoded.length; i++) {
 *   console.log(decoded.src(i), decoded.srcPort[i], decoded.dst(i), decoded.dstPort[i]);
 * }
 */
export class Decoded {
  /** Packets that there is room for. */
  readonly capacity: number;
  /** Packets that were decoded; entries beyond have no meaning. */
  readonly length: number = 0;

  /** {@link DecodeFlags} of each packet. */
  readonly flags: Uint32Array;
  /** Offset at which the network header begins, beyond link header and VLAN tags. */
  readonly networkOffset: Uint32Array;
  /** Offset at which the header of TCP, UDP, ICMP … begins; absent in all fragments but the first. */
  readonly transportOffset: Uint32Array;
  /** Offset at which the payload of TCP, UDP, UDP-Lite or SCTP begins; of other protocols what IP carries. */
  readonly payloadOffset: Uint32Array;
  /** Bytes of payload on the wire, by the length fields: padding of the link is none. */
  readonly payloadLength: Uint32Array;
  /** Bytes of payload that were captured, at `payloadOffset`. */
  readonly payloadCaplen: Uint32Array;
  /** Bytes of the IP packet by its length field, its header included. */
  readonly totalLength: Uint32Array;
  /** IPv4 source: 0x0a000001 is 10.0.0.1. */
  readonly src4: Uint32Array;
  /** IPv4 destination. */
  readonly dst4: Uint32Array;
  /** Identification in IPv4, and in an IPv6 fragment header. */
  readonly fragmentId: Uint32Array;
  /** TCP sequence number. */
  readonly sequence: Uint32Array;
  /** TCP acknowledgment number; it means something where `tcpFlags` has ACK (16). */
  readonly acknowledgment: Uint32Array;
  /**
   * The same number for both directions of a flow (addresses, ports, protocol; no VLANs, and for fragments no ports); 0
   * where there is no IP. The same on every host and in every version 1.
   */
  readonly flowHash: Uint32Array;
  /** Ethertype beyond all VLAN tags, such as 0x0800; below 1536 it is the length field of 802.3. */
  readonly etherType: Uint16Array;
  /** Type of the outer VLAN tag (0x8100, 0x88a8, 0x9100, 0x9200). */
  readonly outerTpid: Uint16Array;
  /** Outer VLAN tag: priority, DEI, and the id in the low 12 bits. One that the kernel took out of the bytes counts. */
  readonly outerTci: Uint16Array;
  /** Type of the second VLAN tag. */
  readonly innerTpid: Uint16Array;
  /** Second VLAN tag. */
  readonly innerTci: Uint16Array;
  /** Where a fragment belongs in its datagram, in bytes. */
  readonly fragmentOffset: Uint16Array;
  /** Source port. */
  readonly srcPort: Uint16Array;
  /** Destination port. */
  readonly dstPort: Uint16Array;
  /** TCP window, as it was sent: not scaled. */
  readonly window: Uint16Array;
  /** VLAN tags, of which the first two are kept; 255 stands for more, too. */
  readonly vlanCount: Uint8Array;
  /** 4 or 6; 0 where no IP header could be read. */
  readonly ipVersion: Uint8Array;
  /** Bytes of the IP header: options included for IPv4, extension headers not for IPv6. */
  readonly ipHeaderLength: Uint8Array;
  /** Type of service or traffic class: DSCP in the high 6 bits, ECN in the low 2. */
  readonly trafficClass: Uint8Array;
  /** Time to live, or hop limit. */
  readonly ttl: Uint8Array;
  /** What IP carries (6 TCP, 17 UDP, 58 ICMPv6 …), beyond the extension headers of IPv6, or the one where decoding ended. */
  readonly protocol: Uint8Array;
  /** FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128. */
  readonly tcpFlags: Uint8Array;
  /** IPv6 sources, 16 bytes a packet; they mean something where `ipVersion` is 6. */
  readonly src6: Uint8Array;
  /** IPv6 destinations, 16 bytes a packet. */
  readonly dst6: Uint8Array;

  readonly #memory: ArrayBuffer;

  /**
   * Makes columns that {@link decode} can fill.
   * @param capacity packets that there is room for, at 109 bytes each
   * @throws CaptureError RINGTAP_BAD_OPTION when it is no whole number from 1 to 2^20
   */
  constructor(capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > MOST) {
      throw new CaptureError('RINGTAP_BAD_OPTION', `columns are for 1 to ${MOST} packets, not for ${show(capacity)}`);
    }
    this.capacity = capacity;
    this.#memory = new ArrayBuffer(capacity * PACKET_BYTES);
    let at = 0;
    const take = (bytes: number) => {
      const from = at;
      at += bytes * capacity;
      return from;
    };
    const u32 = () => new Uint32Array(this.#memory, take(4), capacity);
    const u16 = () => new Uint16Array(this.#memory, take(2), capacity);
    const u8 = (bytes = 1) => new Uint8Array(this.#memory, take(bytes), bytes * capacity);
    // In the order of struct Columns in native/decode/decode.h.
    this.flags = u32();
    this.networkOffset = u32();
    this.transportOffset = u32();
    this.payloadOffset = u32();
    this.payloadLength = u32();
    this.payloadCaplen = u32();
    this.totalLength = u32();
    this.src4 = u32();
    this.dst4 = u32();
    this.fragmentId = u32();
    this.sequence = u32();
    this.acknowledgment = u32();
    this.flowHash = u32();
    this.etherType = u16();
    this.outerTpid = u16();
    this.outerTci = u16();
    this.innerTpid = u16();
    this.innerTci = u16();
    this.fragmentOffset = u16();
    this.srcPort = u16();
    this.dstPort = u16();
    this.window = u16();
    this.vlanCount = u8();
    this.ipVersion = u8();
    this.ipHeaderLength = u8();
    this.trafficClass = u8();
    this.ttl = u8();
    this.protocol = u8();
    this.tcpFlags = u8();
    this.src6 = u8(16);
    this.dst6 = u8(16);
  }

  /** @internal What all columns lie in; undefined of a look-alike. */
  static memoryOf(value: unknown): ArrayBuffer | undefined {
    return typeof value === 'object' && value !== null && #memory in value ? value.#memory : undefined;
  }

  /**
   * The source address of packet `i` as text, made at each call; '' where there is no IP.
   * @throws RangeError where no packet `i` was decoded
   */
  src(i: number): string {
    return this.#address(i, this.src4, this.src6);
  }

  /**
   * The destination address of packet `i`, as {@link src}.
   * @throws RangeError where no packet `i` was decoded
   */
  dst(i: number): string {
    return this.#address(i, this.dst4, this.dst6);
  }

  #address(i: number, four: Uint32Array, six: Uint8Array): string {
    if (!Number.isInteger(i) || i < 0 || i >= this.length) {
      throw new RangeError(`packet ${show(i)} is outside the ${this.length} that were decoded`);
    }
    switch (this.ipVersion[i]) {
      case 4:
        return ipv4Text(four[i]!);
      case 6:
        return ipv6Text(six, 16 * i);
      default:
        return '';
    }
  }
}

/** @internal Says how many packets were decoded. */
export function setLength(decoded: Decoded, length: number): void {
  (decoded as { -readonly [K in 'length']: Decoded[K] }).length = length;
}
