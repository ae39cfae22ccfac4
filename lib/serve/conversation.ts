// What is said on a control connection, from the first word to the last.
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { CaptureError, withoutUri } from '../errors/errors.js';
import { dltOf } from '../rpcap/link_type.js';
import { type Agreed, Refusal, type RemoteStats, Type } from '../rpcap/messages.js';
import { connectData, DataPort, type Secure } from './data.js';
import { DatagramLeg } from './datagram_leg.js';
import { Leaving, type LeavingSettings } from './leaving.js';
import type { Leg } from './leg.js';
import {
  authReply,
  openReply,
  Refused,
  readAuth,
  readFilter,
  readSampling,
  readStart,
  reply,
  type SamplingRequest,
  type StartRequest,
  startReply,
  statsReply,
} from './messages.js';
import { interfacesReply, isPreselected, type Offer, type Preselection } from './offered.js';
import { type Asked, faultOf, Peer } from './peer.js';
import { Serving, type ServingSettings } from './serving.js';
import { StreamLeg } from './stream_leg.js';
import type { Authenticate } from './users.js';

export interface ConversationSettings extends ServingSettings, LeavingSettings {
  /** Lets somebody in, or not; undefined: without a user nobody. */
  readonly authenticate: Authenticate | undefined;
  readonly nullAuth: boolean;
  readonly offers: () => Promise<readonly Offer[]>;
  /** The LINKTYPE_ value of what it captures. */
  readonly linkType: (offer: Offer) => Promise<number>;
}

/** Of a daemon that has connected by itself. */
export interface ActiveSettings {
  readonly preselection: Preselection;
}

/** What is heard of a conversation. */
export interface Listener {
  event(what: string, conversation: Conversation): void;
}

/** How long a client may take to say who it is, and between two requests while nothing is captured. */
const AUTH_MS = 90_000;
const IDLE_MS = 180_000;
/** What a wrong password costs. */
const PENALTY_MS = 1000;
const MOST_FAILURES = 8;
/** What clients give a name at most. */
const MOST_NAME = 1023;
const NO_COUNTS: RemoteStats = { received: 0, interfaceDropped: 0, kernelDropped: 0, sent: 0 };

export class Conversation {
  readonly peer: Peer;
  readonly #settings: ConversationSettings;
  readonly #leaving: Leaving;
  readonly #active: ActiveSettings | undefined;
  readonly #secure: Secure | undefined;
  readonly #listener: Listener;
  #isAuthenticated = false;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #offer: Offer | undefined;
  #sampling: SamplingRequest | undefined;
  #serving: Serving | undefined;
  #port: DataPort | undefined;
  #counts = NO_COUNTS;

  /** The client has said that it wants no more of us. */
  hasParted = false;
  /** When it began, for those who have to go first. */
  readonly began = performance.now();
  user = '';

  /** Called once, when the connection is gone and nothing is captured any more. */
  onEnd: () => void = () => {};

  /**
   * @param secure where data connections are encrypted, too
   * @param active a daemon that has connected by itself waits for as long as it takes
   */
  constructor(
    socket: Socket,
    settings: ConversationSettings,
    listener: Listener,
    secure?: Secure,
    active?: ActiveSettings,
  ) {
    this.#settings = settings;
    this.#leaving = new Leaving(settings, secure !== undefined);
    this.#active = active;
    this.#secure = secure;
    this.#listener = listener;
    this.peer = new Peer(socket, (asked) => this.#answer(asked));
    this.peer.onEnd = () => void this.#ended();
    this.peer.onRequest = () => this.#waitFor();
    this.#waitFor();
  }

  get isAuthenticated(): boolean {
    return this.#isAuthenticated;
  }

  /** The name of what is captured. */
  get captures(): string | undefined {
    return this.#serving === undefined ? undefined : this.#offer?.name;
  }

  /** Of the capture that runs, or has ended last. */
  get counts(): RemoteStats {
    return this.#serving?.counts() ?? this.#counts;
  }

  /** Ends it with what has arrived, and says why. */
  async leave(why: string): Promise<void> {
    await this.#stop(false);
    this.end(new Refused(Refusal.network, why, true));
  }

  /** Ends it, and says why. */
  end(refused: Refused): void {
    this.peer.tell(refused);
    this.peer.end();
  }

  #waitFor(): void {
    clearTimeout(this.#timer);
    if (this.#active !== undefined || this.peer.isEnding) return;
    const ms = this.#isAuthenticated ? IDLE_MS : AUTH_MS;
    this.#timer = setTimeout(() => {
      if (this.#serving !== undefined) return;
      const number = this.#isAuthenticated ? Refusal.idle : Refusal.slowToBegin;
      this.peer.tell(new Refused(number, `nothing was asked for ${ms / 1000} s`, true));
    }, ms).unref();
  }

  async #ended(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#stop(true);
    this.onEnd();
  }

  async #answer({ version, type, payload }: Asked): Promise<Buffer | undefined> {
    if (version !== 0) throw faultOf(version, type);
    if (type === Type.close || type === Type.error) return this.#part();
    if (type === Type.auth) return this.#authenticate(payload);
    const answer = this.#answers[type];
    if (answer === undefined) throw faultOf(version, type);
    if (!this.#isAuthenticated) throw new Refused(Refusal.type, 'the first request is AUTH');
    return answer(payload);
  }

  readonly #answers: Readonly<Record<number, (payload: Buffer) => Promise<Buffer> | Buffer>> = {
    [Type.interfaces]: async () => interfacesReply(await this.#offers(), this.#active?.preselection ?? {}),
    [Type.open]: (payload) => this.#open(payload),
    [Type.start]: (payload) => this.#start(readStart(payload)),
    [Type.filter]: (payload) => this.#filter(payload),
    [Type.stats]: () => statsReply(this.counts),
    [Type.end]: () => this.#endCapture(),
    [Type.sampling]: (payload) => this.#sample(payload),
  };

  #part(): undefined {
    this.hasParted = true;
    void this.#stop(false).finally(() => this.peer.end());
  }

  async #authenticate(payload: Buffer): Promise<Buffer> {
    if (this.#isAuthenticated) throw new Refused(Refusal.type, 'this client is known already', true);
    const { type, user, password } = readAuth(payload);
    const { authenticate, nullAuth } = this.#settings;
    if (type === 0) {
      if (!nullAuth) throw new Refused(Refusal.credentials, 'nobody gets in without a user and a password');
    } else if (!(await authenticate?.(user, password, this.peer.address))) {
      this.#failures++;
      this.#listener.event('failed to authenticate', this);
      await sleep(PENALTY_MS);
      // WHY one text: which users there are is nobody's business.
      throw new Refused(Refusal.credentials, 'this user and password do not get in', this.#failures >= MOST_FAILURES);
    }
    this.user = user;
    this.#isAuthenticated = true;
    this.#waitFor();
    return authReply(this.#leaving.offers);
  }

  #offers(): Promise<readonly Offer[]> {
    return this.#settings.offers().catch((error) => {
      throw new Refused(Refusal.interfaces, wordsOf(error));
    });
  }

  async #open(payload: Buffer): Promise<Buffer> {
    const name = payload.toString();
    if (payload.length > MOST_NAME) throw new Refused(Refusal.open, 'a name is no longer than 1023 bytes');
    const list = await this.#offers();
    const offer = list.find((one) => one.name === name);
    if (offer === undefined) throw new Refused(Refusal.open, `there is no "${name.slice(0, 64)}" here`);
    const { preselection = {} } = this.#active ?? {};
    const chosen = list.find((one) => isPreselected(one, preselection));
    if (chosen !== undefined && !isPreselected(offer, preselection)) {
      throw new Refused(Refusal.open, `only "${chosen.name}" can be opened by this host`);
    }
    const dlt = await this.#settings.linkType(offer).then(dltOf, (error) => {
      throw new Refused(Refusal.open, wordsOf(error));
    });
    this.#offer = offer;
    return openReply(dlt);
  }

  async #start(request: StartRequest): Promise<Buffer> {
    if (this.#offer === undefined) throw new Refused(Refusal.start, 'OPEN comes before STARTCAP');
    if (this.#serving !== undefined) throw new Refused(Refusal.start, 'a capture is running already');
    if (request.datagrams && this.#secure !== undefined) {
      throw new Refused(Refusal.start, 'datagrams are not encrypted: ask for TCP');
    }
    const dials = request.daemonConnects || this.#active !== undefined;
    if ((request.datagrams || dials) && request.port === 0) {
      throw new Refused(Refusal.start, 'STARTCAP names no port for the packets');
    }
    const agreed = this.#leaving.agree(request);
    const leg = this.#legFor(request, agreed);
    try {
      const serving = await Serving.open(this.#offer, request, leg, this.#settings);
      serving.onEnd = (error) => void this.#fails(serving, error);
      this.#serving = serving;
      this.#refuseGone(); // it may have left while the capture was opened: nobody would stop it
      const port = leg instanceof StreamLeg ? await this.#way(leg, serving, dials ? request.port : 0) : 0;
      if (leg instanceof DatagramLeg) serving.begin(this.#sampling);
      this.#listener.event(`captures ${this.#offer.name}`, this);
      leg.onLost = (why) => void this.#fails(serving, new Error(why));
      return startReply(port, agreed);
    } catch (error) {
      leg.destroy();
      await this.#stop(true);
      throw error instanceof Refused ? error : new Refused(Refusal.start, wordsOf(error));
    }
  }

  #refuseGone(): void {
    if (this.peer.isEnding) throw new Refused(Refusal.start, 'the client is gone');
  }

  #legFor(request: StartRequest, agreed: Agreed | undefined): Leg {
    try {
      return this.#leaving.legFor(request, this.peer, agreed);
    } catch (error) {
      throw new Refused(Refusal.start, wordsOf(error));
    }
  }

  /** Where the packets of a stream go, now or as soon as the client has connected. @returns our port for that, or 0 */
  async #way(leg: StreamLeg, serving: Serving, theirs: number): Promise<number> {
    const begin = async (socket: Socket) => {
      leg.attach(this.#secure === undefined ? socket : await this.#secure(socket));
      if (this.#serving === serving) serving.begin(this.#sampling);
    };
    if (theirs !== 0) {
      const socket = await connectData(this.peer.address, theirs);
      if (this.peer.isEnding) socket.destroy();
      this.#refuseGone();
      // WHY not awaited: the handshake may wait for our answer.
      begin(socket).catch((error) => this.#fails(serving, error));
      return 0;
    }
    const port = await DataPort.listen(this.peer.local, this.peer.address);
    if (this.peer.isEnding) port.close();
    this.#refuseGone();
    this.#port = port;
    port.connected
      .then((socket) => {
        if (this.#port !== port) {
          socket?.destroy();
          return undefined;
        }
        this.#port = undefined;
        if (socket !== undefined) return begin(socket);
        throw new Error('nobody has connected to the port for packets');
      })
      .catch((error) => this.#fails(serving, error));
    return port.port;
  }

  async #filter(payload: Buffer): Promise<Buffer> {
    const filter = readFilter(payload, Refusal.filter);
    if (this.#serving === undefined) throw new Refused(Refusal.filter, 'no capture is running');
    try {
      await this.#serving.setFilter(filter);
    } catch (error) {
      throw new Refused(Refusal.filter, wordsOf(error));
    }
    return reply(Type.filter);
  }

  #sample(payload: Buffer): Buffer {
    const sampling = readSampling(payload);
    this.#sampling = sampling;
    this.#serving?.setSampling(sampling);
    return reply(Type.sampling);
  }

  async #endCapture(): Promise<Buffer> {
    if (this.#serving === undefined) throw new Refused(Refusal.end, 'no capture is running');
    await this.#stop(false);
    return reply(Type.end);
  }

  /** The capture is at its end without being asked to. */
  async #fails(serving: Serving, error: unknown): Promise<void> {
    if (this.#serving !== serving) return;
    await this.#stop(false);
    const words = error === undefined ? 'the capture is at its end' : wordsOf(error);
    this.#listener.event(`capture ended: ${words}`, this);
    this.peer.tell(new Refused(Refusal.read, words));
  }

  async #stop(isAtOnce: boolean): Promise<void> {
    this.#port?.close();
    this.#port = undefined;
    const serving = this.#serving;
    if (serving === undefined) return;
    this.#serving = undefined;
    await serving.stop(isAtOnce);
    this.#counts = serving.counts();
    this.#listener.event('stopped', this);
    this.#waitFor();
  }
}

/** What went wrong, for whoever is on the other host: not by which URI it is captured here. */
function wordsOf(error: unknown): string {
  if (error instanceof CaptureError)
    return error.uri === undefined ? error.message : withoutUri(error.uri, error.message);
  return error instanceof Error ? error.message : String(error);
}
