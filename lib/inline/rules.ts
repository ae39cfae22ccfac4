// Rules of a forwarder: as objects, as text, and as native/forward takes them.
import { isIP } from 'node:net';
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import type { NativeInlineRule, NativeInlineSide } from '../native/native.js';

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
export interface InlineRule {
  /** It is known by: 1 to 64 letters, digits, `_`, `.` or `-`. */
  readonly name: string;
  /** The client's side. */
  readonly in: InlineIn;
  /** The server's side. */
  readonly out: InlineOut;
}

/** A rule that was looked through. */
export interface ReadRule {
  readonly rule: InlineRule;
  readonly sides: readonly [ReadSide, ReadSide];
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

const NAME = /^[\w.-]{1,64}$/;
const INTERFACE = /^[^\s/:]{1,15}$/;
const RULE = ['name', 'in', 'out'];
const SIDES = { in: ['interface', 'client', 'address', 'gateway'], out: ['interface', 'address', 'server', 'gateway'] };
const FORM =
  'NAME: INTERFACE CLIENT -> ADDRESS[/BITS] [via GATEWAY] => INTERFACE ADDRESS[/BITS] -> SERVER [via GATEWAY]';
const HINT = `A rule is ${FORM}`;
/** Of rules, together. */
const MOST_RULES = 1024;

/** The bytes of an address, 4 or 16; undefined where it is none, or that of no single host. */
export function addressBytes(text: unknown): Uint8Array | undefined {
  if (typeof text !== 'string') return undefined;
  const kind = isIP(text);
  const bytes = kind === 4 ? Uint8Array.from(text.split('.'), Number) : kind === 6 ? bytesOf6(text) : undefined;
  return bytes !== undefined && isHost(bytes) ? bytes : undefined;
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

function bad(what: string, hint = HINT): CaptureError {
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

/** Reads a side: `peerName` is what it calls the one who is there. */
function readSide(value: unknown, which: 'in' | 'out', peerName: 'client' | 'server', where: string): ReadSide {
  const fields = ownFields(value, SIDES[which], `${where}: ${which}`);
  const { interface: name, address, gateway } = fields;
  if (typeof name !== 'string' || !INTERFACE.test(name)) {
    throw bad(`${where}: ${which}.interface must be the name of an interface, not ${show(name)}`);
  }
  const peer = addressBytes(fields[peerName]);
  if (peer === undefined) {
    if (/^[^/]+\/\d{1,3}$/.test(String(fields[peerName]))) {
      throw new CaptureError(
        'RINGTAP_UNSUPPORTED',
        `${where}: ${which}.${peerName} is a network, and a rule is for one ${peerName}: address translation for many is not there`,
        { hint: `Give each ${peerName} a rule of its own, with addresses of its own.` },
      );
    }
    throw bad(`${where}: ${which}.${peerName} must be the IP address of a host, not ${show(fields[peerName])}`);
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
  const via = gateway === undefined ? undefined : addressBytes(gateway);
  if (gateway !== undefined && via === undefined) {
    throw bad(`${where}: ${which}.gateway must be the IP address of a host, not ${show(gateway)}`);
  }
  if (peer.length !== own.length || (via !== undefined && via.length !== own.length)) {
    throw bad(`${where}: addresses of one rule are all of IPv4, or all of IPv6`);
  }
  if (Buffer.compare(peer, own) === 0) throw bad(`${where}: ${which}.address is that of the ${peerName} itself`);
  return {
    interface: name,
    peer,
    own,
    ownBits,
    gateway: via,
    address: plain!,
    peerText: fields[peerName] as string,
    gatewayText: gateway as string | undefined,
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
  const { name, in: client, out } = ownFields(value, RULE, where);
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw bad(`${where}: name must be 1 to 64 letters, digits, _, . or -, not ${show(name)}`);
  }
  const sides = [
    readSide(client, 'in', 'client', `rule ${name}`),
    readSide(out, 'out', 'server', `rule ${name}`),
  ] as const;
  if (sides[0].own.length !== sides[1].own.length) {
    throw bad(`rule ${name}: addresses of one rule are all of IPv4, or all of IPv6`);
  }
  return { rule: ruleOf(name, sides), sides: [...sides] };
}

/** As it was read: what the caller does with his object afterwards changes nothing. */
function ruleOf(name: string, [near, far]: readonly [ReadSide, ReadSide]): InlineRule {
  const of = (side: ReadSide) => ({
    interface: side.interface,
    address: side.address + (side.ownBits > 0 ? `/${side.ownBits}` : ''),
    ...(side.gatewayText === undefined ? {} : { gateway: side.gatewayText }),
  });
  return Object.freeze({
    name,
    in: Object.freeze({ ...of(near), client: near.peerText }),
    out: Object.freeze({ ...of(far), server: far.peerText }),
  });
}

/** Looks through rules that are to be in force together. */
export function readRules(value: unknown, where: string): ReadRule[] {
  return looked(where, () => lookAll(value, where));
}

function lookAll(value: unknown, where: string): ReadRule[] {
  const list = typeof value === 'string' ? parseRules(value) : value;
  if (!Array.isArray(list)) throw bad(`${where}: rules are an array, or text, not ${show(value)}`);
  if (list.length > MOST_RULES) throw bad(`${where}: ${list.length} rules are more than ${MOST_RULES}`);
  return Array.from(list, (one, i) => readRule(one, `${where}: rule ${i + 1}`));
}

/** What a line of rules is made of, and where. */
interface Word {
  readonly text: string;
  readonly column: number;
}

/**
 * Reads rules that are written one a line, `web: eth1 10.1.0.2 -> 10.1.0.5/24 => eth2 10.2.0.5/24 -> 10.2.0.2`, with
 * `via GATEWAY` behind either side where the peer is not on the link. `#` begins a comment.
 * @example
 * for (const rule of parseRules('web: eth1 10.1.0.2 -> 10.1.0.5 => eth2 10.2.0.5 -> 10.2.0.2')) {
 *   console.log(rule.in.client, rule.out.server); // 10.1.0.2 10.2.0.2
 * }
 * @param text all of a file
 * @param source what messages call it, such as the file's name
 * @returns the rules, in their order
 * @throws CaptureError RINGTAP_BAD_OPTION, which names line and column
 */
export function parseRules(text: string, source = 'rules'): InlineRule[] {
  if (typeof source !== 'string') throw bad(`parseRules(): source is what messages call the text, not ${show(source)}`);
  if (typeof text !== 'string') throw bad(`${source}: rules are text, not ${show(text)}`);
  const rules: InlineRule[] = [];
  const names = new Set<string>();
  for (const [i, whole] of text.split(/\r?\n/).entries()) {
    const line = whole.replace(/#.*/, '');
    if (line.trim() === '') continue;
    const rule = parseRule(line, `${source}:${i + 1}`);
    if (names.has(rule.name)) throw bad(`${source}:${i + 1}:1: another rule has the name ${rule.name}`);
    names.add(rule.name);
    rules.push(rule);
  }
  return rules;
}

/** One of them. `where` is its source and line. */
function parseRule(line: string, where: string): InlineRule {
  const words: Word[] = [...line.matchAll(/\S+/g)].map(({ 0: word, index }) => ({ text: word, column: index + 1 }));
  const fail = (what: string, word: Word | undefined) =>
    bad(
      `${where}:${word?.column ?? line.trimEnd().length + 1}: ${what}${word === undefined ? '' : `, not ${show(word.text)}`}`,
    );
  let at = 0;
  const take = (what: string, is: (text: string) => boolean): string => {
    const word = words[at];
    if (word === undefined || !is(word.text)) throw fail(`expected ${what}`, word);
    at++;
    return word.text;
  };
  const address = (text: string) => addressBytes(text) !== undefined;
  const withBits = (text: string) => /^[^/]+(\/\d{1,3})?$/.test(text) && address(text.split('/')[0]!);
  const via = () => {
    if (words[at]?.text !== 'via') return {};
    at++;
    return { gateway: take('the address of a gateway', address) };
  };
  const begin = words[0];
  const name = take('NAME:', (word) => word.endsWith(':') && NAME.test(word.slice(0, -1))).slice(0, -1);
  const from = take('an interface', (word) => INTERFACE.test(word));
  const client = take("the client's address", address);
  take('->', (word) => word === '->');
  const near = {
    interface: from,
    client,
    address: take('an address of ours, such as 10.1.0.5/24', withBits),
    ...via(),
  };
  take(near.address.includes('/') || 'gateway' in near ? '=>' : '=> or via', (word) => word === '=>');
  const to = take('an interface', (word) => INTERFACE.test(word));
  const own = take('an address of ours, such as 10.2.0.5/24', withBits);
  take('->', (word) => word === '->');
  const server = take("the server's address", address);
  const far = { interface: to, address: own, server, ...via() };
  if (words[at] !== undefined) throw fail('expected the end of the line', words[at]);
  const rule = { name, in: near, out: far };
  try {
    readRule(rule, where);
  } catch (error) {
    if (error instanceof CaptureError) throw bad(`${where}:${begin?.column ?? 1}: ${error.message}`);
    throw error;
  }
  return rule;
}

/**
 * Writes a rule as {@link parseRules} reads it.
 * @example
 * const near = { interface: 'eth1', client: '10.1.0.2', address: '10.1.0.5/24' };
 * const far = { interface: 'eth2', address: '10.2.0.5/24', server: '10.2.0.2' };
 * console.log(formatRule({ name: 'web', in: near, out: far }));
 * @param rule as `openInline()` takes it
 * @returns one line, without its end
 * @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION: it is no rule
 */
export function formatRule(rule: InlineRule): string {
  const { name, in: near, out: far } = readRule(rule, 'formatRule()').rule;
  const via = (gateway: string | undefined) => (gateway === undefined ? '' : ` via ${gateway}`);
  const from = `${near.interface} ${near.client} -> ${near.address}${via(near.gateway)}`;
  return `${name}: ${from} => ${far.interface} ${far.address} -> ${far.server}${via(far.gateway)}`;
}

/** For the addon, by the numbers of its interfaces. */
export function toNative({ rule, sides }: ReadRule, interfaces: readonly string[]): NativeInlineRule {
  const side = (one: ReadSide): NativeInlineSide => ({
    port: interfaces.indexOf(one.interface),
    peer: one.peer,
    own: one.own,
    ownBits: one.ownBits,
    ...(one.gateway === undefined ? {} : { gateway: one.gateway }),
  });
  return { name: rule.name, sides: [side(sides[0]), side(sides[1])] };
}
