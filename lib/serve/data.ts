// The connection that a client's packets leave by.
import { createServer, type Server, type Socket } from 'node:net';
import { withoutUri } from '../errors/errors.js';
import { Refusal } from '../rpcap/messages.js';
import { dial } from './dial.js';
import { Refused } from './messages.js';
import { plainAddress } from './peer.js';

/** How long a client may take to connect. */
const CONNECT_MS = 10_000;

/** Wraps what is connected, where the conversation is encrypted. */
export type Secure = (socket: Socket) => Promise<Socket>;

/** A port that one peer may connect to, once. */
export class DataPort {
  readonly #server: Server;
  readonly #settled: Promise<Socket | undefined>;
  #settle: (socket: Socket | undefined) => void = () => {};

  /** @param local where: an address in numbers, the one that the peer has reached us by */
  static async listen(local: string, peer: string): Promise<DataPort> {
    const server = createServer({ pauseOnConnect: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(new Refused(Refusal.start, `no port for packets: ${error.message}`)));
      server.listen({ host: local, port: 0, backlog: 4 }, resolve);
    });
    return new DataPort(server, peer);
  }

  private constructor(server: Server, peer: string) {
    this.#server = server;
    this.#settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
    const timer = setTimeout(() => this.close(), CONNECT_MS).unref();
    server.on('error', () => {});
    server.on('connection', (socket: Socket) => {
      socket.on('error', () => {});
      // WHY: packets are for whoever has asked for them, and for nobody who is quicker.
      if (plainAddress(socket.remoteAddress) !== peer) {
        socket.destroy();
        return;
      }
      clearTimeout(timer);
      server.close();
      this.#settle(socket);
    });
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** The connection; undefined where nobody has come in time, or {@link close} was called. */
  get connected(): Promise<Socket | undefined> {
    return this.#settled;
  }

  close(): void {
    this.#server.close();
    this.#settle(undefined);
  }
}

/** Connects to where the client awaits its packets. */
export async function connectData(host: string, port: number): Promise<Socket> {
  try {
    return await dial(host, port);
  } catch (error) {
    throw new Refused(Refusal.start, withoutUri('serve()', (error as Error).message));
  }
}
