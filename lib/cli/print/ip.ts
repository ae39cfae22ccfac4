import { ipv4Address, ipv6Address } from './address.js';
import type { Endpoints } from './endpoints.js';
import { type Frame, TRUNCATED } from './frame.js';
import { icmp } from './icmp.js';
import { icmp6 } from './icmp6.js';
import { destinationOptions, hopByHop, routing } from './ip6-extensions.js';
import { tcp } from './tcp.js';
import { udp } from './udp.js';

/** IP in IP is followed this deep: a crafted packet could hold thousands. */
const MAX_DEPTH = 8;

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
export function ip(frame: Frame, at: number, length: number): void {
  frame.protocol = 'ip';
  const version = frame.u8(at) >> 4;
  if (version === 4) ipv4(frame, at, length);
  else if (version === 6) ipv6(frame, at, length);
  else frame.text += `unknown ip ${version}`;
}

export function ipv4(frame: Frame, at: number, length: number): void {
  frame.protocol = 'ip';
  const version = frame.u8(at) >> 4;
  if (version !== 4) {
    frame.text += `IP${version} (invalid)`;
    return;
  }
  if (!frame.showLink) frame.text += 'IP ';
  frame.need(at, 20);
  const headerLength = (frame.u8(at) & 15) * 4;
  if (headerLength < 20) {
    frame.text += `bad-hlen ${headerLength}`;
    return;
  }
  let totalLength = frame.u16(at + 2);
  if (length < totalLength) frame.text += `truncated-ip - ${totalLength - length} bytes missing! `;
  frame.isOffloaded = totalLength === 0; // Segmentation offload leaves it to the NIC.
  if (frame.isOffloaded) totalLength = length;
  if (totalLength < headerLength) {
    frame.text += `bad-len ${totalLength}`;
    return;
  }
  frame.endAt(at + totalLength);
  const protocol = frame.u8(at + 9);
  const fragment = frame.u16(at + 6);
  const ends = { source: ipv4Address(frame, at + 12), destination: ipv4Address(frame, at + 16) };
  if ((fragment & 0x1fff) !== 0) {
    frame.text += `${ends.source} > ${ends.destination}: ip-proto-${protocol}`;
    return;
  }
  if (!printsPorts(protocol)) frame.text += `${ends.source} > ${ends.destination}: `;
  if (!frame.has(at, headerLength)) {
    frame.text += ` [remaining caplen(${frame.end - at}) < header length(${headerLength})]`;
    frame.need(at, headerLength);
  }
  payload(frame, protocol, at + headerLength, totalLength - headerLength, 4, (fragment & 0x2000) !== 0, ends);
}

export function ipv6(frame: Frame, at: number, length: number): void {
  frame.protocol = 'ip6';
  frame.need(at, 40);
  if (!frame.showLink) frame.text += 'IP6 ';
  const version = frame.u8(at) >> 4;
  if (version !== 6) {
    frame.text += `version error: ${version} != 6`;
    return;
  }
  const payloadLength = frame.u16(at + 4);
  checkLength(frame, length, payloadLength);
  // A payload length of 0 may stand for a jumbo one, which an option tells.
  let end = at + 40 + (payloadLength === 0 ? length : payloadLength);
  frame.endAt(end);
  const ends = { source: ipv6Address(frame, at + 8), destination: ipv6Address(frame, at + 24) };
  let next = frame.u8(at + 6);
  if (!printsPorts(next)) frame.text += `${ends.source} > ${ends.destination}: `;
  let from = at + 40;
  let isFragment = false;
  let jumbo = 0;
  for (;;) {
    let advance: number | undefined;
    switch (next) {
      case PROTOCOL.hopByHop: {
        if (from !== at + 40) {
          const why = frame.u8(at + 6) === PROTOCOL.hopByHop ? 'was already found' : "don't follow the IPv6 header";
          frame.text += `[The Hop-by-Hop Options header ${why}] (invalid)`;
          return;
        }
        const found = hopByHop(frame, from, payloadLength);
        jumbo = found.jumbo;
        if (payloadLength === 0 && jumbo === 0) {
          frame.text += '[No valid Jumbo Payload Hop-by-Hop option found] (invalid)';
          return;
        }
        advance = found.length;
        break;
      }
      case PROTOCOL.destination:
        advance = destinationOptions(frame, from);
        break;
      case PROTOCOL.routing:
        advance = routing(frame, from);
        break;
      case PROTOCOL.fragment: {
        frame.protocol = 'frag6';
        const offset = frame.u16(from + 2) & 0xfff8;
        frame.text += `frag (${offset}|${end - from - 8})`;
        if (offset !== 0) return;
        frame.text += ' ';
        advance = 8;
        isFragment = true;
        break;
      }
      default: {
        const isFirst = from === at + 40;
        if (payloadLength === 0) {
          if (jumbo === 0 && !isFirst) throw TRUNCATED;
          if (jumbo !== 0) checkLength(frame, length, jumbo);
          end = at + 40 + jumbo;
          if (end < from) throw TRUNCATED;
          frame.endAt(end);
        }
        // After an extension header the addresses are on the line already; what follows prints its ports alone.
        payload(frame, next, from, end - from, 6, isFragment, isFirst ? ends : undefined);
        return;
      }
    }
    if (advance === undefined) return;
    next = frame.u8(from);
    from += advance;
    frame.protocol = 'ip6';
    if (from > end) throw TRUNCATED;
  }
}

/** Says how many bytes a packet of `length` lacks of what its header promises. */
function checkLength(frame: Frame, length: number, payloadLength: number): void {
  const missing = payloadLength === 0 ? 0 : payloadLength + 40 - length;
  if (missing > 0) frame.text += `truncated-ip6 - ${missing} bytes missing!`;
}

/** Protocols with ports print the addresses themselves. */
function printsPorts(protocol: number): boolean {
  return (
    protocol === PROTOCOL.tcp || protocol === PROTOCOL.udp || protocol === PROTOCOL.sctp || protocol === PROTOCOL.dccp
  );
}

function payload(
  frame: Frame,
  protocol: number,
  at: number,
  length: number,
  version: 4 | 6,
  isFragment: boolean,
  ends: Endpoints | undefined,
): void {
  switch (protocol) {
    case PROTOCOL.tcp:
      tcp(frame, at, length, ends);
      return;
    case PROTOCOL.udp:
      udp(frame, at, length, isFragment, ends);
      return;
    case PROTOCOL.icmp:
      if (version === 4) {
        icmp(frame, at, length);
        return;
      }
      break;
    case PROTOCOL.icmp6:
      if (version === 6) {
        icmp6(frame, at, length);
        return;
      }
      break;
    case PROTOCOL.ipv4:
    case PROTOCOL.ipv6:
      if (++frame.depth > MAX_DEPTH) break;
      if (protocol === PROTOCOL.ipv4) ipv4(frame, at, length);
      else ipv6(frame, at, length);
      return;
    case PROTOCOL.none:
      frame.text += 'no next header';
      return;
    case PROTOCOL.sctp:
    case PROTOCOL.dccp:
      if (ends !== undefined) frame.text += `${ends.source} > ${ends.destination}: `;
      break;
  }
  frame.text += ` ip-proto-${protocol} ${length}`;
}
