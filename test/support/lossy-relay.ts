// A way between a client and a daemon that loses datagrams, doubles them, and has them overtake each other: by a seed.
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

const START = 4;
const HEADER_BYTES = 8;
const PORT_AT = HEADER_BYTES + 10;

/** Chances of each datagram, 0 to 1. */
export interface Mischief {
  readonly seed: number;
  readonly lose: number;
  readonly double: number;
  readonly delay: number;
}

/** Control connections pass through it, but for the port of STARTCAP: datagrams come here first. */
export class LossyRelay implements AsyncDisposable {
  /** Datagrams as the daemon has sent them. */
  readonly sent: Buffer[] = [];
  /** Their numbers, in the order in which they were passed on. */
  readonly passed: number[] = [];
  /** What the client has said to the daemon. */
  readonly asked: Buffer[] = [];
  /** Messages of the control connection, as the client has sent them. */
  readonly control: Buffer[] = [];
  readonly #mischief: Mischief;
  readonly #host: string;
  readonly #server: Server;
  readonly #udp: UdpSocket;
  readonly #sockets: Socket[] = [];
  #clientPort = 0;
  #daemonPort = 0;
  #state: number;
  #late: Buffer | undefined;

  /** @param host the daemon's: it may be in another network namespace */
  static async open(daemonPort: number, mischief: Mischief, host = '127.0.0.1'): Promise<LossyRelay> {
    const udp = createSocket({ type: 'udp4', recvBufferSize: 1 << 22 });
    udp.bind(0);
    await once(udp, 'listening');
    const relay: LossyRelay = new LossyRelay(
      createServer((client) => relay.#join(client, connect(daemonPort, host))),
      udp,
      mischief,
      host,
    );
    relay.#server.listen(0, '127.0.0.1');
    await once(relay.#server, 'listening');
    udp.on('message', (datagram, { port }) => {
      if (port === relay.#clientPort) relay.#passBack(datagram);
      else relay.#pass(datagram, port);
    });
    return relay;
  }

  private constructor(server: Server, udp: UdpSocket, mischief: Mischief, host: string) {
    this.#host = host;
    this.#server = server;
    this.#udp = udp;
    this.#mischief = mischief;
    this.#state = mischief.seed;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    this.#udp.close();
  }

  #join(client: Socket, daemon: Socket): void {
    this.#sockets.push(client, daemon);
    for (const socket of [client, daemon]) socket.on('error', () => {});
    client.on('close', () => daemon.destroy());
    daemon.on('close', () => client.destroy());
    daemon.pipe(client);
    let waiting = Buffer.alloc(0);
    client.on('data', (piece: Buffer) => {
      waiting = Buffer.concat([waiting, piece]);
      while (waiting.length >= HEADER_BYTES && waiting.length >= HEADER_BYTES + waiting.readUInt32BE(4)) {
        const message = waiting.subarray(0, HEADER_BYTES + waiting.readUInt32BE(4));
        waiting = waiting.subarray(message.length);
        this.control.push(Buffer.from(message));
        if (message[1] === START) {
          this.#clientPort = message.readUInt16BE(PORT_AT);
          message.writeUInt16BE(this.#udp.address().port, PORT_AT);
        }
        daemon.write(message);
      }
    });
  }

  /** What the client asks for may be lost, too. */
  #passBack(datagram: Buffer): void {
    this.asked.push(datagram);
    if (!this.#chance(this.#mischief.lose)) this.#udp.send(datagram, this.#daemonPort, this.#host);
  }

  #pass(datagram: Buffer, port: number): void {
    this.#daemonPort = port;
    this.sent.push(datagram);
    const { lose, double, delay } = this.#mischief;
    if (this.#chance(lose)) return;
    if (this.#late === undefined && this.#chance(delay)) {
      this.#late = datagram;
      return;
    }
    this.#send(datagram);
    if (this.#chance(double)) this.#send(datagram);
    if (this.#late !== undefined) this.#send(this.#late);
    this.#late = undefined;
  }

  #send(datagram: Buffer): void {
    this.passed.push(datagram.readUInt32BE(4));
    this.#udp.send(datagram, this.#clientPort, '127.0.0.1');
  }

  /** A linear congruential generator, the upper bits of it. */
  #chance(of: number): boolean {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return this.#state / 2 ** 32 < of;
  }
}

/** Of udpstr's datagrams, in their order: in which of them each packet begins and ends, by its number less 1. */
export function spansOf(datagrams: readonly Buffer[]): { readonly first: number; readonly last: number }[] {
  const spans: { first: number; last: number }[] = [];
  let missing = 0; // bytes of the packet that the one before has ended in
  for (const [i, datagram] of datagrams.entries()) {
    let at = 8;
    const more = Math.min(missing, datagram.length - at);
    missing -= more;
    at += more;
    if (more > 0) spans.at(-1)!.last = i;
    while (at < datagram.length) {
      const caplen = datagram.readUInt32BE(at + 8);
      at += 20;
      spans.push({ first: i, last: i });
      const here = Math.min(caplen, datagram.length - at);
      missing = caplen - here;
      at += here;
    }
  }
  return spans;
}
