// Where others connect to: whom it lets in, and how many at once.
import { BlockList, createServer, isIP, type Server, type Socket } from 'node:net';
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import type { ErrorCode } from '../generated/errors.js';
import { bad } from '../uri/options.js';
import { guarded } from '../uri/values.js';
import { plainAddress } from './connect.js';

/** Connections that are not captures yet: of everybody, and of one address, which must not keep the others out. */
const MOST_BEGINNING = 1024;
const MOST_BEGINNING_OF_ONE = 64;
/** WHY: a daemon that is sent away at once comes back at once. */
const PENALTY_MS = 1000;
const BACKLOG = 1024;

export interface DoorOptions {
  readonly uri: string;
  readonly host: string;
  readonly port: number;
  /** Whom it lets in; undefined: everybody. */
  readonly allow: BlockList | undefined;
  readonly mostConnections: number;
}

/** What it does with a connection: resolves once it is a capture, rejects where it will be none. */
export type Enter = (socket: Socket) => Promise<void>;

export class Door {
  /** Since it opened. */
  accepted = 0;
  refused = 0;
  /** Of those that are open. */
  connections = 0;
  beginning = 0;
  readonly #options: DoorOptions;
  readonly #server: Server;
  readonly #enter: Enter;
  readonly #sockets = new Set<Socket>();
  readonly #beginningOf = new Map<string, number>();
  #sentAway = 0;

  /** @throws CaptureError where it cannot be had */
  static async open(options: DoorOptions, enter: Enter): Promise<Door> {
    const door = new Door(options, enter);
    await new Promise<void>((resolve, reject) => {
      const fail = (error: NodeJS.ErrnoException) => reject(cannotListen(options, error));
      door.#server.once('error', fail);
      door.#server.listen({ host: options.host, port: options.port, backlog: BACKLOG }, () => {
        door.#server.off('error', fail);
        // Of one connection, such as EMFILE: the next one may come.
        door.#server.on('error', () => {});
        resolve();
      });
    });
    return door;
  }

  private constructor(options: DoorOptions, enter: Enter) {
    this.#options = options;
    this.#enter = enter;
    this.#server = createServer({ noDelay: true }, (socket) => this.#come(socket));
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : this.#options.port;
  }

  ref(isReferenced: boolean): void {
    if (isReferenced) this.#server.ref();
    else this.#server.unref();
  }

  /** Nobody comes in any more, and those who are about to are sent away. */
  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #come(socket: Socket): void {
    const address = plainAddress(socket.remoteAddress);
    const isGone = address === '' || socket.destroyed;
    const { allow, mostConnections } = this.#options;
    socket.on('error', () => {}); // whoever speaks through it hears of its end
    if (isGone) return;
    const ofOne = this.#beginningOf.get(address) ?? 0;
    const isWelcome = allow === undefined || allow.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
    const isRoom =
      this.connections < mostConnections && this.beginning < MOST_BEGINNING && ofOne < MOST_BEGINNING_OF_ONE;
    if (!isWelcome || !isRoom) {
      this.#sendAway(socket);
      return;
    }
    this.accepted++;
    this.connections++;
    this.beginning++;
    this.#beginningOf.set(address, ofOne + 1);
    this.#sockets.add(socket);
    socket.once('close', () => this.connections--);
    const begun = () => {
      this.#sockets.delete(socket);
      this.beginning--;
      const left = this.#beginningOf.get(address)! - 1;
      if (left > 0) this.#beginningOf.set(address, left);
      else this.#beginningOf.delete(address);
    };
    // What has failed counts until it is closed: it could come back as fast as it fails.
    this.#enter(socket).then(begun, () => (socket.closed ? begun() : socket.once('close', begun)));
  }

  #sendAway(socket: Socket): void {
    this.refused++;
    if (this.#sentAway >= MOST_BEGINNING) {
      socket.resetAndDestroy();
      return;
    }
    this.#sentAway++;
    this.#sockets.add(socket);
    const timer = setTimeout(() => socket.resetAndDestroy(), PENALTY_MS).unref();
    socket.once('close', () => {
      clearTimeout(timer);
      this.#sentAway--;
      this.#sockets.delete(socket);
    });
    socket.unref();
  }
}

const CODES: Readonly<Record<string, ErrorCode>> = { EADDRINUSE: 'RINGTAP_BUSY', EACCES: 'RINGTAP_NO_PERMISSION' };
const HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'Another program listens there (ss -ltnp): end it, or take another port.',
  EACCES: 'Ports below 1024 need CAP_NET_BIND_SERVICE: take a higher one.',
  EADDRNOTAVAIL: 'It is no address of this host: 0.0.0.0 is all of them, and [::] those of IPv6, too.',
};

function cannotListen({ uri, host, port }: DoorOptions, error: NodeJS.ErrnoException): CaptureError {
  const { code = '', errno, message } = error;
  return new CaptureError(
    CODES[code] ?? 'RINGTAP_SYSTEM',
    `${uri}: cannot listen at ${host} port ${port}: ${message}`,
    {
      uri,
      syscall: 'listen',
      ...(errno === undefined ? {} : { errno: -errno }),
      ...(HINTS[code] === undefined ? {} : { hint: HINTS[code] }),
      cause: error,
    },
  );
}

/** Addresses and networks as `allow` lists them. */
export function readAllow(at: { readonly uri: string }, allow: unknown): BlockList | undefined {
  return allow === undefined ? undefined : guarded(at, 'allow', () => readList(at, allow));
}

function readList(at: { readonly uri: string }, allow: unknown): BlockList {
  if (!Array.isArray(allow)) throw bad(at, 'allow', `must be a list of addresses and networks, not ${show(allow)}`);
  const list = new BlockList();
  for (const entry of [...allow] as unknown[]) {
    const [, address = '', prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(typeof entry === 'string' ? entry : '') ?? [];
    const family = isIP(address);
    const most = family === 4 ? 32 : 128;
    const bits = prefix === undefined ? most : Number(prefix);
    if (family === 0 || bits > most) {
      throw bad(at, 'allow', `names ${show(entry)}, which is no address or network`, 'Write 192.0.2.7 or 10.0.0.0/8.');
    }
    list.addSubnet(address, bits, family === 6 ? 'ipv6' : 'ipv4');
  }
  return list;
}
