// Imports in lib/ that run against an arrow, circles of what is imported at run time, and what examples and bench may see.
import { filesIn } from '../files.mjs';
import { PLACES, ROOMS } from './arrows.mjs';
import { circles } from './circles.mjs';
import { importsOf } from './imports.mjs';

/** lib/plan/candidates.ts → plan, lib/index.ts → index. */
const roomOf = (path) => PLACES[path] ?? path.split('/')[1].replace(/\.ts$/, '');
/** Its index, and files of it without a folder, which are parts of what is public: whoever needs no more loads no more. */
const isEntry = (path, room) => path === `lib/${room}.ts` || path === `lib/${room}/index.ts` || PLACES[path] === room;

/** What is wrong with this import of lib/, if anything. */
function faultOf(path, { specifier, types, target }) {
  const loadsAddon = specifier.endsWith('.node') || specifier === 'node-gyp-build';
  const from = roomOf(path);
  if (loadsAddon && from !== 'native') return `only lib/native loads the addon (${specifier})`;
  if (target === undefined || target === 'package.json') return undefined;
  if (!target.startsWith('lib/')) return `lib may not import ${specifier}: it is outside lib/`;
  const to = roomOf(target);
  if (from === to) return undefined;
  const room = ROOMS[from];
  if (room === undefined) return `lib/${from} is no room that scripts/deps/arrows.mjs knows`;
  if (room.uses.includes(to) || (room.entry?.includes(to) && isEntry(target, to))) return undefined;
  if (room.types?.includes(to)) {
    return types ? undefined : `lib/${from} may import types only from lib/${to}: import type … from '${specifier}'`;
  }
  if (room.entry?.includes(to)) return `lib/${from} may import only what is public of lib/${to}, not ${specifier}`;
  const others = [...room.uses, ...(room.entry ?? []), ...(room.types ?? []).map((name) => `${name} (types)`)];
  return `lib/${from} may not import ${specifier} (only its own files and ${others.join(', ') || 'nothing else'})`;
}

export function libFaults(root) {
  const faults = [];
  const edges = new Map();
  for (const path of filesIn(['lib'], /\.ts$/, root)) {
    const imports = importsOf(root, path);
    for (const entry of imports) {
      const fault = faultOf(path, entry);
      if (fault !== undefined) faults.push(`${path}:${entry.line}: ${fault}`);
    }
    const running = imports.filter(({ types, target }) => !types && target !== undefined);
    edges.set(path, new Set(running.map(({ target }) => target)));
  }
  for (const circle of circles(edges)) faults.push(`${circle[0]}: imports itself: ${circle.join(' → ')}`);
  return faults;
}

/** Examples and benchmarks use the package as anybody does. */
export function userFaults(root, subpaths) {
  const faults = [];
  for (const path of filesIn(['examples', 'bench'], /\.(ts|mts|js|mjs)$/, root)) {
    const [folder] = path.split('/');
    for (const { specifier, line, target } of importsOf(root, path)) {
      if (target !== undefined && !target.startsWith(`${folder}/`) && !target.startsWith('scripts/')) {
        faults.push(`${path}:${line}: ${folder} may import ringtap by its name only, not ${specifier}`);
      }
      if (specifier.startsWith('ringtap/') && !subpaths.includes(`.${specifier.slice('ringtap'.length)}`)) {
        faults.push(`${path}:${line}: ${specifier} is not public`);
      }
    }
  }
  return faults;
}
