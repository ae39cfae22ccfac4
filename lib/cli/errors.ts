import { debuglog, getSystemErrorName } from 'node:util';
import { CommanderError } from 'commander';
import { printable, printableLines } from '../errors/printable.js';
import { CaptureError, type ErrorCode } from '../index.js';

export const EXIT = { done: 0, failed: 1, usage: 2 } as const;

/** Failures that only another command line can mend. */
const USAGE_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'RINGTAP_BAD_URI',
  'RINGTAP_UNKNOWN_SCHEME',
  'RINGTAP_UNKNOWN_OPTION',
  'RINGTAP_BAD_OPTION',
  'RINGTAP_BAD_FILTER',
]);

/** Failures that came with the packets. */
const ofData = new WeakSet<Error>();

/** Marks a failure as one of the packets' own: no wrong usage, whatever its code is. @returns the error */
export function blameData(error: unknown): unknown {
  if (error instanceof Error) ofData.add(error);
  return error;
}

/** A command line that makes no sense, though each part of it does. */
export class UsageError extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(printable(message));
    this.hint = hint === undefined ? undefined : printable(hint);
  }
}

/** Everything that people read, as opposed to programs, goes to stderr through here. */
export function say(line: string): void {
  tell(`ringtap: ${line}`);
}

/** The same without the name of the program. */
export function tell(line: string): void {
  process.stderr.write(`${printableLines(line)}\n`);
}

/** " (EINVAL)" */
function errnoOf({ errno }: CaptureError): string {
  return errno === undefined || errno <= 0 ? '' : ` (${getSystemErrorName(-errno)})`;
}

/** Tells the user what failed. @returns the exit code */
export function report(error: unknown): number {
  // Commander has printed its errors, or the help that was asked for, by itself.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  say(error instanceof Error ? error.message : String(error));
  if (error instanceof CaptureError) {
    if (error.code === 'RINGTAP_SYSTEM') tell(`call: ${error.syscall ?? 'unknown'}${errnoOf(error)}`);
  }
  if ((error instanceof CaptureError || error instanceof UsageError) && error.hint !== undefined) {
    tell(`hint: ${error.hint}`);
  }
  if (error instanceof Error && debuglog('ringtap').enabled) tell(`${error.stack}`);
  if (error instanceof UsageError) return EXIT.usage;
  return error instanceof CaptureError && USAGE_CODES.has(error.code) && !ofData.has(error) ? EXIT.usage : EXIT.failed;
}
