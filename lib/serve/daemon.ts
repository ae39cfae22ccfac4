// The daemon: it listens, connects, and has conversations.
import { type AddressInfo, type BlockList, isIPv6, type Server, type Socket } from 'node:net';
import { onAbort } from '../errors/abort.js';
import { CaptureError, warn } from '../errors/errors.js';
import { printable } from '../errors/printable.js';
import { addon } from '../native/native.js';
import { explain } from '../plan/explain.js';
import { Refusal } from '../rpcap/messages.js';
import { call, type Outcome } from './active.js';
import { wordsOf } from './capturing.js';
import { type ActiveSettings, Conversation, type ConversationSettings, type Listener } from './conversation.js';
import { needZstd } from './datagram_leg.js';
import { secured, turnAway } from './greeting.js';
import { allowed, listenAt, nameOf } from './listening.js';
import { Memory } from './memory.js';
import { Refused } from './messages.js';
import { missing, type Offer, offers } from './offered.js';
import { OwnTraffic } from './own.js';
import { plainAddress } from './peer.js';
import { Refusals } from './refusals.js';
import { becomeUser } from './rights.js';
import type { OpenCapture } from './serving.js';
import { readSettings, type ServeEvent, type ServeOptions, type Settings } from './settings.js';
import { checkSources } from './sources.js';

/** A client of a daemon, as of now. */
export interface ServedClient {
  /** Address and port, in numbers. */
  readonly peer: string;
  /** Empty for one that needs none, or has not said it yet. */
  readonly user: string;
  /** The name of what it captures; undefined: nothing. */
  readonly captures: string | undefined;
  /** Packets that its capture has had, those that were lost among them. */
  readonly received: number;
  /** Packets that were handed on to it. */
  readonly sent: number;
  /** Packets lost here: by the interface, the kernel, or because it was too slow. */
  readonly dropped: number;
}

/** How long interfaces are believed to be what they were. */
const OFFERS_MS = 1000;
/** Of a name in the log. */
const MOST_NAME = 64;
/** How long the end may take. */
const CLOSE_MS = 2000;

/**
 * A daemon that clients on other hosts capture with: `rpcap:` of ringtap, libpcap's programs, Wireshark.
 *
 * It keeps the process alive until it is closed.
 * @example
 * await using daemon = await serve({ host: '127.0.0.1', port: 0, nullAuth: true });
 * await using capture = await open(`rpcap://127.0.0.1:${daemon.port}/lo`);
 * console.log(capture.plan.mode, daemon.clients());
 * await capture.close();
 * await daemon.close();
 */
export class Daemon implements AsyncDisposable {
  readonly #open: OpenCapture;
  readonly #conversations = new Set<Conversation>();
  readonly #memory: Memory;
  readonly #own = new OwnTraffic();
  #settings: Settings;
  #talk: ConversationSettings;
  #allowed: BlockList | undefined;
  #server: Server | undefined;
  #closing: Promise<void> | undefined;
  readonly #arriving = new Set<Socket>();
  readonly #calls = new Map<string, AbortController>();
  #forgetSignal = () => {};
  readonly #refusals = new Refusals();
  #offers: { readonly until: number; readonly list: Promise<readonly Offer[]> } | undefined;

  /** @internal Use `serve()`. */
  static async start(options: ServeOptions, open: OpenCapture): Promise<Daemon> {
    const settings = readSettings(options);
    settings.signal?.throwIfAborted();
    if (addon().openOutlet === undefined) {
      throw new CaptureError('RINGTAP_UNSUPPORTED', `there is no daemon on ${process.platform}`, {
        hint: 'It is made for Linux.',
      });
    }
    if (settings.zstd) needZstd();
    const daemon = new Daemon(settings, open);
    daemon.#allowed = await allowed(settings);
    await checkSources(settings, (what) => daemon.#hear(settings.onEvent, { peer: '', what }));
    if (settings.passive) daemon.#server = await listenAt(settings, (socket) => daemon.#accept(socket));
    try {
      if (settings.user !== undefined) becomeUser(settings.user);
    } catch (error) {
      await daemon.close();
      throw error;
    }
    daemon.#callAll();
    if (settings.signal !== undefined) daemon.#forgetSignal = onAbort(settings.signal, () => void daemon.close());
    return daemon;
  }

  private constructor(settings: Settings, open: OpenCapture) {
    this.#open = open;
    this.#memory = new Memory(settings.memoryBytes);
    this.#settings = settings;
    this.#talk = this.#talkOf(settings);
  }

  /** The port number that it listens at; 0: nowhere. */
  get port(): number {
    return (this.#server?.address() as AddressInfo | null | undefined)?.port ?? 0;
  }

  /**
   * Clients that are connected now.
   * @throws nothing
   */
  clients(): ServedClient[] {
    return [...this.#conversations].map(({ peer, user, captures, counts }) => ({
      peer: nameOf(peer.address, peer.port),
      user,
      captures,
      received: counts.received,
      sent: counts.sent,
      dropped: counts.interfaceDropped + counts.kernelDropped,
    }));
  }

  /**
   * Serves as these options say from now on; where it listens stays. What runs goes on as it is, but for hosts that it is not
   * to connect to any more.
   * @param options all of them: what is left out has its default
   * @throws CaptureError as `serve()`; then nothing has changed
   * @example
   * await using daemon = await serve({ host: '127.0.0.1', port: 0, nullAuth: true });
   * await daemon.reload({ nullAuth: true, datagramBytes: 1472 });
   * console.log(daemon.clients());
   */
  async reload(options: ServeOptions): Promise<void> {
    const settings = readSettings(options);
    if (settings.zstd) needZstd();
    const list = await allowed(settings);
    await checkSources(settings, (what) => this.#hear(settings.onEvent, { peer: '', what }));
    this.#settings = settings;
    this.#memory.limit = settings.memoryBytes;
    this.#talk = this.#talkOf(settings);
    this.#allowed = list;
    this.#offers = undefined;
    this.#callAll();
  }

  /**
   * Ends every capture with what has arrived, then the connections. Idempotent.
   * @throws nothing
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** {@link close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#forgetSignal();
    for (const call of this.#calls.values()) call.abort();
    for (const socket of this.#arriving) socket.destroy();
    const server = this.#server;
    const isClosed = new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())));
    const timer = setTimeout(() => {
      for (const { peer } of this.#conversations) peer.destroy();
    }, CLOSE_MS);
    await Promise.all([...this.#conversations].map((one) => one.leave('the daemon ends')));
    await isClosed;
    clearTimeout(timer);
  }

  #accept(socket: Socket): void {
    socket.on('error', () => {});
    const address = plainAddress(socket.remoteAddress);
    if (address === '' || this.#closing !== undefined) {
      socket.destroy();
      return;
    }
    if (this.#allowed?.check(address, isIPv6(address) ? 'ipv6' : 'ipv4') === false) {
      this.#refuse('not on the list of hosts', address, socket.remotePort);
      turnAway(socket, new Refused(Refusal.host, 'this host is not on the list of those that may connect'));
      return;
    }
    if (this.#conversations.size >= this.#settings.maxClients && !this.#makeRoom()) {
      this.#refuse('too many clients', address, socket.remotePort);
      turnAway(socket, new Refused(Refusal.network, 'too many clients are connected'));
      return;
    }
    this.#greet(socket, address).then(
      (greeted) => void this.#converse(greeted),
      (error: Error) => this.#refuse(error.message, address, socket.remotePort),
    );
  }

  /** Its encryption first. Whoever waits longest for that has to go when there are too many. */
  async #greet(socket: Socket, address: string): Promise<Socket> {
    const { tls, maxClients } = this.#settings;
    if (tls === undefined) return socket;
    const [oldest] = this.#arriving;
    if (this.#arriving.size >= maxClients) oldest?.destroy();
    this.#arriving.add(socket);
    try {
      return await secured(socket, tls, address);
    } finally {
      this.#arriving.delete(socket);
    }
  }

  #converse(socket: Socket, active?: ActiveSettings): Promise<Outcome> {
    const { tls } = this.#settings;
    const secure = tls === undefined ? undefined : (data: Socket) => secured(data, tls, conversation.peer.address);
    const conversation: Conversation = new Conversation(socket, this.#talk, this.#listener, secure, active);
    this.#conversations.add(conversation);
    this.#listener.event('connected', conversation);
    return new Promise((resolve) => {
      conversation.onEnd = () => {
        this.#conversations.delete(conversation);
        this.#listener.event('disconnected', conversation);
        resolve(conversation.hasParted ? 'parted' : 'lost');
      };
    });
  }

  /** Connects to those that are to be connected to, and to no others any more. */
  #callAll(): void {
    const wanted = new Map(this.#settings.active.map((one) => [JSON.stringify(one), one]));
    for (const [key, controller] of this.#calls) {
      if (wanted.has(key)) continue;
      controller.abort();
      this.#calls.delete(key);
    }
    for (const [key, { host, port, ifname, ifaddr }] of wanted) {
      if (this.#calls.has(key)) continue;
      const controller = new AbortController();
      const { signal } = controller;
      this.#calls.set(key, controller);
      const converse = async (socket: Socket): Promise<Outcome> => {
        const end = () => socket.destroy();
        signal.addEventListener('abort', end, { once: true });
        const greeted = await this.#greet(socket, plainAddress(socket.remoteAddress));
        return this.#converse(greeted, { preselection: { ifname, ifaddr } }).finally(() =>
          signal.removeEventListener('abort', end),
        );
      };
      const tell = (list: readonly Offer[]) => {
        const what = missing(list, { ifname, ifaddr });
        if (what !== undefined) this.#event(what, host, port);
      };
      this.#offered().then(tell, () => {});
      void call({ host, port, converse, event: (what) => this.#event(what, host, port) }, signal);
    }
  }

  /** Whoever has waited longest without saying who he is has to go. */
  #makeRoom(): boolean {
    const [oldest] = [...this.#conversations].filter((one) => !one.isAuthenticated);
    if (oldest === undefined) return false;
    oldest.end(new Refused(Refusal.slowToBegin, 'others are waiting', true));
    this.#conversations.delete(oldest);
    return true;
  }

  readonly #listener: Listener = {
    event: (what, { peer }) => this.#event(what, peer.address, peer.port),
    refusal: (why, { peer }, user) => this.#refuse(why, peer.address, peer.port, user),
  };

  #refuse(why: string, address: string, port?: number, user = ''): void {
    // WHY escaped: his words are part of it, and lines of a log are ours.
    const name = user === '' ? '' : ` user "${printable(user.slice(0, MOST_NAME))}"`;
    const told = this.#refusals.tell(`refused${name}: ${printable(why)}`);
    if (told !== undefined) this.#event(told, address, port);
  }

  #event(what: string, address: string, port = 0): void {
    this.#hear(this.#settings.onEvent, { peer: nameOf(address, port), what });
  }

  #hear(onEvent: Settings['onEvent'], event: ServeEvent): void {
    // WHY: what it throws is no client's business, and must not end a conversation.
    const heard = async () => onEvent(event);
    heard().catch((error) => warn('RINGTAP_SERVE_CALLBACK', `serve(): onEvent failed: ${wordsOf(error)}`));
  }

  #talkOf(settings: Settings): ConversationSettings {
    const { capture } = settings;
    return {
      ...settings,
      open: this.#open,
      memory: this.#memory,
      own: this.#own,
      shared: settings.shared ? new Map() : undefined,
      offers: () => this.#offered(),
      linkType: async ({ uri, isLive }) => {
        const explained = await explain(uri, isLive ? capture : {});
        if (explained.ok) return explained.plan.linkType;
        throw explained.error;
      },
    };
  }

  #offered(): Promise<readonly Offer[]> {
    const now = performance.now();
    if (this.#offers === undefined || this.#offers.until < now) {
      const list = offers(this.#settings);
      this.#offers = { until: now + OFFERS_MS, list };
      list.catch(() => {
        this.#offers = undefined;
      });
    }
    return this.#offers.list;
  }
}
