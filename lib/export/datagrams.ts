// Messages as datagrams. Made and sent natively, with one call a batch.
import { isIP } from 'node:net';
import { CaptureError, wrapNative } from '../errors/errors.js';
import type { FlowBatch } from '../flow/index.js';
import { addon, type ExporterRequest, type NativeExporter } from '../native/native.js';
import { accountOf, columnsOf, gone } from './encoder.js';
import type { Sink } from './exporter.js';
import { Counts, type ExportStats } from './stats.js';

export interface DatagramSettings {
  readonly uri: string;
  readonly host: string;
  readonly port: number;
  /** What names of files end in, where a URI without a scheme may be one. */
  readonly suffix?: string | undefined;
  readonly bufferBytes: number;
  readonly refreshMs: number;
  readonly drops: boolean;
  readonly closeMs: number;
}

/** How soon a full socket is tried again. */
const RETRY_MS = 1;

/** The address to send to: names are not looked up by libuv's pool. @throws CaptureError RINGTAP_REMOTE_UNREACHABLE */
async function addressOf({ uri, host, suffix }: DatagramSettings): Promise<string> {
  if (isIP(host) !== 0) return host;
  try {
    const [address] = await addon().lookup(host);
    if (address !== undefined) return address;
    throw new Error('it has no address');
  } catch (error) {
    const cause = wrapNative(error) as Error;
    const isGuess = suffix !== undefined && uri === host;
    const what = isGuess
      ? `it has no scheme and does not end in ${suffix}, so it was looked up as a host: ${cause.message}`
      : `${host}: ${cause.message}`;
    throw new CaptureError('RINGTAP_REMOTE_UNREACHABLE', `${uri}: ${what}`, {
      uri,
      hint: `Check the name of the host${isGuess ? `, or write file:${uri} for a file` : ''}.`,
    });
  }
}

export class DatagramSink implements Sink {
  readonly #native: NativeExporter;
  readonly #settings: DatagramSettings;
  #ignored = 0;
  #flows = 0;
  #closed = 0;
  /** When templates were sent last, and how often nobody had listened by then. */
  #announcedAt = Number.NEGATIVE_INFINITY;
  #refusals = 0;
  /** The socket takes nothing now, and messages wait. */
  #waiting: Promise<void> | undefined;

  /** @throws CaptureError RINGTAP_REMOTE_UNREACHABLE, RINGTAP_SYSTEM, RINGTAP_UNSUPPORTED */
  static async open(request: ExporterRequest, settings: DatagramSettings): Promise<DatagramSink> {
    const { uri, port, bufferBytes } = settings;
    const peer = await addressOf(settings);
    const local = isIP(peer) === 6 ? '::' : '0.0.0.0';
    try {
      const native = addon().openExporter({ ...request, datagrams: { local, peer, port, bufferBytes } });
      return new DatagramSink(native, settings);
    } catch (error) {
      throw wrapNative(error, undefined, uri);
    }
  }

  private constructor(native: NativeExporter, settings: DatagramSettings) {
    this.#native = native;
    this.#settings = settings;
  }

  ignore(packets: number): void {
    this.#ignored = packets;
  }

  write(flows: FlowBatch): Promise<void> | undefined {
    if (this.#waiting !== undefined) return this.#waiting.then(() => this.write(flows));
    const now = Date.now();
    const isDue = this.#isDue(now);
    const account = isDue ? accountOf(new Counts(), { packets: 0, octets: 0 }, this.#ignored) : undefined;
    const waiting = this.#native.send(...columnsOf(flows), now, account);
    if (waiting < 0) throw gone();
    if (isDue) this.#announcedAt = now;
    this.#flows += flows.length;
    if (waiting === 0) return undefined;
    if (this.#settings.drops) {
      this.#native.drop();
      return undefined;
    }
    this.#waiting = this.#drain();
    return this.#waiting;
  }

  /** From time to time, as nobody answers; and for as long as nobody listens, so that who comes has templates first. */
  #isDue(now: number): boolean {
    const { refusals } = this.#native.stats();
    const isRefused = refusals !== this.#refusals;
    this.#refusals = refusals;
    return isRefused || now - this.#announcedAt >= this.#settings.refreshMs || now < this.#announcedAt;
  }

  async #drain(): Promise<void> {
    while (this.#native.flush() > 0) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    this.#waiting = undefined;
  }

  async flush(): Promise<void> {
    await this.#waiting;
    this.#native.flush(); // hears whether anybody listens
  }

  async close(): Promise<void> {
    const until = Date.now() + this.#settings.closeMs;
    while (this.#native.flush() > 0 && Date.now() < until)
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    this.#closed = this.#native.stats().waitingRecords;
    this.#native.close();
    await this.#waiting;
  }

  stats(): ExportStats {
    const native = this.#native.stats();
    const { records: sent, waitingRecords, refusedRecords, droppedRecords, refusals, messages, octets } = native;
    const queue = droppedRecords - this.#closed;
    return {
      flows: this.#flows,
      records: sent + waitingRecords + refusedRecords + droppedRecords,
      sent,
      waiting: waitingRecords,
      notSent: { refused: refusedRecords, connection: 0, queue, closed: this.#closed, file: 0 },
      messages,
      bytes: octets,
      refusals,
      connections: 0,
    };
  }
}
