import { LINKTYPE } from '../../index.js';
import { mac } from './address.js';
import { arp } from './arp.js';
import { ETHERTYPES } from './ethertypes.js';
import { ip, ipv4, ipv6 } from './ip.js';
import { type Line, TRUNCATED } from './line.js';

/** Prints a packet of one link type. */
type LinkPrinter = (line: Line, at: number, length: number) => void;

const MAX_8023_LENGTH = 1500;
const COOKED_8023 = 1;
const COOKED_8022 = 4;

/** Those that a link type has. */
export const LINK_PRINTERS: Readonly<Record<number, LinkPrinter>> = {
  [LINKTYPE.NULL]: bsdLoopback,
  [LINKTYPE.ETHERNET]: ethernet,
  [LINKTYPE.PPP]: ppp,
  [LINKTYPE.PPP_HDLC]: ppp,
  [LINKTYPE.RAW]: raw,
  [LINKTYPE.C_HDLC]: ppp,
  [LINKTYPE.LOOP]: bsdLoopback,
  [LINKTYPE.LINUX_SLL]: cooked,
  [LINKTYPE.IPV4]: raw,
  [LINKTYPE.IPV6]: raw,
  [LINKTYPE.LINUX_SLL2]: cooked2,
};

function ethertypeName(type: number): string {
  return `ethertype ${ETHERTYPES[type] ?? 'Unknown'} (0x${type.toString(16).padStart(4, '0')})`;
}

/** What an ethertype announces; false where it is none of ours. */
function ethertypePayload(line: Line, type: number, at: number, length: number): boolean {
  if (type === 0x0800) ipv4(line, at, length);
  else if (type === 0x86dd) ipv6(line, at, length);
  else if (type === 0x0806 || type === 0x8035) arp(line, at, length);
  else return false;
  return true;
}

function isVlan(type: number): boolean {
  return type === 0x8100 || type === 0x88a8 || type === 0x9100 || type === 0x9200;
}

/** A tag control information field: "vlan 5, p 3, DEI, ". */
function vlanTag(tci: number): string {
  return `vlan ${tci & 0xfff}, p ${tci >> 13}${tci & 0x1000 ? ', DEI' : ''}, `;
}

function ethernet(line: Line, at: number, length: number): void {
  line.protocol = 'ether';
  line.need(at, 14);
  const addresses = () => `${mac(line, at + 6)} > ${mac(line, at)}, `;
  const type = line.headers.etherType[line.index]!;
  // The length stands behind the outermost type, and a comma behind the others.
  let next = `, length ${length}: `;
  if (line.showLink) {
    line.text += addresses();
    next = tags(line, at + 12, next);
  }
  if (isVlan(type)) {
    line.protocol = 'vlan'; // it was cut within a tag
    throw TRUNCATED;
  }
  const link = line.text;
  if (line.showLink) line.text += `${ethertypeName(type)}${next}`;
  const from = line.network;
  if (ethertypePayload(line, type, from, length - (from - at))) return;
  const name = type <= MAX_8023_LENGTH ? '802.3' : ethertypeName(type);
  line.text = `${line.showLink ? link : addresses()}${name}`;
  if (!line.showLink || next !== ', ') line.text += `, length ${length}`;
}

/** The VLAN tags from `at` on. @returns what stands behind the type that follows */
function tags(line: Line, at: number, next: string): string {
  for (let from = at; isVlan(line.u16(from)); from += 4) {
    line.protocol = 'vlan';
    line.need(from + 2, 4);
    line.text += `${ethertypeName(line.u16(from))}${next}${vlanTag(line.u16(from + 2))}`;
    next = ', ';
  }
  return next;
}

/** Linux cooked v1, of captures on "any": who sent it, and the ethertype. */
function cooked(line: Line, at: number, length: number): void {
  line.protocol = 'sll';
  line.need(at, 16);
  const way = packetType(line.u16(at)).padStart(3);
  const address = line.u16(at + 4) === 6 ? `${mac(line, at + 6)} ` : '';
  cookedPayload(line, line.u16(at + 14), at, 16, length, `${way} ${address}`);
}

/** Linux cooked v2: v1 and the interface, as its index is all that the packet holds. */
function cooked2(line: Line, at: number, length: number): void {
  line.protocol = 'sll2';
  line.need(at, 20);
  const index = line.u32(at + 4);
  const address = line.u8(at + 11) === 6 ? `${mac(line, at + 12)} ` : '';
  line.text += `${`if${index}`.padEnd(5)} ${packetType(line.u8(at + 10)).padEnd(3)} `;
  cookedPayload(line, line.u16(at), at, 20, length, `ifindex ${index} ${address}`);
}

function cookedPayload(line: Line, type: number, at: number, header: number, length: number, link: string): void {
  const known = type === COOKED_8023 ? '802.3' : type === COOKED_8022 ? '802.2' : ethertypeName(type);
  const before = line.text;
  if (line.showLink) line.text += `${link}${known}, length ${length}: `;
  let inner = type;
  let from = at + header;
  while (inner === 0x8100) {
    line.protocol = 'vlan';
    line.need(from, 4);
    if (line.showLink) line.text += vlanTag(line.u16(from));
    inner = line.u16(from + 2);
    line.text += `ethertype ${ETHERTYPES[inner] ?? 'Unknown'}, `;
    from += 4;
  }
  if (ethertypePayload(line, inner, from, length - (from - at))) return;
  line.text = `${before}${link}${known}, length ${length}`;
}

function packetType(type: number): string {
  return ['In', 'B', 'M', 'P', 'Out'][type] ?? '?';
}

/** The address family, in the byte order of whoever captured it. */
function bsdLoopback(line: Line, at: number, length: number): void {
  line.protocol = 'null';
  let family = line.u32(at);
  if (family > 0xffff) {
    family = ((family >>> 24) | ((family >>> 8) & 0xff00) | ((family & 0xff00) << 8) | (family << 24)) >>> 0;
  }
  const isIpv6 = family === 24 || family === 28 || family === 30;
  const name = family === 2 ? 'IPv4' : isIpv6 ? 'IPv6' : 'Unknown';
  const link = `AF ${name} (${family}), length ${length}`;
  if (name === 'Unknown') {
    line.text += link;
    return;
  }
  if (line.showLink) line.text += `${link}: `;
  if (isIpv6) ipv6(line, at + 4, length - 4);
  else ipv4(line, at + 4, length - 4);
}

/** PPP and Cisco's HDLC: what they announce is in the columns, as an ethertype. */
function ppp(line: Line, at: number, length: number): void {
  line.protocol = 'ppp';
  line.need(at, 2);
  const type = line.headers.etherType[line.index]!;
  const from = line.network;
  if (line.showLink) line.text += `${type === 0 ? 'PPP' : `PPP, ${ethertypeName(type)}`}, length ${length}: `;
  const before = line.text;
  if (ethertypePayload(line, type, from, length - (from - at))) return;
  line.text = line.showLink
    ? before.replace(/: $/, '')
    : `PPP${type === 0 ? '' : `, ${ethertypeName(type)}`}, length ${length}`;
}

function raw(line: Line, at: number, length: number): void {
  if (line.showLink) line.text += 'ip: ';
  ip(line, at, length);
}
