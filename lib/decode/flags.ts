/**
 * Bits of {@link Decoded.flags}. The low ones say what was found, the high ones why decoding ended early; `malformed` and
 * `incomplete` are masks of these.
 */
export const DecodeFlags = {
  /** `srcPort` and `dstPort` were read (TCP, UDP, UDP-Lite, SCTP, DCCP). */
  ports: 1,
  /** `sequence`, `acknowledgment`, `window` and `tcpFlags` were read. */
  tcp: 2,
  /** A piece of a datagram: `fragmentOffset` and `fragmentId` say which. */
  fragment: 4,
  /** A fragment, and not the last one. */
  moreFragments: 8,
  /** IPv4 options, or IPv6 extension headers, lie between the IP header and what it carries. */
  options: 16,
  /** An IPv4 length of 0, left for the NIC to fill in (segmentation offload): `totalLength` is taken from the frame. */
  offloaded: 32,
  /** `totalLength` is that of an IPv6 jumbo payload option. */
  jumbo: 64,

  /** The captured bytes end within a header (snaplen). */
  cut: 0x100,
  /** Not all of the payload was captured. */
  payloadCut: 0x200,
  /** IP claims more bytes than the frame had on the wire. */
  missing: 0x400,
  /** A length field ends within a header. */
  noRoom: 0x800,
  /** IP that is neither version 4 nor 6, or not the one that the link header announces. */
  badVersion: 0x1000,
  /** The header length of IPv4 or TCP is below its minimum, or that of TCP is more than IP has. */
  badHeaderLength: 0x2000,
  /** A length that cannot be: of IPv4 below its header, of UDP below its header or beyond IP, of IPv6 0 for no jumbo payload. */
  badLength: 0x4000,
  /** A hop-by-hop header that does not follow the IPv6 header. */
  badExtension: 0x8000,
  /** The batch has a link type that is not decoded. */
  unknownLink: 0x10000,
  /** The batch's arrays were written to, and point outside its memory. */
  outside: 0x20000,

  /** Any of the verdicts on what the sender wrote. */
  malformed: 0xfc00,
  /** Any of the bits that say that bytes were not captured. */
  incomplete: 0x300,
} as const;

/** The offset of what is not there. A DataView read with it throws RangeError, as one with a released batch's does. */
export const ABSENT = 0x7fffffff;
