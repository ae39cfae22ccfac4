import { type Command, InvalidArgumentError } from 'commander';
import type { RotateOptions, Writer, WriterOptions } from '../index.js';
import { say, UsageError } from './errors.js';
import { integer } from './format.js';
import { parseCount } from './options.js';
import type { Run } from './run.js';

/** What commander makes of the options that {@link addRotateOptions} adds. */
export interface RotateFlags {
  fileSize?: number;
  rotateSeconds?: number;
  fileCount?: number;
  ringBuffer?: RotateOptions;
  fsync?: true;
  force?: true;
}

const MILLION = 1_000_000;
const UNITS: Readonly<Record<string, number>> = { '': MILLION, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };
const KILO = 1000;

/** @returns bytes */
export function parseFileSize(text: string): number {
  const match = /^(\d+)([kmg]?)$/i.exec(text);
  const bytes = Number(match?.[1]) * UNITS[match?.[2]?.toLowerCase() ?? '']!;
  if (bytes > 0 && Number.isSafeInteger(bytes)) return bytes;
  throw new InvalidArgumentError('Expected millions of bytes, or a number with k, m or g (powers of 1024).');
}

/** dumpcap's: `filesize:1000`. */
function parseRing(text: string, before: RotateOptions = {}): RotateOptions {
  const [, what, number] = /^(\w+):(\d+(?:\.\d{1,3})?)$/.exec(text) ?? [];
  const value = Number(number);
  const whole = () => (Number.isSafeInteger(value) ? value : Number.NaN);
  const added: Record<string, RotateOptions> = {
    duration: { seconds: value },
    interval: { interval: value },
    filesize: { bytes: whole() * KILO },
    packets: { packets: whole() },
    files: { files: whole() },
  };
  const option = added[what ?? ''];
  if (option === undefined || !Object.values(option).every((value) => value > 0)) {
    throw new InvalidArgumentError('Expected duration:N, interval:N (seconds), filesize:N (kB), packets:N or files:N.');
  }
  const [name] = Object.keys(option);
  if (name! in before) throw new InvalidArgumentError(`${what} was given before.`);
  return { ...before, ...option };
}

/** The options that make one file after the other of a trace. Their letters are tcpdump's, and dumpcap's -b. */
export function addRotateOptions(command: Command): Command {
  return command
    .option(
      '-C, --file-size <size>',
      'begin another file before one has more, before compression (millions of bytes; k, m, g)',
      parseFileSize,
    )
    .option('-G, --rotate-seconds <seconds>', 'begin another file so many seconds after the last', parseCount)
    .option(
      '-W, --file-count <files>',
      'with -C: keep so many, the newest; with -G alone: stop after so many',
      parseCount,
    )
    .option(
      '-b, --ring-buffer <limit:N>',
      'duration:N, interval:N (s), filesize:N (kB, before compression), packets:N: begin another file; files:N: keep so many; repeatable',
      parseRing,
    )
    .option('--fsync', 'a complete file is on the disk before it gets its name')
    .option('--force', 'overwrite files that exist');
}

/** Their values as `openWriter()` takes them. */
export function rotateOptions(flags: RotateFlags): WriterOptions {
  const { fileSize, rotateSeconds, fileCount, ringBuffer: ring = {}, fsync, force } = flags;
  const twice = (letter: string, of: string) => new UsageError(`${letter} and -b ${of} say the same: give one of them`);
  if (fileSize !== undefined && ring.bytes !== undefined) throw twice('-C', 'filesize');
  if (rotateSeconds !== undefined && ring.seconds !== undefined) throw twice('-G', 'duration');
  if (fileCount !== undefined && ring.files !== undefined) throw twice('-W', 'files');
  const limits = {
    ...ring,
    ...(fileSize === undefined ? {} : { bytes: fileSize }),
    ...(rotateSeconds === undefined ? {} : { seconds: rotateSeconds }),
  };
  const { bytes, seconds, interval, packets } = limits;
  const isEndless = [bytes, seconds, interval, packets].every((limit) => limit === undefined);
  const overwrite = force ?? false;
  if (isEndless) {
    if (fileCount !== undefined) throw new UsageError('-W counts files: say with -C or -G when one is complete');
    if (ring.files !== undefined)
      throw new UsageError('-b files: say with -b filesize, packets, duration or interval when one is complete');
    if (fsync) throw new UsageError('--fsync is for files that follow each other: -C, -G or -b');
    return { overwrite };
  }
  if (seconds !== undefined && interval !== undefined) {
    throw new UsageError('seconds (-G, -b duration) and interval (-b interval) exclude each other');
  }
  const count =
    fileCount === undefined ? {} : { files: fileCount, stop: bytes === undefined && rotateSeconds !== undefined };
  return { rotate: { ...limits, ...count }, overwrite, fsync: fsync ?? false };
}

/** Tells of each file once it is complete; after the last one that is wanted the run ends. */
export async function watchFiles(
  writer: Writer,
  run: Run,
  { stop, files }: RotateOptions,
  quiet?: true,
): Promise<void> {
  for await (const { path, packets, bytes } of writer.files()) {
    if (!quiet) say(`wrote ${path} (${integer(packets)} packets, ${integer(bytes)} bytes)`);
    if (stop && writer.stats().files === files) run.stop();
  }
}
