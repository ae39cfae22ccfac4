// Rules of a forwarder: as objects, as text, and as native/forward takes them.
import { isIP } from 'node:net';
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import type { NativeInlineNat, NativeInlineRule, NativeInlineSide } from '../native/native.js';

/** Where the client is: packets from it to `address` are for the server. */
export interface InlineIn {
  /** An Ethernet interface. */
  readonly interface: string;
  /** Its IP address. */
  readonly client: string;
  /**
   * Whom it speaks to: an address that nobody has, neither this host. With a prefix (`10.1.0.5/24`) hosts of that network
   * are on the link, and others behind the `gateway`.
   */
  readonly address: string;
  /** Who is asked to send on what is for the client: an IP address. Default: the client itself is on the link. */
  readonly gateway?: string | undefined;
}

/** Where the server is: packets to it come from `address`. */
export interface InlineOut {
  /** An Ethernet interface; it may be that of the client. */
  readonly interface: string;
  /** Whom the server sees: an address that nobody has, as that of the client's side. */
  readonly address: string;
  /** The server's IP address. */
  readonly server: string;
  /** Who is asked to send on what is for the server. Default: the server itself is on the link. */
  readonly gateway?: string | undefined;
}

/** One client, one server, and the two addresses between them. */
export interface InlinePairRule {
  /** It is known by: 1 to 64 letters, digits, `_`, `.` or `-`. */
  readonly name: string;
  /** What kind of rule it is; this kind needs not say so. */
  readonly kind?: 'pair' | undefined;
  /** The client's side. */
  readonly in: InlineIn;
  /** The server's side. */
  readonly out: InlineOut;
}

/** Where many clients are: what they send to `address` is for the server. */
export interface InlineNatIn {
  /** An Ethernet interface. */
  readonly interface: string;
  /** Who they are: a network (`10.1.0.0/24`), one address, or `any`. */
  readonly clients: string;
  /** Whom they speak to, as {@link InlineIn.address}. */
  readonly address: string;
  /** Who is asked to send on what is for clients. Default: they are on the link. */
  readonly gateway?: string | undefined;
}

/** How many conversations there may be. */
export interface InlineLimits {
  /** The number of those of all clients together: 1 to 1,048,576; default 65,536. */
  readonly entries?: number | undefined;
  /** The number of those of each client; default 1,024, or all if that is less. */
  readonly perClient?: number | undefined;
}

/** How long a conversation in which nobody says anything is kept, in ms: 100 to 604,800,000. Its port is free only then. */
export interface InlineTimeouts {
  /** TCP, open at both ends. Default 7,440,000: two hours and four minutes (RFC 5382). */
  readonly establishedMs?: number | undefined;
  /** TCP, on its way to be. Default 240,000 (RFC 5382). */
  readonly transitoryMs?: number | undefined;
  /** TCP, closed by both ends or reset. Default 120,000. */
  readonly closingMs?: number | undefined;
  /** UDP. Default 120,000 (RFC 4787). */
  readonly udpMs?: number | undefined;
  /** ICMP: an echo and its answer. Default 60,000 (RFC 5508). */
  readonly icmpMs?: number | undefined;
}

/** Many clients behind one address, and one server: address and port translation. */
export interface InlineNatRule {
  /** It is known by, as {@link InlinePairRule.name}. */
  readonly name: string;
  /** What kind of rule it is. */
  readonly kind: 'nat';
  /** The clients' side. */
  readonly in: InlineNatIn;
  /** The server's side. */
  readonly out: InlineOut;
  /** The first and the last of our ports, 1 to 65,535, that clients may get; default 1,024 to 65,535. Of ICMP all ids. */
  readonly ports?: readonly [number, number] | undefined;
  /** How many conversations there may be. */
  readonly limits?: InlineLimits | undefined;
  /** How long they are kept. */
  readonly timeouts?: InlineTimeouts | undefined;
}

/** Where balancers are that send GENEVE. */
export interface InlineGeneveIn {
  /** An Ethernet interface. */
  readonly interface: string;
  /** Who they are: a network (`10.1.0.0/24`), one address, or `any`. */
  readonly balancers: string;
  /** Whom they send to: an address of this host on that interface. Only GENEVE to it is taken from the host. */
  readonly address: string;
}

/** Packets that a gateway load balancer sends in GENEVE, and gets back as it sent them. */
export interface InlineGeneveRule {
  /** It is known by, as {@link InlinePairRule.name}. */
  readonly name: string;
  /** What kind of rule it is. */
  readonly kind: 'geneve';
  /** The only side. */
  readonly in: InlineGeneveIn;
  /** TCP port of the address at which health checks are answered, also of HTTP; default: none is. */
  readonly healthPort?: number | undefined;
}

/** Which packets are sent on, and as what. `kind` tells the kinds apart. */
export type InlineRule = InlinePairRule | InlineNatRule | InlineGeneveRule;

/** A rule that was looked through. */
export interface ReadRule {
  readonly rule: InlineRule;
  readonly kind: 'pair' | 'nat' | 'geneve';
  readonly sides: readonly [ReadSide, ReadSide];
  /** Of the network of clients or balancers. */
  readonly clientBits: number;
  readonly nat?: NativeInlineNat;
}

export interface ReadSide {
  readonly interface: string;
  readonly peer: Uint8Array;
  readonly own: Uint8Array;
  readonly ownBits: number;
  readonly gateway: Uint8Array | undefined;
  /** As text. */
  readonly address: string;
  readonly peerText: string;
  readonly gatewayText: string | undefined;
}

export const NAME = /^[\w.-]{1,64}$/;
export const INTERFACE = /^[^\s/:]{1,15}$/;
const RULES = {
  pair: ['name', 'kind', 'in', 'out'],
  nat: ['name', 'kind', 'in', 'out', 'ports', 'limits', 'timeouts'],
  geneve: ['name', 'kind', 'in', 'healthPort'],
};
export const KINDS = Object.keys(RULES) as ReadRule['kind'][];
const OUT = ['interface', 'address', 'server', 'gateway'];
const HINT =
  'A rule is NAME: INTERFACE CLIENT -> ADDRESS[/BITS] [via GATEWAY] => INTERFACE ADDRESS[/BITS] -> SERVER [via GATEWAY]; for many clients NAME: nat INTERFACE CLIENTS -> … with bounds behind it, and for balancers NAME: geneve INTERFACE BALANCERS -> ADDRESS [health PORT]';
export const LIMITS = { entries: 'entries', perClient: 'per-client' } as const;
export const TIMEOUTS = {
  establishedMs: 'established',
  transitoryMs: 'transitory',
  closingMs: 'closing',
  udpMs: 'udp',
  icmpMs: 'icmp',
} as const;
const DEFAULTS = {
  establishedMs: 7_440_000,
  transitoryMs: 240_000,
  closingMs: 120_000,
  udpMs: 120_000,
  icmpMs: 60_000,
};
const DEFAULT_PORTS = [1024, 65_535] as const;
const MOST_ENTRIES = 1_048_576;
const [DEFAULT_ENTRIES, DEFAULT_PER_CLIENT] = [65_536, 1024];
const [LEAST_MS, MOST_MS] = [100, 604_800_000];
/** Of rules, together. */
const MOST_RULES = 1024;

/** The bytes of an address, 4 or 16; undefined where it is none, or that of no single host. */
export function addressBytes(text: unknown): Uint8Array | undefined {
  const bytes = bytesOf(text);
  return bytes !== undefined && isHost(bytes) ? bytes : undefined;
}

function bytesOf(text: unknown): Uint8Array | undefined {
  if (typeof text !== 'string') return undefined;
  const kind = isIP(text);
  return kind === 4 ? Uint8Array.from(text.split('.'), Number) : kind === 6 ? bytesOf6(text) : undefined;
}

interface Network {
  readonly bytes: Uint8Array;
  readonly bits: number;
}

/** A network, one host, or `any`, of a family of so many bytes; undefined where it is none, or has bits behind its prefix. */
export function networkOf(text: unknown, width?: number): Network | undefined {
  if (typeof text !== 'string') return undefined;
  if (text === 'any') return { bytes: new Uint8Array(width ?? 4), bits: 0 };
  const [, plain = '', prefix = undefined] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const bytes = prefix === undefined ? addressBytes(plain) : bytesOf(plain);
  if (bytes === undefined) return undefined;
  const bits = prefix === undefined ? bytes.length * 8 : Number(prefix);
  if (bits > bytes.length * 8) return undefined;
  const isClean = bytes.every((byte, i) => (byte & (0xff >> Math.min(8, Math.max(0, bits - i * 8)))) === 0);
  return isClean || bits === bytes.length * 8 ? { bytes, bits } : undefined;
}

function bytesOf6(text: string): Uint8Array | undefined {
  if (text.includes('%')) return undefined;
  const last = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  const hex = (high: string, low: string) => (Number(high) * 256 + Number(low)).toString(16);
  const whole = last === null ? text : `${last[1]}${hex(last[2]!, last[3]!)}:${hex(last[4]!, last[5]!)}`;
  const [head = '', tail] = whole.split('::');
  const words = (part: string) => (part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16)));
  const front = words(head);
  const back = tail === undefined ? [] : words(tail);
  const all = [...front, ...Array(8 - front.length - back.length).fill(0), ...back];
  return Uint8Array.from(all.flatMap((word: number) => [word >> 8, word & 255]));
}

/** No group, not 127.0.0.0/8 or ::1, and no address that is none. */
function isHost(bytes: Uint8Array): boolean {
  const [first = 0] = bytes;
  if (bytes.length === 4) return first !== 0 && first !== 127 && first < 224;
  const isSmall = bytes.subarray(0, 15).every((byte) => byte === 0);
  const isMapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  const isLinkLocal = first === 0xfe && (bytes[1]! & 0xc0) === 0x80;
  return first !== 255 && !isLinkLocal && !isMapped && !(isSmall && bytes[15]! < 2);
}

const ONE_FAMILY = 'addresses of one rule are all of IPv4, or all of IPv6';
const NO_GATEWAY = { gateway: undefined, gatewayText: undefined };

export function bad(what: string, hint = HINT): CaptureError {
  return new CaptureError('RINGTAP_BAD_OPTION', what, { hint });
}

function ownFields(value: unknown, allowed: readonly string[], what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw bad(`${what} must be an object, not ${show(value)}`);
  }
  for (const key of Object.keys(value)) {
    if (allowed.includes(key)) continue;
    throw new CaptureError('RINGTAP_UNKNOWN_OPTION', `${what} has no field ${show(key)}`, {
      hint: `Its fields are ${allowed.join(', ')}.`,
    });
  }
  return Object.assign(Object.create(null), value);
}

type Fields = Readonly<Record<string, unknown>>;

/** An interface, and an address of ours there. */
function readOwn({ interface: name, address }: Fields, which: 'in' | 'out', where: string) {
  if (typeof name !== 'string' || !INTERFACE.test(name)) {
    throw bad(`${where}: ${which}.interface must be the name of an interface, not ${show(name)}`);
  }
  const [, plain = undefined, bits = undefined] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(String(address)) ?? [];
  const own = addressBytes(plain);
  if (own === undefined || typeof address !== 'string') {
    throw bad(`${where}: ${which}.address must be the IP address of a host, such as 10.1.0.5/24, not ${show(address)}`);
  }
  const ownBits = bits === undefined ? 0 : Number(bits);
  if (ownBits > own.length * 8 || (bits !== undefined && ownBits === 0)) {
    throw bad(`${where}: ${which}.address has a prefix from 1 to ${own.length * 8}, not ${bits}`);
  }
  return { interface: name, own, ownBits, address: plain! };
}

/** Who is asked to send on. */
function readGateway({ gateway }: Fields, own: Uint8Array, which: 'in' | 'out', where: string) {
  const via = gateway === undefined ? undefined : addressBytes(gateway);
  if (gateway !== undefined && via === undefined) {
    throw bad(`${where}: ${which}.gateway must be the IP address of a host, not ${show(gateway)}`);
  }
  if (via !== undefined && via.length !== own.length) throw bad(`${where}: ${ONE_FAMILY}`);
  return { gateway: via, gatewayText: gateway as string | undefined };
}

/** Reads a side with one peer, by its name. */
function readSide(fields: Fields, which: 'in' | 'out', peerName: 'client' | 'server', where: string): ReadSide {
  const peer = addressBytes(fields[peerName]);
  if (peer === undefined) {
    const isNetwork = peerName === 'client' && /^[^/]+\/\d{1,3}$/.test(String(fields[peerName]));
    throw bad(
      `${where}: ${which}.${peerName} must be the IP address of a host, not ${show(fields[peerName])}`,
      isNetwork ? "For many clients a rule has kind: 'nat', and in: { interface, clients, address }." : HINT,
    );
  }
  const own = readOwn(fields, which, where);
  const via = readGateway(fields, own.own, which, where);
  if (peer.length !== own.own.length) throw bad(`${where}: ${ONE_FAMILY}`);
  if (Buffer.compare(peer, own.own) === 0) throw bad(`${where}: ${which}.address is that of the ${peerName} itself`);
  return { ...own, ...via, peer, peerText: fields[peerName] as string };
}

/** Reads a side with many peers, by their name. */
function readMany(
  fields: Fields,
  peersName: 'clients' | 'balancers',
  where: string,
): ReadSide & { clientBits: number } {
  const own = readOwn(fields, 'in', where);
  const network = networkOf(fields[peersName], own.own.length);
  if (network === undefined) {
    throw bad(
      `${where}: in.${peersName} must be a network such as 10.1.0.0/24 without bits behind its prefix, an IP address, or any, not ${show(fields[peersName])}`,
    );
  }
  if (network.bytes.length !== own.own.length) throw bad(`${where}: ${ONE_FAMILY}`);
  const via = peersName === 'clients' ? readGateway(fields, own.own, 'in', where) : NO_GATEWAY;
  return { ...own, ...via, peer: network.bytes, clientBits: network.bits, peerText: fields[peersName] as string };
}

function whole(value: unknown, least: number, most: number, what: string): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
  throw bad(`${what} must be a whole number from ${least} to ${most}, not ${show(value)}`);
}

/** The bounds of a rule for many clients: as they were given, and all of them. */
function readBounds({ ports, limits = {}, timeouts = {} }: Fields, where: string) {
  const given = ownFields(limits, Object.keys(LIMITS), `${where}: limits`);
  const times = ownFields(timeouts, Object.keys(TIMEOUTS), `${where}: timeouts`);
  const isPair = ports === undefined || (Array.isArray(ports) && ports.length === 2);
  if (!isPair) throw bad(`${where}: ports must be the first and the last, not ${show(ports)}`);
  const first = whole(ports?.[0] ?? DEFAULT_PORTS[0], 1, 65_535, `${where}: the first of ports`);
  const last = whole(ports?.[1] ?? DEFAULT_PORTS[1], first, 65_535, `${where}: the last of ports`);
  const entries = whole(given.entries ?? DEFAULT_ENTRIES, 1, MOST_ENTRIES, `${where}: limits.entries`);
  const most = given.perClient ?? Math.min(DEFAULT_PER_CLIENT, entries);
  const perClient = whole(most, 1, MOST_ENTRIES, `${where}: limits.perClient`);
  const names = Object.keys(TIMEOUTS) as (keyof typeof TIMEOUTS)[];
  const timeoutsMs = names.map((name) =>
    whole(times[name] ?? DEFAULTS[name], LEAST_MS, MOST_MS, `${where}: timeouts.${name}`),
  );
  const kept = <T extends string>(from: Fields, keys: readonly T[]) =>
    Object.freeze(
      Object.fromEntries(keys.flatMap((key) => (from[key] === undefined ? [] : [[key, from[key] as number]]))),
    ) as { readonly [key in T]?: number };
  const limited = kept(given, Object.keys(LIMITS) as (keyof typeof LIMITS)[]);
  const timed = kept(times, names);
  return {
    nat: { ports: Uint32Array.of(first, last), entries, perClient, timeoutsMs: Float64Array.from(timeoutsMs) },
    rule: {
      ...(ports === undefined ? {} : { ports: Object.freeze([first, last] as const) }),
      ...(Object.keys(limited).length === 0 ? {} : { limits: limited }),
      ...(Object.keys(timed).length === 0 ? {} : { timeouts: timed }),
    },
  };
}

/** What a caller gave may throw when it is looked at. */
function looked<T>(where: string, look: () => T): T {
  try {
    return look();
  } catch (cause) {
    if (cause instanceof CaptureError) throw cause;
    throw new CaptureError('RINGTAP_BAD_OPTION', `${where}: the rules cannot be read`, { cause, hint: HINT });
  }
}

/** Looks through one rule. `where` is for messages. */
export function readRule(value: unknown, where: string): ReadRule {
  return looked(where, () => look(value, where));
}

function look(value: unknown, where: string): ReadRule {
  const asked = (value as { kind?: unknown } | null | undefined)?.kind ?? 'pair';
  if (!KINDS.includes(asked as ReadRule['kind'])) {
    throw bad(`${where}: kind must be ${KINDS.join(', ')}, not ${show(asked)}`);
  }
  const kind = asked as ReadRule['kind'];
  const fields = ownFields(value, RULES[kind], where);
  const { name } = fields;
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw bad(`${where}: name must be 1 to 64 letters, digits, _, . or -, not ${show(name)}`);
  }
  const side = (which: 'in' | 'out', allowed: readonly string[]) =>
    ownFields(fields[which], allowed, `rule ${name}: ${which}`);
  const called = `rule ${name}`;
  if (kind === 'geneve') {
    const near = readMany(side('in', ['interface', 'balancers', 'address']), 'balancers', called);
    const health = fields.healthPort;
    const healthPort = health === undefined ? {} : { healthPort: whole(health, 1, 65_535, `${called}: healthPort`) };
    const inside = Object.freeze({ ...ownText(near), balancers: near.peerText });
    return {
      rule: Object.freeze({ name, kind, in: inside, ...healthPort }),
      kind,
      sides: [near, near],
      clientBits: near.clientBits,
    };
  }
  const far = () => readSide(side('out', OUT), 'out', 'server', called);
  if (kind === 'nat') {
    const near = readMany(side('in', ['interface', 'clients', 'address', 'gateway']), 'clients', called);
    const sides = oneFamily(near, far(), called);
    const bounds = readBounds(fields, called);
    const inside = Object.freeze({ ...ownText(near), clients: near.peerText });
    const out = Object.freeze({ ...ownText(sides[1]), server: sides[1].peerText });
    return {
      rule: Object.freeze({ name, kind, in: inside, out, ...bounds.rule }),
      kind,
      sides,
      clientBits: near.clientBits,
      nat: bounds.nat,
    };
  }
  const near = readSide(side('in', ['interface', 'client', 'address', 'gateway']), 'in', 'client', called);
  const sides = oneFamily(near, far(), called);
  const inside = Object.freeze({ ...ownText(near), client: near.peerText });
  const out = Object.freeze({ ...ownText(sides[1]), server: sides[1].peerText });
  return { rule: Object.freeze({ name, in: inside, out }), kind, sides, clientBits: 0 };
}

function oneFamily(near: ReadSide, far: ReadSide, where: string): readonly [ReadSide, ReadSide] {
  if (near.own.length !== far.own.length) throw bad(`${where}: ${ONE_FAMILY}`);
  return [near, far];
}

/** As it was read: what the caller does with his object afterwards changes nothing. */
function ownText(side: ReadSide) {
  return {
    interface: side.interface,
    address: side.address + (side.ownBits > 0 ? `/${side.ownBits}` : ''),
    ...(side.gatewayText === undefined ? {} : { gateway: side.gatewayText }),
  };
}

/** Looks through rules that are to be in force together; text is read by `parse`. */
export function readRules(value: unknown, where: string, parse: (text: string) => InlineRule[]): ReadRule[] {
  return looked(where, () => lookAll(typeof value === 'string' ? parse(value) : value, where));
}

function lookAll(value: unknown, where: string): ReadRule[] {
  if (!Array.isArray(value)) throw bad(`${where}: rules are an array, or text, not ${show(value)}`);
  if (value.length > MOST_RULES) throw bad(`${where}: ${value.length} rules are more than ${MOST_RULES}`);
  return Array.from(value, (one, i) => readRule(one, `${where}: rule ${i + 1}`));
}

/** For the addon, by the numbers of its interfaces. */
export function toNative(
  { rule, kind, sides, clientBits, nat }: ReadRule,
  interfaces: readonly string[],
): NativeInlineRule {
  const side = (one: ReadSide): NativeInlineSide => ({
    port: interfaces.indexOf(one.interface),
    peer: one.peer,
    own: one.own,
    ownBits: one.ownBits,
    ...(one.gateway === undefined ? {} : { gateway: one.gateway }),
  });
  return {
    name: rule.name,
    kind,
    sides: [side(sides[0]), side(sides[1])],
    clientBits,
    ...(nat === undefined ? {} : { nat }),
  };
}
