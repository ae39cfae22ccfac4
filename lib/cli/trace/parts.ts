// The files that a trace is split into: each has its name when it is complete.
import type { Batch, WriterOptions } from '../../index.js';
import { OutputFile } from './output-file.js';
import { isoNs } from './times.js';

/** trace.pcapng → trace_00001_20261130100000.pcapng, as dumpcap names them; with no time where there is none. */
export function partName(path: string, number: number, ns?: bigint): string {
  const at = /^(.*?)(\.(?:pcap|pcapng|cap)(?:\.\w+)?|\.(?:zstd?|lz4|gz))?$/is.exec(path)!;
  const counter = `_${String(number).padStart(5, '0')}`;
  const time = ns === undefined ? '' : `_${isoNs(ns).slice(0, 19).replace(/\D/g, '')}`;
  return `${at[1]}${counter}${time}${at[2] ?? ''}`;
}

/** Writes one file after the other. */
export class Parts {
  readonly #path: string;
  readonly #force: boolean;
  readonly #options: WriterOptions;
  #output: OutputFile | undefined;
  #number = 0;
  packets = 0;

  constructor(path: string, force: boolean, options: WriterOptions) {
    this.#path = path;
    this.#force = force;
    this.#options = options;
  }

  get files(): number {
    return this.#number;
  }

  /** Writes packets [from, to) of the batch into the current file, or the first. */
  async write(batch: Batch, from: number, to: number): Promise<void> {
    if (from === to) return;
    if (this.#output === undefined) {
      const name = partName(this.#path, ++this.#number, batch.timeNs(from));
      this.#output = await OutputFile.open(name, this.#force, this.#options);
    }
    const isAll = from === 0 && to === batch.length;
    const select = isAll ? undefined : Uint32Array.from({ length: to - from }, (_, i) => from + i);
    await this.#output.writer.write(batch, { select });
    this.packets += to - from;
  }

  /** The current file is complete. */
  async next(): Promise<void> {
    const output = this.#output;
    this.#output = undefined;
    await output?.finish();
  }

  async discard(): Promise<void> {
    await this.#output?.discard();
    this.#output = undefined;
  }
}
