// Times on the command line, to the nanosecond.
import { InvalidArgumentError } from 'commander';

const UNITS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
  d: 86_400_000_000_000n,
};

/** "1.5" → 1500000000n */
function nanoseconds(digits: string, unit: bigint): bigint {
  const [whole = '', fraction = ''] = digits.split('.');
  return BigInt(whole || '0') * unit + (BigInt(fraction.padEnd(9, '0').slice(0, 9)) * unit) / 1_000_000_000n;
}

/** @returns ns; of a text such as 10s, -1.5h, 250us */
export function parseSpan(text: string): bigint {
  const match = /^([+-]?)(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d)?$/.exec(text);
  if (match === null) throw new InvalidArgumentError('Expected a time such as 10s, -1.5h or 250us.');
  const ns = nanoseconds(match[2]!, UNITS[match[3] ?? 's']!);
  return match[1] === '-' ? -ns : ns;
}

/** 2026-11-30 10:00:00.123456789 */
export function isoNs(ns: bigint): string {
  const second = ns / 1_000_000_000n - (ns % 1_000_000_000n < 0n ? 1n : 0n);
  const fraction = String(ns - second * 1_000_000_000n).padStart(9, '0');
  const date = new Date(Number(second) * 1000);
  return `${date.toISOString().slice(0, 19).replace('T', ' ')}.${fraction}`;
}
