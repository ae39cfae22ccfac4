import { networkInterfaces } from 'node:os';
import { Capture } from '../capture/capture.js';
import { CaptureError, wrapNative } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { addon, type NativeInline, type NativeInlineStats } from '../native/native.js';
import { planOf } from '../plan/plan.js';
import { ownOptions } from '../uri/options.js';
import { nativeOf } from '../write/writer.js';
import { HealthPorts } from './health.js';
import { addressBytes, type InlineRule, type ReadRule, readRule, readRules, toNative } from './rules.js';
import { type InlineStats, toStats } from './stats.js';
import { type InlineCapture, type InlineTaps, type OpenTaps, openTaps, TAPS, type Writers } from './taps.js';
import { parseRules } from './text.js';

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
const MOST_INTERFACES = 64;
/** A forwarder that has not looked up for so long is not at work: it does each second. */
const MOST_SILENT_MS = 3000;

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
   * @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION, RINGTAP_ADDRESS_IN_USE, RINGTAP_BUSY, RINGTAP_CLOSED
   * @example
   * await using inline = await openInline([], { interfaces: ['eth0'] });
   * await inline.rules.set('web: eth0 10.1.0.2 -> 10.1.0.5 => eth0 10.2.0.5 -> 10.2.0.2');
   * console.log(inline.rules.list().length);
   */
  async set(rules: readonly InlineRule[] | string): Promise<void> {
    const read = readRules(rules, 'rules.set()', parseRules);
    await this.#change(() => read);
  }

  /**
   * One more. Others are not touched.
   * @param rule whose name no other has
   * @returns when it is in force
   * @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION, RINGTAP_ADDRESS_IN_USE, RINGTAP_BUSY, RINGTAP_CLOSED
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
  /**
   * Captures of what is sent on, of those taps that `capture` wants as batches. Packets that nobody reads in time are lost to
   * the tap, and counted in its `stats()`; nothing that is forwarded waits for them. `batch.queue` holds the number of the
   * interface in `interfaces`; `uri` is `inline:ingress` and so on. They end when the forwarder is closed, once what is there was read; `close()` ends one before.
   * @example
   * const rules = 'web: eth0 10.1.0.2 -> 10.1.0.5 => eth0 10.2.0.5 -> 10.2.0.2';
   * await using inline = await openInline(rules, { capture: { ingress: true } });
   * setTimeout(() => inline.close(), 100);
   * for await (const batch of inline.taps.ingress ?? []) console.log(batch.length);
   * console.log(inline.taps.ingress?.stats().received);
   */
  readonly taps: InlineTaps;
  readonly #native: NativeInline;
  readonly #writers: Writers;
  readonly #health: HealthPorts;
  readonly #probes: boolean;
  #read: readonly ReadRule[] = [];
  #changing: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;
  #last: NativeInlineStats | undefined;

  /** @internal */
  constructor(native: NativeInline, interfaces: readonly string[], taps: OpenTaps, probes: boolean) {
    this.#native = native;
    this.#writers = taps.writers;
    this.taps = batchesOf(native, taps.buffers);
    this.#health = new HealthPorts(() => (native.stats()?.silentMs ?? Infinity) < MOST_SILENT_MS);
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
    mustBeHeld(rules.filter((one) => !this.#read.some((other) => tunnelOf(other) === tunnelOf(one))));
    await this.#mustBeFree([...new Map(fresh.map((place) => [place.key, place])).values()]);
    this.#mustBeOpen();
    try {
      await this.#health.add(rules);
      this.#mustBeOpen();
      await this.#native.set(rules.map((one) => toNative(one, this.interfaces)));
    } catch (error) {
      this.#health.keep(this.#closing === undefined ? this.#read : []);
      throw wrapNative(error);
    }
    this.#health.keep(this.#closing === undefined ? rules : []);
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
    const all = { ...this.#writers, ...this.taps };
    const taps = Object.fromEntries(Object.entries(all).map(([name, tap]) => [name, tap.stats()]));
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
    this.#health.close();
    this.#native.stop();
    this.#last = this.#native.stats();
    this.#native.close();
    const ends = await Promise.allSettled(Object.values(this.#writers).map((writer) => writer.close()));
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

function placesOf({ rule, kind, sides }: ReadRule): Place[] {
  if (kind === 'geneve') return [];
  return sides.map((side) => ({
    key: `${side.interface} ${Buffer.from(side.own).toString('hex')}`,
    rule: rule.name,
    side,
    bytes: side.own,
  }));
}

/** Where a rule takes GENEVE from. */
function tunnelOf({ kind, sides: [near] }: ReadRule): string | undefined {
  return kind === 'geneve' ? `${near.interface} ${near.address}` : undefined;
}

/** GENEVE is taken from the host, which answers for its address and for health checks. */
function mustBeHeld(rules: readonly ReadRule[]): void {
  const held = heldHere();
  for (const { rule, kind, sides } of rules) {
    const [{ own, address, interface: name }] = sides;
    if (kind !== 'geneve' || held.get(Buffer.from(own).toString('hex')) === name) continue;
    throw new CaptureError(
      'RINGTAP_BAD_OPTION',
      `rule ${rule.name}: ${address} is no address of this host on ${name}`,
      {
        hint: `GENEVE is taken from an address of the host's: sudo ip address add ${address} dev ${name}`,
      },
    );
  }
}

/** Captures over the rings of a forwarder. */
function batchesOf(native: NativeInline, buffers: OpenTaps['buffers']): InlineTaps {
  const taps = TAPS.flatMap((name) => {
    const bufferBytes = buffers[name];
    if (bufferBytes === undefined) return [];
    const uri = `inline:${name}`;
    const session = native.tap(name, uri)!;
    const info = session.info();
    const settings = { values: { bufferBytes }, filter: undefined, auth: undefined, tls: undefined, ignored: [] };
    const plan = planOf({ uri, target: name }, 'afpacket', settings, info, [{ backend: 'afpacket', chosen: true }]);
    return [[name, new Capture(session, info, plan, null)] as const];
  });
  return Object.freeze(Object.fromEntries(taps));
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

/**
 * A bump in the wire: packets that a client sends to an address of ours go on to a server, from another address of ours,
 * and its answers back; traces of it are taken as they came, as they left, and as if nobody were between. The kernel holds
 * none of these addresses: ARP and neighbour discovery are answered here, and the host sees nothing of the packets. A thread
 * of its own forwards; rules may be changed while it does. Linux, Ethernet; CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF.
 *
 * A rule is for one client; or for many, whose ports are translated (`kind: 'nat'`); or for GENEVE that balancers send to an
 * address of this host's, and get back (`kind: 'geneve'`): docs/inline.md has it all.
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
 * RINGTAP_BUSY (another forwarder has one, somebody listens at the port of health checks, or by `afxdp` another XDP program is
 * there), RINGTAP_NO_INTERFACE, RINGTAP_INTERFACE_DOWN, RINGTAP_NO_PERMISSION, RINGTAP_UNSUPPORTED (no Ethernet, the kernel is too
 * old, or by `afxdp` the driver has no XDP), RINGTAP_BACKEND_MISSING (not on this platform), and what `openWriter()` fails with
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
  const read = readRules(rules, 'openInline()', parseRules);
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
    const natives = Object.fromEntries(Object.entries(taps.writers).map(([name, writer]) => [name, nativeOf(writer)]));
    inline = new Inline(openNative({ interfaces, method, ...natives, ...taps.buffers }), interfaces, taps, probe);
    await inline.rules.set(read.map(({ rule }) => rule));
    return inline;
  } catch (error) {
    await inline?.close().catch(() => {});
    await Promise.allSettled(Object.values(inline?.taps ?? {}).map((tap) => tap.close()));
    await Promise.allSettled(Object.values(taps.writers).map((writer) => writer.close()));
    throw wrapNative(error);
  }
}
