// The time span of the packets that are wanted, as options of the commands that read traces.
import type { Command } from 'commander';

export interface RangeFlags {
  from?: string;
  to?: string;
}

export const RANGE_NOTE =
  'Times are 2026-11-30T10:00:00.5Z (UTC where no zone is named), seconds since 1970, -10m (before now), or +90s (after the first packet). Where a trace has an index (ringtap index) only the parts are read that have such packets.';

export function addRange(command: Command): Command {
  return command
    .option('--from <time>', 'only packets from this time on')
    .option('--to <time>', 'only packets up to this time');
}

/** As `open()` takes them, which says what is wrong with them. */
export function rangeOptions({ from, to }: RangeFlags): { from?: string; to?: string } {
  return { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
}
