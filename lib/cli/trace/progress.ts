// How a long run over traces is getting on, in one line of the terminal; nothing where there is none.
import type { Batch } from '../../index.js';
import { integer, scaled } from '../format.js';

/** Whatever is done sooner needs no line. */
const PATIENCE_MS = 1000;
const PERIOD_MS = 200;
const BAR = 24;
const CLEAR_LINE = '\r\x1b[K';
/** What a record has beside its packet, more or less. */
const RECORD_BYTES = 16;

export class Progress {
  packets = 0;
  /** Of the input, as far as packets tell. */
  #bytes = 0;
  readonly #total: number | undefined;
  readonly #begin = performance.now();
  readonly #timer: NodeJS.Timeout | undefined;

  /** @param total bytes of the input; undefined where nobody knows */
  constructor(total: number | undefined) {
    this.#total = total;
    if (!process.stderr.isTTY) return;
    this.#timer = setInterval(() => this.#show(), PERIOD_MS);
    this.#timer.unref();
  }

  /** These packets were read. */
  add(batch: Batch): void {
    const { caplen, length } = batch;
    this.packets += length;
    if (this.#timer === undefined) return;
    let bytes = length * RECORD_BYTES;
    for (let i = 0; i < length; i++) bytes += caplen[i]!;
    this.#bytes += bytes;
  }

  end(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    process.stderr.write(CLEAR_LINE);
  }

  #show(): void {
    const ms = performance.now() - this.#begin;
    if (ms < PATIENCE_MS) return;
    process.stderr.write(`${CLEAR_LINE}${progressLine(this.packets, this.#bytes, this.#total, ms / 1000)}`);
  }
}

/** @param total bytes of the input; what is compressed has fewer than its packets, and then there is no bar */
export function progressLine(packets: number, bytes: number, total: number | undefined, seconds: number): string {
  const rates = `${integer(packets)} packets  ${scaled(packets / seconds, 'pps')}  ${scaled(bytes / seconds, 'B/s')}`;
  if (total === undefined || total === 0 || bytes > total) return rates;
  const done = bytes / total;
  const filled = Math.round(done * BAR);
  const left = done > 0 ? Math.round((seconds / done) * (1 - done)) : 0;
  const clock = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`;
  return `[${'='.repeat(filled)}${' '.repeat(BAR - filled)}] ${Math.floor(done * 100)} %  ${rates}  ${clock} left`;
}
