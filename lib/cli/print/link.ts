import { mac } from './address.js';
import { arp } from './arp.js';
import { ETHERTYPES } from './ethertypes.js';
import type { Frame } from './frame.js';
import { ip, ipv4, ipv6 } from './ip.js';

/** Prints a packet of one link type. */
type LinkPrinter = (frame: Frame, at: number, length: number) => void;

const MAX_8023_LENGTH = 1500;
const COOKED_8023 = 1;
const COOKED_8022 = 4;

/** LINKTYPE_ value → its name and printer. */
export const LINK_TYPES: Readonly<Record<number, { readonly name: string; readonly print: LinkPrinter }>> = {
  0: { name: 'BSD loopback', print: bsdLoopback },
  1: { name: 'Ethernet', print: ethernet },
  101: { name: 'raw IP', print: raw },
  108: { name: 'OpenBSD loopback', print: bsdLoopback },
  113: { name: 'Linux cooked v1', print: cooked },
  228: { name: 'raw IPv4', print: raw },
  229: { name: 'raw IPv6', print: raw },
  276: { name: 'Linux cooked v2', print: cooked2 },
};

function ethertypeName(type: number): string {
  return `ethertype ${ETHERTYPES[type] ?? 'Unknown'} (0x${type.toString(16).padStart(4, '0')})`;
}

/** What an ethertype announces; false where it is none of ours. */
function ethertypePayload(frame: Frame, type: number, at: number, length: number): boolean {
  if (type === 0x0800) ipv4(frame, at, length);
  else if (type === 0x86dd) ipv6(frame, at, length);
  else if (type === 0x0806 || type === 0x8035) arp(frame, at, length);
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

function ethernet(frame: Frame, at: number, length: number): void {
  frame.protocol = 'ether';
  frame.need(at, 14);
  const addresses = () => `${mac(frame, at + 6)} > ${mac(frame, at)}, `;
  if (frame.showLink) frame.text += addresses();
  let type = frame.u16(at + 12);
  let from = at + 14;
  // The length stands behind the outermost type, and a comma behind the others.
  let next = `, length ${length}: `;
  while (isVlan(type)) {
    frame.protocol = 'vlan';
    frame.need(from, 4);
    if (frame.showLink) frame.text += `${ethertypeName(type)}${next}${vlanTag(frame.u16(from))}`;
    next = ', ';
    type = frame.u16(from + 2);
    from += 4;
  }
  const link = frame.text;
  if (frame.showLink) frame.text += `${ethertypeName(type)}${next}`;
  if (ethertypePayload(frame, type, from, length - (from - at))) return;
  const name = type <= MAX_8023_LENGTH ? '802.3' : ethertypeName(type);
  frame.text = `${frame.showLink ? link : addresses()}${name}`;
  if (!frame.showLink || next !== ', ') frame.text += `, length ${length}`;
}

/** Linux cooked v1, of captures on "any": who sent it, and the ethertype. */
function cooked(frame: Frame, at: number, length: number): void {
  frame.protocol = 'sll';
  frame.need(at, 16);
  const way = packetType(frame.u16(at)).padStart(3);
  const address = frame.u16(at + 4) === 6 ? `${mac(frame, at + 6)} ` : '';
  cookedPayload(frame, frame.u16(at + 14), at, 16, length, `${way} ${address}`);
}

/** Linux cooked v2: v1 and the interface, as its index is all that the packet holds. */
function cooked2(frame: Frame, at: number, length: number): void {
  frame.protocol = 'sll2';
  frame.need(at, 20);
  const index = frame.u32(at + 4);
  const address = frame.u8(at + 11) === 6 ? `${mac(frame, at + 12)} ` : '';
  frame.text += `${`if${index}`.padEnd(5)} ${packetType(frame.u8(at + 10)).padEnd(3)} `;
  cookedPayload(frame, frame.u16(at), at, 20, length, `ifindex ${index} ${address}`);
}

function cookedPayload(frame: Frame, type: number, at: number, header: number, length: number, link: string): void {
  const known = type === COOKED_8023 ? '802.3' : type === COOKED_8022 ? '802.2' : ethertypeName(type);
  const before = frame.text;
  if (frame.showLink) frame.text += `${link}${known}, length ${length}: `;
  let inner = type;
  let from = at + header;
  while (inner === 0x8100) {
    frame.protocol = 'vlan';
    frame.need(from, 4);
    if (frame.showLink) frame.text += vlanTag(frame.u16(from));
    inner = frame.u16(from + 2);
    frame.text += `ethertype ${ETHERTYPES[inner] ?? 'Unknown'}, `;
    from += 4;
  }
  if (ethertypePayload(frame, inner, from, length - (from - at))) return;
  frame.text = `${before}${link}${known}, length ${length}`;
}

function packetType(type: number): string {
  return ['In', 'B', 'M', 'P', 'Out'][type] ?? '?';
}

/** The address family, in the byte order of whoever captured it. */
function bsdLoopback(frame: Frame, at: number, length: number): void {
  frame.protocol = 'null';
  let family = frame.u32(at);
  if (family > 0xffff) {
    family = ((family >>> 24) | ((family >>> 8) & 0xff00) | ((family & 0xff00) << 8) | (family << 24)) >>> 0;
  }
  const isIpv6 = family === 24 || family === 28 || family === 30;
  const name = family === 2 ? 'IPv4' : isIpv6 ? 'IPv6' : 'Unknown';
  const link = `AF ${name} (${family}), length ${length}`;
  if (name === 'Unknown') {
    frame.text += link;
    return;
  }
  if (frame.showLink) frame.text += `${link}: `;
  if (isIpv6) ipv6(frame, at + 4, length - 4);
  else ipv4(frame, at + 4, length - 4);
}

function raw(frame: Frame, at: number, length: number): void {
  if (frame.showLink) frame.text += 'ip: ';
  ip(frame, at, length);
}
