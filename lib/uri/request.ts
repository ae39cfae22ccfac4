import type { MethodName, OpenOptions } from '../generated/options.js';
import { BACKENDS } from '../generated/schema.js';
import { ownOptions, signalOf } from './options.js';
import { type Settings, settingsOf } from './settings.js';
import { type ParsedUri, parseUri, schemaOf } from './uri.js';
import { check } from './values.js';

/** A URI and its options, read once and checked: all that is left to do is to open it. */
export interface Request extends Pick<ParsedUri, 'uri' | 'scheme' | 'target'> {
  /** Ends the opening, and the capture. */
  readonly signal: AbortSignal | undefined;
  /** Whether another method may be taken where the host lacks the one asked for. */
  readonly fallback: boolean;
  /** The methods that may be tried, best first. */
  readonly candidates: readonly [MethodName, ...MethodName[]];
  /**
   * The options of one of the candidates. Of the first they are known to be good.
   * @throws CaptureError where another one cannot have what was asked for
   */
  settings(method: MethodName): Settings;
}

/** What `auto:` tries, best first. */
const AUTO = BACKENDS.filter(({ auto }) => auto !== undefined)
  .sort((a, b) => a.auto! - b.auto!)
  .map(({ name }) => name);

/**
 * Reads a URI and an options object: what stands in them later, or is planted in a prototype, changes nothing.
 * @param strict there is to be no fallback, whatever the options say
 * @throws CaptureError for what means nothing, or nothing to the method asked for, whichever one is taken in the end
 */
export function resolve(uri: string, options: unknown, strict = false): Request {
  const parsed = parseUri(uri);
  const own = ownOptions(parsed, options);
  const signal = signalOf(parsed, own);
  const fallback = wantsFallback(parsed, own) && !strict;
  const methods = candidatesFor(parsed.scheme, fallback);
  const [asked] = methods;
  const known = settingsOf(parsed, own, asked);
  const candidates: Request['candidates'] = namesOwnTarget(asked, known) ? [asked] : methods;
  const settings = (method: MethodName) => (method === asked ? known : settingsOf(parsed, own, method, asked));
  const { scheme, target } = parsed;
  return { uri, scheme, target, signal, fallback, candidates, settings };
}

/** `fallback` from the options or the URI. */
function wantsFallback(parsed: ParsedUri, options: OpenOptions): boolean {
  const { fallback: value = parsed.params.get('fallback') ?? true } = options;
  return check(parsed, { name: 'fallback', type: 'boolean', doc: '' }, value) as boolean;
}

/** Whether an option makes the target one that only this method reads: another one would capture something else. */
function namesOwnTarget(method: MethodName, { values }: Settings): boolean {
  const options = schemaOf(method)?.options ?? [];
  return options.some(({ name, ownTarget, default: usual }) => ownTarget === true && values[name] !== usual);
}

function candidatesFor(scheme: ParsedUri['scheme'], fallback: boolean): Request['candidates'] {
  if (scheme === 'auto') return AUTO as [MethodName, ...MethodName[]];
  if (!fallback) return [scheme];
  return [scheme, ...(schemaOf(scheme)?.fallback ?? [])];
}
