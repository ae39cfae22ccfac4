import type { Readable } from 'node:stream';
import { type Batch, PacketFlags } from '../capture/batch.js';
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { callOptions } from '../uri/options.js';
import { type BatchSource, CaptureReadable, checked } from './pull.js';

/** What a trace as a stream of bytes is like. */
export interface TraceOptions {
  /** Default: pcap, which has one link type; pcapng has an interface for each. */
  format?: 'pcap' | 'pcapng' | undefined;
}

const SNAPLEN = 262144;
const SECOND = 1_000_000_000;
const RECORD_BYTES = 16;
const ENHANCED_BYTES = 32;
const padded = (bytes: number) => (bytes + 3) & ~3;

/**
 * The bytes of a trace of what is captured, with nanoseconds: for a response, a socket, or a child process. The header comes
 * at once. Into a file `openWriter()` is several times faster.
 *
 * It ends with the capture, which stays open.
 * @example
 * import { createServer } from 'node:http';
 * const server = createServer((_, response) => readTrace(capture).pipe(response));
 * console.log(server.listening); // server.listen(8080)
 * @param capture which nobody else iterates meanwhile
 * @param options the format
 * @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION; RINGTAP_BUSY where somebody else iterates the capture. The
 * stream fails with RINGTAP_BAD_OPTION at a second link type (pcap), and RINGTAP_UNSUPPORTED at a time that the format cannot hold
 */
export function readTrace(capture: BatchSource, options: TraceOptions = {}): Readable {
  const { uri, linkType } = checked(capture, 'readTrace');
  const { format = 'pcap' } = callOptions({ uri }, 'readTrace', options, ['format']);
  if (format !== 'pcap' && format !== 'pcapng') {
    const what = `format must be pcap or pcapng, not ${show(format)}`;
    throw new CaptureError('RINGTAP_BAD_OPTION', `${uri}: readTrace(): ${what}`, { uri });
  }
  const encoder = format === 'pcap' ? new PcapEncoder(uri, linkType) : new PcapngEncoder(uri, linkType);
  const bytes = { objectMode: false, highWaterMark: 1 << 20 };
  return new CaptureReadable<Buffer>(capture, (batch) => [encoder.records(batch)], bytes, encoder.header());
}

/** A time in whole seconds and ns. */
interface Stamp {
  seconds: number;
  ns: number;
}

/** When packet i was, without a BigInt where a double will do. */
function stampOf(batch: Batch, epochSeconds: number, epochNs: number, i: number): Stamp {
  const time = batch.time[i]!;
  if ((batch.flags[i]! & PacketFlags.timeInexact) === 0) {
    const at = time + epochNs;
    const seconds = Math.floor(at / SECOND);
    return { seconds: epochSeconds + seconds, ns: at - seconds * SECOND };
  }
  const exact = batch.timeNs(i);
  const ns = Number(((exact % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n);
  return { seconds: Number((exact - BigInt(ns)) / 1_000_000_000n), ns };
}

class PcapEncoder {
  readonly #uri: string;
  readonly #linkType: number;

  constructor(uri: string, linkType: number) {
    this.#uri = uri;
    this.#linkType = linkType;
  }

  header(): Buffer {
    const header = Buffer.alloc(24);
    header.writeUInt32LE(0xa1b23c4d, 0);
    header.writeUInt16LE(2, 4);
    header.writeUInt16LE(4, 6);
    header.writeUInt32LE(SNAPLEN, 16);
    header.writeUInt32LE(this.#linkType, 20);
    return header;
  }

  records(batch: Batch): Buffer {
    if (batch.linkType !== this.#linkType) {
      const what = `a packet of link type ${batch.linkType} does not fit a pcap stream of ${this.#linkType}`;
      const hint = "Write { format: 'pcapng' }.";
      throw new CaptureError('RINGTAP_BAD_OPTION', `${this.#uri}: ${what}`, { uri: this.#uri, hint });
    }
    const [epochSeconds, epochNs] = epochOf(batch);
    const out = Buffer.allocUnsafe(bytesOf(batch, (caplen) => RECORD_BYTES + caplen));
    let at = 0;
    for (let i = 0; i < batch.length; i++) {
      const { seconds, ns } = stampOf(batch, epochSeconds, epochNs, i);
      if (!(seconds >= 0 && seconds < 2 ** 32)) throw unheld(this.#uri, i);
      const caplen = Math.min(batch.caplen[i]!, SNAPLEN);
      out.writeUInt32LE(seconds, at);
      out.writeUInt32LE(ns, at + 4);
      out.writeUInt32LE(caplen, at + 8);
      out.writeUInt32LE(batch.wirelen[i]!, at + 12);
      out.set(batch.data(i).subarray(0, caplen), at + RECORD_BYTES);
      at += RECORD_BYTES + caplen;
    }
    return out;
  }
}

class PcapngEncoder {
  readonly #uri: string;
  /** Of each interface. */
  readonly #linkTypes: number[];

  constructor(uri: string, linkType: number) {
    this.#uri = uri;
    this.#linkTypes = [linkType];
  }

  header(): Buffer {
    const section = Buffer.alloc(28);
    section.writeUInt32LE(0x0a0d0d0a, 0);
    section.writeUInt32LE(28, 4);
    section.writeUInt32LE(0x1a2b3c4d, 8);
    section.writeUInt16LE(1, 12);
    section.fill(0xff, 16, 24); // its length is not known yet
    section.writeUInt32LE(28, 24);
    return Buffer.concat([section, interfaceBlock(this.#linkTypes[0]!)]);
  }

  records(batch: Batch): Buffer {
    let id = this.#linkTypes.indexOf(batch.linkType);
    const isNew = id < 0;
    if (isNew) id = this.#linkTypes.push(batch.linkType) - 1;
    const [epochSeconds, epochNs] = epochOf(batch);
    const out = Buffer.alloc(bytesOf(batch, (caplen) => ENHANCED_BYTES + padded(caplen)));
    let at = 0;
    for (let i = 0; i < batch.length; i++) {
      const { seconds, ns } = stampOf(batch, epochSeconds, epochNs, i);
      const ticks = BigInt(seconds) * 1_000_000_000n + BigInt(ns);
      if (ticks < 0n || ticks >= 1n << 63n) throw unheld(this.#uri, i);
      const caplen = Math.min(batch.caplen[i]!, SNAPLEN);
      const total = ENHANCED_BYTES + padded(caplen);
      out.writeUInt32LE(6, at);
      out.writeUInt32LE(total, at + 4);
      out.writeUInt32LE(id, at + 8);
      out.writeUInt32LE(Number(ticks >> 32n), at + 12);
      out.writeUInt32LE(Number(ticks & 0xffffffffn), at + 16);
      out.writeUInt32LE(caplen, at + 20);
      out.writeUInt32LE(batch.wirelen[i]!, at + 24);
      out.set(batch.data(i).subarray(0, caplen), at + 28);
      out.writeUInt32LE(total, at + total - 4);
      at += total;
    }
    return isNew ? Buffer.concat([interfaceBlock(batch.linkType), out]) : out;
  }
}

function interfaceBlock(linkType: number): Buffer {
  const block = Buffer.alloc(32);
  block.writeUInt32LE(1, 0);
  block.writeUInt32LE(32, 4);
  block.writeUInt16LE(linkType, 8);
  block.writeUInt32LE(SNAPLEN, 12);
  block.writeUInt16LE(9, 16); // if_tsresol: 10^-9 s
  block.writeUInt16LE(1, 18);
  block.writeUInt8(9, 20);
  block.writeUInt32LE(32, 28);
  return block;
}

function epochOf({ epoch }: Batch): [seconds: number, ns: number] {
  return [Number(epoch / 1_000_000_000n), Number(epoch % 1_000_000_000n)];
}

function bytesOf({ length, caplen }: Batch, record: (caplen: number) => number): number {
  let bytes = 0;
  for (let i = 0; i < length; i++) bytes += record(Math.min(caplen[i]!, SNAPLEN));
  return bytes;
}

function unheld(uri: string, i: number): CaptureError {
  const what = `packet ${i} of the batch has a time that the format cannot hold`;
  return new CaptureError('RINGTAP_UNSUPPORTED', `${uri}: ${what}`, { uri });
}
