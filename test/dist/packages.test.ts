// What npm packs of each package of this repository: all that it promises, and nothing else.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { root } from '../support/child.js';
import { temporaryFolder } from '../support/folder.js';
import { folders, manifestOf, type Packed, pack } from '../support/packed.js';

const path = temporaryFolder();
let packed: Packed;

beforeAll(async () => {
  packed = await pack(path('.'));
});

/** Every path that an exports map leads to. */
const targets = (exports: unknown): string[] =>
  typeof exports === 'string' ? [exports] : Object.values(exports as object).flatMap(targets);

describe.each(folders.map((folder) => manifestOf(folder)))('$name', (manifest) => {
  const files = () => packed.get(manifest.name)!.files;

  test('has its licence, its README and all that its exports lead to', () => {
    const promised = [...targets(manifest.exports), ...Object.values<string>(manifest.bin ?? {}), manifest.types]
      .map((target) => target.replace(/^\.\//, ''))
      .filter((target) => !target.includes('*'));
    expect(promised.length).toBeGreaterThan(1);
    expect(files()).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'package.json', ...promised]));
  });

  test('has no map without its source, no test, no build of the clone, and nothing that is not meant to be', () => {
    const has = new Set(files());
    for (const file of has) {
      expect(file).not.toMatch(/(^|\/)(test|fuzz|node_modules|build)\/|\/conformance\.|\.test\.|tsbuildinfo|(^|\/)\.[^/]+$|\.node$/);
      if (!file.endsWith('.map')) continue;
      const map = JSON.parse(readFileSync(join(root, manifestFolder(manifest.name), file), 'utf8'));
      for (const source of map.sources) expect(has, `${file} points to ${source}`).toContain(join(file, '..', source));
    }
    for (const file of files().filter((name) => name.startsWith('dist/'))) {
      // A file whose source was moved or deleted lies in dist/ until it is built anew.
      const source = file.replace(/^dist\//, 'lib/').replace(/(\.d\.ts|\.js)(\.map)?$/, '.ts');
      expect(existsSync(join(root, manifestFolder(manifest.name), source)), `${file} has no source`).toBe(true);
    }
  });

  test('says what it is: licence, engines, description, module', () => {
    expect(manifest).toMatchObject({ license: 'MIT', type: 'module', version: manifestOf('.').version });
    expect(manifest.engines).toEqual(manifestOf('.').engines);
    expect(manifest.description.length).toBeGreaterThan(20);
    expect(manifest.private).toBeUndefined();
  });
});

const manifestFolder = (name: string) => folders.find((folder) => manifestOf(folder).name === name)!;

test('the core needs no more than five small packages of others', () => {
  expect(Object.keys(manifestOf('.').dependencies).length).toBeLessThanOrEqual(5);
  expect(Object.keys(manifestOf('.').dependencies).filter((name) => name.startsWith('@ringtap/'))).toEqual([]);
});
