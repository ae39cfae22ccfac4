import { closest, distance } from 'fastest-levenshtein';
import { CaptureError, warn } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import type { FilterProgram, OpenOptions } from '../generated/options.js';
import { type BackendSchema, OPEN_OPTIONS, type OptionSchema } from '../generated/schema.js';
import { firstQueues, readQueues } from './queues.js';
import { faultIn, type ParsedUri, schemaOf } from './uri.js';

/** The value of an option after validation. */
export type OptionValue = number | boolean | string | readonly number[];

/** Options after validation: defaults filled in, every value of the type its schema says. */
export interface Settings {
  readonly values: Readonly<Record<string, OptionValue>>;
  readonly filter: string | FilterProgram | undefined;
  /** What was given but means nothing to this backend, as a note says it; only after a fallback. */
  readonly ignored: readonly string[];
}

/** Characters of an option's text; a filter may be as long as the compiler takes it. */
const MOST_TEXT = 65536;
/** Instructions that a list may have: far more than a filter may. */
const MOST_INSNS = 65536;

const UNITS: Readonly<Record<string, number>> = { k: 1 << 10, m: 1 << 20, g: 1 << 30 };

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

/**
 * Checks that every name is one that `open()` or the named backend knows, and every value is valid.
 * @param asked the backend that the URI asks for: what another one lacks is left out
 */
export function validate(parsed: ParsedUri, options: OpenOptions, backend: string, asked = backend): Settings {
  const schema = schemaOf(backend);
  if (schema === undefined) return { values: {}, filter: undefined, ignored: [] };
  const lenient = backend !== asked;
  const given = new Map<string, unknown>(parsed.params);
  for (const [name, value] of Object.entries(options)) if (value !== undefined) given.set(name, value);
  rename(parsed, given, schemaOf(asked));

  const values: Record<string, OptionValue> = {};
  const ignored: string[] = [];
  const rest: string[] = [];
  let filter: Settings['filter'];
  for (const option of schema.options) {
    if (option.default !== undefined) values[option.name] = check(parsed, option, option.default);
  }
  for (const [name, value] of given) {
    if (OPEN_OPTIONS.includes(name)) continue;
    const option = schema.options.find((candidate) => candidate.name === name);
    if (option === undefined) {
      if (schema.rest !== undefined && parsed.params.has(name) && !Object.hasOwn(options, name)) {
        rest.push(`${name}=${value}`);
        continue;
      }
      if (!lenient) throw unknownOption(parsed, name, backend, schema.options);
      ignored.push(`has no option ${name}`);
    } else if (option.from === 'object' && parsed.params.has(name)) {
      throw bad(parsed, name, 'goes into the options object, not the URI');
    } else if (option.type === 'filter') {
      filter = guarded(parsed, name, () => checkFilter(parsed, value));
    } else {
      try {
        values[name] = guarded(parsed, name, () => check(parsed, option, value));
      } catch (error) {
        if (!lenient) throw error;
        ignored.push(`does not take ${name}=${show(value)}`);
      }
    }
  }
  // What the schema does not know goes on to the driver behind the backend.
  if (schema.rest !== undefined && rest.length > 0) {
    values[schema.rest] = [...rest, values[schema.rest]].filter((part) => part !== '').join(',');
  }
  return { values, filter, ignored };
}

const warnedOf = new Set<string>();

/** Puts what was given by an older name under its present one. The first time a process hears of it. */
function rename(parsed: ParsedUri, given: Map<string, unknown>, schema: BackendSchema | undefined): void {
  for (const option of schema?.options ?? []) {
    for (const [old, how] of Object.entries(option.was ?? {})) {
      if (!given.has(old)) continue;
      if (given.has(option.name)) {
        throw bad(parsed, old, `is what ${option.name} was called: give one of them`);
      }
      const value = given.get(old);
      const count = { ...option, name: old, type: 'integer', min: 1, max: (option.max ?? 65535) + 1 } as const;
      given.set(
        option.name,
        how === 'count' ? guarded(parsed, old, () => firstQueues(check(parsed, count, value) as number)) : value,
      );
      given.delete(old);
      if (warnedOf.has(`${schema?.name}:${old}`)) continue;
      warnedOf.add(`${schema?.name}:${old}`);
      const now = how === 'count' ? `${option.name} (${old}=4 is ${option.name}=0-3)` : option.name;
      warn('RINGTAP_RENAMED_OPTION', `${schema?.name}: the option ${old} is called ${now} now`, 'DeprecationWarning');
    }
  }
}

/** `fallback` from the options or the URI. */
export function wantsFallback(parsed: ParsedUri, options: OpenOptions): boolean {
  const { fallback: value = parsed.params.get('fallback') ?? true } = options;
  return check(parsed, { name: 'fallback', type: 'boolean', doc: '' }, value) as boolean;
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

function unknownOption(
  parsed: ParsedUri,
  name: string,
  backend: string,
  options: readonly OptionSchema[],
): CaptureError {
  const names = [...options.map((option) => option.name), ...OPEN_OPTIONS];
  const near = closest(name.slice(0, 64), names);
  const guess = distance(name.slice(0, 64), near) <= Math.max(1, name.length / 2) ? `Did you mean "${near}"? ` : '';
  return new CaptureError('RINGTAP_UNKNOWN_OPTION', `${parsed.uri}: ${backend}: has no option "${name}"`, {
    uri: parsed.uri,
    backend,
    hint: `${guess}Options of ${backend}: ${names.join(', ')}`,
  });
}

function bad({ uri }: Pick<ParsedUri, 'uri'>, name: string, what: string): CaptureError {
  return new CaptureError('RINGTAP_BAD_OPTION', `${uri}: option ${name} ${what}`, { uri });
}

/** What a value does when it is looked at, such as a getter in a list, is a fault of the value. */
function guarded<T>(parsed: ParsedUri, name: string, look: () => T): T {
  try {
    return look();
  } catch (cause) {
    if (cause instanceof CaptureError) throw cause;
    throw new CaptureError('RINGTAP_BAD_OPTION', `${parsed.uri}: option ${name} cannot be read`, {
      uri: parsed.uri,
      cause,
    });
  }
}

function check(parsed: ParsedUri, option: OptionSchema, value: unknown): OptionValue {
  const shown = show(value);
  if (typeof value === 'string') {
    const fault = value.length > MOST_TEXT ? `may have ${MOST_TEXT} characters, not ${value.length}` : faultIn(value);
    if (fault !== undefined) throw bad(parsed, option.name, `is refused: ${fault}`);
  }
  switch (option.type) {
    case 'boolean':
      if (typeof value === 'boolean') return value;
      if (value === 'true' || value === '1') return true;
      if (value === 'false' || value === '0') return false;
      throw bad(parsed, option.name, `must be true or false, not ${shown}`);
    case 'choice':
      if (typeof value === 'string' && option.values?.includes(value)) return value;
      throw bad(parsed, option.name, `must be one of ${option.values?.join(', ')}, not ${shown}`);
    case 'string':
      if (typeof value === 'string') return value;
      if (typeof value === 'number') return String(value);
      throw bad(parsed, option.name, `must be a string, not ${shown}`);
    case 'queues':
      return checkQueues(parsed, option, value);
    default: {
      const number = typeof value === 'string' ? parseNumber(value) : value;
      const whole = option.type === 'integer' ? 'a whole number' : 'a number';
      if (
        typeof number !== 'number' ||
        !Number.isFinite(number) ||
        (option.type === 'integer' && !Number.isInteger(number))
      ) {
        throw bad(parsed, option.name, `must be ${whole}, not ${shown}`);
      }
      const { min = -Infinity, max = Infinity, unit } = option;
      if (number < min || number > max) {
        throw bad(parsed, option.name, `must be ${min} to ${max}${unit ? ` ${unit}` : ''}, not ${number}`);
      }
      return number;
    }
  }
}

function checkQueues(parsed: ParsedUri, option: OptionSchema, value: unknown): OptionValue {
  const queues = readQueues(option, value);
  if (typeof queues === 'object' && 'fault' in queues) throw bad(parsed, option.name, queues.fault);
  return queues;
}

function parseNumber(text: string): number {
  const match = /^(-?\d+(?:\.\d+)?(?:e\d+)?)([kmg])?$/i.exec(text.trim());
  if (match?.[1] === undefined) return Number.NaN;
  return Number(match[1]) * (UNITS[match[2]?.toLowerCase() ?? ''] ?? 1);
}

function checkFilter(parsed: ParsedUri, value: unknown): string | FilterProgram | undefined {
  if (typeof value === 'string') {
    const fault = faultIn(value);
    if (fault !== undefined) throw badFilter(parsed, fault);
    return value.trim() === '' ? undefined : value;
  }
  const most = [0xffff, 0xff, 0xff, 0xffffffff];
  // Copied before it is checked: nothing changes in between.
  const copied = (row: unknown): unknown[] => (Array.isArray(row) && row.length === 4 ? [...row] : []);
  const isInsn = (row: unknown[]) =>
    row.length === 4 && row.every((n, i) => Number.isInteger(n) && (n as number) >= 0 && (n as number) <= most[i]!);
  if (Array.isArray(value) && value.length > 0 && value.length <= MOST_INSNS) {
    const rows = Array.from(value, copied);
    if (rows.every(isInsn)) return rows as unknown as FilterProgram;
  }
  throw badFilter(parsed, 'it must be an expression or a program [[code, jt, jf, k], …]');
}

function badFilter(parsed: ParsedUri, what: string): CaptureError {
  return new CaptureError('RINGTAP_BAD_FILTER', `${parsed.uri}: filter: ${what}`, { uri: parsed.uri });
}

/** A program as the addon takes it. */
export function flatten(filter: string | FilterProgram | undefined): string | Uint32Array | undefined {
  return typeof filter === 'object' ? Uint32Array.from(filter.flat()) : filter;
}
