// How the packets of a client leave: as it asks, as far as it was offered.
import { randomBytes } from 'node:crypto';
import { type Agreed, type Extras, TOKEN_BYTES } from '../rpcap/messages.js';
import { DatagramLeg } from './datagram_leg.js';
import type { Leg } from './leg.js';
import type { StartRequest } from './messages.js';
import { patienceOf, type SharedFeeds } from './serving.js';
import { StreamLeg } from './stream_leg.js';

export interface LeavingSettings {
  /** The most that is sent of a packet. */
  readonly snaplen: number;
  /** Of udpstr; 0: messages. */
  readonly datagramBytes: number;
  readonly sendBufferBytes: number;
  readonly flushMs: number;
  /** What datagrams that may be sent again take; 0: none are. */
  readonly recoveryBytes: number;
  /** Whether clients may have them compressed. */
  readonly zstd: boolean;
  /** Defined: captures do not wait for a slow client. */
  readonly shared: SharedFeeds | undefined;
}

export class Leaving {
  readonly #settings: LeavingSettings;
  /** What ringtap's clients may ask for beyond the protocol. */
  readonly offers: Extras;

  /** @param isSecret it is encrypted, so that there are no datagrams */
  constructor(settings: LeavingSettings, isSecret: boolean) {
    const { datagramBytes, recoveryBytes, zstd } = settings;
    const isPossible = datagramBytes > 0 && !isSecret;
    this.#settings = settings;
    this.offers = { recovery: isPossible && recoveryBytes > 0, zstd: isPossible && zstd, ownTraffic: true };
  }

  /** Undefined: nothing was asked for, or nothing that was offered. */
  agree({ datagrams, extras }: StartRequest): Agreed | undefined {
    const { recovery, zstd } = this.offers;
    const isMore = datagrams && ((recovery && extras.recovery) || (zstd && extras.zstd));
    return isMore ? { token: randomBytes(TOKEN_BYTES), datagramBytes: this.#settings.datagramBytes } : undefined;
  }

  /** @throws CaptureError where there is no socket for it */
  legFor(request: StartRequest, peer: { local: string; address: string }, agreed: Agreed | undefined): Leg {
    const { datagramBytes, sendBufferBytes: bufferBytes, flushMs, snaplen: most, recoveryBytes } = this.#settings;
    // The filter may change to one that keeps more.
    const snaplen = request.snaplen === 0 ? most : Math.min(request.snaplen, most);
    if (!request.datagrams) return new StreamLeg(snaplen, this.#settings.shared === undefined);
    const { recovery, zstd } = this.offers;
    return new DatagramLeg({
      local: peer.local,
      peer: peer.address,
      port: request.port,
      snaplen,
      datagramBytes,
      bufferBytes,
      flushMs: Math.min(flushMs, patienceOf(request)),
      againBytes: recovery && request.extras.recovery ? recoveryBytes : 0,
      token: agreed?.token ?? new Uint8Array(TOKEN_BYTES),
      trains: zstd && request.extras.zstd,
    });
  }
}
