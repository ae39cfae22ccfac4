import { DecodeFlags, ipv4Text } from '../../decode/index.js';
import type { Endpoints } from './endpoints.js';
import { icmp } from './icmp.js';
import { icmp6 } from './icmp6.js';
import { destinationOptions, hopByHop, routing } from './ip6-extensions.js';
import { type Line, TRUNCATED } from './line.js';
import { tcp } from './tcp.js';
import { udp } from './udp.js';

/** IP in IP is followed this deep: a crafted packet could hold thousands. */
const MAX_DEPTH = 8;

const HEADER6 = 40;
const LINKTYPE_IPV4 = 228;
const LINKTYPE_IPV6 = 229;

const PROTOCOL = {
  hopByHop: 0,
  icmp: 1,
  ipv4: 4,
  tcp: 6,
  udp: 17,
  ipv6: 41,
  routing: 43,
  fragment: 44,
  icmp6: 58,
  none: 59,
  destination: 60,
  dccp: 33,
  sctp: 132,
} as const;

/** IPv4 or IPv6, as the first half-byte says. */
export function ip(line: Line, at: number, length: number): void {
  line.protocol = 'ip';
  const version = line.u8(at) >> 4;
  if (version === 4) ipv4(line, at, length);
  else if (version === 6) ipv6(line, at, length);
  else line.text += `unknown ip ${version}`;
}

/** IPv4 at `at`, of which the line's headers tell. */
export function ipv4(line: Line, at: number, length: number): void {
  line.protocol = 'ip';
  const { headers, index, flags } = line;
  if (headers.ipVersion[index] !== 4) {
    unreadable4(line, at, length);
    return;
  }
  if (!line.showLink) line.text += 'IP ';
  const totalLength = headers.totalLength[index]!;
  if ((flags & DecodeFlags.missing) !== 0) line.text += missing4(totalLength - length);
  line.isOffloaded = (flags & DecodeFlags.offloaded) !== 0;
  line.endAt(at + totalLength);
  const protocol = headers.protocol[index]!;
  const ends = { source: ipv4Text(headers.src4[index]!), destination: ipv4Text(headers.dst4[index]!) };
  if (headers.fragmentOffset[index] !== 0) {
    line.text += `${ends.source} > ${ends.destination}: ip-proto-${protocol}`;
    return;
  }
  if (!printsPorts(protocol)) line.text += `${ends.source} > ${ends.destination}: `;
  const headerLength = headers.ipHeaderLength[index]!;
  if (!line.has(at, headerLength)) {
    line.text += ` [remaining caplen(${line.end - at}) < header length(${headerLength})]`;
    line.need(at, headerLength);
  }
  const isFragment = (flags & DecodeFlags.moreFragments) !== 0;
  payload(line, protocol, at + headerLength, totalLength - headerLength, 4, isFragment, ends);
}

/** Says what is wrong with a header that could not be decoded. */
function unreadable4(line: Line, at: number, length: number): void {
  const version = line.u8(at) >> 4;
  if (version !== 4) {
    line.text += `IP${version} (invalid)`;
    return;
  }
  if (!line.showLink) line.text += 'IP ';
  line.need(at, 20);
  const headerLength = (line.u8(at) & 15) * 4;
  if (headerLength < 20) {
    line.text += `bad-hlen ${headerLength}`;
    return;
  }
  const totalLength = line.u16(at + 2);
  if (length < totalLength) line.text += missing4(totalLength - length);
  line.text += `bad-len ${totalLength === 0 ? length : totalLength}`;
}

function missing4(bytes: number): string {
  return `truncated-ip - ${bytes} bytes missing! `;
}

/** IPv6 at `at`, of which the line's headers tell. */
export function ipv6(line: Line, at: number, length: number): void {
  line.protocol = 'ip6';
  line.need(at, HEADER6);
  if (!line.showLink) line.text += 'IP6 ';
  const { headers, index, flags } = line;
  if (headers.ipVersion[index] !== 6) {
    line.text += `version error: ${line.u8(at) >> 4} != 6`;
    return;
  }
  const ends = { source: headers.src(index), destination: headers.dst(index) };
  if ((flags & DecodeFlags.options) !== 0) {
    extensions(line, at, length, ends);
    return;
  }
  const payloadLength = headers.totalLength[index]! - HEADER6;
  checkLength(line, length, payloadLength);
  if (payloadLength === 0) line.endAt(at + HEADER6 + length); // of a frame that claims to be shorter than its headers
  line.need(at, HEADER6);
  line.endAt(at + HEADER6 + payloadLength);
  const protocol = headers.protocol[index]!;
  if (!printsPorts(protocol)) line.text += `${ends.source} > ${ends.destination}: `;
  payload(line, protocol, at + HEADER6, payloadLength, 6, false, ends);
}

/** IPv6 with headers between it and what it carries. After one of them, ports are printed alone. */
function extensions(line: Line, at: number, length: number, ends: Endpoints): void {
  const payloadLength = line.u16(at + 4);
  checkLength(line, length, payloadLength);
  // A payload length of 0 may stand for a jumbo one, which an option tells.
  let end = at + HEADER6 + (payloadLength === 0 ? length : payloadLength);
  line.endAt(end);
  line.need(at, HEADER6);
  line.text += `${ends.source} > ${ends.destination}: `;
  let next = line.u8(at + 6);
  let from = at + HEADER6;
  let isFragment = false;
  let jumbo = 0;
  for (;;) {
    let advance: number | undefined;
    switch (next) {
      case PROTOCOL.hopByHop: {
        if (from !== at + HEADER6) {
          const why = line.u8(at + 6) === PROTOCOL.hopByHop ? 'was already found' : "don't follow the IPv6 header";
          line.text += `[The Hop-by-Hop Options header ${why}] (invalid)`;
          return;
        }
        const found = hopByHop(line, from, payloadLength);
        jumbo = found.jumbo;
        if (payloadLength === 0 && jumbo === 0) {
          line.text += '[No valid Jumbo Payload Hop-by-Hop option found] (invalid)';
          return;
        }
        advance = found.length;
        break;
      }
      case PROTOCOL.destination:
        advance = destinationOptions(line, from);
        break;
      case PROTOCOL.routing:
        advance = routing(line, from);
        break;
      case PROTOCOL.fragment: {
        line.protocol = 'frag6';
        const offset = line.u16(from + 2) & 0xfff8;
        line.text += `frag (${offset}|${end - from - 8})`;
        if (offset !== 0) return;
        line.text += ' ';
        advance = 8;
        isFragment = true;
        break;
      }
      default: {
        const isFirst = from === at + HEADER6;
        if (payloadLength === 0) {
          if (jumbo === 0 && !isFirst) throw TRUNCATED;
          if (jumbo !== 0) checkLength(line, length, jumbo);
          end = at + HEADER6 + jumbo;
          if (end < from) throw TRUNCATED;
          line.endAt(end);
        }
        payload(line, next, from, end - from, 6, isFragment, isFirst ? ends : undefined);
        return;
      }
    }
    if (advance === undefined) return;
    next = line.u8(from);
    from += advance;
    line.protocol = 'ip6';
    if (from > end) throw TRUNCATED;
  }
}

/** Says how many bytes a packet of `length` lacks of what its header promises. */
function checkLength(line: Line, length: number, payloadLength: number): void {
  const missing = payloadLength === 0 ? 0 : payloadLength + 40 - length;
  if (missing > 0) line.text += `truncated-ip6 - ${missing} bytes missing!`;
}

/** Protocols with ports print the addresses themselves. */
function printsPorts(protocol: number): boolean {
  return (
    protocol === PROTOCOL.tcp || protocol === PROTOCOL.udp || protocol === PROTOCOL.sctp || protocol === PROTOCOL.dccp
  );
}

function payload(
  line: Line,
  protocol: number,
  at: number,
  length: number,
  version: 4 | 6,
  isFragment: boolean,
  ends: Endpoints | undefined,
): void {
  switch (protocol) {
    case PROTOCOL.tcp:
      tcp(line, at, length, ends);
      return;
    case PROTOCOL.udp:
      udp(line, at, length, isFragment, ends);
      return;
    case PROTOCOL.icmp:
      if (version === 4) {
        icmp(line, at, length);
        return;
      }
      break;
    case PROTOCOL.icmp6:
      if (version === 6) {
        icmp6(line, at, length);
        return;
      }
      break;
    case PROTOCOL.ipv4:
    case PROTOCOL.ipv6:
      if (++line.depth > MAX_DEPTH) break;
      line.enter(at, length, protocol === PROTOCOL.ipv4 ? LINKTYPE_IPV4 : LINKTYPE_IPV6);
      if (protocol === PROTOCOL.ipv4) ipv4(line, at, length);
      else ipv6(line, at, length);
      return;
    case PROTOCOL.none:
      line.text += 'no next header';
      return;
    case PROTOCOL.sctp:
    case PROTOCOL.dccp:
      if (ends !== undefined) line.text += `${ends.source} > ${ends.destination}: `;
      break;
  }
  line.text += ` ip-proto-${protocol} ${length}`;
}
