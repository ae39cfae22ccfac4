import type { Command } from 'commander';
import { UsageError } from '../errors.js';
import type { TimeStyle } from './clock.js';
import type { PrintOptions } from './printer.js';

/** What commander makes of the options that {@link addPrintOptions} adds. */
export interface PrintFlags {
  linkHeader?: boolean;
  /** How often -t was given. */
  time: number;
}

const TIME_STYLES: readonly (TimeStyle | undefined)[] = ['clock', 'none', 'unix', undefined, 'date'];

/** The options that say how packets are printed. Their letters are tcpdump's. */
export function addPrintOptions(command: Command): Command {
  return command
    .option('-e, --link-header', 'print the link header of each packet, too')
    .option('-t, --time', '-t: no time; -tt: seconds since 1970; -tttt: with the date', (_, count) => count + 1, 0);
}

export function printOptions({ linkHeader = false, time }: PrintFlags): PrintOptions {
  const style = TIME_STYLES[time];
  if (style === undefined) throw new UsageError(`-${'t'.repeat(time)}: expected -t, -tt or -tttt`);
  return { time: style, showLink: linkHeader };
}
