// scripts/release-check.mjs lets nothing be published that is not what it says it is.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { releaseFaults } from '../../scripts/release-check.mjs';
import { temporaryFolder } from '../support/folder.js';

const path = temporaryFolder();
const root = path('tree');
const write = (file: string, content: unknown) =>
  writeFileSync(join(root, file), typeof content === 'string' ? content : JSON.stringify(content));
const git = (...args: string[]) =>
  execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@example.org', ...args], { cwd: root, stdio: 'pipe' });

/** A tree at this version, with the lock and the changelog at theirs. */
function tree(
  options: { version?: string; locked?: string; changelog?: string; wire?: string; host?: string } = {},
): void {
  const { version = '1.2.0', host = 'example.org' } = options;
  const { locked = version, changelog = version, wire = version } = options;
  const homepage = `https://${host}/ringtap`;
  const there = { homepage, bugs: { url: `${homepage}/issues` }, repository: { type: 'git', url: `git+${homepage}` } };
  write('package.json', { name: 'ringtap', version, workspaces: ['.', 'packages/wire'], ...there });
  write('packages/wire/package.json', { name: '@ringtap/wire', version: wire, ...there });
  write('package-lock.json', { packages: { '': { version }, 'packages/wire': { version: locked } } });
  write('CHANGELOG.md', `# Changelog\n\n## ${changelog} (2030-01-01)\n`);
}

/** Faults but for those of prebuilt binaries, which this tree has not. */
const faults = () => releaseFaults(root).filter((fault) => !fault.startsWith('prebuilds/'));

test('a release is what is committed, tagged, in step, locked and in the changelog', () => {
  mkdirSync(join(root, 'packages/wire'), { recursive: true });
  git('init', '-q');
  git('commit', '-q', '--allow-empty', '-m', 'nothing');
  tree();
  expect(faults()).toEqual([expect.stringMatching(/^not committed:\n/), 'HEAD is not tagged v1.2.0']);
  git('add', '.');
  git('commit', '-qm', 'all');
  expect(faults()).toEqual(['HEAD is not tagged v1.2.0']);
  git('tag', 'v1.2.0');
  expect(faults()).toEqual([]);

  const others = (options: Parameters<typeof tree>[0]) => {
    tree(options);
    return faults().filter((fault) => !fault.startsWith('not committed'));
  };
  expect(others({ locked: '1.1.0' })).toEqual([
    'package-lock.json: @ringtap/wire is 1.1.0 there, not 1.2.0: npm install',
  ]);
  expect(others({ changelog: '1.20' })).toEqual(['CHANGELOG.md: no heading for 1.2.0']);
  expect(others({ wire: '1.1.0', locked: '1.1.0' })).toEqual([
    'packages/wire/package.json: version 1.1.0, but ringtap is 1.2.0: they go in step',
  ]);
  write('CHANGELOG.md', '## [1.2.0]\n');
  expect(others({ version: '1.3.0' })).toEqual(['HEAD is not tagged v1.3.0']);
  expect(others({ host: 'repository.invalid' })).toEqual(
    ['package.json', 'packages/wire/package.json'].flatMap((file) =>
      ['repository', 'homepage', 'bugs'].map((field) => `${file}: ${field} has to say where the repository is`),
    ),
  );
});

test('a release has all four prebuilt binaries', () => {
  const missing = releaseFaults(root).filter((fault) => fault.startsWith('prebuilds/'));
  expect(missing).toEqual([
    'prebuilds/linux-x64/ringtap.glibc.node is missing: npm run prebuilds linux-x64-glibc',
    'prebuilds/linux-x64/ringtap.musl.node is missing: npm run prebuilds linux-x64-musl',
    'prebuilds/linux-arm64/ringtap.glibc.node is missing: npm run prebuilds linux-arm64-glibc',
    'prebuilds/linux-arm64/ringtap.musl.node is missing: npm run prebuilds linux-arm64-musl',
  ]);
});
