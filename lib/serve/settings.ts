// The options of a daemon, read once and checked.

import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import type { AfPacketOptions, TlsOptions } from '../generated/options.js';
import { ownOptions, signalOf } from '../uri/options.js';
import { checkTls, type TlsSettings } from '../uri/tls.js';
import { faultIn } from '../uri/uri.js';
import { usualMemory } from './memory.js';
import { isNetwork } from './offered.js';
import { type Authenticate, type LetsIn, usersIn } from './users.js';

/** A host that a daemon connects to by itself. */
export interface ActiveClient {
  /** Its name or address. */
  readonly host: string;
  /** A port number; default: 2003. */
  readonly port?: number | undefined;
  /** The only interface that it gets, offered first and marked `;preselected`. */
  readonly ifname?: string | undefined;
  /** The same by an address of the interface, or a network: `10.0.0.0/8`. Both given: both must fit. */
  readonly ifaddr?: string | undefined;
}

/** What has happened at a daemon, for a log. */
export interface ServeEvent {
  /** The client's address and port; empty of what is about none. */
  readonly peer: string;
  /** What happened, in words: `connected`, `captures eth0`, `refused user "bob": …`. What clients say in it is escaped; of refusals
   * there are 20 at once and then one a second, and the next one counts those that were not told. */
  readonly what: string;
}

/** How a daemon serves. */
export interface ServeOptions {
  /** Where it listens: an address or a name; default: every address of the host. */
  readonly host?: string | undefined;
  /** A port number, default 2002; 0: one that is free, `daemon.port` says which. */
  readonly port?: number | undefined;
  /** A socket that listens already, as systemd hands one over: its descriptor, in place of host and port. */
  readonly fd?: number | undefined;
  /** False: only {@link active} clients are served, nobody connects to it. */
  readonly passive?: boolean | undefined;
  /** Hosts that it connects to, again and again, until one says CLOSE. */
  readonly active?: readonly ActiveClient[] | undefined;
  /** Says who gets in. */
  readonly authenticate?: Authenticate | undefined;
  /** The same by a file with a line `name:scrypt$…` for each user; {@link userLine} makes one. */
  readonly users?: string | undefined;
  /** Clients need no user: in a network that you trust. Without it `authenticate` or `users` has to be given. */
  readonly nullAuth?: boolean | undefined;
  /** Addresses, networks (`10.0.0.0/8`, `2001:db8::/32`) and names, which are looked up once, that may connect; default: all. */
  readonly allow?: readonly string[] | undefined;
  /** The scheme that interfaces are captured with: `afpacket` (the default), `afxdp`, `pcap`, `auto` … */
  readonly scheme?: string | undefined;
  /** What is offered beside the interfaces: names, and the URIs that they stand for, such as `synth:?rate=1000`. */
  readonly sources?: Readonly<Record<string, string>> | undefined;
  /** Offer no interface, only `sources`. */
  readonly sourcesOnly?: boolean | undefined;
  /** Options of every capture of an interface; `bufferBytes` is 16 MiB for `afpacket` here, because each client has a capture
   * of its own, unless they are `shared`: `maxClients` times that is what they can take. */
  readonly capture?: AfPacketOptions | undefined;
  /** One capture for all clients of an interface, each with its filter in user space; a slow client loses packets alone. */
  readonly shared?: boolean | undefined;
  /** Datagrams are udpstr of up to so many bytes (128 to 65000), 1472 for Ethernet; default 0: a packet each, which every client reads. */
  readonly datagramBytes?: number | undefined;
  /** Clients that ask for it (`recovery`) get datagrams of udpstr again that they lack: memory for that, in bytes and for each
   * of them (65536 to 1 GiB); default 0: none. */
  readonly recoveryBytes?: number | undefined;
  /** Clients that ask for it (`compression: 'zstd'`) get datagrams of udpstr compressed; default false. */
  readonly zstd?: boolean | undefined;
  /** How long a packet may wait in a datagram of udpstr that is not full: ms, 1 to 10000, default 100. */
  readonly flushMs?: number | undefined;
  /** The most bytes sent of a packet: 14 to 262144; default 65515, which older clients bear. */
  readonly snaplen?: number | undefined;
  /** What captures may take together, in bytes (1 MiB to 1 TiB): their rings, and what waits for slow clients; default: half of the
   * memory that there is, 2 GiB at most. One that would be more is refused, and its client told. */
  readonly memoryBytes?: number | undefined;
  /** The limit of connections at a time (1 to 65536, default 128). Where one more comes, who has waited longest without saying who he is goes. */
  readonly maxClients?: number | undefined;
  /** Clients speak TLS, on control and data connections; never over UDP. `cert` and `key` are ours; with `ca` or a fingerprint clients show a certificate, too. */
  readonly tls?: TlsOptions | undefined;
  /** What a socket for datagrams may keep, in bytes; default 8 MiB. */
  readonly sendBufferBytes?: number | undefined;
  /** Once it listens, the whole process becomes this user, for good: it must begin as root, and keeps what `afpacket` needs,
   * CAP_NET_RAW and CAP_NET_ADMIN, and nothing else. Files are read again by him. */
  readonly user?: string | undefined;
  /** Hears what happens. */
  readonly onEvent?: ((event: ServeEvent) => void) | undefined;
  /** Ends the daemon when it aborts. */
  readonly signal?: AbortSignal | undefined;
}

const OPTIONS = [
  ...['host', 'port', 'fd', 'passive', 'active', 'authenticate', 'users', 'nullAuth', 'allow', 'scheme', 'sources'],
  ...['sourcesOnly', 'capture', 'shared', 'datagramBytes', 'flushMs', 'snaplen', 'maxClients', 'memoryBytes'],
  ...['sendBufferBytes', 'recoveryBytes', 'zstd', 'user', 'tls', 'onEvent', 'signal'],
];
export const PORT = 2002;
export const ACTIVE_PORT = 2003;
const SNAPLEN = 65515;
const AT = { uri: 'serve()' };

export interface Settings {
  readonly host: string | undefined;
  readonly port: number;
  readonly fd: number | undefined;
  readonly passive: boolean;
  readonly active: readonly (ActiveClient & { readonly port: number })[];
  readonly authenticate: LetsIn | undefined;
  readonly nullAuth: boolean;
  readonly allow: readonly string[];
  readonly scheme: string;
  readonly sources: ReadonlyMap<string, string>;
  readonly sourcesOnly: boolean;
  readonly capture: AfPacketOptions;
  readonly shared: boolean;
  readonly datagramBytes: number;
  readonly recoveryBytes: number;
  readonly zstd: boolean;
  readonly flushMs: number;
  readonly snaplen: number;
  readonly maxClients: number;
  readonly memoryBytes: number;
  readonly sendBufferBytes: number;
  readonly tls: TlsSettings | undefined;
  readonly user: string | undefined;
  readonly onEvent: (event: ServeEvent) => void;
  readonly signal: AbortSignal | undefined;
}

/** @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION, RINGTAP_FILE_OPEN */
export function readSettings(options: unknown): Settings {
  const own = ownOptions(AT, options) as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(own)) {
    if (OPTIONS.includes(name)) continue;
    const hint = `Options of serve(): ${OPTIONS.join(', ')}`;
    throw new CaptureError('RINGTAP_UNKNOWN_OPTION', `serve() has no option "${name}"`, { hint });
  }
  const read = new Reader(own);
  const settings: Settings = {
    host: read.text('host'),
    port: read.whole('port', 0, 65535) ?? PORT,
    fd: read.whole('fd', 0, 2 ** 20),
    passive: read.flag('passive', true),
    active: read.list('active').map((one, i) => readActive(one, `active[${i}]`)),
    authenticate: readAuthenticate(read),
    nullAuth: read.flag('nullAuth', false),
    allow: read.list('allow').map((one, i) => {
      if (typeof one === 'string' && (isNetwork(one) || /^[\w.-]+$/.test(one))) return one;
      throw bad(`allow[${i}]`, 'is an address, a network such as 10.0.0.0/8 or the name of a host', one);
    }),
    scheme: read.text('scheme') ?? 'afpacket',
    sources: readSources(own.sources),
    sourcesOnly: read.flag('sourcesOnly', false),
    capture: own.capture === undefined ? {} : (ownOptions(AT, own.capture) as AfPacketOptions),
    shared: read.flag('shared', false),
    datagramBytes: own.datagramBytes === 0 ? 0 : (read.whole('datagramBytes', 128, 65000) ?? 0),
    recoveryBytes: own.recoveryBytes === 0 ? 0 : (read.whole('recoveryBytes', 65536, 1 << 30) ?? 0),
    zstd: read.flag('zstd', false),
    flushMs: read.whole('flushMs', 1, 10_000) ?? 100,
    snaplen: read.whole('snaplen', 14, 262144) ?? SNAPLEN,
    maxClients: read.whole('maxClients', 1, 65536) ?? 128,
    memoryBytes: read.whole('memoryBytes', 1 << 20, 2 ** 40) ?? usualMemory(),
    sendBufferBytes: read.whole('sendBufferBytes', 4096, 1 << 30) ?? 1 << 23,
    tls: readTls(own.tls),
    user: read.text('user'),
    onEvent: read.callback('onEvent') ?? (() => {}),
    signal: signalOf({ uri: AT.uri, params: new Map() }, own),
  };
  if (!settings.nullAuth && settings.authenticate === undefined) {
    throw new CaptureError('RINGTAP_BAD_OPTION', 'serve(): nobody could get in', {
      hint: 'Give users: a file of hashed passwords, authenticate: a function, or, in a network that you trust, nullAuth: true.',
    });
  }
  if (settings.datagramBytes === 0 && (settings.recoveryBytes > 0 || settings.zstd)) {
    const name = settings.zstd ? 'zstd' : 'recoveryBytes';
    throw new CaptureError('RINGTAP_BAD_OPTION', `serve(): ${name} is for datagrams of udpstr, and there are none`, {
      hint: 'Give datagramBytes, 1472 for Ethernet, too.',
    });
  }
  if (!settings.passive && settings.active.length === 0) {
    throw new CaptureError('RINGTAP_BAD_OPTION', 'serve(): it neither listens nor connects', {
      hint: 'Give active: [{ host }], or leave passive out.',
    });
  }
  return settings;
}

function bad(name: string, what: string, value: unknown): CaptureError {
  return new CaptureError('RINGTAP_BAD_OPTION', `serve(): option ${name} ${what}, not ${show(value)}`);
}

/** A list, or an object of names, is no longer. */
const MOST_MEMBERS = 65536;

/** What the look at an option finds, whatever it throws. */
function looked<T>(name: string, look: () => T): T {
  try {
    return look();
  } catch (cause) {
    if (cause instanceof CaptureError) throw cause;
    throw new CaptureError('RINGTAP_BAD_OPTION', `serve(): option ${name} cannot be read`, { cause });
  }
}

/** Members of the options, each looked at once. */
class Reader {
  readonly #own: Readonly<Record<string, unknown>>;
  constructor(own: Readonly<Record<string, unknown>>) {
    this.#own = own;
  }
  whole(name: string, min: number, max: number): number | undefined {
    const { [name]: value } = this.#own;
    if (value === undefined) return undefined;
    if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return value as number;
    throw bad(name, `is a whole number from ${min} to ${max}`, value);
  }
  flag(name: string, otherwise: boolean): boolean {
    const { [name]: value = otherwise } = this.#own;
    if (typeof value === 'boolean') return value;
    throw bad(name, 'is true or false', value);
  }
  text(name: string): string | undefined {
    const { [name]: value } = this.#own;
    if (value === undefined || (typeof value === 'string' && value !== '' && faultIn(value) === undefined)) {
      return value;
    }
    throw bad(name, 'is a text', value);
  }
  list(name: string): readonly unknown[] {
    const { [name]: value = [] } = this.#own;
    return looked(name, () => {
      if (!Array.isArray(value)) throw bad(name, 'is a list', value);
      const { length } = value;
      if (length > MOST_MEMBERS) throw bad(name, `has up to ${MOST_MEMBERS} members`, length);
      return Array.from({ length }, (_, i) => value[i]);
    });
  }
  callback<F>(name: string): F | undefined {
    const { [name]: value } = this.#own;
    if (value === undefined || typeof value === 'function') return value as F | undefined;
    throw bad(name, 'is a function', value);
  }
}

function readAuthenticate(read: Reader): LetsIn | undefined {
  const users = read.text('users');
  const authenticate = read.callback<Authenticate>('authenticate');
  if (users === undefined) return authenticate && ((user, password, address) => authenticate(user, password, address));
  if (authenticate === undefined) return usersIn(users);
  throw new CaptureError('RINGTAP_BAD_OPTION', 'serve(): users and authenticate both say who gets in', {
    hint: 'Give one of the two.',
  });
}

function readActive(value: unknown, name: string): ActiveClient & { readonly port: number } {
  if (typeof value !== 'object' || value === null)
    throw bad(name, 'is an object { host, port, ifname, ifaddr }', value);
  const read = new Reader(looked(name, () => ({ ...value })));
  const host = read.text('host');
  if (host === undefined) throw bad(`${name}.host`, 'is a name or an address', host);
  const ifaddr = read.text('ifaddr');
  if (ifaddr !== undefined && !isNetwork(ifaddr)) {
    throw bad(`${name}.ifaddr`, 'is an address or a network such as 10.0.0.0/8', ifaddr);
  }
  return { host, port: read.whole('port', 1, 65535) ?? ACTIVE_PORT, ifname: read.text('ifname'), ifaddr };
}

function readTls(value: unknown): TlsSettings | undefined {
  const tls = looked('tls', () => checkTls(AT, value));
  if (tls === undefined || tls.cert !== undefined) return tls;
  throw new CaptureError('RINGTAP_BAD_OPTION', 'serve(): TLS needs a certificate', {
    hint: 'Give tls: { cert, key }.',
  });
}

function readSources(value: unknown): ReadonlyMap<string, string> {
  if (value === undefined) return new Map();
  if (typeof value !== 'object' || value === null) throw bad('sources', 'is an object of names and URIs', value);
  const entries = looked('sources', () => Object.entries(value));
  if (entries.length > MOST_MEMBERS) throw bad('sources', `has up to ${MOST_MEMBERS} members`, entries.length);
  for (const [name, uri] of entries) {
    if (typeof uri !== 'string' || uri === '') throw bad(`sources.${name}`, 'is a URI', uri);
    const bytes = Buffer.byteLength(name);
    if (bytes === 0 || bytes > 1023 || faultIn(name) !== undefined) {
      throw bad('sources', 'has names of 1 to 1023 bytes', name);
    }
  }
  return new Map(entries as [string, string][]);
}
