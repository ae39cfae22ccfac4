// Moments, as options and the command line say them: to the nanosecond.

const UNITS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
  d: 86_400_000_000_000n,
};
const SECOND = 1_000_000_000n;
/** What a time in ns of 64 bits holds, with a second to spare. */
const MOST_NS = 2n ** 63n - SECOND;

/** How a moment may be written. */
export const MOMENTS =
  'a time such as 2026-11-30T10:00:00.5Z, 1795000000.5 (seconds since 1970), -10m (before now) or +90s (after the first packet)';

/** A moment: ns since 1970, or after the first packet. */
interface Moment {
  readonly ns: bigint;
  readonly isAfterFirst: boolean;
}

/** "1.5" → 1500000000n */
function nanoseconds(digits: string, unit: bigint): bigint {
  const [whole = '', fraction = ''] = digits.split('.');
  return BigInt(whole || '0') * unit + (BigInt(fraction.padEnd(9, '0').slice(0, 9)) * unit) / SECOND;
}

/** ns; of a text such as 10s, -1.5h, 250us. Undefined: it is none. */
function readSpan(text: string): bigint | undefined {
  const match = /^([+-]?)(\d{1,15}(?:\.\d+)?)(ns|us|ms|s|m|h|d)?$/.exec(text);
  if (match === null) return undefined;
  const ns = nanoseconds(match[2]!, UNITS[match[3] ?? 's']!);
  return match[1] === '-' ? -ns : ns;
}

/** What stands for a moment, relative ones to `now` (ns since 1970). Undefined: nothing that is one. */
export function readMoment(value: unknown, now = () => BigInt(Date.now()) * 1_000_000n): Moment | undefined {
  const moment = read(value, now);
  return moment !== undefined && moment.ns < MOST_NS && moment.ns > -MOST_NS ? moment : undefined;
}

function read(value: unknown, now: () => bigint): Moment | undefined {
  if (value instanceof Date) {
    const ms = value.getTime();
    return Number.isNaN(ms) ? undefined : { ns: BigInt(ms) * 1_000_000n, isAfterFirst: false };
  }
  const text = typeof value === 'number' && Number.isFinite(value) ? plain(value) : value;
  if (typeof text !== 'string') return undefined;
  // What a URI made of a plus sign is meant as one.
  if (/^[+ ]/.test(text)) {
    const ns = readSpan(text.slice(1));
    return ns === undefined || ns < 0n ? undefined : { ns, isAfterFirst: true };
  }
  if (/^\d{1,12}(\.\d+)?$/.test(text)) return { ns: nanoseconds(text, SECOND), isAfterFirst: false };
  if (/^-.*[a-z]$/.test(text)) {
    const ns = readSpan(text);
    return ns === undefined ? undefined : { ns: now() + ns, isAfterFirst: false };
  }
  const match = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(Z|[+-]\d\d:?\d\d)?$/.exec(text);
  if (match === null) return undefined;
  const [, date, time = '00:00', seconds = '00', fraction = '', zone = 'Z'] = match;
  const ms = Date.parse(`${date}T${time}:${seconds}${zone.replace(/(\d\d)(\d\d)$/, '$1:$2')}`);
  if (Number.isNaN(ms)) return undefined;
  return { ns: BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0')), isAfterFirst: false };
}

/** A number without an exponent. */
const plain = (value: number): string => (Math.abs(value) < 1e12 ? value.toFixed(6) : 'too large');

/** A moment as the addon takes it, and any reader understands it: `1795000000.500000000`, or `+90.000000000`. */
export function momentText({ ns, isAfterFirst }: Moment): string {
  const sign = ns < 0n ? '-' : isAfterFirst ? '+' : '';
  const absolute = ns < 0n ? -ns : ns;
  return `${sign}${absolute / SECOND}.${String(absolute % SECOND).padStart(9, '0')}`;
}
