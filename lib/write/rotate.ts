import { readdirSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { CaptureError, warn } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { withoutSuffixes } from '../generated/trace_names.js';
import type { NativeRotation } from '../native/native.js';
import { ownOptions } from '../uri/options.js';

/**
 * When one file is complete and the next begins: with the first packet beyond any of these limits, so that no file is
 * empty. Where packets are being captured just now, a file whose time is over is complete a second later, also when
 * none comes.
 */
export interface RotateOptions {
  /** A file never has more bytes than this (4096 or more), but for one packet that is larger. Before any compression. */
  bytes?: number | undefined;
  /** A file never has more packets than this. */
  packets?: number | undefined;
  /**
   * Seconds that a file spans, by the times of its packets. Boundaries lie this far apart, counted from the first packet:
   * nothing drifts. Whole milliseconds, up to ten years.
   */
  seconds?: number | undefined;
  /** The same, with boundaries on the clock: 3600 begins a file at each full hour of UTC. Instead of `seconds`. */
  interval?: number | undefined;
  /** Number of complete files that are kept; the oldest is deleted when a newer one is complete. Default: all. */
  files?: number | undefined;
  /** With `files`: the writer is full after that many, and deletes none. Then `write()` is `RINGTAP_CLOSED`. */
  stop?: boolean | undefined;
}

const NUMBERS = ['bytes', 'packets', 'seconds', 'interval', 'files'] as const satisfies (keyof RotateOptions)[];
const NAMES: readonly string[] = [...NUMBERS, 'stop'] satisfies (keyof RotateOptions)[];
const LEAST_BYTES = 4096;
const MOST_SECONDS = 10 * 366 * 86_400;

/** `rotate` of a writer, as the addon takes it. */
export function readRotation(uri: string, value: unknown): NativeRotation | undefined {
  if (value === undefined) return undefined;
  const own = ownOptions(
    { uri },
    value,
    'option rotate is an object { bytes, packets, seconds, interval, files, stop }',
  );
  const bad = (what: string) => new CaptureError('RINGTAP_BAD_OPTION', `${uri}: option rotate${what}`, { uri });
  for (const name of Object.keys(own)) {
    if (NAMES.includes(name)) continue;
    throw new CaptureError('RINGTAP_UNKNOWN_OPTION', `${uri}: rotate has no option "${name}"`, {
      uri,
      hint: `Options of rotate: ${NAMES.join(', ')}`,
    });
  }
  const count = (name: string, least: number): number | undefined => {
    const value = own[name];
    if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= least)) {
      return value as number | undefined;
    }
    throw bad(`.${name} must be a whole number of ${least} or more, not ${show(value)}`);
  };
  const milliseconds = (name: string): number | undefined => {
    const value = own[name];
    if (value === undefined) return undefined;
    if (typeof value === 'number' && value >= 0.001 && value <= MOST_SECONDS) {
      const ms = Math.round(value * 1000);
      if (Math.abs(ms - value * 1000) < 1e-6 * ms) return ms;
    }
    throw bad(`.${name} must be seconds from 0.001 to ${MOST_SECONDS} in whole milliseconds, not ${show(value)}`);
  };
  const { stop = false } = own;
  const rotation = {
    bytes: count('bytes', LEAST_BYTES),
    packets: count('packets', 1),
    periodMs: milliseconds('seconds'),
    intervalMs: milliseconds('interval'),
    files: count('files', 1),
    stop,
  };
  if (typeof rotation.stop !== 'boolean') throw bad(`.stop must be true or false, not ${show(rotation.stop)}`);
  if (rotation.stop && rotation.files === undefined) throw bad('.stop needs files: after how many');
  if (rotation.periodMs !== undefined && rotation.intervalMs !== undefined) {
    throw bad(' has seconds, counted from the first packet, and interval, on the clock: one of them');
  }
  if (
    [rotation.bytes, rotation.packets, rotation.periodMs, rotation.intervalMs].every((limit) => limit === undefined)
  ) {
    throw bad(' needs bytes, packets, seconds or interval: when a file is complete');
  }
  return rotation as NativeRotation;
}

/** Files that a writer of this pattern began and never completed: they are readable, and nobody else tells of them. */
export function warnOfLeftOvers(pattern: string): void {
  const name = basename(pattern);
  const conversion = name.indexOf('%');
  const begin = conversion >= 0 ? name.slice(0, conversion) : withoutSuffixes(name).stem;
  let names: string[];
  try {
    names = readdirSync(dirname(pattern));
  } catch {
    return; // to open a file there says what is wrong
  }
  const left = names.filter((name) => name.startsWith(begin) && name.endsWith('.part')).sort();
  if (left.length === 0) return;
  const more = left.length > 1 ? ` and ${left.length - 1} more` : '';
  warn(
    'RINGTAP_LEFT_OVER',
    `${pattern}: ${left[0]}${more} beside it: left by a writer that did not end, and readable, or being written by another`,
  );
}
