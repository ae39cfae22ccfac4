// The packages of this repository as npm packs them, and a project that has them installed from nothing else.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root, run } from './child.js';

const json = (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8'));

/** Where each package of this repository is, the core first. */
export const folders: readonly string[] = json('package.json').workspaces;
export const manifestOf = (folder: string) => json(join(folder, 'package.json'));

/** What npm packs, by the name of the package: path of the tarball and the files in it. */
export type Packed = ReadonlyMap<string, { readonly tarball: string; readonly files: readonly string[] }>;

/** Packs every package, which must have been built, into `folder`. */
export async function pack(folder: string): Promise<Packed> {
  const args = ['--ignore-scripts', '--json', '--pack-destination', folder];
  const stdout = await run('npm', 'pack', ...folders.map((name) => join(root, name)), ...args);
  const packs: { name: string; filename: string; files: { path: string }[] }[] = JSON.parse(stdout);
  return new Map(
    packs.map(({ name, filename, files }) => [
      name,
      { tarball: join(folder, filename.replace('@', '').replace('/', '-')), files: files.map(({ path }) => path) },
    ]),
  );
}

interface LockEntry {
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly link?: boolean;
}

/** The packages of others that ours need at run time, all the way down, where npm has put them. */
export function needed(): string[] {
  const entries = Object.entries<LockEntry>(json('package-lock.json').packages);
  return entries
    .filter(([path, { dev, optional, link }]) => path.startsWith('node_modules/') && !dev && !optional && !link)
    .map(([path]) => path);
}

/** Packs packages of others, from where npm has put them here, into `folder`: the tarballs in the same order. */
export async function packOthers(folder: string, paths: readonly string[]): Promise<string[]> {
  const args = ['--ignore-scripts', '--json', '--pack-destination', folder];
  const stdout = await run('npm', 'pack', ...paths.map((path) => join(root, path)), ...args);
  const packs: { filename: string }[] = JSON.parse(stdout);
  return packs.map(({ filename }) => join(folder, filename.replace('@', '').replace('/', '-')));
}

/**
 * Installs what was packed, and what that needs, into the project at `folder`, without asking a registry. The addon of this clone
 * is put where a build from source puts it, which would take minutes.
 */
export async function install(folder: string, packed: Packed, ...others: readonly string[]): Promise<void> {
  const tarballs = [...packed.values()].map(({ tarball }) => tarball);
  const theirs = await packOthers(folder, [...needed(), ...others.map((name) => join('node_modules', name))]);
  writeFileSync(join(folder, 'package.json'), '{ "private": true }');
  const all = [...tarballs, ...theirs];
  await run('npm', 'install', '--prefix', folder, '--offline', '--ignore-scripts', '--no-audit', '--no-fund', ...all);
  const built = join(folder, 'node_modules/ringtap/build/Release/ringtap.node');
  mkdirSync(dirname(built), { recursive: true });
  copyFileSync(join(root, 'build/addon/Release/ringtap.node'), built);
}
