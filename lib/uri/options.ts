import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import type { OpenOptions } from '../generated/options.js';
import type { ParsedUri } from './uri.js';

/**
 * The options as they are now: own properties only, each read once, so that nothing that was planted in a prototype is
 * an option, and nothing changes between its check and its use.
 */
export function ownOptions(
  { uri }: Pick<ParsedUri, 'uri'>,
  options: unknown = {},
): OpenOptions & Readonly<Record<string, unknown>> {
  if (typeof options !== 'object' || options === null) {
    throw new CaptureError('RINGTAP_BAD_OPTION', `${uri}: options are an object, not ${show(options)}`, { uri });
  }
  try {
    // A list or a Map would pass for an object without options.
    if (Reflect.has(options, Symbol.iterator)) throw new TypeError('they are a list');
    return Object.assign(Object.create(null), options);
  } catch (cause) {
    throw new CaptureError('RINGTAP_BAD_OPTION', `${uri}: the options cannot be read`, { uri, cause });
  }
}

/** `signal` from the options. */
export function signalOf(
  at: Pick<ParsedUri, 'uri' | 'params'>,
  { signal }: { readonly signal?: unknown },
): AbortSignal | undefined {
  if (at.params.has('signal')) throw bad(at, 'signal', 'goes into the options object, not the URI');
  if (signal === undefined || isSignal(signal)) return signal;
  throw bad(at, 'signal', 'must be an AbortSignal');
}

function isSignal(value: unknown): value is AbortSignal {
  try {
    return typeof Reflect.get(AbortSignal.prototype, 'aborted', value) === 'boolean';
  } catch {
    return false; // an object that at most looks like one
  }
}

/** What is wrong with an option. */
export function bad({ uri }: Pick<ParsedUri, 'uri'>, name: string, what: string): CaptureError {
  return new CaptureError('RINGTAP_BAD_OPTION', `${uri}: option ${name} ${what}`, { uri });
}
