// What a daemon offers: interfaces of the host, and what else its owner named.
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { type Device, devices } from '../plan/devices.js';
import { Refusal, Type } from '../rpcap/messages.js';
import { interfaceAddresses, uriOf } from '../uri/uri.js';
import { Refused, reply } from './messages.js';

/** Something that a client can open, by its name. */
export interface Offer {
  readonly name: string;
  readonly description: string;
  /** Ours: no client ever says or sees one. */
  readonly uri: string;
  readonly up: boolean;
  readonly loopback: boolean;
  /** Its packets come from a host's interface, and go on coming. */
  readonly isLive: boolean;
}

/** Where offers come from. */
export interface OfferSettings {
  /** Of the interfaces of this host. */
  readonly scheme: string;
  /** Names and URIs beside them. */
  readonly sources: ReadonlyMap<string, string>;
  /** Only what is named in `sources`, no interface. */
  readonly sourcesOnly: boolean;
}

/** What is chosen for clients that a daemon connects to. */
export interface Preselection {
  readonly ifname?: string | undefined;
  /** An address, or a network in CIDR notation. */
  readonly ifaddr?: string | undefined;
}

const LIVE = ['afpacket', 'afxdp', 'auto', 'dpdk', 'pcap', 'pfring'];

/** Whether packets come from a host's interface, and go on coming. */
export function isLive(uri: string): boolean {
  return !/^[a-z]+:/i.test(uri) || LIVE.includes(uri.slice(0, uri.indexOf(':')).toLowerCase());
}

export async function offers({ scheme, sources, sourcesOnly }: OfferSettings): Promise<Offer[]> {
  const named = [...sources].map(([name, uri]) => ({
    name,
    description: '',
    uri,
    up: true,
    loopback: false,
    isLive: isLive(uri),
  }));
  if (sourcesOnly) return named;
  const here = (await devices()).filter(({ name, uris }) => uris.length > 0 && !sources.has(name));
  return [...named, ...here.filter((device) => isOf(device, scheme)).map((device) => offerOf(device, scheme))];
}

function isOf({ uris }: Device, scheme: string): boolean {
  return scheme === 'auto' || uris.some((uri) => uri.startsWith(`${scheme}:`));
}

function offerOf({ name, description, up, loopback }: Device, scheme: string): Offer {
  return { name, description, uri: uriOf(scheme, name), up, loopback, isLive: true };
}

/** Whether an interface is what a daemon is to offer first. Both given: both must be so. */
export function isPreselected({ name }: Pick<Offer, 'name'>, { ifname, ifaddr }: Preselection): boolean {
  if (ifname === undefined && ifaddr === undefined) return false;
  if (ifname !== undefined && ifname !== name) return false;
  return ifaddr === undefined || hasAddress(name, ifaddr);
}

/** Of a list what may be offered: nothing, where something is preselected that is not there. */
export function preselected(list: readonly Offer[], preselection: Preselection): readonly Offer[] {
  return missing(list, preselection) === undefined ? list : [];
}

/** In words what is preselected and not there. */
export function missing(list: readonly Offer[], { ifname, ifaddr }: Preselection): string | undefined {
  if (ifname === undefined && ifaddr === undefined) return undefined;
  if (list.some((offer) => isPreselected(offer, { ifname, ifaddr }))) return undefined;
  const name = ifname === undefined ? 'no interface here' : `no "${ifname}" here`;
  return `nothing is offered: there is ${name}${ifaddr === undefined ? '' : ` with an address of ${ifaddr}`}`;
}

function hasAddress(name: string, wanted: string): boolean {
  const list = networks([wanted]);
  return (interfaceAddresses()[name] ?? []).some(({ address, family }) =>
    list.check(address, family === 'IPv6' ? 'ipv6' : 'ipv4'),
  );
}

/** Addresses and networks, as text: names have been looked up. */
export function networks(texts: readonly string[]): BlockList {
  const list = new BlockList();
  for (const text of texts) {
    const [address = '', bits] = text.split('/');
    const type = isIPv6(address) ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(address, type);
    else list.addSubnet(address, Number(bits), type);
  }
  return list;
}

/** Whether {@link networks} takes it. */
export function isNetwork(text: string): boolean {
  const match = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text);
  const address = match?.[1] ?? '';
  const most = isIPv4(address) ? 32 : isIPv6(address) ? 128 : -1;
  return most > 0 && Number(match?.[2] ?? 0) <= most;
}

const Flags = { loopback: 1, up: 2, running: 4 } as const;
const SUFFIX = ';preselected';
const ADDRESS_BYTES = 128;
/** WHY that one: it is Windows' number, which the protocol has for everybody. */
const IPV6 = 23;
const IPV4 = 2;
/** What clients have room for of a whole answer. */
const MOST_BYTES = 64_000;

/** The answer to FINDALLIF: the preselected one first. */
export function interfacesReply(list: readonly Offer[], preselection: Preselection): Buffer {
  const first = list.filter((offer) => isPreselected(offer, preselection));
  const rest = list.filter((offer) => !first.includes(offer));
  const entries = [...first.map((offer) => entry(offer, true)), ...rest.map((offer) => entry(offer, false))];
  const payload = Buffer.concat(entries);
  if (payload.length > MOST_BYTES) {
    const addresses = first.concat(rest).map((offer, i) => entry(offer, i < first.length, 0));
    const brief = Buffer.concat(addresses);
    if (brief.length > MOST_BYTES) {
      throw new Refused(Refusal.interfaces, `${entries.length} interfaces are more than an answer has room for`);
    }
    return reply(Type.interfaces, brief, entries.length);
  }
  return reply(Type.interfaces, payload, entries.length);
}

function entry(offer: Offer, isFirst: boolean, most = 255): Buffer {
  const name = Buffer.from(offer.name);
  const description = Buffer.from(isFirst ? `${offer.description} ${SUFFIX}`.trimStart() : offer.description);
  const addresses = (interfaceAddresses()[offer.name] ?? []).slice(0, most).map(({ address, netmask, family }) => {
    const bytes = Buffer.alloc(4 * ADDRESS_BYTES);
    put(bytes, 0, address, family);
    put(bytes, ADDRESS_BYTES, netmask, family);
    if (family === 'IPv4' && !offer.loopback) put(bytes, 2 * ADDRESS_BYTES, broadcast(address, netmask), family);
    return bytes;
  });
  const head = Buffer.alloc(12);
  head.writeUInt16BE(name.length, 0);
  head.writeUInt16BE(description.length, 2);
  head.writeUInt32BE((offer.loopback ? Flags.loopback : 0) | (offer.up ? Flags.up | Flags.running : 0), 4);
  head.writeUInt16BE(addresses.length, 8);
  return Buffer.concat([head, name, description, ...addresses]);
}

function put(bytes: Buffer, at: number, address: string, family: 'IPv4' | 'IPv6'): void {
  bytes.writeUInt16BE(family === 'IPv4' ? IPV4 : IPV6, at);
  if (family === 'IPv4') bytes.set(address.split('.').map(Number), at + 4);
  else bytes.set(groupsOf(address), at + 8);
}

function broadcast(address: string, netmask: string): string {
  const mask = netmask.split('.').map(Number);
  return address
    .split('.')
    .map((octet, i) => Number(octet) | (~mask[i]! & 255))
    .join('.');
}

/** The 16 bytes of an IPv6 address as text. */
export function groupsOf(address: string): number[] {
  const [head = '', tail] = address.replace(/%.*/, '').split('::');
  const words = (text: string) => (text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16)));
  const [before, after] = [words(head), words(tail ?? '')];
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => 0);
  return [...before, ...zeros, ...after].flatMap((word) => [word >> 8, word & 255]);
}
