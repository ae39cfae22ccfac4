import { ERROR_TABLE, type ErrorCode } from '../generated/errors.js';
import type { MethodName } from '../generated/options.js';
import { printable, printableLines, shorten } from './printable.js';
import { uriWithoutSecrets, withoutSecrets } from './secrets.js';

/** Everything about a failure but its message. */
export interface CaptureErrorFields {
  /** The capture method, where one was chosen. */
  backend?: MethodName | undefined;
  /** The URI as the caller wrote it. */
  uri?: string | undefined;
  /** The system or library call that failed. */
  syscall?: string | undefined;
  /** Its errno. */
  errno?: number | undefined;
  /** How to fix it; the code's own hint where it is not given. */
  hint?: string | undefined;
  /** Byte offset in a file, or character (instruction) offset in a filter. */
  position?: number | undefined;
  /** Of damaged compressed data, whose `position` is that in the file: how much was decompressed before, in bytes. */
  decompressedPosition?: number | undefined;
  /** What it came of. */
  cause?: unknown;
}

/**
 * Every failure of ringtap. `message` says what and where, `hint` how to fix it; `code` is stable.
 * docs/errors.md lists the codes. What messages and hints quote is escaped and shortened, so that they can be printed;
 * `uri` is as it was given. Neither repeats a password that was written into a URI.
 * @example
 * try {
 *   await open('afpacket:eth7');
 * } catch (error) {
 *   if (!(error instanceof CaptureError)) throw error;
 *   console.log(error.code, error.message, error.hint); // RINGTAP_NO_INTERFACE …
 * }
 */
export class CaptureError extends Error {
  /** Always CaptureError. */
  override readonly name = 'CaptureError';
  /** A stable code, `RINGTAP_…`. */
  readonly code: ErrorCode;
  /** The capture method, where one was chosen. */
  readonly backend: MethodName | undefined;
  /** The URI as the caller wrote it, but for secrets that do not belong there. */
  readonly uri: string | undefined;
  /** The system or library call that failed. */
  readonly syscall: string | undefined;
  /** Its errno. */
  readonly errno: number | undefined;
  /** How to fix it. */
  readonly hint: string;
  /** Byte offset in a file, or character (instruction) offset in a filter. */
  readonly position: number | undefined;
  /** Of damaged compressed data, whose `position` is that in the file: how much was decompressed before, in bytes. */
  readonly decompressedPosition: number | undefined;

  /**
   * For programs that want to fail as ringtap does.
   * @param code one of the table
   * @param message what failed, and where
   * @param fields what else is known; `hint` is the code's own where it is not given
   * @throws nothing
   * @example
   * console.log(new CaptureError('RINGTAP_BAD_OPTION', 'port must be from 1 to 65535').hint);
   */
  constructor(code: ErrorCode, message: string, fields: CaptureErrorFields = {}) {
    const {
      backend,
      uri: given,
      syscall,
      errno,
      hint,
      position,
      decompressedPosition,
      cause,
    }: CaptureErrorFields = ownOf(fields);
    const uri = typeof given === 'string' ? uriWithoutSecrets(given) : given;
    // A filter is shown on a line of its own, with a mark below.
    const words = once(uri, withoutSecrets(message, given));
    const text = code === 'RINGTAP_BAD_FILTER' ? printableLines(shorten(words)) : printable(shorten(words));
    super(text, cause === undefined ? undefined : { cause });
    this.code = code;
    this.backend = backend;
    this.uri = uri;
    this.syscall = syscall;
    this.errno = errno;
    this.hint = hint === undefined ? hintOf(code, uri) : printable(shorten(withoutSecrets(hint, given)));
    this.position = position;
    this.decompressedPosition = decompressedPosition;
  }

  /**
   * What `JSON.stringify()` writes, which would leave the message out: everything but stack and cause.
   * @throws nothing
   * @example
   * const explained = await explain('afpacket:eth7');
   * if (!explained.ok) console.log(explained.error.toJSON(), JSON.stringify(explained.error));
   */
  toJSON(): CaptureErrorJson {
    const { message, name, code, backend, uri, syscall, errno, hint, position, decompressedPosition } = this;
    return { message, name, code, backend, uri, syscall, errno, hint, position, decompressedPosition };
  }
}

/** A {@link CaptureError} as JSON has it. What is undefined is left out there. */
export type CaptureErrorJson = Pick<CaptureError, 'message' | 'name' | 'code' | 'hint'> &
  Pick<CaptureErrorFields, 'backend' | 'uri' | 'syscall' | 'errno' | 'position' | 'decompressedPosition'>;

/** "synth:: no such option" with one colon. */
function once(uri: unknown, message: string): string {
  if (typeof uri !== 'string' || !uri.endsWith(':') || !message.startsWith(`${uri}: `)) return message;
  return message.slice(0, uri.length) + message.slice(uri.length + 1);
}

/** A message that is part of another one about the same URI. */
export function withoutUri(uri: string, message: string): string {
  const shown = printable(shorten(uriWithoutSecrets(uri)));
  const where = shown.endsWith(':') ? `${shown} ` : `${shown}: `;
  return message.startsWith(where) ? message.slice(where.length) : message;
}

/** Its own fields: nothing that was planted in Object.prototype. */
function ownOf<T extends object>(fields: T): T {
  return Object.assign(Object.create(null), fields);
}

/** The table's hint, about the interface that the URI names. */
function hintOf(code: ErrorCode, uri: unknown): string {
  const { hint } = ERROR_TABLE[Object.hasOwn(ERROR_TABLE, code) ? code : 'RINGTAP_INTERNAL'];
  if (typeof uri !== 'string') return hint;
  const [, name] = /^(?:[A-Za-z][A-Za-z0-9+.-]+:)?([\w.-]+)(?:\?|$)/.exec(uri) ?? [];
  return name === undefined ? hint : hint.replaceAll('IFACE', name);
}

/** Something that ends nothing, but must not pass in silence: a process warning. */
export function warn(
  code: string,
  message: string,
  type: 'RingtapWarning' | 'DeprecationWarning' = 'RingtapWarning',
): void {
  process.emitWarning(printable(shorten(withoutSecrets(message))), { type, code });
}

/** Turns what the addon throws into a CaptureError; anything else passes through. */
export function wrapNative(error: unknown, backend?: MethodName, uri?: string): unknown {
  if (!(error instanceof Error) || error instanceof CaptureError) return error;
  const fields = ownOf(error as Error & CaptureErrorFields & { code?: string });
  const { code, syscall, errno, hint, position, decompressedPosition } = fields;
  if (code === undefined || !Object.hasOwn(ERROR_TABLE, code)) return error;
  const known = { backend, uri, syscall, errno, hint, position, decompressedPosition };
  return new CaptureError(code as ErrorCode, error.message, known);
}
