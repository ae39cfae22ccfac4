import { type Command, InvalidArgumentError, Option } from 'commander';
import type { OpenOptions } from '../index.js';
import { authFileOption, authFromFile } from './auth.js';
import { addTlsOptions, type TlsFlags, tlsFrom } from './tls.js';

/** What commander makes of the options that {@link addOpenOptions} adds. */
export interface OpenFlags extends TlsFlags {
  /** 0: all. */
  snaplen?: number;
  direction?: 'in' | 'out' | 'inout';
  promiscuous: boolean;
  bufferSize?: number;
  batchSize?: number;
  option?: Readonly<Record<string, string>>;
  authFile?: string;
}

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const KIB = 1024;

export function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(count) || count === 0) {
    throw new InvalidArgumentError('Expected a whole number above 0.');
  }
  return count;
}

/** A number of threads. */
export function parseWorkers(text: string): number | 'auto' {
  if (text === 'auto') return text;
  const workers = Number(text);
  if (/^\d+$/.test(text) && workers >= 1 && workers <= 256) return workers;
  throw new InvalidArgumentError('Expected a number of 1 to 256, or auto.');
}

/** @returns milliseconds */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  const duration = Number(match?.[1]) * DURATION_UNITS[match?.[2] ?? 's']!;
  // What a timer can count; beyond, Node would fire it at once.
  if (duration > 0 && duration < 2 ** 31) return duration;
  throw new InvalidArgumentError('Expected a time such as 10s, 500ms or 2m.');
}

function parseSnaplen(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('Expected a number of bytes.');
  return Number(text);
}

function collect(text: string, previous: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('Expected name=value.');
  return { ...previous, [text.slice(0, at)]: text.slice(at + 1) };
}

/** What has no option of its own. */
export function addOption(command: Command): Command {
  return command.option(
    '-o, --option <name=value>',
    'any other option of the URI (ringtap help uri); repeatable',
    collect,
  );
}

/** The options that say how to open a capture. Their letters are tcpdump's. */
export function addOpenOptions(command: Command): Command {
  return addOption(addTlsOptions(command))
    .option('-s, --snaplen <bytes>', 'keep so many bytes of each packet; 0 means all', parseSnaplen)
    .addOption(new Option('-Q, --direction <way>', 'only packets going this way').choices(['in', 'out', 'inout']))
    .option('-p, --no-promiscuous', 'do not ask for frames addressed to others')
    .option('-B, --buffer-size <KiB>', 'memory that packets wait in', parseCount)
    .option('--batch-size <packets>', 'the most packets handled at once', parseCount)
    .addOption(authFileOption());
}

/** Their values as `open()` takes them. What was not given is left to the URI and the defaults. */
export function openOptions(flags: OpenFlags, filter: string | undefined): OpenOptions {
  return {
    ...flags.option,
    ...authFromFile(flags.authFile),
    ...tlsFrom(flags, false),
    ...(filter === undefined ? {} : { filter }),
    ...(flags.snaplen === undefined || flags.snaplen === 0 ? {} : { snaplen: flags.snaplen }),
    ...(flags.direction === undefined ? {} : { direction: flags.direction === 'inout' ? 'both' : flags.direction }),
    ...(flags.promiscuous ? {} : { promiscuous: false }),
    ...(flags.bufferSize === undefined ? {} : { bufferBytes: flags.bufferSize * KIB }),
    ...(flags.batchSize === undefined ? {} : { batchSize: flags.batchSize }),
  };
}
