import { show } from '../errors/printable.js';
import type { OptionSchema } from '../generated/schema.js';

/** Queues that a list may spell out. */
const MOST_QUEUES = 65536;

/** Queues as the addon takes them: numbers in ascending order, or all. */
export type Queues = readonly number[] | 'all';

/** What an option of queues says, or why it cannot. */
export function readQueues(option: OptionSchema, value: unknown): Queues | { readonly fault: string } {
  const queues = parseQueues(value);
  const { max = 65535, most = MOST_QUEUES, fromZero = false } = option;
  if (queues === undefined) {
    return { fault: `must be ${fromZero ? '' : 'all, '}a queue, a list or a range, not ${shown(value)}` };
  }
  const last = queues === 'all' ? 0 : queues.at(-1)!;
  if (last > max) return { fault: `names queue ${last}; the last one there can be is ${max}` };
  if (fromZero && (queues === 'all' || last !== queues.length - 1)) {
    const example = queues === 'all' || last === 0 ? '0-3 are four' : `${last} queues are ${spell(last)}`;
    return { fault: `must name the queues from 0 on without a gap, not ${shown(value)}: ${example}` };
  }
  if (queues !== 'all' && queues.length > most) {
    return { fault: `must be all or ${most === 1 ? 'one queue' : `up to ${most} queues`}, not ${shown(value)}` };
  }
  return queues;
}

/** A value as it was given: of a list its first elements. */
function shown(value: unknown): string {
  if (!Array.isArray(value)) return show(value);
  if (value.length === 0) return 'an empty list';
  return `[${Array.from(value.slice(0, 8), show).join(', ')}${value.length > 8 ? ', …' : ''}]`;
}

const spell = (count: number): string => (count === 1 ? '0' : `0-${count - 1}`);

/** The queues that a mere count of them means. */
export const firstQueues = (count: number): readonly number[] => Array.from({ length: count }, (_, queue) => queue);

function parseQueues(value: unknown): Queues | undefined {
  if (value === 'all') return 'all';
  const parts: readonly unknown[] =
    typeof value === 'string' ? value.split(',') : Array.isArray(value) ? value : [value];
  if (parts.length > MOST_QUEUES) return undefined;
  const queues = new Set<number>();
  let spelt = 0;
  for (const part of parts) {
    if (typeof part !== 'string' && typeof part !== 'number') return undefined;
    const range = /^\s*(\d{1,5})(?:-(\d{1,5}))?\s*$/.exec(String(part));
    if (range === null) return undefined;
    const first = Number(range[1]);
    const last = Number(range[2] ?? first);
    spelt += last - first + 1;
    if (last < first || spelt > MOST_QUEUES) return undefined;
    for (let queue = first; queue <= last; queue++) queues.add(queue);
  }
  return queues.size === 0 ? undefined : [...queues].sort((a, b) => a - b);
}
