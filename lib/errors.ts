import { ERROR_TABLE, type ErrorCode } from './generated/errors.js';

/** Everything about a failure but its message. */
export interface CaptureErrorFields {
  backend?: string | undefined;
  uri?: string | undefined;
  syscall?: string | undefined;
  errno?: number | undefined;
  hint?: string | undefined;
  position?: number | undefined;
  cause?: unknown;
}

/**
 * Every failure of ringtap. `message` says what and where, `hint` how to fix it; `code` is stable.
 * docs/errors.md lists the codes.
 */
export class CaptureError extends Error {
  override readonly name = 'CaptureError';
  /** A stable code, `RINGTAP_…`. */
  readonly code: ErrorCode;
  /** The capture method, where one was chosen. */
  readonly backend: string | undefined;
  /** The URI as the caller wrote it. */
  readonly uri: string | undefined;
  /** The system or library call that failed. */
  readonly syscall: string | undefined;
  /** Its errno. */
  readonly errno: number | undefined;
  /** How to fix it. */
  readonly hint: string;
  /** Byte offset in a file, or character (instruction) offset in a filter. */
  readonly position: number | undefined;

  constructor(code: ErrorCode, message: string, fields: CaptureErrorFields = {}) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.code = code;
    this.backend = fields.backend;
    this.uri = fields.uri;
    this.syscall = fields.syscall;
    this.errno = fields.errno;
    this.hint = fields.hint ?? ERROR_TABLE[code].hint;
    this.position = fields.position;
  }
}

/** Turns what the addon throws into a CaptureError; anything else passes through. */
export function wrapNative(error: unknown, backend?: string, uri?: string): unknown {
  if (!(error instanceof Error) || error instanceof CaptureError) return error;
  const native = error as Error & CaptureErrorFields & { code?: string };
  if (native.code === undefined || !(native.code in ERROR_TABLE)) return error;
  const { syscall, errno, hint, position } = native;
  return new CaptureError(native.code as ErrorCode, native.message, { backend, uri, syscall, errno, hint, position });
}
