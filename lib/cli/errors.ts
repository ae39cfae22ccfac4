import { debuglog, getSystemErrorName } from 'node:util';
import { CommanderError } from 'commander';
import { CaptureError } from '../errors/errors.js';
import { printable, printableLines } from '../errors/printable.js';
import { withoutSecrets } from '../errors/secrets.js';
import { ERROR_TABLE, type ErrorCode } from '../generated/errors.js';

export const EXIT = { done: 0, failed: 1, usage: 2 } as const;

/** Failures that only another command line can mend. */
const USAGE_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'RINGTAP_BAD_URI',
  'RINGTAP_UNKNOWN_SCHEME',
  'RINGTAP_UNKNOWN_OPTION',
  'RINGTAP_BAD_OPTION',
  'RINGTAP_BAD_FILTER',
]);

/** Where the hint of a code is about the library, what helps whoever has a command line. */
const COMMAND_HINTS: Partial<Record<ErrorCode, string>> = {
  RINGTAP_UNKNOWN_OPTION: '`ringtap help uri SCHEME` lists the options of a scheme.',
  RINGTAP_BAD_OPTION: '`ringtap help uri SCHEME` lists types, ranges and defaults.',
  RINGTAP_BAD_FILTER: '`ringtap help filters` has examples; pcap-filter(7) is the whole syntax.',
  RINGTAP_FILE_TRUNCATED: 'Every packet before that byte is good; its writer was probably stopped.',
  RINGTAP_FILE_CORRUPT: 'Every packet before that byte is good.',
  RINGTAP_REMOTE_AUTH:
    'Give --auth-file FILE, or RINGTAP_AUTH, with user:password; or, in a network that you trust, start the daemon with -n, which asks for none.',
  RINGTAP_NO_MEMORY: 'Give it less (-B), or raise the limit that the message names.',
};

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
    super(printable(withoutSecrets(message)));
    this.hint = hint === undefined ? undefined : printable(withoutSecrets(hint));
  }
}

/** What files that are being written will be called, by what they are called until then. */
const names = new Map<string, string>();

/** People are told of a file by the name that they know. */
export function tellAs(name: string, path: string): void {
  names.set(name, path);
}

/** Everything that people read, as opposed to programs, goes to stderr through here. */
export function say(line: string): void {
  let told = `ringtap: ${line}`;
  for (const [name, path] of names) told = told.replaceAll(name, path);
  tell(told);
}

/** The same without the name of the program. */
export function tell(line: string): void {
  process.stderr.write(`${printableLines(line)}\n`);
}

/** " (EINVAL)" */
function errnoOf({ errno }: CaptureError): string {
  return errno === undefined || errno <= 0 ? '' : ` (${getSystemErrorName(-errno)})`;
}

function hintOf(error: CaptureError | UsageError): string {
  const isOwn = error instanceof UsageError || error.hint !== ERROR_TABLE[error.code].hint;
  // What is decompressed may be damaged where its checksum has not been seen yet.
  if (error instanceof CaptureError && error.decompressedPosition !== undefined) return error.hint!;
  return (isOwn ? undefined : COMMAND_HINTS[error.code]) ?? error.hint!;
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
    tell(`hint: ${hintOf(error)}`);
  }
  if (error instanceof Error && debuglog('ringtap').enabled) tell(`${error.stack}`);
  if (error instanceof UsageError) return EXIT.usage;
  return error instanceof CaptureError && USAGE_CODES.has(error.code) && !ofData.has(error) ? EXIT.usage : EXIT.failed;
}
