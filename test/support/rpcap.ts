// A daemon for tests: it answers as a real one does, as a recording did, or as it should not.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { bytes, u16, u32 } from './trace.js';

export const Rpcap = {
  error: 1,
  interfaces: 2,
  open: 3,
  start: 4,
  filter: 5,
  close: 6,
  packet: 7,
  auth: 8,
  stats: 9,
  end: 10,
  sampling: 11,
} as const;

export function message(type: number, value: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  return bytes(0, type, u16(value), u32(payload.length), payload);
}
export const reply = (type: number, payload?: Uint8Array) => message(type | 0x80, 0, payload);
export const refusal = (code: number, text: string) => message(Rpcap.error, code, Buffer.from(text));

export interface Sample {
  readonly data: Uint8Array;
  readonly number: number;
  readonly wirelen?: number;
}

const packetHeader = ({ data, number, wirelen = data.length }: Sample) =>
  bytes(u32(1_700_000_000), u32(number), u32(data.length), u32(wirelen), u32(number));
export const packet = (sample: Sample) => message(Rpcap.packet, 0, bytes(packetHeader(sample), sample.data));

/** Packets as udpstr has them: datagrams of up to `most` bytes, which packets run through. */
export function stretches(samples: readonly Sample[], most = 1472): Buffer[] {
  const datagrams: Buffer[] = [];
  let body: Buffer = Buffer.alloc(0);
  let first = 0xffff;
  const send = (length: number) => {
    datagrams.push(bytes(0, 110, u16(first), u32(datagrams.length), body.subarray(0, length)));
    body = body.subarray(length);
    first = 0xffff;
  };
  for (const sample of samples) {
    if (first === 0xffff) first = 8 + body.length;
    body = bytes(body, packetHeader(sample), sample.data);
    while (8 + body.length >= most - 28) send(Math.min(body.length, most - 8));
  }
  if (body.length > 0) send(body.length);
  return datagrams;
}

/** Where a daemon's packets go. */
export interface Sink {
  send(piece: Uint8Array): Promise<void>;
  end(): void;
}

/** What it answers to a message; undefined: nothing. */
type Answer = (payload: Buffer, peer: Socket, daemon: FakeDaemon) => Promise<Buffer | undefined> | Buffer | undefined;
export type Answers = Readonly<Record<number, Answer>>;

/** As a daemon answers that has nothing to say against it. */
const ORDINARY: Answers = {
  [Rpcap.auth]: () => reply(Rpcap.auth, bytes(0, 0, 0, 0, 'd4c3b2a1')),
  [Rpcap.open]: () => reply(Rpcap.open, bytes(u32(1), u32(0))),
  [Rpcap.start]: async (payload, peer, daemon) => {
    const port = payload.readUInt16BE(10);
    const flags = payload.readUInt16BE(8);
    if ((flags & 4) !== 0) await daemon.connectData(port, peer);
    const theirs = (flags & 4) !== 0 ? 0 : await daemon.openData((flags & 2) !== 0 ? port : 0, peer);
    return reply(Rpcap.start, bytes(u32(0), u16(theirs), u16(0)));
  },
  [Rpcap.stats]: () => reply(Rpcap.stats, bytes(u32(0), u32(0), u32(0), u32(0))),
  [Rpcap.sampling]: () => reply(Rpcap.sampling),
  [Rpcap.filter]: () => reply(Rpcap.filter),
  [Rpcap.interfaces]: () => interfacesReply([{ name: 'eth0' }]),
};

/** The list of a daemon's interfaces. */
export function interfacesReply(
  list: readonly { name: string; description?: string; flags?: number; address?: string }[],
): Buffer {
  const entries = list.map(({ name, description = '', flags = 6, address }) => {
    const sockaddr = (ip: string) => bytes(u16(2), u16(0), ...ip.split('.').map(Number), Buffer.alloc(120));
    const none = Buffer.alloc(128);
    const addresses = address === undefined ? [] : [sockaddr(address), sockaddr('255.255.255.0'), none, none];
    const lengths = bytes(u16(name.length), u16(Buffer.byteLength(description)), u32(flags));
    return bytes(lengths, u16(addresses.length / 4), u16(0), Buffer.from(name + description), ...addresses);
  });
  return message(Rpcap.interfaces | 0x80, list.length, bytes(...entries));
}

/** What a daemon that speaks TLS shows. */
export interface Identity {
  readonly key: string;
  readonly cert: string;
}

export class FakeDaemon implements AsyncDisposable {
  /** What was asked, in order. */
  readonly asked: { readonly type: number; readonly payload: Buffer }[] = [];
  readonly peers: Socket[] = [];
  /** Resolves when there is a way for packets. */
  readonly sink: Promise<Sink>;
  readonly #answers: Answers;
  readonly #tls: Identity | undefined;
  readonly #servers: Server[] = [];
  readonly #sinks: Sink[] = [];
  #gaveSink: (sink: Sink) => void = () => {};

  static async listen(answers: Answers = {}, host = '127.0.0.1', tls?: Identity): Promise<FakeDaemon> {
    const daemon = new FakeDaemon(answers, tls);
    await daemon.#serve(host, (peer) => daemon.#converse(peer));
    return daemon;
  }

  /** One that connects to whoever listens. @param localAddress where it comes from */
  static async connect(
    port: number,
    answers: Answers = {},
    localAddress = '127.0.0.1',
    tls?: Identity,
  ): Promise<FakeDaemon> {
    const daemon = new FakeDaemon(answers, tls);
    const socket = connect({ port, host: '127.0.0.1', localAddress });
    await once(socket, 'connect');
    daemon.#converse(daemon.#secured(socket));
    return daemon;
  }

  private constructor(answers: Answers, tls?: Identity) {
    this.#tls = tls;
    this.#answers = { ...ORDINARY, ...answers };
    this.sink = new Promise((resolve) => {
      this.#gaveSink = resolve;
    });
  }

  get port(): number {
    return (this.#servers[0]!.address() as AddressInfo).port;
  }

  uri(parameters = ''): `rpcap${'' | 's'}://${string}` {
    const { address, family, port } = this.#servers[0]!.address() as AddressInfo;
    return `rpcap${this.#tls === undefined ? '' : 's'}://${family === 'IPv6' ? `[${address}]` : address}:${port}/eth0${parameters}`;
  }

  types(): number[] {
    return this.asked.map(({ type }) => type);
  }

  /** The port of a TCP connection to be made to us, or 0 where `port` is the client's for datagrams. */
  async openData(port: number, peer: Socket): Promise<number> {
    if (port === 0) {
      const server = await this.#serve(peer.localAddress!, (socket) => this.#take(streamSink(socket)));
      return (server.address() as AddressInfo).port;
    }
    const socket = createSocket(peer.remoteFamily === 'IPv6' ? 'udp6' : 'udp4');
    this.#take({
      send: (piece) =>
        new Promise((resolve, reject) => {
          socket.send(piece, port, peer.remoteAddress, (error) => (error === null ? resolve() : reject(error)));
        }),
      end: () => socket.close(),
    });
    return 0;
  }

  /** Makes the connection for packets, to a port of the client's. */
  async connectData(port: number, peer: Socket): Promise<void> {
    const socket = connect({ port, host: peer.remoteAddress!, localAddress: peer.localAddress! });
    await once(socket, 'connect');
    this.#take(streamSink(this.#secured(socket)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) server.close();
    for (const peer of this.peers) peer.destroy();
    for (const sink of this.#sinks) sink.end();
  }

  #take(sink: Sink): void {
    this.#sinks.push(sink);
    this.#gaveSink(sink);
  }

  async #serve(host: string, serve: (socket: Socket) => void): Promise<Server> {
    const server = (this.#tls === undefined ? createServer(serve) : createTlsServer(this.#tls, serve)).listen(0, host);
    this.#servers.push(server);
    await once(server, 'listening');
    return server;
  }

  #secured(socket: Socket): Socket {
    return this.#tls === undefined ? socket : new TLSSocket(socket, { isServer: true, ...this.#tls });
  }

  #converse(peer: Socket): void {
    this.peers.push(peer);
    peer.on('error', () => {});
    let received: Buffer = Buffer.alloc(0);
    let turn = Promise.resolve();
    peer.on('data', (more) => {
      received = Buffer.concat([received, more]);
      while (received.length >= 8 && received.length >= 8 + received.readUInt32BE(4)) {
        const length = 8 + received.readUInt32BE(4);
        const [type, payload] = [received.readUInt8(1), received.subarray(8, length)];
        received = received.subarray(length);
        this.asked.push({ type, payload });
        turn = turn.then(async () => {
          const answer = await this.#answers[type]?.(payload, peer, this);
          if (answer !== undefined && !peer.destroyed) peer.write(answer);
        });
      }
    });
  }
}

function streamSink(socket: Socket): Sink {
  socket.on('error', () => {});
  return {
    send: (piece) => new Promise((resolve) => socket.write(piece, () => resolve())),
    end: () => socket.destroy(),
  };
}

/** A conversation with a real daemon, as it went over a loopback interface. */
export interface Recording {
  /** Each message of the daemon's on the control connections, in order. */
  readonly answers: readonly Buffer[];
  /** The data connection, or its datagrams. */
  readonly data: readonly Buffer[];
  readonly isUdp: boolean;
}

export const recordingPath = (name: string) => fileURLToPath(new URL(`../fixtures/rpcap/${name}`, import.meta.url));

/** Of Ethernet and IPv4, little-endian, with nothing lost or sent twice. `port`: the daemon's. */
export function readRecording(name: string, port: number): Recording {
  const file = readFileSync(recordingPath(name));
  const streams = new Map<string, { next: number; pieces: Buffer[]; from: number; to: number }>();
  const datagrams: Buffer[] = [];
  for (let at = 24; at < file.length; at += 16 + file.readUInt32LE(at + 8)) {
    const ip = file.subarray(at + 30, at + 16 + file.readUInt32LE(at + 8));
    const whole = ip.subarray(0, ip.readUInt16BE(2));
    const segment = whole.subarray((whole[0]! & 15) * 4);
    const isLoopback = ip[16] === 127;
    if (!isLoopback) continue;
    if (ip[9] === 17) datagrams.push(segment.subarray(8));
    if (ip[9] !== 6) continue;
    const [from, to] = [segment.readUInt16BE(0), segment.readUInt16BE(2)];
    const stream = streams.get(`${from} ${to}`) ?? { next: 0, pieces: [], from, to };
    streams.set(`${from} ${to}`, stream);
    const [number, data] = [segment.readUInt32BE(4), segment.subarray((segment[12]! >> 4) * 4)];
    if ((segment[13]! & 2) !== 0) stream.next = (number + 1) >>> 0;
    else if (data.length > 0 && number === stream.next) {
      stream.pieces.push(data);
      stream.next = (number + data.length) >>> 0;
    }
  }
  const flows = [...streams.values()].map(({ pieces, ...rest }) => ({ ...rest, data: Buffer.concat(pieces) }));
  const control = flows.filter(({ from, to }) => from === port || to === port);
  const isAnswer = (data: Buffer) => data.length > 0 && ((data[1]! & 0x80) !== 0 || data[1] === Rpcap.error);
  const stream = flows.find(({ from, to, data }) => from !== port && to !== port && data.length > 0);
  return {
    answers: control.filter(({ data }) => isAnswer(data)).flatMap(({ data }) => messagesIn(data)),
    data: stream === undefined ? datagrams : [stream.data],
    isUdp: stream === undefined,
  };
}

export function messagesIn(stream: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at < stream.length; at += 8 + stream.readUInt32BE(at + 4)) {
    messages.push(stream.subarray(at, at + 8 + stream.readUInt32BE(at + 4)));
  }
  return messages;
}

/** A daemon that answers as the recorded one did. */
export const replay = (recording: Recording): Promise<FakeDaemon> => FakeDaemon.listen(replayed(recording));

/** Its answers, to each kind of question in the order in which it was asked. */
export function replayed({ answers }: Recording): Answers {
  const queues = new Map<number, Buffer[]>();
  for (const answer of answers) queues.set(answer[1]! & 0x7f, [...(queues.get(answer[1]! & 0x7f) ?? []), answer]);
  const recorded = (type: number) => () => {
    const queue = queues.get(type) ?? [];
    return queue.length > 1 ? queue.shift() : queue[0];
  };
  const types = [Rpcap.auth, Rpcap.interfaces, Rpcap.open, Rpcap.stats, Rpcap.end, Rpcap.sampling];
  return Object.fromEntries(types.map((type) => [type, recorded(type)]));
}
