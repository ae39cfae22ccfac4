import { closest, distance } from 'fastest-levenshtein';

/** Letters of a name that is compared. */
const MOST_NAME = 64;
/** The fewest letters that say which longer name was meant. */
const LEAST_BEGINNING = 3;

/**
 * The name that was meant by another one: one that it begins (`promisc`, `buffer`), or differs from in few letters.
 * Undefined where none is near: a guess that does not fit is worse than none. Never the name itself.
 */
export function nearestName(name: string, names: readonly string[]): string | undefined {
  const key = plain(name);
  const others = names.filter((other) => other !== name);
  const keys = others.map(plain);
  if (key === '' || others.length === 0) return undefined;
  const same = keys.indexOf(key);
  if (same >= 0) return others[same];
  const near = closest(key, keys);
  if (distance(key, near) <= Math.max(1, Math.floor(key.length / 3))) return others[keys.indexOf(near)];
  const begun = keys.findIndex((other) => key.length >= LEAST_BEGINNING && other.startsWith(key));
  if (begun >= 0) return others[begun];
  return distance(key, near) <= key.length / 2 ? others[keys.indexOf(near)] : undefined;
}

/** Without what people write one way or another: `snap_len`, `Buffer-Bytes`. */
function plain(name: string): string {
  return name.slice(0, MOST_NAME).toLowerCase().replace(/[-_]/g, '');
}
