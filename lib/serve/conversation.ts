// What is said on a control connection, from the first word to the last.
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { warn } from '../errors/errors.js';
import { dltOf } from '../rpcap/link_type.js';
import { Refusal, type RemoteStats, Type } from '../rpcap/messages.js';
import { Capturing, type CapturingSettings, wordsOf } from './capturing.js';
import type { Secure } from './data.js';
import {
  authReply,
  openReply,
  Refused,
  readAuth,
  readFilter,
  readSampling,
  readStart,
  reply,
  type StartRequest,
  statsReply,
} from './messages.js';
import { interfacesReply, isPreselected, missing, type Offer, type Preselection, preselected } from './offered.js';
import { type Asked, faultOf, Peer } from './peer.js';
import { TooMany } from './turns.js';
import type { LetsIn } from './users.js';

export interface ConversationSettings extends CapturingSettings {
  /** Lets somebody in, or not; undefined: without a user nobody. */
  readonly authenticate: LetsIn | undefined;
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
  /** Somebody is told no: why, and who he says that he is. */
  refusal(why: string, conversation: Conversation, user: string): void;
}

/** How long a client may take to say who it is, and between two requests while nothing is captured. */
const AUTH_MS = 90_000;
const IDLE_MS = 180_000;
/** What a wrong password costs. */
const PENALTY_MS = 1000;
/** Of requests that are refused before the client has said who he is. */
const MOST_FAILURES = 8;
/** What clients give a name at most. */
const MOST_NAME = 1023;

export class Conversation {
  readonly peer: Peer;
  readonly #settings: ConversationSettings;
  readonly #active: ActiveSettings | undefined;
  readonly #listener: Listener;
  #isAuthenticated = false;
  #failures = 0;
  /** Who it says that it is. */
  #claimed = '';
  #toldLast: Refused | undefined;
  #timer: NodeJS.Timeout | undefined;
  #offer: Offer | undefined;
  readonly #capturing: Capturing;
  /** Its connection is the daemon's no more. */
  readonly #forget: () => void;

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
    this.#active = active;
    this.#listener = listener;
    this.peer = new Peer(socket, (asked) => this.#attempt(asked));
    const { local, localPort, address, port } = this.peer;
    // WHY of a daemon that listens one for all: whoever comes and goes changes nothing.
    const other = active === undefined ? { peer: '', peerPort: 0 } : { peer: address, peerPort: port };
    this.#forget = settings.own.add({ protocol: 'tcp', local, localPort, ...other });
    this.#capturing = new Capturing(settings, this.peer, secure);
    this.#capturing.onEvent = (what) => {
      this.#listener.event(what, this);
      if (!this.#capturing.isRunning) this.#waitFor();
    };
    this.peer.onEnd = () => void this.#ended();
    this.peer.onRequest = () => this.#waitFor();
    this.peer.onRefusal = (refused) => this.#refused(refused);
    this.#waitFor();
  }

  get isAuthenticated(): boolean {
    return this.#isAuthenticated;
  }

  /** The name of what is captured. */
  get captures(): string | undefined {
    return this.#capturing.captures;
  }

  /** Of the capture that runs, or has ended last. */
  get counts(): RemoteStats {
    return this.#capturing.counts;
  }

  /** Ends it with what has arrived, and says why. */
  async leave(why: string): Promise<void> {
    await this.#capturing.stop(false);
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
      if (this.#capturing.isRunning) return;
      const number = this.#isAuthenticated ? Refusal.idle : Refusal.slowToBegin;
      this.peer.tell(new Refused(number, `nothing was asked for ${ms / 1000} s`, true));
    }, ms).unref();
  }

  async #ended(): Promise<void> {
    clearTimeout(this.#timer);
    this.#forget();
    await this.#capturing.stop(true);
    this.onEnd();
  }

  /** Each once: some are told before they are answered. */
  #refused(refused: Refused): void {
    if (refused === this.#toldLast) return;
    this.#toldLast = refused;
    this.#listener.refusal(refused.message, this, this.#claimed);
  }

  /** Who does not say who he is may be refused a few times. */
  async #attempt(asked: Asked): Promise<Buffer | undefined> {
    try {
      return await this.#answer(asked);
    } catch (error) {
      if (!(error instanceof Refused) || this.#isAuthenticated || ++this.#failures < MOST_FAILURES) throw error;
      const last = new Refused(error.number, error.message, true);
      if (this.#toldLast === error) this.#toldLast = last;
      throw last;
    }
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
    [Type.interfaces]: () => this.#interfaces(),
    [Type.open]: (payload) => this.#open(payload),
    [Type.start]: (payload) => this.#start(readStart(payload)),
    [Type.filter]: (payload) => this.#filter(payload),
    [Type.stats]: () => statsReply(this.counts),
    [Type.end]: () => this.#endCapture(),
    [Type.sampling]: (payload) => this.#sample(payload),
  };

  #part(): undefined {
    this.hasParted = true;
    void this.#capturing.stop(false).finally(() => this.peer.end());
  }

  async #authenticate(payload: Buffer): Promise<Buffer> {
    if (this.#isAuthenticated) throw new Refused(Refusal.type, 'this client is known already', true);
    const { type, user, password } = readAuth(payload);
    const { authenticate, nullAuth } = this.#settings;
    this.#claimed = user;
    if (type === 0) {
      if (!nullAuth) throw new Refused(Refusal.credentials, 'nobody gets in without a user and a password');
    } else if (!(await this.#letsIn(authenticate, user, password))) {
      // WHY one text: which users there are is nobody's business.
      const refused = new Refused(Refusal.credentials, 'this user and password do not get in');
      this.#refused(refused); // before he can be gone
      await sleep(PENALTY_MS);
      throw refused;
    }
    this.user = user;
    this.#isAuthenticated = true;
    this.peer.trust();
    this.#waitFor();
    return authReply(this.#capturing.offers);
  }

  /** What the owner's function throws lets nobody in, and is his to see. */
  async #letsIn(letsIn: LetsIn | undefined, user: string, password: string): Promise<boolean> {
    try {
      return Boolean(await letsIn?.(user, password, this.peer.address, () => this.peer.isEnding));
    } catch (error) {
      if (error instanceof TooMany)
        throw new Refused(Refusal.network, 'too many want to get in: try again later', true);
      warn('RINGTAP_SERVE_CALLBACK', `serve(): authenticate failed: ${wordsOf(error)}`);
      return false;
    }
  }

  #offers(): Promise<readonly Offer[]> {
    return this.#settings.offers().catch((error) => {
      throw new Refused(Refusal.interfaces, wordsOf(error));
    });
  }

  async #interfaces(): Promise<Buffer> {
    const { preselection = {} } = this.#active ?? {};
    return interfacesReply(preselected(await this.#offers(), preselection), preselection);
  }

  async #open(payload: Buffer): Promise<Buffer> {
    const name = payload.toString();
    if (payload.length > MOST_NAME) throw new Refused(Refusal.open, 'a name is no longer than 1023 bytes');
    const { preselection = {} } = this.#active ?? {};
    const list = await this.#offers();
    const lack = missing(list, preselection);
    if (lack !== undefined) throw new Refused(Refusal.open, lack);
    const offer = list.find((one) => one.name === name);
    if (offer === undefined) throw new Refused(Refusal.open, `there is no "${name.slice(0, 64)}" here`);
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

  #start(request: StartRequest): Promise<Buffer> {
    if (this.#offer === undefined) throw new Refused(Refusal.start, 'OPEN comes before STARTCAP');
    return this.#capturing.start(this.#offer, request, this.#active !== undefined);
  }

  async #filter(payload: Buffer): Promise<Buffer> {
    await this.#capturing.setFilter(readFilter(payload, Refusal.filter));
    return reply(Type.filter);
  }

  #sample(payload: Buffer): Buffer {
    this.#capturing.setSampling(readSampling(payload));
    return reply(Type.sampling);
  }

  async #endCapture(): Promise<Buffer> {
    if (!this.#capturing.isRunning) throw new Refused(Refusal.end, 'no capture is running');
    await this.#capturing.stop(false);
    return reply(Type.end);
  }
}
