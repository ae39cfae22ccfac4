// What a client captures, from STARTCAP to the end: one capture at a time, and the way that its packets take.
import type { Socket } from 'node:net';
import { CaptureError, withoutUri } from '../errors/errors.js';
import { type Agreed, AT_ITS_END, Refusal, type RemoteStats } from '../rpcap/messages.js';
import { connectData, DataPort, type Secure } from './data.js';
import { DatagramLeg } from './datagram_leg.js';
import { Leaving, type LeavingSettings } from './leaving.js';
import type { Leg } from './leg.js';
import { Refused, type SamplingRequest, type StartRequest, startReply } from './messages.js';
import type { Offer } from './offered.js';
import type { OwnConnection, OwnTraffic } from './own.js';
import { type Peer, plainAddress } from './peer.js';
import { Serving, type ServingSettings } from './serving.js';
import { StreamLeg } from './stream_leg.js';

export interface CapturingSettings extends ServingSettings, LeavingSettings {
  readonly own: OwnTraffic;
}

const NO_COUNTS: RemoteStats = { received: 0, interfaceDropped: 0, kernelDropped: 0, sent: 0 };

export class Capturing {
  readonly #settings: CapturingSettings;
  readonly #peer: Peer;
  readonly #secure: Secure | undefined;
  readonly #leaving: Leaving;
  #sampling: SamplingRequest | undefined;
  #serving: Serving | undefined;
  /** What has ended, or does so. */
  #ending: Serving | undefined;
  /** A data connection whose encryption is being agreed on. */
  #greeting: Socket | undefined;
  #name = '';
  #port: DataPort | undefined;
  #counts = NO_COUNTS;
  /** At the end of what runs. */
  readonly #atEnd: (() => void)[] = [];

  /** What has become of it, in words. */
  onEvent: (what: string) => void = () => {};

  /** @param secure where data connections are encrypted, too */
  constructor(settings: CapturingSettings, peer: Peer, secure: Secure | undefined) {
    this.#settings = settings;
    this.#peer = peer;
    this.#secure = secure;
    this.#leaving = new Leaving(settings, secure !== undefined);
  }

  /** What ringtap's clients may ask for beyond the protocol. */
  get offers(): Leaving['offers'] {
    return this.#leaving.offers;
  }

  get isRunning(): boolean {
    return this.#serving !== undefined;
  }

  /** The name of what is captured. */
  get captures(): string | undefined {
    return this.isRunning ? this.#name : undefined;
  }

  /** Of the capture that runs, or has ended last. */
  get counts(): RemoteStats {
    return this.#serving?.counts() ?? this.#counts;
  }

  /**
   * Answers STARTCAP.
   * @param connects whether it is us who connect for a stream, whatever the client asks for
   */
  async start(offer: Offer, request: StartRequest, connects: boolean): Promise<Buffer> {
    if (this.#serving !== undefined) throw new Refused(Refusal.start, 'a capture is running already');
    if (request.datagrams && this.#secure !== undefined) {
      throw new Refused(Refusal.start, 'datagrams are not encrypted: ask for TCP');
    }
    const dials = request.daemonConnects || connects;
    if ((request.datagrams || dials) && request.port === 0) {
      throw new Refused(Refusal.start, 'STARTCAP names no port for the packets');
    }
    const agreed = this.#leaving.agree(request);
    const leg = this.#legFor(request, agreed);
    try {
      const { own } = this.#settings;
      if (offer.isLive && !request.extras.ownTraffic) this.#atEnd.push(own.keepFrom(leg));
      if (leg instanceof DatagramLeg) this.#isOwn('udp', this.#peer.local, leg.port, request.port);
      const serving = await Serving.open(offer, request, leg, this.#settings);
      serving.onEnd = (error) => void this.#fails(serving, error);
      this.#serving = serving;
      this.#name = offer.name;
      this.#refuseGone(); // it may have left while the capture was opened: nobody would stop it
      const port = leg instanceof StreamLeg ? await this.#way(leg, serving, dials ? request.port : 0) : 0;
      if (leg instanceof DatagramLeg) serving.begin(this.#sampling);
      this.onEvent(`captures ${offer.name}`);
      leg.onLost = (why) => void this.#fails(serving, new Error(why));
      return startReply(port, agreed);
    } catch (error) {
      leg.destroy();
      await this.stop(true);
      throw error instanceof Refused ? error : new Refused(Refusal.start, wordsOf(error));
    }
  }

  /** No capture has its packets. */
  #isOwn(protocol: OwnConnection['protocol'], local: string, localPort: number, peerPort: number): void {
    this.#atEnd.push(this.#settings.own.add({ protocol, local, localPort, peer: this.#peer.address, peerPort }));
  }

  #refuseGone(): void {
    if (this.#peer.isEnding) throw new Refused(Refusal.start, 'the client is gone');
  }

  #legFor(request: StartRequest, agreed: Agreed | undefined): Leg {
    try {
      return this.#leaving.legFor(request, this.#peer, agreed);
    } catch (error) {
      throw new Refused(Refusal.start, wordsOf(error));
    }
  }

  /** Where the packets of a stream go, now or as soon as the client has connected. @returns our port for that, or 0 */
  async #way(leg: StreamLeg, serving: Serving, theirs: number): Promise<number> {
    const begin = async (socket: Socket) => {
      leg.attach(await this.#secured(socket));
      if (this.#serving === serving) serving.begin(this.#sampling);
    };
    if (theirs !== 0) {
      const socket = await connectData(this.#peer.address, theirs);
      this.#isOwn('tcp', plainAddress(socket.localAddress), socket.localPort ?? 0, theirs);
      if (this.#peer.isEnding) socket.destroy();
      this.#refuseGone();
      // WHY not awaited: the handshake may wait for our answer.
      begin(socket).catch((error) => this.#fails(serving, error));
      return 0;
    }
    const port = await DataPort.listen(this.#peer.local, this.#peer.address);
    if (this.#peer.isEnding) port.close();
    this.#refuseGone();
    this.#port = port;
    this.#isOwn('tcp', this.#peer.local, port.port, 0);
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

  async #secured(socket: Socket): Promise<Socket> {
    if (this.#secure === undefined) return socket;
    this.#greeting = socket;
    try {
      return await this.#secure(socket);
    } finally {
      if (this.#greeting === socket) this.#greeting = undefined;
    }
  }

  async setFilter(filter: Uint32Array): Promise<void> {
    if (this.#serving === undefined) throw new Refused(Refusal.filter, 'no capture is running');
    try {
      await this.#serving.setFilter(filter);
    } catch (error) {
      throw new Refused(Refusal.filter, wordsOf(error));
    }
  }

  /** Of this capture, and of those that follow. */
  setSampling(sampling: SamplingRequest): void {
    this.#sampling = sampling;
    this.#serving?.setSampling(sampling);
  }

  /** The capture is at its end without being asked to. */
  async #fails(serving: Serving, error: unknown): Promise<void> {
    if (this.#serving !== serving) return;
    await this.stop(false);
    const words = error === undefined ? AT_ITS_END : wordsOf(error);
    this.onEvent(`capture ended: ${words}`);
    this.#peer.tell(new Refused(Refusal.read, words));
  }

  /** With what has arrived, or at once. */
  async stop(isAtOnce: boolean): Promise<void> {
    this.#port?.close();
    this.#port = undefined;
    this.#greeting?.destroy();
    const serving = this.#serving;
    const atEnd = this.#atEnd.splice(0);
    if (serving === undefined) {
      // Somebody else waits for it: he who hurries does not.
      if (isAtOnce) await this.#ending?.stop(true);
      for (const end of atEnd) end();
      return;
    }
    this.#serving = undefined;
    this.#ending = serving;
    await serving.stop(isAtOnce);
    for (const end of atEnd) end();
    this.#counts = serving.counts();
    this.onEvent('stopped');
  }
}

/** What went wrong, for whoever is on the other host: not by which URI it is captured here. */
export function wordsOf(error: unknown): string {
  if (error instanceof CaptureError)
    return error.uri === undefined ? error.message : withoutUri(error.uri, error.message);
  return error instanceof Error ? error.message : String(error);
}
