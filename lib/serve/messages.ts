// What clients ask a daemon, read from bytes that may be anything, and what they are answered.

import {
  AGREED_BYTES,
  type Agreed,
  BPF,
  type Extras,
  Flags,
  INSTRUCTION_BYTES,
  type MessageType,
  message,
  putOffer,
  REPLY,
  Refusal,
  type RemoteStats,
  TOKEN_BYTES,
  Type,
} from '../rpcap/messages.js';
import { MOST_WORD } from './users.js';

/** What a peer is told; the conversation goes on unless `isLast`. */
export class Refused extends Error {
  constructor(
    readonly number: number,
    message: string,
    readonly isLast = false,
  ) {
    super(message);
  }
}

/** Clients keep no more of it. */
const MOST_TEXT = 255;
const MOST_INSTRUCTIONS = 4096;

export interface AuthRequest {
  /** 0: nobody in particular, 1: a user with a password. */
  readonly type: number;
  readonly user: string;
  readonly password: string;
}

export function readAuth(payload: Buffer): AuthRequest {
  const short = () => new Refused(Refusal.auth, 'AUTH is shorter than what it says');
  if (payload.length < 8) throw short();
  const [type, userBytes, passwordBytes] = [0, 4, 6].map((at) => payload.readUInt16BE(at)) as [number, number, number];
  if (payload.length < 8 + userBytes + passwordBytes) throw short();
  if (Math.max(userBytes, passwordBytes) > MOST_WORD) {
    throw new Refused(Refusal.auth, `a user and a password are no longer than ${MOST_WORD} bytes`);
  }
  if (type > 1) throw new Refused(Refusal.authType, `there is no authentication of type ${type}`);
  const user = payload.toString('utf8', 8, 8 + userBytes);
  return { type, user, password: payload.toString('utf8', 8 + userBytes, 8 + userBytes + passwordBytes) };
}

export interface StartRequest {
  readonly snaplen: number;
  /** How long packets may wait for others, in ms. */
  readonly timeoutMs: number;
  readonly promiscuous: boolean;
  readonly datagrams: boolean;
  /** The daemon makes the connection. */
  readonly daemonConnects: boolean;
  /** The client's, where the daemon connects or sends datagrams. */
  readonly port: number;
  /** What it asks for of what was offered. */
  readonly extras: Extras;
  /** code, jt, jf, k of each instruction. */
  readonly filter: Uint32Array;
}

/**
 * WHY: libpcap's clients that were given no filter send a STARTCAP whose length does not count the only instruction of the
 * filter that they make up, which keeps all of every packet. It comes behind.
 */
export function lacksInstruction(payload: Buffer): boolean {
  return payload.length === 20 && payload.readUInt16BE(12) === BPF && payload.readUInt32BE(16) === 1;
}

const KEEP_ALL = Uint32Array.of(6, 0, 0, 0xffffffff);

export function readStart(payload: Buffer): StartRequest {
  if (payload.length < 12) throw new Refused(Refusal.start, 'STARTCAP is shorter than its header');
  const flags = payload.readUInt16BE(8);
  return {
    snaplen: payload.readUInt32BE(0),
    timeoutMs: payload.readUInt32BE(4),
    promiscuous: (flags & Flags.promiscuous) !== 0,
    datagrams: (flags & Flags.datagrams) !== 0,
    daemonConnects: (flags & Flags.daemonConnects) !== 0,
    port: payload.readUInt16BE(10),
    extras: {
      recovery: (flags & Flags.recovery) !== 0,
      zstd: (flags & Flags.zstd) !== 0,
      ownTraffic: (flags & Flags.ownTraffic) !== 0,
    },
    filter: lacksInstruction(payload) ? KEEP_ALL : readFilter(payload.subarray(12), Refusal.start),
  };
}

/** A program as it was sent: whether it is safe to run is for others to say. */
export function readFilter(payload: Buffer, refusal: number): Uint32Array {
  if (payload.length < 8) throw new Refused(refusal, 'the filter is shorter than its header');
  const [type, count] = [payload.readUInt16BE(0), payload.readUInt32BE(4)];
  if (type !== BPF) throw new Refused(refusal, `there is no filter of type ${type}: 1 is classic BPF`);
  if (count === 0 || count > MOST_INSTRUCTIONS) {
    throw new Refused(refusal, `a filter has 1 to ${MOST_INSTRUCTIONS} instructions, not ${count}`);
  }
  if (payload.length < 8 + count * INSTRUCTION_BYTES) {
    throw new Refused(refusal, `the filter is shorter than its ${count} instructions`);
  }
  const flat = new Uint32Array(count * 4);
  for (let i = 0, at = 8; i < count; i++, at += INSTRUCTION_BYTES) {
    flat[4 * i] = payload.readUInt16BE(at);
    flat[4 * i + 1] = payload.readUInt8(at + 2);
    flat[4 * i + 2] = payload.readUInt8(at + 3);
    flat[4 * i + 3] = payload.readUInt32BE(at + 4);
  }
  return flat;
}

/** Which packets are sent of those that match. */
export interface SamplingRequest {
  /** 0: all, 1: one of so many, 2: the first after so many ms. */
  readonly method: number;
  readonly value: number;
}

export function readSampling(payload: Buffer): SamplingRequest {
  if (payload.length < 8) throw new Refused(Refusal.sampling, 'SETSAMPLING is shorter than its header');
  const [method, value] = [payload.readUInt8(0), payload.readUInt32BE(4)];
  if (method > 2) throw new Refused(Refusal.sampling, `there is no sampling method ${method}`);
  return { method, value };
}

export function reply(type: MessageType, payload?: Uint8Array, value = 0): Buffer {
  const bytes = message((type | REPLY) as never, payload);
  bytes.writeUInt16BE(value, 2);
  return bytes;
}

/** An ERROR in the version of whoever is to read it. */
export function refusal({ number, message: text }: Refused, version = 0): Buffer {
  let words = Buffer.from(text);
  // Not in the middle of a character.
  if (words.length > MOST_TEXT) words = Buffer.from(words.toString('utf8', 0, MOST_TEXT).replace(/\ufffd+$/, ''));
  const bytes = message(Type.error, words);
  bytes.writeUInt8(version, 0);
  bytes.writeUInt16BE(number, 2);
  return bytes;
}

/** Versions 0 to 0, what we offer, and a number in our own byte order: the only one that is not big-endian. */
export function authReply(offers: Extras): Buffer {
  const payload = Buffer.alloc(8);
  payload.set(putOffer(offers), 2);
  payload.set(new Uint8Array(Uint32Array.of(0xa1b2c3d4).buffer), 4);
  return reply(Type.auth, payload);
}

export const openReply = (dlt: number): Buffer => reply(Type.open, words(dlt, 0));

/** @param port the daemon's, where the client is to connect; else 0 */
export function startReply(port: number, agreed: Agreed | undefined): Buffer {
  const payload = words(BUFFER_BYTES, 0);
  payload.writeUInt16BE(port, 4);
  if (agreed === undefined) return reply(Type.start, payload);
  const more = Buffer.alloc(AGREED_BYTES);
  more.set(agreed.token);
  more.writeUInt32BE(agreed.datagramBytes, TOKEN_BYTES);
  return reply(Type.start, Buffer.concat([payload, more]));
}

/** What clients give their socket. */
const BUFFER_BYTES = 1 << 21;

export function statsReply({ received, interfaceDropped, kernelDropped, sent }: RemoteStats): Buffer {
  return reply(Type.stats, words(received, interfaceDropped, kernelDropped, sent));
}

function words(...numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * numbers.length);
  for (const [i, number] of numbers.entries()) bytes.writeUInt32BE(number % 2 ** 32, 4 * i);
  return bytes;
}
