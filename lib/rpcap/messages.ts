// The messages of rpcap's control channel as bytes. Version 0, the only one; everything is big-endian but one field.
import type { RemoteAuth } from '../generated/options.js';

/** What a message is; the answer to it has {@link REPLY} as well. */
export const Type = {
  error: 1,
  interfaces: 2,
  open: 3,
  start: 4,
  filter: 5,
  close: 6,
  auth: 8,
  stats: 9,
  end: 10,
  sampling: 11,
} as const;
/** @internal */
export type MessageType = (typeof Type)[keyof typeof Type];
export const REPLY = 0x80;

export const HEADER_BYTES = 8;

/** What an ERROR message is about. */
export const Refusal = {
  network: 1,
  slowToBegin: 2,
  auth: 3,
  interfaces: 4,
  open: 6,
  filter: 7,
  stats: 8,
  read: 9,
  host: 10,
  start: 12,
  end: 13,
  idle: 14,
  sampling: 15,
  type: 16,
  version: 17,
  credentials: 18,
  tls: 19,
  authType: 20,
} as const;

/** With {@link Refusal.read}: how a daemon of ours says that a capture has ended as it was to. No other daemon says so. */
export const AT_ITS_END = 'the capture is at its end';

/** Of STARTCAP. The last three are no other daemon's: they are set where it has offered what they ask for. */
export const Flags = {
  ...{ promiscuous: 1, datagrams: 2, daemonConnects: 4 },
  ...{ ownTraffic: 0x2000, recovery: 0x4000, zstd: 0x8000 },
} as const;

/** What a daemon of ours can do beyond the protocol. */
export interface Extras {
  /** Datagrams are sent again where they are asked for. */
  readonly recovery: boolean;
  /** Datagrams are compressed together. */
  readonly zstd: boolean;
  /** What it sends by its own connections is captured, too. */
  readonly ownTraffic: boolean;
}

const NO_EXTRAS: Extras = { recovery: false, zstd: false, ownTraffic: false };
/** Behind the versions of an answer to AUTH, where others have two zeros: ours, and what it offers. */
const OURS = 0x52;
const RECOVERY = 1;
const ZSTD = 2;
const OWN_TRAFFIC = 4;

export const extraBits = ({ recovery, zstd, ownTraffic }: Extras): number =>
  (recovery ? RECOVERY : 0) | (zstd ? ZSTD : 0) | (ownTraffic ? OWN_TRAFFIC : 0);
const extrasOf = (bits: number): Extras => ({
  recovery: (bits & RECOVERY) !== 0,
  zstd: (bits & ZSTD) !== 0,
  ownTraffic: (bits & OWN_TRAFFIC) !== 0,
});

/** Of a daemon that offers something; of any other one two zeros. */
export const putOffer = (extras: Extras): readonly [number, number] =>
  extraBits(extras) === 0 ? [0, 0] : [OURS, extraBits(extras)];
/** The only type of filter, and how long an instruction of it is. */
export const BPF = 1;
export const INSTRUCTION_BYTES = 8;
const NULL_AUTH = 0;
const PASSWORD_AUTH = 1;
const ONE_OF_EVERY = 1;

export function message(type: MessageType, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + payload.length);
  bytes.writeUInt8(type, 1);
  bytes.writeUInt32BE(payload.length, 4);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

export function authPayload(auth: RemoteAuth | undefined): Buffer {
  const user = Buffer.from(auth?.user ?? '');
  const password = Buffer.from(auth?.password ?? '');
  const head = Buffer.alloc(8);
  head.writeUInt16BE(auth === undefined ? NULL_AUTH : PASSWORD_AUTH, 0);
  head.writeUInt16BE(user.length, 4);
  head.writeUInt16BE(password.length, 6);
  return Buffer.concat([head, user, password]);
}

/**
 * What the daemon says of itself when it lets somebody in.
 * @returns whether its host is big-endian, undefined where it does not tell, and what it offers beyond the protocol; a text
 * where the answer makes no sense
 */
export function readAuthReply(payload: Buffer): { bigEndian: boolean | undefined; offers: Extras } | string {
  const unknown = { bigEndian: undefined, offers: NO_EXTRAS };
  if (payload.length === 0) return unknown;
  if (payload.length === 2 || payload.length >= 8) {
    const [least, most] = payload as unknown as [number, number];
    if (least > most) return `it speaks versions ${least} to ${most}`;
    if (least > 0) return `it speaks no version below ${least}, and this program 0`;
    if (payload.length === 2) return unknown;
    const offers = payload[2] === OURS ? extrasOf(payload[3]!) : NO_EXTRAS;
    // The one field in the daemon's own byte order.
    if (payload.readUInt32BE(4) === 0xa1b2c3d4) return { bigEndian: true, offers };
    if (payload.readUInt32LE(4) === 0xa1b2c3d4) return { bigEndian: false, offers };
    return 'its byte order is none';
  }
  return `it answers ${payload.length} bytes`;
}

/** @internal */
export interface StartRequest {
  readonly snaplen: number;
  readonly timeoutMs: number;
  readonly promiscuous: boolean;
  /** Where the daemon is to send datagrams to, or to connect to; 0: a TCP connection is made to it. */
  readonly port: number;
  /** Whether packets come as datagrams. */
  readonly datagrams: boolean;
  /** What is asked for of what the daemon has offered. */
  readonly extras: Extras;
  /** code, jt, jf, k of each instruction. */
  readonly filter: Uint32Array;
}

export function startPayload(request: StartRequest): Buffer {
  const { snaplen, timeoutMs, promiscuous, port, datagrams, extras, filter } = request;
  const bytes = Buffer.alloc(12);
  const way = port === 0 ? 0 : datagrams ? Flags.datagrams : Flags.daemonConnects;
  bytes.writeUInt32BE(snaplen, 0);
  bytes.writeUInt32BE(timeoutMs, 4);
  const more =
    (extras.recovery ? Flags.recovery : 0) |
    (extras.zstd ? Flags.zstd : 0) |
    (extras.ownTraffic ? Flags.ownTraffic : 0);
  bytes.writeUInt16BE((promiscuous ? Flags.promiscuous : 0) | way | more, 8);
  bytes.writeUInt16BE(port, 10);
  return Buffer.concat([bytes, filterPayload(filter)]);
}

/** Of the answer to STARTCAP, how much longer it is where something was agreed on. */
export const AGREED_BYTES = 12;
export const TOKEN_BYTES = 8;

/** What a daemon has agreed to. */
export interface Agreed {
  /** Known to both. */
  readonly token: Uint8Array;
  /** The longest datagram. */
  readonly datagramBytes: number;
}

/** Undefined: nothing. `reply` has the 8 bytes that each has. */
export function readAgreed(reply: Buffer): Agreed | undefined {
  if (reply.length < 8 + AGREED_BYTES) return undefined;
  return { token: reply.subarray(8, 8 + TOKEN_BYTES), datagramBytes: reply.readUInt32BE(8 + TOKEN_BYTES) };
}

/** code, jt, jf, k of each instruction. */
export function filterPayload(filter: Uint32Array): Buffer {
  const bytes = Buffer.alloc(8 + filter.length * 2);
  bytes.writeUInt16BE(BPF, 0);
  bytes.writeUInt32BE(filter.length / 4, 4);
  for (let i = 0, at = 8; i < filter.length; i += 4, at += INSTRUCTION_BYTES) {
    bytes.writeUInt16BE(filter[i]!, at);
    bytes.writeUInt8(filter[i + 1]!, at + 2);
    bytes.writeUInt8(filter[i + 2]!, at + 3);
    bytes.writeUInt32BE(filter[i + 3]!, at + 4);
  }
  return bytes;
}

export function samplingPayload(every: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt8(ONE_OF_EVERY, 0);
  bytes.writeUInt32BE(every, 4);
  return bytes;
}

/** What a client is told of a capture. Counters wrap around at 32 bits. */
export interface RemoteStats {
  readonly received: number;
  readonly interfaceDropped: number;
  readonly kernelDropped: number;
  readonly sent: number;
}

export const STATS_BYTES = 16;

/** `payload` has {@link STATS_BYTES} at least. */
export function readStats(payload: Buffer): RemoteStats {
  const [received, interfaceDropped, kernelDropped, sent] = [0, 4, 8, 12].map((at) => payload.readUInt32BE(at));
  return { received, interfaceDropped, kernelDropped, sent } as RemoteStats;
}
