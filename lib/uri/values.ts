import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import type { FilterProgram, RemoteAuth } from '../generated/options.js';
import type { OptionSchema } from '../generated/schema.js';
import { bad } from './options.js';
import { readQueues } from './queues.js';
import { MOMENTS, momentText, readMoment } from './times.js';
import { faultIn, type ParsedUri } from './uri.js';

/** The value of an option after validation; a number is in the unit of its option. */
export type OptionValue = number | boolean | string | readonly number[];

/** Characters of an option's text; a filter may be as long as the compiler takes it. */
const MOST_TEXT = 65536;
/** Instructions that a list may have: far more than a filter may. */
const MOST_INSNS = 65536;

const UNITS: Readonly<Record<string, number>> = { k: 1 << 10, m: 1 << 20, g: 1 << 30 };

/** A value as its schema says it must be, or `RINGTAP_BAD_OPTION`. */
export function check(parsed: ParsedUri, option: OptionSchema, value: unknown): OptionValue {
  const shown = show(value);
  const refused = (what: string) => bad(parsed, option.name, what, usageOf(option));
  if (typeof value === 'string') {
    const fault = value.length > MOST_TEXT ? `may have ${MOST_TEXT} characters, not ${value.length}` : faultIn(value);
    if (fault !== undefined) throw bad(parsed, option.name, `is refused: ${fault}`);
  }
  switch (option.type) {
    case 'boolean':
      if (typeof value === 'boolean') return value;
      if (value === 'true' || value === '1') return true;
      if (value === 'false' || value === '0') return false;
      throw refused(`must be true or false, not ${shown}`);
    case 'choice':
      if (typeof value === 'string' && option.values?.includes(value)) return value;
      throw refused(`must be one of ${option.values?.join(', ')}, not ${shown}`);
    case 'string':
      if (typeof value === 'string') return value;
      if (typeof value === 'number') return String(value);
      throw refused(`must be a string, not ${shown}`);
    case 'time': {
      const moment = readMoment(value);
      if (moment === undefined) throw refused(`must be ${MOMENTS}, not ${shown}`);
      return momentText(moment);
    }
    case 'queues':
      return checkQueues(parsed, option, value);
    case 'words':
      return checkWords(parsed, option, value);
    default: {
      const number = typeof value === 'string' ? parseNumber(value) : value;
      const whole = option.type === 'integer' ? 'a whole number' : 'a number';
      if (
        typeof number !== 'number' ||
        !Number.isFinite(number) ||
        (option.type === 'integer' && !Number.isInteger(number))
      ) {
        throw refused(`must be ${whole}, not ${shown}`);
      }
      const { min = -Infinity, max = Infinity, unit } = option;
      if (number < min || number > max) {
        throw refused(`must be ${min} to ${max}${unit ? ` ${unit}` : ''}, not ${number}`);
      }
      return number;
    }
  }
}

function checkQueues(parsed: ParsedUri, option: OptionSchema, value: unknown): OptionValue {
  const queues = readQueues(option, value);
  if (typeof queues === 'object' && 'fault' in queues) {
    throw bad(parsed, option.name, queues.fault, usageOf(option));
  }
  return queues;
}

/** One word for all of them, or some of them, as a list or with commas in between: the latter is what it becomes. */
function checkWords(parsed: ParsedUri, option: OptionSchema, value: unknown): OptionValue {
  const { values = [], all = '' } = option;
  if (value === all) return all;
  const given: readonly unknown[] =
    typeof value === 'string' ? value.split(',') : Array.isArray(value) ? value : [value];
  // One more than there may be: a list can claim billions of holes.
  const words = given.slice(0, values.length + 1);
  const wrong = words.find((word) => typeof word !== 'string' || !values.includes(word));
  if (words.length === 0 || wrong !== undefined || given.length > values.length) {
    const what = words.length === 0 ? 'an empty list' : wrong === undefined ? `${given.length} of them` : show(wrong);
    throw bad(parsed, option.name, `must be ${all}, or some of ${values.join(', ')}, not ${what}`, usageOf(option));
  }
  return [...new Set(words)].join(',');
}

/** What an option is for, and what it takes. */
function usageOf({ name, doc, values, all, min, max, unit, default: usual }: OptionSchema): string | undefined {
  if (doc === '') return undefined;
  const facts = [
    ...(all === undefined ? [] : [`${all}, or some of ${values?.join(', ')}`]),
    ...(values === undefined || all !== undefined ? [] : [`one of ${values.join(', ')}`]),
    ...(min === undefined ? [] : [`${min} to ${max}${unit === undefined ? '' : ` ${unit}`}`]),
    ...(usual === undefined ? [] : [`default ${usual === '' ? 'none' : usual}`]),
  ];
  return `${name}: ${doc}${facts.length === 0 ? '' : ` (${facts.join('; ')})`}`;
}

function parseNumber(text: string): number {
  const match = /^(-?\d+(?:\.\d+)?(?:e\d+)?)([kmg])?$/i.exec(text.trim());
  if (match?.[1] === undefined) return Number.NaN;
  return Number(match[1]) * (UNITS[match[2]?.toLowerCase() ?? ''] ?? 1);
}

/** A filter; none where it is blank. */
export function checkFilter(parsed: Pick<ParsedUri, 'uri'>, value: unknown): string | FilterProgram | undefined {
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

/** A user and a password, which no message quotes. */
export function checkAuth(parsed: ParsedUri, value: unknown): RemoteAuth {
  const own: { user?: unknown; password?: unknown } =
    typeof value === 'object' && value !== null ? Object.assign(Object.create(null), value) : {};
  const { user, password } = own;
  if (typeof user !== 'string' || typeof password !== 'string') {
    throw bad(parsed, 'auth', 'must be an object { user, password } of two strings');
  }
  for (const text of [user, password]) {
    if (faultIn(text) !== undefined || Buffer.byteLength(text) > 0xffff) {
      throw bad(parsed, 'auth', 'must be of text without NUL characters, of up to 65535 bytes each');
    }
  }
  return { user, password };
}

function badFilter(parsed: Pick<ParsedUri, 'uri'>, what: string): CaptureError {
  return new CaptureError('RINGTAP_BAD_FILTER', `${parsed.uri}: filter: ${what}`, { uri: parsed.uri });
}

/** What a value does when it is looked at, such as a getter in a list, is a fault of the value. */
export function guarded<T>(parsed: Pick<ParsedUri, 'uri'>, name: string, look: () => T): T {
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

/** A program as the addon takes it. */
export function flatten(filter: string | FilterProgram | undefined): string | Uint32Array | undefined {
  return typeof filter === 'object' ? Uint32Array.from(filter.flat()) : filter;
}
