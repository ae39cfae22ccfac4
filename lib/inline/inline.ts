import { networkInterfaces } from 'node:os';
import { CaptureError, wrapNative } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { addon, type NativeInline, type NativeInlineStats } from '../native/native.js';
import { ownOptions } from '../uri/options.js';
import { openWriter, type WriterOptions } from '../write/open.js';
import { nativeOf, type Writer } from '../write/writer.js';
import { addressBytes, type InlineRule, type ReadRule, readRule, readRules, toNative } from './rules.js';
import { type InlineStats, toStats } from './stats.js';

/** Where a tap writes to: a URI as `openWriter()` takes it, alone or with options of the writer. */
export type InlineTap = string | (Pick<WriterOptions, TapOption> & { readonly uri: string });
type TapOption = (typeof TAP_OPTIONS)[number];

/** Traces of what is sent on. */
export interface InlineCapture {
  /** Packets of rules as they came in. */
  readonly ingress?: InlineTap | undefined;
  /** Packets of rules as they were sent. */
  readonly egress?: InlineTap | undefined;
  /** Packets as if nobody were between: from the client to the server, and back. Their times are those of arrival. */
  readonly inline?: InlineTap | undefined;
}

/** How packets are sent on. */
export interface InlineOptions {
  /** Interfaces that rules may name later; those of the first rules need not be among them. 1 to 64 together. */
  readonly interfaces?: readonly string[] | undefined;
  /** Traces of it. */
  readonly capture?: InlineCapture | undefined;
  /**
   * Asks on the links whether somebody has the addresses of rules before they are in force, for 300 ms: the default. False:
   * two hosts with one address are not told of.
   */
  readonly probe?: boolean | undefined;
  /**
   * How packets come and go, on all interfaces. `'afpacket'` (the default): by packet sockets, which know of checksums and
   * segments that senders leave to their cards. `'afxdp'`: by AF_XDP, without a copy between interfaces, which
   * need a driver with XDP, and an MTU of no more than about 3500 bytes.
   */
  readonly method?: 'afpacket' | 'afxdp' | undefined;
}

const OPTIONS = ['interfaces', 'capture', 'probe', 'method'];
const METHODS = ['afpacket', 'afxdp'] as const;
const TAPS = ['ingress', 'egress', 'inline'] as const;
const TAP_OPTIONS = [
  ...(['snaplen', 'nanosecond', 'compress', 'comment', 'overwrite', 'rotate', 'fsync', 'flushMs'] as const),
  ...(['packetBuffered', 'queueBytes', 'direct', 'preallocateBytes', 'format'] as const),
] as const;
const MOST_INTERFACES = 64;
const ETHERNET = 1;
/** A trace must not hold the packets back: what its disk does not take at once waits in here, and is dropped then. */
const TAP_QUEUE_BYTES = 2 ** 26;
const ABOUT: Readonly<Record<(typeof TAPS)[number], string>> = {
  ingress: 'ringtap inline: packets as they came in',
  egress: 'ringtap inline: packets as they were sent',
  inline:
    'ringtap inline: synthetic. Packets as if nobody were between client and server: one address and the checksums are not those of the wire',
};

type Taps = Partial<Record<(typeof TAPS)[number], Writer>>;

/**
 * The rules of a forwarder, which may be changed while it runs.
 * @example
 * await using inline = await openInline([], { interfaces: ['eth0'] });
 * await inline.rules.set('web: eth0 10.1.0.2 -> 10.1.0.5 => eth0 10.2.0.5 -> 10.2.0.2');
 * console.log(inline.rules.list());
 */
export class InlineRules {
  readonly #change: (wanted: (now: readonly ReadRule[]) => readonly ReadRule[]) => Promise<void>;
  readonly #current: () => readonly ReadRule[];

  /** @internal */
  constructor(
    current: () => readonly ReadRule[],
    change: (wanted: (now: readonly ReadRule[]) => readonly ReadRule[]) => Promise<void>,
  ) {
    this.#current = current;
    this.#change = change;
  }

  /**
   * Those that are in force, in their order.
   * @throws nothing
   * @example
   * await using inline = await openInline('web: eth0 10.1.0.2 -> 10.1.0.5 => eth0 10.2.0.5 -> 10.2.0.2');
   * console.log(inline.rules.list().map((rule) => rule.name));
   */
  list(): InlineRule[] {
    return this.#current().map(({ rule }) => rule);
  }

  /**
   * These rules and no others, all at once: no packet of a rule that stays the same is lost, and what it has counted goes
   * on. Where one of them is wrong, or an address is in use, all stays as it was.
   * @param rules objects, or text as `parseRules()` reads it
   * @returns when they are in force
   * @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION, RINGTAP_ADDRESS_IN_USE, RINGTAP_CLOSED
   * @example
   * await using inline = await openInline([], { interfaces: ['eth0'] });
   * await inline.rules.set('web: eth0 10.1.0.2 -> 10.1.0.5 => eth0 10.2.0.5 -> 10.2.0.2');
   * console.log(inline.rules.list().length);
   */
  async set(rules: readonly InlineRule[] | string): Promise<void> {
    const read = readRules(rules, 'rules.set()');
    await this.#change(() => read);
  }

  /**
   * One more. Others are not touched.
   * @param rule whose name no other has
   * @returns when it is in force
   * @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION, RINGTAP_ADDRESS_IN_USE, RINGTAP_CLOSED
   * @example
   * await using inline = await openInline([], { interfaces: ['eth0'] });
   * await inline.rules.add({
   *   name: 'dns',
   *   in: { interface: 'eth0', client: '10.1.0.3', address: '10.1.0.6' },
   *   out: { interface: 'eth0', address: '10.2.0.6', server: '10.2.0.53' },
   * });
   * console.log(inline.rules.list().length);
   */
  async add(rule: InlineRule): Promise<void> {
    const read = readRule(rule, 'rules.add()');
    await this.#change((now) => [...now, read]);
  }

  /**
   * One less; its packets are not sent on any more.
   * @param name of the rule
   * @returns when it is not in force any more
   * @throws CaptureError RINGTAP_BAD_OPTION: there is none of that name; RINGTAP_CLOSED
   * @example
   * await using inline = await openInline('web: eth0 10.1.0.2 -> 10.1.0.5 => eth0 10.2.0.5 -> 10.2.0.2');
   * await inline.rules.remove('web');
   * console.log(inline.rules.list().length);
   */
  async remove(name: string): Promise<void> {
    await this.#change((now) => {
      const others = now.filter(({ rule }) => rule.name !== name);
      if (others.length < now.length) return others;
      throw new CaptureError('RINGTAP_BAD_OPTION', `rules.remove(): there is no rule ${show(name)}`, {
        hint: `Rules in force: ${now.map(({ rule }) => rule.name).join(', ') || 'none'}.`,
      });
    });
  }
}

/**
 * A bump in the wire that runs: packets of clients go to servers and back, with other addresses, and traces are taken. Made
 * by `openInline()`.
 * @example
 * await using inline = await openInline('web: eth0 10.1.0.2 -> 10.1.0.5 => eth0 10.2.0.5 -> 10.2.0.2');
 * console.log(inline.interfaces, inline.stats().rules);
 */
export class Inline implements AsyncDisposable {
  /** The rules, which may be changed at any time. */
  readonly rules: InlineRules;
  /** The interfaces that rules may name. */
  readonly interfaces: readonly string[];
  readonly #native: NativeInline;
  readonly #taps: Taps;
  readonly #probes: boolean;
  #read: readonly ReadRule[] = [];
  #changing: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;
  #last: NativeInlineStats | undefined;

  /** @internal */
  constructor(native: NativeInline, interfaces: readonly string[], taps: Taps, probes: boolean) {
    this.#native = native;
    this.#taps = taps;
    this.#probes = probes;
    this.interfaces = interfaces;
    this.rules = new InlineRules(
      () => this.#read,
      (wanted) => this.#queue(wanted),
    );
  }

  /** One change after the other. */
  #queue(wanted: (now: readonly ReadRule[]) => readonly ReadRule[]): Promise<void> {
    const change = this.#changing.then(() => this.#change(wanted(this.#read)));
    this.#changing = change.catch(() => {});
    return change;
  }

  async #change(rules: readonly ReadRule[]): Promise<void> {
    this.#mustBeOpen();
    for (const { rule, sides } of rules) {
      const missing = sides.find((side) => !this.interfaces.includes(side.interface));
      if (missing === undefined) continue;
      throw new CaptureError('RINGTAP_BAD_OPTION', `rule ${rule.name}: ${show(missing.interface)} was not opened`, {
        hint: `Interfaces that the first rules do not name are given to openInline() by interfaces: [${this.interfaces
          .concat(missing.interface)
          .map((one) => `'${one}'`)
          .join(', ')}].`,
      });
    }
    const known = new Set(this.#read.flatMap((one) => placesOf(one).map(({ key }) => key)));
    const fresh = rules.flatMap(placesOf).filter(({ key }) => !known.has(key));
    await this.#mustBeFree([...new Map(fresh.map((place) => [place.key, place])).values()]);
    this.#mustBeOpen();
    try {
      await this.#native.set(rules.map((one) => toNative(one, this.interfaces)));
    } catch (error) {
      throw wrapNative(error);
    }
    this.#mustBeOpen();
    this.#read = rules;
  }

  /** Nobody may have these addresses. */
  async #mustBeFree(places: readonly Place[]): Promise<void> {
    const held = heldHere();
    for (const { rule, side, bytes } of places) {
      const where = held.get(Buffer.from(bytes).toString('hex'));
      if (where === undefined) continue;
      throw new CaptureError(
        'RINGTAP_ADDRESS_IN_USE',
        `rule ${rule}: ${side.address} belongs to this host, on ${where}: it would answer itself`,
        { hint: `Take another address, or give it up: sudo ip address del ${side.address} dev ${where}` },
      );
    }
    if (!this.#probes || places.length === 0) return;
    const asked = places.map(({ side, bytes }) => ({ port: this.interfaces.indexOf(side.interface), address: bytes }));
    const found = await this.#native.probe(asked);
    if (found === undefined) return;
    const { rule, side } = places[found.index]!;
    throw new CaptureError(
      'RINGTAP_ADDRESS_IN_USE',
      `rule ${rule}: ${side.address} on ${side.interface} belongs to ${found.mac}, which answers for it`,
    );
  }

  #mustBeOpen(): void {
    if (this.#closing !== undefined) throw new CaptureError('RINGTAP_CLOSED', 'the forwarder was closed');
  }

  /**
   * What became of every packet. Monotonic for as long as a rule is the same; after `close()` those of the end.
   * @throws nothing
   * @example
   * await using inline = await openInline('web: eth0 10.1.0.2 -> 10.1.0.5 => eth0 10.2.0.5 -> 10.2.0.2');
   * for (const { name, toServer } of inline.stats().rules) console.log(name, toServer.egress, toServer.drops);
   */
  stats(): InlineStats {
    const taps = Object.fromEntries(Object.entries(this.#taps).map(([name, writer]) => [name, writer.stats()]));
    return toStats(this.#last ?? this.#native.stats()!, taps);
  }

  /**
   * Ends it: nothing is sent on any more, nothing of it stays on the host, and traces are complete. Idempotent.
   * @throws CaptureError RINGTAP_FILE_WRITE where a trace could not be written
   * @example
   * const inline = await openInline('web: eth0 10.1.0.2 -> 10.1.0.5 => eth0 10.2.0.5 -> 10.2.0.2');
   * await inline.close();
   * console.log(inline.stats().rules.length);
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#native.stop();
    this.#last = this.#native.stats();
    this.#native.close();
    const ends = await Promise.allSettled(Object.values(this.#taps).map((writer) => writer.close()));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  /** {@link close} */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

interface Place {
  readonly key: string;
  readonly rule: string;
  readonly side: ReadRule['sides'][number];
  readonly bytes: Uint8Array;
}

function placesOf({ rule, sides }: ReadRule): Place[] {
  return sides.map((side) => ({
    key: `${side.interface} ${Buffer.from(side.own).toString('hex')}`,
    rule: rule.name,
    side,
    bytes: side.own,
  }));
}

/** Addresses of this host, by their bytes, and the interfaces that have them. */
function heldHere(): Map<string, string> {
  const held = new Map<string, string>();
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    for (const { address } of addresses ?? []) {
      const bytes = addressBytes(address);
      if (bytes !== undefined) held.set(Buffer.from(bytes).toString('hex'), name);
    }
  }
  return held;
}

function readTap(name: string, value: unknown): { uri: string } & Record<string, unknown> {
  const bad = (what: string) => new CaptureError('RINGTAP_BAD_OPTION', `openInline(): capture.${name} ${what}`);
  if (typeof value === 'string') return { uri: value };
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw bad(`must be a URI, or an object with one, not ${show(value)}`);
  }
  const tap = Object.assign(Object.create(null), value) as Record<string, unknown>;
  if (typeof tap.uri !== 'string') throw bad(`has no uri`);
  const unknown = Object.keys(tap).find((key) => key !== 'uri' && !(TAP_OPTIONS as readonly string[]).includes(key));
  if (unknown !== undefined) {
    throw new CaptureError('RINGTAP_UNKNOWN_OPTION', `openInline(): capture.${name} has no option ${show(unknown)}`, {
      hint: `Its options are uri, ${TAP_OPTIONS.join(', ')}.`,
    });
  }
  return tap as { uri: string } & Record<string, unknown>;
}

/** Opens the traces; those that are open are closed where one fails. */
async function openTaps(capture: unknown, interfaces: readonly string[]): Promise<Taps> {
  if (capture === undefined) return {};
  if (typeof capture !== 'object' || capture === null || Array.isArray(capture)) {
    throw new CaptureError('RINGTAP_BAD_OPTION', `openInline(): capture must be an object, not ${show(capture)}`);
  }
  const unknown = Object.keys(capture).find((key) => !(TAPS as readonly string[]).includes(key));
  if (unknown !== undefined) {
    throw new CaptureError('RINGTAP_UNKNOWN_OPTION', `openInline(): there is no tap ${show(unknown)}`, {
      hint: `Taps are ${TAPS.join(', ')}.`,
    });
  }
  const given: Record<string, unknown> = Object.assign(Object.create(null), capture);
  const wanted = TAPS.flatMap((name) =>
    given[name] === undefined ? [] : [[name, readTap(name, given[name])] as const],
  );
  const taps: Taps = {};
  try {
    for (const [name, { uri, ...options }] of wanted) {
      const isPcapng = /pcapng/.test(uri) || options.format === 'pcapng';
      const told = isPcapng ? { comment: ABOUT[name], interfaces: interfaces.map((one) => ({ name: one })) } : {};
      const several = isPcapng && interfaces.length > 1 ? { latenessMs: 0 } : {};
      const fixed = { linkType: ETHERNET, overflow: 'drop' as const };
      taps[name] = await openWriter(uri, { queueBytes: TAP_QUEUE_BYTES, ...told, ...several, ...options, ...fixed });
    }
    return taps;
  } catch (error) {
    await Promise.allSettled(Object.values(taps).map((writer) => writer.close()));
    throw error;
  }
}

/**
 * A bump in the wire: packets that a client sends to an address of ours go on to a server, from another address of ours,
 * and its answers back; traces of it are taken as they came, as they left, and as if nobody were between. The kernel holds
 * none of these addresses: ARP and neighbour discovery are answered here, and the host sees nothing of the packets. A thread
 * of its own forwards; rules may be changed while it does. Linux, Ethernet; CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF.
 *
 * Time to live goes down by one, packets that are too long are cut or their sender is told, ICMP errors pass with what they
 * quote changed back, checksums stay right. All of it ends with the process, however that ends.
 * @example
 * const rules = 'web: eth0 10.1.0.2 -> 10.1.0.5 => eth0 10.2.0.5 -> 10.2.0.2';
 * await using inline = await openInline(rules, { capture: { inline: { uri: 'pcapng:web.pcapng', overwrite: true } } });
 * console.log(inline.stats().rules);
 * @param rules objects, or text as `parseRules()` reads it: the first ones
 * @param options interfaces for later rules, and traces
 * @returns when the rules are in force, and new addresses were announced
 * @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION, RINGTAP_ADDRESS_IN_USE (this host or another has one),
 * RINGTAP_NO_INTERFACE, RINGTAP_INTERFACE_DOWN, RINGTAP_NO_PERMISSION, RINGTAP_UNSUPPORTED (no Ethernet, the kernel is too
 * old, or by `afxdp` the driver has no XDP), RINGTAP_BUSY (another XDP program is there), RINGTAP_BACKEND_MISSING (not on this platform), and what `openWriter()` fails with
 */
export async function openInline(rules: readonly InlineRule[] | string, options: InlineOptions = {}): Promise<Inline> {
  const own = ownOptions({ uri: 'openInline()' }, options) as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(own).find((name) => !OPTIONS.includes(name));
  if (unknown !== undefined) {
    throw new CaptureError('RINGTAP_UNKNOWN_OPTION', `openInline(): there is no option ${show(unknown)}`, {
      hint: `Its options are ${OPTIONS.join(', ')}.`,
    });
  }
  const { interfaces: more = [], probe = true, capture, method: given = 'afpacket' } = own;
  const isList = Array.isArray(more) && more.every((one) => typeof one === 'string' && one !== '');
  if (!isList) {
    throw new CaptureError(
      'RINGTAP_BAD_OPTION',
      `openInline(): interfaces must be an array of names, not ${show(more)}`,
    );
  }
  if (typeof probe !== 'boolean') {
    throw new CaptureError('RINGTAP_BAD_OPTION', `openInline(): probe must be true or false, not ${show(probe)}`);
  }
  const method = METHODS.find((one) => one === given);
  if (method === undefined) {
    throw new CaptureError(
      'RINGTAP_BAD_OPTION',
      `openInline(): method must be one of ${METHODS.join(', ')}, not ${show(given)}`,
    );
  }
  const read = readRules(rules, 'openInline()');
  const named = read.flatMap(({ sides }) => sides.map((side) => side.interface));
  const interfaces = [...new Set([...named, ...(more as string[])])];
  if (interfaces.length === 0 || interfaces.length > MOST_INTERFACES) {
    throw new CaptureError(
      'RINGTAP_BAD_OPTION',
      `openInline(): rules and interfaces name ${interfaces.length} interfaces, and there must be 1 to ${MOST_INTERFACES}`,
      { hint: 'Give a rule, or the interfaces of rules that come later.' },
    );
  }
  const { openInline: openNative } = addon();
  if (openNative === undefined) {
    throw new CaptureError('RINGTAP_BACKEND_MISSING', 'openInline(): packets are sent on on Linux only');
  }
  const taps = await openTaps(capture, interfaces);
  let inline: Inline | undefined;
  try {
    const natives = Object.fromEntries(Object.entries(taps).map(([name, writer]) => [name, nativeOf(writer)]));
    inline = new Inline(openNative({ interfaces, method, ...natives }), interfaces, taps, probe);
    await inline.rules.set(read.map(({ rule }) => rule));
    return inline;
  } catch (error) {
    await inline?.close().catch(() => {});
    await Promise.allSettled(Object.values(taps).map((writer) => writer.close()));
    throw wrapNative(error);
  }
}
