// The layers of a packet, a line each, with what ringtap/decode says of them: `read -v`.
import { ABSENT, type Decoded, DecodeFlags } from '../../decode/index.js';
import { type Batch, LINKTYPE, PacketFlags, tunnelOf } from '../../index.js';
import { mac } from './address.js';
import { summed, verdictOf } from './checksum.js';
import { ETHERTYPES } from './ethertypes.js';
import { Line, TRUNCATED } from './line.js';
import { flagLetters, tcpOptions } from './tcp.js';
import { verdicts } from './verdicts.js';

/** IP in IP and labels in labels are followed this deep: a crafted packet could hold thousands. */
const MOST_LAYERS = 8;
const MOST_LABELS = 16;
const MPLS = 0x8847;
const MPLS_MULTICAST = 0x8848;

const PROTOCOLS: Readonly<Record<number, string>> = {
  1: 'ICMP',
  2: 'IGMP',
  4: 'IPv4',
  6: 'TCP',
  17: 'UDP',
  41: 'IPv6',
  47: 'GRE',
  50: 'ESP',
  51: 'AH',
  58: 'ICMPv6',
  132: 'SCTP',
};

const hex = (value: number, digits = 4) => `0x${value.toString(16).padStart(digits, '0')}`;
const named = (names: Readonly<Record<number, string>>, value: number) => names[value] ?? 'unknown';

/** Prints them of one packet after the other. */
export class Layers {
  readonly #line = new Line(false);

  /** The lines of packet `i`, each with its end. */
  of(batch: Batch, decoded: Decoded, i: number): string {
    const line = this.#line;
    line.start(batch, decoded, i);
    const found = [frame(batch, i), ...link(line, batch, decoded, i)];
    const tunnel = tunnelOf(batch, i);
    if (tunnel !== undefined) {
      const { kind, id, source, depth, outerBytes } = tunnel;
      const from = `${id === undefined ? '' : ` ${id}`}${source === undefined ? '' : ` from ${source}`}`;
      found.unshift(`Tunnel: ${kind}${from}, ${depth} deep, ${outerBytes} bytes of outer headers`);
    }
    const wireEnd = batch.offset[i]! + batch.wirelen[i]!;
    let layers = 0;
    for (; layers < MOST_LAYERS; layers++) {
      const labels = labelsOf(line);
      found.push(...labels.lines, ...network(line), ...verdicts(line.flags));
      if (!(labels.end === undefined ? enterInner(line) : enterLabelled(line, labels.end, wireEnd))) break;
    }
    if (layers === MOST_LAYERS) found.push('Not decoded: what lies deeper');
    return found.map((text) => `    ${text}\n`).join('');
  }
}

function frame(batch: Batch, i: number): string {
  const [flags, queue] = [batch.flags[i]!, batch.queue[i]!];
  const more = `${queue === 0 ? '' : `, queue ${queue}`}${flags & PacketFlags.outgoing ? ', outgoing' : ''}`;
  return `Frame: ${batch.wirelen[i]} bytes on the wire, ${batch.caplen[i]} captured${more}`;
}

function link(line: Line, batch: Batch, decoded: Decoded, i: number): string[] {
  const found: string[] = [];
  const at = batch.offset[i]!;
  const type = decoded.etherType[i]!;
  if (batch.linkType === LINKTYPE.ETHERNET && line.has(at, 14)) {
    found.push(`Ethernet: ${mac(line, at + 6)} > ${mac(line, at)}, ${typeName(line.u16(at + 12))}`);
  } else if (batch.linkType !== LINKTYPE.ETHERNET) {
    found.push(`Link type ${batch.linkType}${type === 0 ? '' : `: ${typeName(type)}`}`);
  }
  const count = decoded.vlanCount[i]!;
  const tags = [
    [decoded.outerTpid[i]!, decoded.outerTci[i]!],
    [decoded.innerTpid[i]!, decoded.innerTci[i]!],
  ] as const;
  for (const [tpid, tci] of tags.slice(0, count)) {
    found.push(`VLAN: id ${tci & 0xfff}, priority ${tci >> 13}${tci & 0x1000 ? ', DEI' : ''}, tag type ${hex(tpid)}`);
  }
  if (count > 2) found.push(`VLAN: ${count === 255 ? 'at least 253' : count - 2} more tags`);
  return found;
}

function typeName(type: number): string {
  return type < 1536 ? `802.3 length ${type}` : `type ${named(ETHERTYPES, type)} (${hex(type)})`;
}

/** The labels of MPLS, and where they end. */
function labelsOf(line: Line): { lines: string[]; end?: number } {
  const { headers, index } = line;
  const type = headers.etherType[index]!;
  let at = headers.networkOffset[index]!;
  if ((type !== MPLS && type !== MPLS_MULTICAST) || at === ABSENT) return { lines: [] };
  const lines: string[] = [];
  while (lines.length < MOST_LABELS && line.has(at, 4)) {
    const entry = line.u32(at);
    const isLast = (entry & 0x100) !== 0;
    lines.push(
      `MPLS: label ${entry >>> 12}, class ${(entry >> 9) & 7}, ttl ${entry & 255}${isLast ? ', the last one' : ''}`,
    );
    at += 4;
    if (isLast) return { lines, end: at };
  }
  return { lines: [...lines, 'Incomplete: the last label is not here'] };
}

/** What labels carry says of itself what it is, by its first half-byte. False: it is no IP. */
function enterLabelled(line: Line, at: number, wireEnd: number): boolean {
  if (!line.has(at, 1)) return false;
  const version = line.u8(at) >> 4;
  if (version !== 4 && version !== 6) return false;
  line.enter(at, wireEnd - at, LINKTYPE.RAW);
  return true;
}

/** IP and what it carries, or what is there instead. */
function network(line: Line): string[] {
  const { headers, index } = line;
  const version = headers.ipVersion[index]!;
  if (version === 0) return [];
  return [version === 4 ? ipv4(line) : ipv6(line), ...transport(line), ...payload(line)];
}

function ipv4(line: Line): string {
  const { headers, index, flags, bytes } = line;
  const at = headers.networkOffset[index]!;
  const length = headers.ipHeaderLength[index]!;
  const parts = [
    `${headers.src(index)} > ${headers.dst(index)}`,
    carried(headers.protocol[index]!),
    `ttl ${headers.ttl[index]}`,
    `id ${hex(headers.fragmentId[index]!)}`,
    ...classOf(headers.trafficClass[index]!),
    `length ${headers.totalLength[index]}${flags & DecodeFlags.offloaded ? ' (left for the network card to fill in)' : ''}`,
    line.has(at + 6, 2) && line.u16(at + 6) & 0x4000 ? "don't fragment" : '',
    fragment(line),
    length > 20 ? `${length - 20} bytes of options` : '',
    line.has(at, length) ? verdictOf(summed(bytes, at, at + length), line.u16(at + 10)) : 'checksum not captured',
  ];
  return `IPv4: ${parts.filter((part) => part !== '').join(', ')}`;
}

function ipv6(line: Line): string {
  const { headers, index, flags } = line;
  const at = headers.networkOffset[index]!;
  const parts = [
    `${headers.src(index)} > ${headers.dst(index)}`,
    carried(headers.protocol[index]!),
    `hop limit ${headers.ttl[index]}`,
    line.has(at, 4) ? `flow label ${hex(line.u32(at) & 0xfffff, 5)}` : '',
    ...classOf(headers.trafficClass[index]!),
    `length ${headers.totalLength[index]}${flags & DecodeFlags.jumbo ? ' (jumbo payload)' : ''}`,
    flags & DecodeFlags.options ? 'extension headers' : '',
    fragment(line),
  ];
  return `IPv6: ${parts.filter((part) => part !== '').join(', ')}`;
}

const carried = (protocol: number) => `protocol ${named(PROTOCOLS, protocol)} (${protocol})`;

function classOf(trafficClass: number): string[] {
  return trafficClass === 0 ? [] : [`DSCP ${trafficClass >> 2}, ECN ${trafficClass & 3}`];
}

function fragment({ headers, index, flags }: Line): string {
  if ((flags & DecodeFlags.fragment) === 0) return '';
  const more = flags & DecodeFlags.moreFragments ? 'more follow' : 'the last one';
  return `fragment ${hex(headers.fragmentId[index]!)} at ${headers.fragmentOffset[index]}, ${more}`;
}

function transport(line: Line): string[] {
  const { headers, index, flags } = line;
  const at = headers.transportOffset[index]!;
  if (at === ABSENT) return [];
  const protocol = headers.protocol[index]!;
  const ports = `${headers.srcPort[index]} > ${headers.dstPort[index]}`;
  const version = headers.ipVersion[index]!;
  if (protocol === 6 && flags & DecodeFlags.tcp) return [tcp(line, at, ports)];
  if (protocol === 17 && flags & DecodeFlags.ports) {
    const length = line.has(at, 8) ? `, length ${line.u16(at + 4)}, ${checksum(line, at, 6)}` : '';
    return [`UDP: ${ports}${length}`];
  }
  if ((protocol === 1 && version === 4) || (protocol === 58 && version === 6)) {
    if (!line.has(at, 4)) return [];
    return [`${PROTOCOLS[protocol]}: type ${line.u8(at)}, code ${line.u8(at + 1)}, ${checksum(line, at, 2)}`];
  }
  return flags & DecodeFlags.ports ? [`${named(PROTOCOLS, protocol)}: ${ports}`] : [];
}

function tcp(line: Line, at: number, ports: string): string {
  const { headers, index } = line;
  const end = at + (line.u8(at + 12) >> 4) * 4;
  const text = [
    `TCP: ${ports}, flags [${flagLetters(headers.tcpFlags[index]!)}], seq ${headers.sequence[index]}`,
    ...(headers.tcpFlags[index]! & 16 ? [`ack ${headers.acknowledgment[index]}`] : []),
    `window ${headers.window[index]}`,
    checksum(line, at, 16),
  ].join(', ');
  return end > at + 20 && (line.flags & DecodeFlags.badHeaderLength) === 0
    ? `${text}${optionsOf(line, at + 20, end)}`
    : text;
}

function optionsOf(line: Line, from: number, end: number): string {
  line.text = '';
  let isBad = false;
  try {
    isBad = !tcpOptions(line, from, end);
  } catch (error) {
    if (error !== TRUNCATED) throw error;
    line.text += ' …';
  }
  return `, options [${line.text}]${isBad ? ' (an option that is longer than the header)' : ''}`;
}

/** Of a transport header whose checksum stands `within` bytes behind its beginning. */
function checksum(line: Line, at: number, within: number): string {
  const { headers, index, flags, bytes } = line;
  if (!line.has(at + within, 2)) return 'checksum not captured';
  const stated = line.u16(at + within);
  const protocol = headers.protocol[index]!;
  const isFour = headers.ipVersion[index] === 4;
  if (protocol === 17 && stated === 0 && isFour) return 'no checksum';
  if (flags & DecodeFlags.fragment) return `checksum ${hex(stated)} (of all fragments)`;
  const network = headers.networkOffset[index]!;
  const end = network + headers.totalLength[index]!;
  if (flags & (DecodeFlags.malformed | DecodeFlags.offloaded) || !line.has(at, end - at)) {
    return `checksum ${hex(stated)} (not verified: not all of the packet is here)`;
  }
  // ICMP has no pseudo header. A routing header would name another destination.
  if (protocol === 1) return verdictOf(summed(bytes, at, end), stated);
  if (!isFour && flags & DecodeFlags.options) return `checksum ${hex(stated)} (not verified: extension headers)`;
  const length = end - at;
  const around = summed(
    bytes,
    network + (isFour ? 12 : 8),
    network + (isFour ? 20 : 40),
    protocol + (length >> 16) + (length & 0xffff),
  );
  return verdictOf(summed(bytes, at, end, around), stated);
}

function payload({ headers, index }: Line): string[] {
  const [length, captured] = [headers.payloadLength[index]!, headers.payloadCaplen[index]!];
  if (length === 0) return [];
  return [`Payload: ${length} bytes${captured === length ? '' : `, ${captured} captured`}`];
}

/** Goes on with the packet in this one: behind labels of MPLS, or of IP in IP. False: there is none. */
function enterInner(line: Line): boolean {
  const { headers, index } = line;
  const protocol = headers.protocol[index]!;
  const isIpInIp = headers.ipVersion[index] !== 0 && (protocol === 4 || protocol === 41);
  if (!isIpInIp || headers.fragmentOffset[index] !== 0 || headers.payloadOffset[index] === ABSENT) return false;
  line.enter(headers.payloadOffset[index]!, headers.payloadLength[index]!, LINKTYPE.RAW);
  return true;
}
