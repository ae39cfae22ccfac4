// A client of a daemon for tests, made by hand: it says what it is told to, sense or not, and reads what comes.
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Rpcap } from './rpcap.js';
import { bytes, u16, u32 } from './trace.js';
import { until, within } from './wait.js';

export interface Answer {
  readonly version: number;
  readonly type: number;
  readonly value: number;
  readonly payload: Buffer;
}

/** A filter that keeps everything. */
export const ALL = bytes(u16(1), u16(0), u32(1), u16(6), 0, 0, u32(0x40000));

export interface Start {
  readonly snaplen?: number;
  readonly timeoutMs?: number;
  readonly flags?: number;
  readonly port?: number;
  readonly filter?: Uint8Array;
}

export const startOf = ({ snaplen = 65535, timeoutMs = 50, flags = 1, port = 0, filter = ALL }: Start = {}) =>
  bytes(u32(snaplen), u32(timeoutMs), u16(flags), u16(port), filter);

export class RpcapClient implements Disposable {
  readonly socket: Socket;
  readonly #answers: Answer[] = [];
  #received: Buffer = Buffer.alloc(0);
  #isClosed = false;

  static async connect(port: number, host = '127.0.0.1', localAddress?: string): Promise<RpcapClient> {
    const socket = connect({ port, host, ...(localAddress === undefined ? {} : { localAddress }) });
    await within(once(socket, 'connect'), 'a connection');
    return new RpcapClient(socket);
  }

  /** Connected, and let in. */
  static async login(port: number, host?: string): Promise<RpcapClient> {
    const client = await RpcapClient.connect(port, host);
    await client.ask(Rpcap.auth, Buffer.alloc(8));
    return client;
  }

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#isClosed = true;
    });
    socket.on('data', (more) => {
      this.#received = Buffer.concat([this.#received, more]);
      while (this.#received.length >= 8 && this.#received.length >= 8 + this.#received.readUInt32BE(4)) {
        const length = 8 + this.#received.readUInt32BE(4);
        const one = this.#received.subarray(0, length);
        this.#received = this.#received.subarray(length);
        this.#answers.push({
          version: one.readUInt8(0),
          type: one.readUInt8(1),
          value: one.readUInt16BE(2),
          payload: one.subarray(8),
        });
      }
    });
  }

  say(type: number, payload: Uint8Array = Buffer.alloc(0), version = 0): void {
    this.socket.write(bytes(version, type, u16(0), u32(payload.length), payload));
  }

  async next(): Promise<Answer> {
    await until(() => this.#answers.length > 0, 'an answer');
    return this.#answers.shift()!;
  }

  ask(type: number, payload?: Uint8Array, version?: number): Promise<Answer> {
    this.say(type, payload, version);
    return this.next();
  }

  /** The number of an ERROR and its text; of another answer undefined. */
  async refusal(type: number, payload?: Uint8Array, version?: number): Promise<[number, string] | undefined> {
    const answer = await this.ask(type, payload, version);
    return answer.type === Rpcap.error ? [answer.value, answer.payload.toString()] : undefined;
  }

  async stats(): Promise<{ received: number; interfaceDropped: number; kernelDropped: number; sent: number }> {
    const { payload } = await this.ask(Rpcap.stats);
    const [received, interfaceDropped, kernelDropped, sent] = [0, 4, 8, 12].map((at) => payload.readUInt32BE(at));
    return { received, interfaceDropped, kernelDropped, sent } as never;
  }

  async closed(): Promise<void> {
    await until(() => this.#isClosed, 'the end of the connection');
  }

  /** Says its last word, and waits for the daemon to hang up. */
  end(type: number): Promise<void> {
    this.say(type);
    return this.closed();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** A socket that datagrams are kept of. */
export class Datagrams implements Disposable {
  readonly socket: UdpSocket;
  readonly seen: Buffer[] = [];

  static async listen(): Promise<Datagrams> {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 22 });
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    return new Datagrams(socket);
  }

  private constructor(socket: UdpSocket) {
    this.socket = socket;
    socket.on('message', (message) => this.seen.push(message));
  }

  get port(): number {
    return this.socket.address().port;
  }

  [Symbol.dispose](): void {
    this.socket.close();
  }
}
