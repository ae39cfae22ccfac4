// The packages of this repository: what each may import, and that their package.json say so and agree.
import { existsSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { filesIn } from '../files.mjs';
import { PACKAGES } from './arrows.mjs';
import { importsOf, packageOf } from './imports.mjs';
import { workspaces } from './workspaces.mjs';

const RUNNING = ['dependencies', 'optionalDependencies', 'peerDependencies'];
const ALL = [...RUNNING, 'devDependencies'];
const declared = (manifest, kinds) => kinds.flatMap((kind) => Object.keys(manifest[kind] ?? {}));
/** Not part of what is published. */
const staysHere = (path) => /(^|\/)(test|bench|examples|scripts)\//.test(path) || /\.test(-d)?\.[a-z]+$/.test(path);

/** What is wrong with this import of a package, if anything. */
function faultOf({ folder, manifest }, path, { specifier, types, target }, names) {
  if (target !== undefined) {
    const inside = folder === '.' ? !target.startsWith('packages/') : target.startsWith(`${folder}/`);
    return inside ? undefined : `${specifier} is outside of ${manifest.name}`;
  }
  const name = packageOf(specifier);
  if (isBuiltin(specifier) || name === manifest.name) return undefined;
  const ships = !staysHere(path);
  if (names.includes(name) && ships) {
    const arrows = PACKAGES[manifest.name];
    const knowsTypes = arrows.types?.includes(name) ?? false;
    if (!arrows.uses.includes(name) && !(knowsTypes && types)) {
      return `${manifest.name} may not import ${name}${knowsTypes ? ', but its types' : ''}`;
    }
  }
  const kinds = ships && !types ? RUNNING : ALL;
  if (declared(manifest, kinds).includes(name)) return undefined;
  const where = kinds === RUNNING ? 'the dependencies of ' : '';
  return `${specifier} is not in ${where}${join(folder, 'package.json')}`;
}

/** Dependencies that are declared against an arrow, or in a version that is not the one here. */
function manifestFaults(all) {
  const faults = [];
  const versions = new Map(all.map(({ manifest }) => [manifest.name, manifest.version]));
  const ranges = new Map();
  const [{ manifest: first }] = all;
  for (const { folder, manifest } of all) {
    const at = join(folder, 'package.json');
    const arrows = PACKAGES[manifest.name];
    if (arrows === undefined) faults.push(`${at}: ${manifest.name} is no package that scripts/deps/arrows.mjs knows`);
    if (manifest.version !== first.version)
      faults.push(`${at}: version ${manifest.version}, but ${first.name} is ${first.version}: they go in step`);
    for (const kind of ALL) {
      for (const [name, range] of Object.entries(manifest[kind] ?? {})) {
        if (versions.has(name)) {
          if (RUNNING.includes(kind) && !arrows?.uses.includes(name))
            faults.push(`${at}: ${manifest.name} may not depend on ${name}`);
          const expected = versions.get(name);
          if (range !== expected) faults.push(`${at}: ${name} is ${expected} here, not ${range}`);
          continue;
        }
        if (kind === 'peerDependencies') continue; // what a user may have, not what is installed here
        const other = ranges.get(name);
        if (other === undefined) ranges.set(name, { range, at });
        else if (other.range !== range) faults.push(`${at}: ${name} ${range}, but ${other.range} in ${other.at}`);
      }
    }
  }
  return faults;
}

/** The root's list of workspaces is the order in which they are built and published. */
function orderFaults(all) {
  const { workspaces = [] } = all[0].manifest;
  const place = new Map(all.map(({ folder, manifest }) => [manifest.name, workspaces.indexOf(folder)]));
  const faults = [];
  for (const { folder, manifest } of all) {
    if (!workspaces.includes(folder)) {
      if (all.length > 1) faults.push(`package.json: ${folder} is not in its workspaces`);
      continue;
    }
    for (const name of declared(manifest, ALL)) {
      if ((place.get(name) ?? -1) > place.get(manifest.name))
        faults.push(`package.json: ${manifest.name} stands before ${name}, which it needs, in the workspaces`);
    }
  }
  return faults;
}

export function packageFaults(root) {
  if (!existsSync(join(root, 'package.json'))) return [];
  const all = workspaces(root);
  const names = all.map(({ manifest }) => manifest.name);
  const faults = [...manifestFaults(all), ...orderFaults(all)];
  for (const place of all) {
    if (PACKAGES[place.manifest.name] === undefined) continue;
    const folders = place.folder === '.' ? ['lib', 'test', 'bench', 'examples', 'scripts'] : [place.folder];
    for (const path of filesIn(folders, /\.(ts|mts|js|mjs)$/, root)) {
      if (/\/(dist|node_modules)\//.test(path)) continue;
      for (const entry of importsOf(root, path)) {
        const fault = faultOf(place, path, entry, names);
        if (fault !== undefined) faults.push(`${path}:${entry.line}: ${fault}`);
      }
    }
  }
  return faults;
}
