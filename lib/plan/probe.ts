import { type CaptureError, wrapNative } from '../errors/errors.js';
import type { ErrorCode } from '../generated/errors.js';
import type { BackendName } from '../generated/options.js';
import { BACKENDS } from '../generated/schema.js';
import { addon } from '../native/native.js';

/** What a host can do with one method. */
export interface ProbeResult {
  /** The method, as in a URI's scheme. */
  readonly backend: BackendName;
  /** Its name for people. */
  readonly title: string;
  /** Whether this host can capture with it. */
  readonly available: boolean;
  /** The error code of what is in the way. */
  readonly code?: ErrorCode;
  /** What is in the way. */
  readonly reason?: string;
  /** What would mend it. */
  readonly hint?: string;
  /** Version or feature found. */
  readonly detail: string;
}

/**
 * What this host can do, method by method, and why not. Opens nothing.
 * @throws CaptureError RINGTAP_ADDON_MISSING
 * @example
 * for (const { backend, available, hint } of await probe()) console.log(backend, available ? 'works' : hint);
 */
export async function probe(): Promise<ProbeResult[]> {
  const probing = BACKENDS.map(async ({ name, title, platforms, native }): Promise<ProbeResult> => {
    if (!platforms.includes(process.platform)) {
      return {
        backend: name,
        title,
        available: false,
        code: 'RINGTAP_BACKEND_MISSING',
        reason: `${name} does not exist on ${process.platform}`,
        detail: '',
      };
    }
    const { available, detail, error } = await addon().probe(native ?? name);
    if (error === undefined) return { backend: name, title, available, detail };
    const { code, message, hint } = wrapNative(error, name) as CaptureError;
    return { backend: name, title, available, code, reason: message, hint, detail };
  });
  return Promise.all(probing);
}
