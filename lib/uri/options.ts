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
  what = 'options are an object',
): OpenOptions & Readonly<Record<string, unknown>> {
  const hint = 'Write an object with a member for each option: { name: value }, or leave it out.';
  const no = (given: string) => new CaptureError('RINGTAP_BAD_OPTION', `${uri}: ${what}, not ${given}`, { uri, hint });
  if (typeof options !== 'object' || options === null) throw no(show(options));
  // These would pass for an object without options.
  if (isSignal(options)) throw no('the signal itself: write { signal }');
  let isList: boolean;
  try {
    isList = Reflect.has(options, Symbol.iterator);
    if (!isList) return Object.assign(Object.create(null), options);
  } catch (cause) {
    throw new CaptureError('RINGTAP_BAD_OPTION', `${uri}: the options cannot be read`, { uri, hint, cause });
  }
  throw no('a list');
}

/** What `method()` was given as its options, which may have these names only. */
export function callOptions(
  at: Pick<ParsedUri, 'uri'>,
  method: string,
  options: unknown,
  names: readonly string[],
): Readonly<Record<string, unknown>> & { readonly signal?: AbortSignal | undefined } {
  const own = ownOptions(at, options, `${method}(): options are an object { ${names.join(', ')} }`);
  for (const name of Object.keys(own)) {
    if (names.includes(name)) continue;
    throw new CaptureError('RINGTAP_UNKNOWN_OPTION', `${at.uri}: ${method}() has no option "${name}"`, {
      uri: at.uri,
      hint: `Options of ${method}(): ${names.join(', ')}`,
    });
  }
  signalOf({ uri: at.uri, params: new Map() }, own);
  return own;
}

/** `signal` from the options. */
export function signalOf(
  at: Pick<ParsedUri, 'uri' | 'params'>,
  { signal }: { readonly signal?: unknown },
): AbortSignal | undefined {
  if (at.params.has('signal')) throw bad(at, 'signal', 'goes into the options object, not the URI');
  if (signal === undefined || isSignal(signal)) return signal;
  throw bad(at, 'signal', `must be an AbortSignal, not ${show(signal)}`);
}

function isSignal(value: unknown): value is AbortSignal {
  try {
    // WHY: where options have no signal, the getter's error would cost more than all else that is done with them.
    if (typeof value !== 'object' || value === null || !('aborted' in value)) return false;
    return typeof Reflect.get(AbortSignal.prototype, 'aborted', value) === 'boolean';
  } catch {
    return false; // an object that at most looks like one
  }
}

const HELP = 'Run `ringtap help uri` for the options of each scheme, their types, ranges and defaults.';

/** What is wrong with an option. */
export function bad({ uri }: Pick<ParsedUri, 'uri'>, name: string, what: string, hint = HELP): CaptureError {
  return new CaptureError('RINGTAP_BAD_OPTION', `${uri}: option ${name} ${what}`, { uri, hint });
}
