// The words of a plan and a ledger stand in one table each, and the native code says exactly these.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LINKTYPE, linkTypeName } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { root } from '../support/child.js';

interface Word {
  readonly word: string;
}
const json = (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8'));
const table = json('native/core/vocabulary.json') as Record<'modes' | 'placements' | 'clocks' | 'drops', Word[]>;
const words = (name: keyof typeof table) => table[name].map(({ word }) => word).sort();

const backends = readdirSync(join(root, 'native/backends'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

/** The C++ of a folder, without comments. */
function sourceOf(folder: string): string {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.(cc|h)$/.test(path))
    .map((path) => readFileSync(join(root, folder, path), 'utf8').replace(/^\s*\/\/.*$/gm, ''))
    .join('\n');
}

/** Texts in what a pattern finds, but those that something is compared with. */
const textsIn = (source: string, pattern: RegExp): string[] =>
  [...source.matchAll(pattern)].flatMap(([, found]) =>
    [...found!.replace(/[!=]= "[^"]*"/g, '').matchAll(/"([^"]*)"/g)].map(([, text]) => text!),
  );
const distinct = (texts: readonly string[]) => [...new Set(texts)].sort();
const everywhere = backends.map((name) => sourceOf(`native/backends/${name}`)).join('\n');

describe('the native code', () => {
  test('says each mode of the table, and no other', () => {
    expect(distinct(textsIn(everywhere, /\binfo_?\.mode = ([^;]+);/g))).toEqual(words('modes'));
  });

  test('says each clock of the table, and no other', () => {
    const assigned = textsIn(everywhere, /\btimestamp_source = ([^;]+);/g);
    const returned = textsIn(everywhere, /\bBurstClock::source\(\) const \{([^}]+)\}/g);
    expect(distinct([...assigned, ...returned])).toEqual(words('clocks'));
  });

  test('says each filter placement of the table, and no other', () => {
    const named = textsIn(sourceOf('native/addon'), /\bname_of\(FilterPlace \w+\) \{([\s\S]+?)\n\}/g);
    expect(distinct(named)).toEqual(words('placements'));
  });

  test.each(backends)('of %s: names the causes of its backend.json, and no other', (name) => {
    const { drops = {} } = json(`native/backends/${name}/backend.json`) as { drops?: Record<string, string> };
    const named = textsIn(sourceOf(`native/backends/${name}`), /\bdrops = (\{\{[^;]*?\}\})/g);
    expect(distinct(named)).toEqual(Object.keys(drops).sort());
  });

  test('has a backend for each cause of the table', () => {
    const causes = backends.flatMap((name) => Object.keys(json(`native/backends/${name}/backend.json`).drops ?? {}));
    expect(distinct(causes)).toEqual(words('drops'));
  });
});

describe('link types', () => {
  test('have one number and one name each', () => {
    const numbers = Object.values(LINKTYPE);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(LINKTYPE).toMatchObject({ NULL: 0, ETHERNET: 1, RAW: 101, LINUX_SLL: 113, IPV4: 228, LINUX_SLL2: 276 });
  });

  test('are told in words, whatever a trace says', () => {
    expect(linkTypeName(LINKTYPE.ETHERNET)).toBe('Ethernet');
    expect(linkTypeName(LINKTYPE.LINUX_SLL2)).toBe('Linux cooked v2');
    expect(linkTypeName(65000)).toBe('link type 65000');
  });

  test('of the C++ sources are in the table, with the same numbers', () => {
    const numbers = new Set<number>(Object.values(LINKTYPE));
    const source = `${sourceOf('native/core')}${sourceOf('native/format')}${sourceOf('native/linux')}`;
    const listed = [...source.matchAll(/\bkLink[A-Z]\w* = (\d+)/g)].map(([, value]) => Number(value));
    expect(listed.length).toBeGreaterThan(3);
    expect(listed.filter((value) => !numbers.has(value))).toEqual([]);
  });
});
