import type { Readable } from 'node:stream';
import type { Batch } from '../capture/batch.js';
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { callOptions } from '../uri/options.js';
import { type BatchSource, CaptureReadable, checked } from './pull.js';

/** How a capture is read as a stream. */
export interface ReadOptions {
  /** How many objects may wait for the reader: 1 to 65536; default 16 batches, or 256 packets. */
  highWaterMark?: number | undefined;
}

/** A packet that belongs to whoever has it. */
export interface OwnedPacket {
  /** The captured bytes. */
  readonly data: Uint8Array;
  /** ns since 1970. */
  readonly timeNs: bigint;
  /** Bytes on the wire. */
  readonly wirelen: number;
  /** LINKTYPE_ value. */
  readonly linkType: number;
  /** Bits of `PacketFlags`, as in `batch.flags`. */
  readonly flags: number;
  /** The queue or interface that it came by. */
  readonly queue: number;
}

const MOST_WAITING = 65536;

/**
 * A stream of owned batches: the fast way to have packets in a stream, as there is no object for each.
 *
 * It ends with the capture, which stays open: whoever opened it closes it. Destroying the stream ends the waiting.
 * @example
 * import { pipeline } from 'node:stream/promises';
 * await pipeline(readBatches(capture), writeTo(writer));
 * console.log(writer.stats().packets);
 * @param capture which nobody else iterates meanwhile
 * @param options how much may wait
 * @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION; RINGTAP_BUSY where somebody else iterates the capture
 */
export function readBatches(capture: BatchSource, options: ReadOptions = {}): Readable {
  const highWaterMark = waiting(capture, 'readBatches', options, 16);
  return new CaptureReadable<Batch>(capture, (batch) => [batch.copy()], { objectMode: true, highWaterMark });
}

/**
 * A stream of owned packets, an object each. `Readable.toWeb()` makes a web stream of it.
 *
 * It ends with the capture, which stays open. Up to a batch more than `highWaterMark` may wait.
 * @example
 * for await (const packet of readPackets(capture)) console.log(packet.timeNs, packet.data.length);
 * @param capture which nobody else iterates meanwhile
 * @param options how much may wait
 * @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION; RINGTAP_BUSY where somebody else iterates the capture
 */
export function readPackets(capture: BatchSource, options: ReadOptions = {}): Readable {
  const highWaterMark = waiting(capture, 'readPackets', options, 256);
  return new CaptureReadable<OwnedPacket>(capture, packetsOf, { objectMode: true, highWaterMark });
}

function* packetsOf(batch: Batch): Iterable<OwnedPacket> {
  const { length, wirelen, linkType, flags, queue } = batch;
  for (let i = 0; i < length; i++) {
    yield {
      data: batch.copy(i),
      timeNs: batch.timeNs(i),
      wirelen: wirelen[i]!,
      linkType,
      flags: flags[i]!,
      queue: queue[i]!,
    };
  }
}

function waiting(capture: BatchSource, method: string, options: unknown, usual: number): number {
  const { uri } = checked(capture, method);
  const { highWaterMark = usual } = callOptions({ uri }, method, options, ['highWaterMark']);
  if (Number.isInteger(highWaterMark) && (highWaterMark as number) > 0 && (highWaterMark as number) <= MOST_WAITING) {
    return highWaterMark as number;
  }
  const what = `must be a whole number from 1 to ${MOST_WAITING}, not ${show(highWaterMark)}`;
  throw new CaptureError('RINGTAP_BAD_OPTION', `${uri}: ${method}(): highWaterMark ${what}`, { uri });
}
