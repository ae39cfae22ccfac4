// Packets as one-line summaries, in the words of `tcpdump -nn -S`: see docs/cli.md for where the two are equal.
import { type Decoded, decode } from '../../decode/index.js';
import { type Batch, PacketFlags } from '../../index.js';
import { Clock, type TimeStyle } from './clock.js';
import { Line, TRUNCATED } from './line.js';
import { LINK_PRINTERS } from './link.js';

export interface PrintOptions {
  readonly time: TimeStyle;
  /** Print the link header, too. */
  readonly showLink: boolean;
}

export class Printer {
  readonly #clock: Clock;
  readonly #line: Line;
  #decoded: Decoded | undefined;

  /** @param epoch ns since 1970 that the times in batches count from */
  constructor(epoch: bigint, options: PrintOptions) {
    this.#clock = new Clock(options.time, epoch);
    this.#line = new Line(options.showLink);
  }

  /** One line for each of the first `count` packets of a batch. */
  lines(batch: Batch, count: number): string {
    const { offset, wirelen, time, flags } = batch;
    const print = LINK_PRINTERS[batch.linkType];
    const line = this.#line;
    const decoded = decode(batch, this.#decoded);
    this.#decoded = decoded;
    let text = '';
    for (let i = 0; i < count; i++) {
      const isRounded = (flags[i]! & PacketFlags.timeInexact) !== 0;
      text += isRounded ? this.#clock.formatExact(batch.timeNs(i)) : this.#clock.format(time[i]!);
      if (print === undefined) {
        text += `link type ${batch.linkType}, length ${wirelen[i]!}\n`;
        continue;
      }
      line.start(batch, decoded, i);
      try {
        print(line, offset[i]!, wirelen[i]!);
      } catch (error) {
        if (error !== TRUNCATED) throw error;
        line.text += ` [|${line.protocol}]`;
      }
      text += `${line.text}\n`;
    }
    return text;
  }
}
