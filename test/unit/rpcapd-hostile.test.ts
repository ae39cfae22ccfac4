// Requests that are damaged in every way that a seed brings about: a daemon answers, or refuses, and never fails.
import { createSocket } from 'node:dgram';
import { Duplex } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { type Capture, open } from '../../lib/index.js';
import { Control } from '../../lib/rpcap/control.js';
import { HEADER_BYTES, Refusal } from '../../lib/rpcap/messages.js';
import { Conversation, type ConversationSettings } from '../../lib/serve/conversation.js';
import { Memory } from '../../lib/serve/memory.js';
import { Refused, readAuth, readFilter, readSampling, readStart } from '../../lib/serve/messages.js';
import { OwnTraffic } from '../../lib/serve/own.js';
import { bytes, u16, u32 } from '../support/trace.js';
import { until, within } from '../support/wait.js';

/** Whole numbers below a bound, the same ones for the same seed. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const FILTER = bytes(u16(1), u16(0), u32(2), u16(0x28), 0, 0, u32(12), u16(6), 0, 0, u32(0x40000));
const AUTH = bytes(u16(1), u16(0), u16(4), u16(6), Buffer.from('usersecret'));
const START = bytes(u32(65535), u32(100), u16(1), u16(0), FILTER);
const SAMPLING = bytes(1, 0, u16(0), u32(10));
const INTERESTING = [0, 1, 0x7f, 0x80, 0xff];

/** Flips bits, sets bytes, cuts, lengthens, repeats. */
function damaged(good: Buffer, next: (below: number) => number): Buffer {
  let made: Buffer = Buffer.from(good);
  for (let left = 1 + next(4); left > 0; left--) {
    const at = made.length === 0 ? 0 : next(made.length);
    switch (next(5)) {
      case 0:
        if (made.length > 0) made[at]! ^= 1 << next(8);
        break;
      case 1:
        if (made.length > 0) made[at] = INTERESTING[next(INTERESTING.length)]!;
        break;
      case 2:
        made = made.subarray(0, at);
        break;
      case 3:
        made = Buffer.concat([made, Buffer.alloc(next(40), next(256))]);
        break;
      default:
        made = Buffer.concat([made.subarray(0, at), made.subarray(next(at + 1))]);
    }
  }
  return made;
}

describe('what a client asks', () => {
  test('is read or refused, a million times damaged', () => {
    const next = random(20261130);
    const readers = [
      [AUTH, readAuth],
      [START, readStart],
      [FILTER, (payload: Buffer) => readFilter(payload, Refusal.filter)],
      [SAMPLING, readSampling],
    ] as const;
    let read = 0;
    let refused = 0;
    for (let i = 0; i < 1_000_000; i++) {
      const [good, reader] = readers[next(readers.length)]!;
      try {
        reader(damaged(good, next));
        read++;
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        refused++;
      }
    }
    // Both happen, so that both are tested.
    expect(read).toBeGreaterThan(100_000);
    expect(refused).toBeGreaterThan(100_000);
  }, 120_000);
});

/** A connection that only has two ends in this process. */
class Line extends Duplex {
  readonly remoteAddress = '127.0.0.1';
  readonly localAddress = '127.0.0.1';
  readonly remotePort = 9;
  heard: Buffer = Buffer.alloc(0);
  setNoDelay = () => this;
  setKeepAlive = () => this;
  ref = () => this;
  unref = () => this;
  override _read(): void {}
  override _write(piece: Buffer, _: BufferEncoding, done: () => void): void {
    this.heard = Buffer.concat([this.heard, piece]);
    done();
  }
}

const SETTINGS = {
  authenticate: undefined,
  nullAuth: true,
  offers: async () => [],
  linkType: async () => 1,
  own: new OwnTraffic(),
  memory: new Memory(1 << 30),
} as unknown as ConversationSettings;

/** Each piece in memory of its own, as the kernel's bytes come: kept as they are, 256 MiB in all. */
async function drip(line: Line, bytes: Buffer): Promise<void> {
  for (let at = 0; at < 4096; at++) {
    const piece = Buffer.allocUnsafeSlow(1 << 16).subarray(0, 1);
    piece[0] = bytes[at]!;
    line.push(piece);
    if (at % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await new Promise((resolve) => setImmediate(resolve));
}

describe('a message that comes a byte at a time', () => {
  setFlagsFromString('--expose_gc');
  const collect = runInNewContext('gc') as () => void;
  const held = () => {
    collect();
    return process.memoryUsage().arrayBuffers;
  };
  const LONG = 200_000;

  test('takes no more memory at a daemon than it is long: ENDCAP', async () => {
    const line = new Line();
    const conversation = new Conversation(line as never, SETTINGS, { event: () => {}, refusal: () => {} });
    line.push(bytes(0, 8, u16(0), u32(8), Buffer.alloc(8)));
    await until(() => conversation.isAuthenticated, 'it to be let in');
    const before = held();
    await drip(line, bytes(0, 10, u16(0), u32(LONG), Buffer.alloc(4096)));
    expect(held() - before).toBeLessThan(64 << 20);
    const heard = line.heard.length;
    line.push(Buffer.alloc(LONG + 8 - 4096));
    await until(() => line.heard.length > heard, 'its answer');
    expect(line.heard[heard + 1]).toBe(1); // nothing is captured
    conversation.peer.destroy();
  });

  test('nor at a client', async () => {
    const line = new Line();
    const uri = 'rpcap://127.0.0.1/eth0';
    const control = Control.accepted({ uri, replyMs: 60_000, signal: undefined, tls: undefined }, line as never);
    const answer = control.request(2);
    const before = held();
    await drip(line, bytes(0, 0x82, u16(0), u32(LONG), Buffer.alloc(4096, 5)));
    expect(held() - before).toBeLessThan(64 << 20);
    line.push(Buffer.alloc(LONG + 8 - 4096, 5));
    expect((await answer).equals(Buffer.alloc(LONG, 5))).toBe(true);
    control.close();
  });
});

describe('a conversation', () => {
  test('with damaged messages in any pieces ends, or goes on, in messages of the protocol', async () => {
    const next = random(7);
    const message = (type: number, payload: Buffer = Buffer.alloc(0)) =>
      bytes(0, type, u16(0), u32(payload.length), payload);
    const good = [
      message(8, Buffer.alloc(8)),
      message(2),
      message(3, Buffer.from('eth0')),
      message(4, START),
      message(5, FILTER),
      message(9),
      message(10),
      message(11, SAMPLING),
      message(6),
    ];
    let answers = 0;
    for (let i = 0; i < 5000; i++) {
      const line = new Line();
      const conversation = new Conversation(line as never, SETTINGS, { event: () => {}, refusal: () => {} });
      const stream = Buffer.concat(
        Array.from({ length: 1 + next(5) }, (_, at) => {
          const one = at === 0 && next(4) > 0 ? good[0]! : good[next(good.length)]!;
          return next(3) === 0 ? damaged(one, next) : one;
        }),
      );
      for (let at = 0; at < stream.length; ) {
        const piece = 1 + next(stream.length);
        line.push(stream.subarray(at, at + piece));
        at += piece;
      }
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
      const { heard } = line;
      for (let at = 0; at < heard.length; answers++) {
        if (heard[at] === 21) break; // an alert of TLS
        expect(heard.length - at).toBeGreaterThanOrEqual(HEADER_BYTES);
        at += HEADER_BYTES + heard.readUInt32BE(at + 4);
        expect(at).toBeLessThanOrEqual(heard.length);
      }
      conversation.peer.destroy();
    }
    expect(answers).toBeGreaterThan(5000);
  }, 120_000);

  test('whose client goes while its capture is opened leaves no capture', async () => {
    const message = (type: number, payload: Buffer = Buffer.alloc(0)) =>
      bytes(0, type, u16(0), u32(payload.length), payload);
    const datagrams = Buffer.from(START);
    datagrams.writeUInt16BE(2, 8);
    const receiver = createSocket('udp4');
    await new Promise<void>((resolve) => receiver.bind(0, '127.0.0.1', resolve));
    datagrams.writeUInt16BE(receiver.address().port, 10);
    let isAsked = false;
    let mayOpen = () => {};
    const allowed = new Promise<void>((resolve) => {
      mayOpen = resolve;
    });
    let capture: Capture | undefined;
    const settings = {
      ...SETTINGS,
      offers: async () => [{ name: 'eth0', uri: 'synth:?rate=1000', isLive: true }],
      open: async () => {
        isAsked = true;
        await allowed;
        capture = await open('synth:?rate=1000');
        return capture;
      },
      capture: {},
      ...{ snaplen: 262144, shared: undefined, datagramBytes: 0, sendBufferBytes: 0, flushMs: 10 },
      ...{ recoveryBytes: 0, zstd: false, own: new OwnTraffic(), memory: new Memory(1 << 30) },
    } as unknown as ConversationSettings;
    const line = new Line();
    const conversation = new Conversation(line as never, settings, { event: () => {}, refusal: () => {} });
    line.push(bytes(message(8, Buffer.alloc(8)), message(3, Buffer.from('eth0')), message(4, datagrams)));
    await until(() => isAsked, 'the capture to be asked for');
    const gone = new Promise<void>((resolve) => {
      conversation.onEnd = resolve;
    });
    line.destroy();
    await within(gone, 'the conversation to end');
    mayOpen();
    await until(() => capture?.ended === true, 'the capture to open and to end');
    expect(conversation.captures).toBeUndefined();
    receiver.close();
  });
});
