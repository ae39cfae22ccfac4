import type { Command } from 'commander';
import { printable } from '../../errors/printable.js';
import type { Batch, Capture } from '../../index.js';
import { UsageError } from '../errors.js';
import type { TimeStyle } from './clock.js';
import type { DumpStyle } from './dump.js';
import { JsonPrinter } from './json.js';
import { Printer } from './printer.js';

/** What commander makes of the options that {@link addPrintOptions} adds. */
export interface PrintFlags {
  linkHeader?: boolean;
  verbose?: true;
  /** How often -t was given; so with -x and -X. */
  time: number;
  hex: number;
  hexAscii: number;
  ascii?: boolean;
  json?: true;
}

/** What stands for packets on standard output. */
export interface Lines {
  /** Of the first `count` packets of a batch, each line with its end. */
  lines(batch: Batch, count: number): string;
}

const TIME_STYLES: readonly (TimeStyle | undefined)[] = ['clock', 'none', 'unix', undefined, 'date'];
const count = (_: unknown, before: number) => before + 1;

/** The options that say how packets are printed. Their letters are tcpdump's. */
export function addPrintOptions(command: Command): Command {
  return command
    .option('-e, --link-header', 'print the link header of each packet, too')
    .option('-v, --verbose', 'print a line for each layer of a packet, too: every field, checksums, what is malformed')
    .option('-t, --time', '-t: no time; -tt: seconds since 1970; -tttt: with the date', count, 0)
    .option('-x, --hex', '-x: the bytes in hex, too, without the link header; -xx: with it', count, 0)
    .option('-X, --hex-ascii', 'the same in hex and ASCII: -X, -XX', count, 0)
    .option('-A, --ascii', 'the same in ASCII')
    .option('--json', 'one JSON object a packet, each on a line of its own; -x adds its bytes')
    .option('-n', 'numbers instead of names: always so')
    .option('-l', 'write as packets come: always so')
    .option('-S', 'absolute sequence numbers: always so')
    .option('-K', 'do not verify checksums: always so');
}

/** What makes lines as the options say. @param several whether lines say which capture they are of */
export function linesOf(flags: PrintFlags, several = false): (capture: Capture) => Lines {
  const time = TIME_STYLES[flags.time];
  if (time === undefined) throw new UsageError(`-${'t'.repeat(flags.time)}: expected -t, -tt or -tttt`);
  const dump = dumpStyle(flags);
  if (flags.json) return (capture) => new JsonPrinter(capture, several, dump !== undefined);
  return ({ epoch, plan }) => {
    const label = several ? `${printable(plan.target)} ` : '';
    return new Printer(epoch, {
      time,
      showLink: flags.linkHeader ?? false,
      showLayers: flags.verbose ?? false,
      dump,
      label,
    });
  };
}

function dumpStyle({ hex, hexAscii, ascii }: PrintFlags): DumpStyle | undefined {
  // As with tcpdump, the one that shows more wins.
  if (hexAscii > 0) return { hex: true, ascii: true, fromLink: hexAscii > 1 };
  if (hex > 0) return { hex: true, ascii: false, fromLink: hex > 1 };
  return ascii ? { hex: false, ascii: true, fromLink: false } : undefined;
}
