// The daemon's connections with all of its clients, which no capture is to have: native/serve/own_traffic.h says why.
import { isIPv4 } from 'node:net';
import type { Leg } from './leg.js';
import { groupsOf } from './offered.js';

/** One of them. */
export interface OwnConnection {
  readonly protocol: 'tcp' | 'udp';
  /** Addresses in numbers. */
  readonly local: string;
  readonly localPort: number;
  /** Empty: any. */
  readonly peer: string;
  /** 0: any; it is not known yet. */
  readonly peerPort: number;
}

const NUMBERS = { tcp: 6, udp: 17 } as const;
const BYTES = 40;
/** What has ended still has its last packets to send. */
const LINGER_MS = 1000;

export class OwnTraffic {
  /** As bytes, by their text, and how often each was added. */
  readonly #connections = new Map<string, { readonly bytes: Buffer; count: number }>();
  readonly #legs = new Set<Leg>();

  /** @returns takes it away, in a while */
  add(connection: OwnConnection): () => void {
    const bytes = bytesOf(connection);
    const key = bytes.toString('latin1');
    const known = this.#connections.get(key) ?? { bytes, count: 0 };
    known.count++;
    this.#connections.set(key, known);
    if (known.count === 1) this.#tell(this.#legs);
    const end = () => {
      known.count--;
      if (known.count > 0) return;
      this.#connections.delete(key);
      this.#tell(this.#legs);
    };
    return () => void setTimeout(end, LINGER_MS).unref();
  }

  /** The leg has none of it from now on, whatever comes and goes. @returns ends that */
  keepFrom(leg: Leg): () => void {
    this.#legs.add(leg);
    this.#tell([leg]);
    return () => void this.#legs.delete(leg);
  }

  #tell(legs: Iterable<Leg>): void {
    const bytes = Buffer.concat([...this.#connections.values()].map((one) => one.bytes));
    for (const leg of legs) leg.setOwn(bytes);
  }
}

function bytesOf({ protocol, local, localPort, peer, peerPort }: OwnConnection): Buffer {
  const bytes = Buffer.alloc(BYTES);
  bytes.writeUInt8(NUMBERS[protocol], 0);
  bytes.writeUInt16BE(localPort, 2);
  bytes.writeUInt16BE(peerPort, 4);
  bytes.set(addressBytes(local), 8);
  bytes.set(addressBytes(peer), 24);
  return bytes;
}

/** Of IPv4 as IPv6 has it. */
function addressBytes(address: string): number[] {
  if (address === '') return [];
  if (!isIPv4(address)) return groupsOf(address);
  return [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...address.split('.').map(Number)];
}
