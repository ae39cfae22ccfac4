// Packets as one-line summaries, in the words of `tcpdump -nn -S`: see docs/cli.md for where the two are equal.
import { ABSENT, type Decoded, decode } from '../../decode/index.js';
import { type Batch, PacketFlags } from '../../index.js';
import { Clock, type TimeStyle } from './clock.js';
import { type DumpStyle, dump } from './dump.js';
import { Layers } from './layers.js';
import { Line, TRUNCATED } from './line.js';
import { LINK_PRINTERS } from './link.js';

export interface PrintOptions {
  readonly time: TimeStyle;
  /** Print the link header, too. */
  readonly showLink: boolean;
  /** Print a line for each layer, too. */
  readonly showLayers?: boolean;
  /** How bytes are printed, if they are. */
  readonly dump?: DumpStyle | undefined;
  /** What stands between the time and the packet, a blank included. */
  readonly label?: string;
}

export class Printer {
  readonly #clock: Clock;
  readonly #line: Line;
  readonly #label: string;
  readonly #dump: DumpStyle | undefined;
  readonly #layers: Layers | undefined;
  #decoded: Decoded | undefined;

  /** @param epoch ns since 1970 that the times in batches count from */
  constructor(epoch: bigint, { time, showLink, showLayers = false, dump, label = '' }: PrintOptions) {
    this.#clock = new Clock(time, epoch);
    this.#line = new Line(showLink);
    this.#layers = showLayers ? new Layers() : undefined;
    this.#label = label;
    this.#dump = dump;
  }

  /** One line for each of the first `count` packets of a batch, and its layers and bytes where they are asked for. */
  lines(batch: Batch, count: number): string {
    const { offset, caplen, time, flags, bytes } = batch;
    const decoded = decode(batch, this.#decoded);
    this.#decoded = decoded;
    let text = '';
    for (let i = 0; i < count; i++) {
      const isRounded = (flags[i]! & PacketFlags.timeInexact) !== 0;
      text += isRounded ? this.#clock.formatExact(batch.timeNs(i)) : this.#clock.format(time[i]!);
      text += `${this.#label}${this.#summary(batch, decoded, i)}\n`;
      if (this.#layers !== undefined) text += this.#layers.of(batch, decoded, i);
      if (this.#dump === undefined) continue;
      const end = offset[i]! + caplen[i]!;
      const from = this.#dump.fromLink ? offset[i]! : networkOf(batch, decoded, i, end);
      if (from < end) text += dump(bytes, from, end, this.#dump);
    }
    return text;
  }

  #summary(batch: Batch, decoded: Decoded, i: number): string {
    const wirelen = batch.wirelen[i]!;
    const print = LINK_PRINTERS[batch.linkType];
    if (print === undefined) return `link type ${batch.linkType}, length ${wirelen}`;
    const line = this.#line;
    line.start(batch, decoded, i);
    try {
      print(line, batch.offset[i]!, wirelen);
    } catch (error) {
      if (error !== TRUNCATED) throw error;
      line.text += ` [|${line.protocol}]`;
    }
    return line.text;
  }
}

/** Where the link header of packet `i` ends: at once where its link type has none that we know. */
function networkOf(batch: Batch, decoded: Decoded, i: number, end: number): number {
  if (LINK_PRINTERS[batch.linkType] === undefined) return batch.offset[i]!;
  const at = decoded.networkOffset[i]!;
  return at === ABSENT ? end : at;
}
