// What a client has started: a capture, the filter on it, its counters.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Capture } from '../capture/capture.js';
import type { CaptureStats } from '../capture/stats.js';
import type { FilterProgram, OpenOptions } from '../generated/options.js';
import type { RemoteStats } from '../rpcap/messages.js';
import { Feed } from './feed.js';
import type { Leg } from './leg.js';
import { type Memory, ringBytes } from './memory.js';
import type { SamplingRequest, StartRequest } from './messages.js';
import type { Offer } from './offered.js';

/** Opens a capture: `open()` of the library. */
export type OpenCapture = (uri: string, options: OpenOptions) => Promise<Capture>;

/** A capture that several clients share, from their STARTCAP on. */
export interface SharedFeed {
  readonly feed: Promise<Feed>;
  clients: number;
}

/** Of each name the one that new clients share. */
export type SharedFeeds = Map<string, SharedFeed>;

export interface ServingSettings {
  readonly open: OpenCapture;
  /** Of every capture: buffers and the like. */
  readonly capture: OpenOptions;
  readonly snaplen: number;
  readonly shared: SharedFeeds | undefined;
  readonly memory: Memory;
}

/** Of a client that asks for none. */
const TIMEOUT_MS = 100;
const MOST_TIMEOUT_MS = 100;
/** Of each capture by afpacket, unless it is said: there are as many as clients. */
const RING_BYTES = 1 << 24;
/** How long the end of a capture, or of one with an old filter, waits for a client that takes nothing. */
const PATIENCE_MS = 250;
/** Two captures overlap by so much when a filter changes; Unix times are cut between them. */
const OVERLAP_MS = 2;
const RETURN = 6;

/** How long packets may wait for others here: the client's time, but no longer than anybody would notice. */
export function patienceOf({ timeoutMs }: Pick<StartRequest, 'timeoutMs'>): number {
  return Math.min(timeoutMs === 0 ? TIMEOUT_MS : timeoutMs, MOST_TIMEOUT_MS);
}

/** Of a program that keeps every packet, how much of each; undefined of any other. */
function keptOfAll(filter: Uint32Array): number | undefined {
  return filter.length === 4 && filter[0] === RETURN && filter[3]! > 0 ? filter[3]! : undefined;
}

/** Of what was asked for, what is sent of a packet. */
function snaplenOf({ snaplen, filter }: Pick<StartRequest, 'snaplen' | 'filter'>, most: number): number {
  return Math.min(snaplen === 0 ? most : snaplen, keptOfAll(filter) ?? most, most);
}

export class Serving {
  readonly #offer: Offer;
  readonly #request: StartRequest;
  readonly #settings: ServingSettings;
  readonly #leg: Leg;
  #feed: Feed;
  /** Counters of the feed when this client came. */
  #joined: CaptureStats | undefined;
  /** Of captures with earlier filters. */
  #before = { received: 0, interfaceDropped: 0, kernelDropped: 0 };
  readonly #held: SharedFeed | undefined;
  #stopping: Promise<void> | undefined;

  /** Called once, when the capture is at its end without being stopped. */
  onEnd: (error: unknown) => void = () => {};

  /**
   * The capture runs, and waits for {@link begin}.
   * @throws CaptureError what it cannot be opened with
   */
  static async open(offer: Offer, request: StartRequest, leg: Leg, settings: ServingSettings): Promise<Serving> {
    const { shared, memory, snaplen } = settings;
    if (shared !== undefined || !offer.isLive) leg.setFilter(programFor(request.filter, snaplen));
    leg.giveBack = memory.take(leg.memoryBytes);
    if (shared === undefined) {
      return new Serving(offer, request, settings, leg, await openOwn(offer, request, request.filter, settings));
    }
    const held = shared.get(offer.name) ?? { feed: openShared(offer, settings), clients: 0 };
    held.clients++; // WHY before it is there: whoever leaves meanwhile must not end it
    shared.set(offer.name, held);
    try {
      return new Serving(offer, request, settings, leg, await held.feed, held);
    } catch (error) {
      letGo(shared, offer.name, held);
      throw error;
    }
  }

  private constructor(
    offer: Offer,
    request: StartRequest,
    settings: ServingSettings,
    leg: Leg,
    feed: Feed,
    held?: SharedFeed,
  ) {
    this.#offer = offer;
    this.#request = request;
    this.#settings = settings;
    this.#leg = leg;
    this.#feed = feed;
    this.#held = held;
    if (held !== undefined) this.#joined = feed.capture.stats();
  }

  /** Packets leave from now on. */
  begin(sampling: SamplingRequest | undefined): void {
    if (sampling !== undefined) this.#leg.setSampling(sampling.method, sampling.value);
    if (this.#held !== undefined) this.#joined = this.#feed.capture.stats();
    this.#feed.add(this.#leg, {}, (error) => this.onEnd(error));
  }

  setSampling({ method, value }: SamplingRequest): void {
    this.#leg.setSampling(method, value);
  }

  /**
   * From now on these packets. An interface is captured from anew, before the old capture ends: none is missed that either
   * filter wants.
   * @throws CaptureError where the program is not valid
   */
  async setFilter(filter: Uint32Array): Promise<void> {
    if (this.#held !== undefined || !this.#offer.isLive) {
      this.#leg.setFilter(programFor(filter, this.#settings.snaplen));
      return;
    }
    const feed = await openOwn(this.#offer, this.#request, filter, this.#settings);
    const until = (Date.now() + OVERLAP_MS) * 1e6;
    const old = this.#feed;
    // WHY before anything later can have been read: that is what the other capture has.
    old.limit(until);
    await sleep(2 * OVERLAP_MS);
    const wait = this.#leg.hurry(PATIENCE_MS);
    await old.stop();
    wait();
    this.#before = add(this.#before, countsOf(old.capture.stats()));
    this.#feed = feed;
    if (this.#stopping !== undefined) return this.#feed.stop();
    this.#feed.add(this.#leg, { since: until }, (error) => this.onEnd(error));
  }

  /** As the protocol counts. Still there after the end. */
  counts(): RemoteStats {
    const { sent, dropped, looked, filtered, outside, own } = this.#leg.stats;
    const now = countsOf(this.#feed.capture.stats());
    if (this.#joined === undefined) {
      const all = add(this.#before, now);
      const received = all.received - own - (this.#offer.isLive ? outside : filtered);
      return { ...all, received, kernelDropped: all.kernelDropped + dropped, sent };
    }
    const then = countsOf(this.#joined);
    const interfaceDropped = now.interfaceDropped - then.interfaceDropped;
    const kernelDropped = now.kernelDropped - then.kernelDropped + dropped;
    return {
      received: looked - filtered - own + interfaceDropped + kernelDropped - dropped,
      interfaceDropped,
      kernelDropped,
      sent,
    };
  }

  /** Ends it with what has arrived, or at once. */
  stop(isAtOnce: boolean): Promise<void> {
    if (isAtOnce) this.#leg.destroy(); // also where it is ending with what has arrived
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const wait = this.#leg.hurry(PATIENCE_MS);
    const feed = this.#feed;
    if (this.#held === undefined) {
      await feed.stop();
    } else {
      feed.remove(this.#leg);
      if (letGo(this.#settings.shared, this.#offer.name, this.#held)) await feed.stop();
    }
    await this.#leg.end();
    wait();
  }
}

/** True: nobody has it any more. */
function letGo(shared: SharedFeeds | undefined, name: string, held: SharedFeed): boolean {
  held.clients--;
  if (held.clients > 0) return false;
  if (shared?.get(name) === held) shared.delete(name);
  return true;
}

function openOwn(offer: Offer, request: StartRequest, filter: Uint32Array, settings: ServingSettings): Promise<Feed> {
  const { capture, snaplen } = settings;
  if (!offer.isLive) return openFeed(offer, {}, false, settings);
  const options = {
    ...ringOf(offer.uri),
    ...capture,
    timeoutMs: patienceOf(request),
    promiscuous: request.promiscuous,
  };
  const program = keptOfAll(filter) === undefined ? { filter: tuplesOf(filter) } : {};
  const kept = { snaplen: Math.max(14, snaplenOf({ ...request, filter }, snaplen)) };
  return openFeed(offer, { ...options, ...kept, ...program }, false, settings);
}

function openShared(offer: Offer, settings: ServingSettings): Promise<Feed> {
  const { capture, snaplen } = settings;
  const options = { ...ringOf(offer.uri), ...capture, timeoutMs: MOST_TIMEOUT_MS / 2, snaplen };
  return openFeed(offer, offer.isLive ? options : {}, true, settings);
}

/** Its memory is counted for as long as it is open. */
async function openFeed(
  { uri }: Offer,
  options: OpenOptions,
  isShared: boolean,
  { open, memory }: ServingSettings,
): Promise<Feed> {
  const giveBack = memory.take(ringBytes(uri, options));
  try {
    return new Feed(await open(uri, options), isShared, giveBack);
  } catch (error) {
    giveBack();
    throw error;
  }
}

/** Other schemes have no ring, or one that cannot be so small. */
function ringOf(uri: string): { bufferBytes?: number } {
  return uri.startsWith('afpacket:') && !/[?&]bufferBytes=/.test(uri) ? { bufferBytes: RING_BYTES } : {};
}

/** For an outlet, which cuts packets by itself: none, where it would keep all of every packet. */
function programFor(filter: Uint32Array, most: number): Uint32Array {
  return (keptOfAll(filter) ?? 0) < most ? filter : new Uint32Array(0);
}

function tuplesOf(flat: Uint32Array): FilterProgram {
  return Array.from({ length: flat.length / 4 }, (_, i) => {
    const [code, jt, jf, k] = flat.subarray(4 * i, 4 * i + 4) as unknown as [number, number, number, number];
    return [code, jt, jf, k] as const;
  });
}

type Counted = Omit<RemoteStats, 'sent'>;

/** What passed the filter; what was lost is among it, what waits to be read is not. */
function countsOf({ delivered, dropped, drops }: CaptureStats): Counted {
  const interfaceDropped = drops.nic ?? 0;
  return { received: delivered + dropped, interfaceDropped, kernelDropped: dropped - interfaceDropped };
}

function add(a: Counted, b: Counted): Counted {
  return {
    received: a.received + b.received,
    interfaceDropped: a.interfaceDropped + b.interfaceDropped,
    kernelDropped: a.kernelDropped + b.kernelDropped,
  };
}
