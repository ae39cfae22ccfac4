// The files that a trace is split into: each has its name when it is complete.
import { withoutSuffixes } from '../../generated/trace_names.js';
import type { Batch, WriterOptions } from '../../index.js';
import { OutputFile, type OutputFlags } from './output-file.js';
import { isoNs } from './times.js';

/** trace.pcapng → trace_00001_20261130100000.pcapng, as dumpcap names them; with no time where there is none. */
export function partName(path: string, number: number, ns?: bigint): string {
  const { stem, suffixes } = withoutSuffixes(path);
  const counter = `_${String(number).padStart(5, '0')}`;
  const time = ns === undefined ? '' : `_${isoNs(ns).slice(0, 19).replace(/\D/g, '')}`;
  return `${stem}${counter}${time}${suffixes}`;
}

/** Writes one file after the other. */
export class Parts {
  readonly #path: string;
  readonly #flags: OutputFlags;
  readonly #options: WriterOptions;
  #output: OutputFile | undefined;
  readonly #complete: OutputFile[] = [];
  packets = 0;

  constructor(path: string, flags: OutputFlags, options: WriterOptions) {
    this.#path = path;
    this.#flags = flags;
    this.#options = options;
  }

  get files(): number {
    return this.#complete.length;
  }

  /** Writes packets [from, to) of the batch into the current file, or the first. */
  async write(batch: Batch, from: number, to: number): Promise<void> {
    if (from === to) return;
    if (this.#output === undefined) {
      const name = partName(this.#path, this.#complete.length + 1, batch.timeNs(from));
      this.#output = await OutputFile.open(name, this.#flags, this.#options);
    }
    const isAll = from === 0 && to === batch.length;
    const select = isAll ? undefined : Uint32Array.from({ length: to - from }, (_, i) => from + i);
    await this.#output.write(batch, { select });
    this.packets += to - from;
  }

  /** The current file is complete. */
  async next(): Promise<void> {
    const output = this.#output;
    this.#output = undefined;
    if (output === undefined) return;
    await output.finish();
    this.#complete.push(output);
  }

  /** Nothing is left, of those that are complete either: what is split again would be refused otherwise. */
  async discard(): Promise<void> {
    await this.#output?.discard();
    this.#output = undefined;
    for (const output of this.#complete.splice(0)) await output.discard();
  }
}
