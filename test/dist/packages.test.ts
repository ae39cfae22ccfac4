// What npm packs of each package of this repository: all that it promises, and nothing else.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { TARGETS } from '../../scripts/prebuilds/targets.mjs';
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

const prebuilt = Object.values(TARGETS).map(({ file }) => `prebuilds/${file}`);

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
      expect(file).not.toMatch(
        /(^|\/)(test|fuzz|node_modules|build)\/|(^|\/)(conformance\.|(tests|fuzz)\.cmake$)|\.test\.|tsbuildinfo|(^|\/)\.[^/]+$/,
      );
      // Binaries are those that scripts/prebuilds.mjs makes, where it was run.
      if (file.endsWith('.node')) expect(prebuilt).toContain(file);
      if (!/\.(js|ts)\.map$/.test(file)) continue;
      const map = JSON.parse(readFileSync(join(root, manifestFolder(manifest.name), file), 'utf8'));
      for (const source of map.sources) expect(has, `${file} points to ${source}`).toContain(join(file, '..', source));
    }
    for (const file of files().filter((name) => /^dist\/(?!man\/)/.test(name))) {
      // A file whose source was moved or deleted lies in dist/ until it is built anew.
      const source = file.replace(/^dist\//, 'lib/').replace(/(\.d\.ts|\.js)(\.map)?$/, '.ts');
      expect(existsSync(join(root, manifestFolder(manifest.name), source)), `${file} has no source`).toBe(true);
    }
  });

  test('has no link in its Markdown that leads out of it', () => {
    const has = new Set(files());
    const folder = manifestFolder(manifest.name);
    const lost: string[] = [];
    for (const file of files().filter((name) => name.endsWith('.md'))) {
      const text = readFileSync(join(root, folder, file), 'utf8').replace(/^```.*?^```/gms, '');
      for (const [, target] of text.matchAll(/\]\(([^)\s#]+)[^)]*\)/g)) {
        if (/^[a-z]+:/.test(target!)) continue;
        const path = join(dirname(file), target!);
        if (!has.has(path) && ![...has].some((name) => name.startsWith(`${path.replace(/\/$/, '')}/`)))
          lost.push(`${file}: ${target}`);
      }
    }
    expect(lost).toEqual([]);
  });

  test('says where its repository is, in one way', () => {
    const { homepage, repository, bugs } = manifest;
    expect(repository.url).toBe(`git+${homepage.replace('#readme', '')}.git`);
    expect(bugs.url).toBe(homepage.replace('#readme', '/issues'));
    expect(repository.directory ?? '.').toBe(manifestFolder(manifest.name));
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
